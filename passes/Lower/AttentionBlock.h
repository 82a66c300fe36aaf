// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by a block of GPU threads.

#pragma once

#include "Lower/PartialSums.h"
#include "Whit/Whit.h"

#include <optional>

namespace mlir::whit {

/// Warps of a block.
inline constexpr int64_t kAttentionWarps = 4;

/// Why a block cannot share the operation out; empty if it can.
std::string whyNotInBlock(AttentionOp op);

/// Into how many slices the tokens of a cache are dealt out, a turn of a block's warps to each, again and again. It follows from types and the
/// target alone, and so does which slice a token is in: the sum of a row is the same tree whoever adds it up.
int64_t attentionSlices(AttentionOp op, const TargetFacts &facts);

/// Words that a block leaves of a row and head for those that add up: maximum, sum and features.
int64_t attentionWords(AttentionOp op);

/// Emits the operation, without erasing it, for all rows and heads of its operands. If blocks share its tokens, it has one row.
void emitAttentionBlock(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial = std::nullopt,
                        Value counts = Value());

} // namespace mlir::whit
