// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of elements, to be called in the body of an elementwise operation. Integers have no sign in their type, so
// what depends on it says so.

#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace whit::semantics {

using mlir::ImplicitLocOpBuilder;
using mlir::Value;

enum class Sign { Signed, Unsigned };

/// How integers of a type, or of a tensor, are read; true is greater than false.
Sign signOfType(mlir::Type numbers);

/// A constant of a type, rounded to nearest even if it is a float.
Value constant(ImplicitLocOpBuilder &b, mlir::Type type, double value);

/// i1. Nothing is equal to, less or greater than NaN, and NaN is not equal to anything.
enum class Compare { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual };
Value compare(ImplicitLocOpBuilder &b, Compare how, Value x, Value y, Sign sign = Sign::Signed);
Value isNaN(ImplicitLocOpBuilder &b, Value x);

/// The larger and the smaller one; NaN if one of them is.
Value maximum(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign = Sign::Signed);
Value minimum(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign = Sign::Signed);

Value absolute(ImplicitLocOpBuilder &b, Value x);
/// -1, 0 or 1; NaN of NaN.
Value signOf(ImplicitLocOpBuilder &b, Value x);
/// x / y of integers as programs can run it for any operands: by 0 it is some number.
Value divideIntegers(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign = Sign::Signed);
/// x to the power of y; integers by repeated multiplication, to the power of a negative one 0.
Value power(ImplicitLocOpBuilder &b, Value x, Value y);

/// An element in another type. Integers are cut; floats are rounded to nearest even or, to integers, toward zero, and
/// those outside of the integers become the nearest (NaN: some number). Anything but 0 is true.
Value convert(ImplicitLocOpBuilder &b, Value x, mlir::Type to, Sign from = Sign::Signed, Sign toSign = Sign::Signed);
/// The same for integers that are held in another type (`held` of Tensor.h).
Value convertHeld(ImplicitLocOpBuilder &b, Value x, mlir::Type from, mlir::Type to);

} // namespace whit::semantics
