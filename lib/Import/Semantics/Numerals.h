// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of the bits of a number, and of floats that have no operation of their own. As in Scalars.h, they are called
// in the body of an elementwise operation.

#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace whit::semantics {

/// How many bits of an integer are set, and how many zeros stand before the highest that is.
mlir::Value countBits(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
mlir::Value countLeadingZeros(mlir::ImplicitLocOpBuilder &b, mlir::Value x);

/// A float rounded to one with fewer bits in its exponent and its mantissa: to nearest even, to infinity beyond the
/// largest, to 0 below the smallest that has a whole mantissa.
mlir::Value reducePrecision(mlir::ImplicitLocOpBuilder &b, mlir::Value x, int64_t exponent, int64_t mantissa);

/// What the error function maps to x, in f32.
mlir::Value inverseErf(mlir::ImplicitLocOpBuilder &b, mlir::Value x);

} // namespace whit::semantics
