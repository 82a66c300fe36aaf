// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by a block of GPU threads.

#pragma once

#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

namespace mlir::whit {

/// Why a block cannot share the operation out; empty if it can.
std::string whyNotInBlock(AttentionOp op);

/// Emits the operation, without erasing it, for all rows and heads of its operands.
void emitAttentionBlock(LaneBuilder &b, AttentionOp op);

} // namespace mlir::whit
