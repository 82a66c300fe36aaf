// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes that are the digits of bytes.

#pragma once

#include "Lower/KernelBuilder.h"

namespace mlir::whit {

/// The digits of each byte of a line to the base `radix`, lowest first: `count` vectors of 16 x i32 whose bytes are one digit each.
SmallVector<Value, 8> digitsOf(KernelBuilder &k, Value line, int64_t radix, int64_t count);

} // namespace mlir::whit
