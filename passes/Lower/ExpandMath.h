// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions that would otherwise be calls of libm or of compiler support libraries, as arithmetic.

#pragma once

#include "mlir/IR/Operation.h"
#include "mlir/Support/LLVM.h"

namespace mlir::whit {
/// Replaces math functions and conversions of f16 and bf16 below `root`. fma operations that are already there stay.
LogicalResult expandMath(Operation *root);
} // namespace mlir::whit
