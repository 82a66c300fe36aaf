// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernel of whit.attention on memrefs.

#pragma once

#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

#include <string>

namespace mlir::whit {

/// Emits attention at `b`; the size of a head must be static. The result: the choices made, for remarks.
std::string emitAttention(LaneBuilder &b, AttentionOp op);

} // namespace mlir::whit
