// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements compared, chosen and converted.

#include "Import/Semantics/Scalars.h"
#include "Import/Semantics/SmallFloats.h"
#include "Import/Semantics/Tensor.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace whit::semantics {

Sign signOfType(Type numbers) {
  numbers = getElementTypeOrSelf(numbers);
  return numbers.isUnsignedInteger() || numbers.isInteger(1) ? Sign::Unsigned : Sign::Signed;
}

Value constant(ImplicitLocOpBuilder &b, Type type, double value) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, int64_t(value)));
}

Value compare(ImplicitLocOpBuilder &b, Compare how, Value x, Value y, Sign sign) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  static constexpr F floats[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
  static constexpr I signedOnes[] = {I::eq, I::ne, I::slt, I::sle, I::sgt, I::sge};
  static constexpr I unsignedOnes[] = {I::eq, I::ne, I::ult, I::ule, I::ugt, I::uge};
  if (isa<FloatType>(x.getType()))
    return arith::CmpFOp::create(b, floats[int(how)], x, y);
  // false is less than true
  bool isUnsigned = sign == Sign::Unsigned || x.getType().isInteger(1);
  return arith::CmpIOp::create(b, (isUnsigned ? unsignedOnes : signedOnes)[int(how)], x, y);
}

Value isNaN(ImplicitLocOpBuilder &b, Value x) { return arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x); }

Value maximum(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign) {
  if (isa<FloatType>(x.getType()))
    return arith::MaximumFOp::create(b, x, y);
  return sign == Sign::Unsigned ? Value(arith::MaxUIOp::create(b, x, y)) : Value(arith::MaxSIOp::create(b, x, y));
}

Value minimum(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign) {
  if (isa<FloatType>(x.getType()))
    return arith::MinimumFOp::create(b, x, y);
  return sign == Sign::Unsigned ? Value(arith::MinUIOp::create(b, x, y)) : Value(arith::MinSIOp::create(b, x, y));
}

Value absolute(ImplicitLocOpBuilder &b, Value x) {
  if (isa<FloatType>(x.getType()))
    return math::AbsFOp::create(b, x);
  return arith::MaxSIOp::create(b, x, arith::SubIOp::create(b, constant(b, x.getType(), 0), x));
}

Value signOf(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType();
  Value zero = constant(b, type, 0);
  Value positive = arith::SelectOp::create(b, compare(b, Compare::Greater, x, zero), constant(b, type, 1), x);
  Value less = compare(b, Compare::Less, x, zero);
  return arith::SelectOp::create(b, less, constant(b, type, -1), positive);
}

Value divideIntegers(ImplicitLocOpBuilder &b, Value x, Value y, Sign sign) {
  Type type = y.getType();
  Value one = constant(b, type, 1);
  Value isZero = compare(b, Compare::Equal, y, constant(b, type, 0));
  if (sign == Sign::Unsigned)
    return arith::DivUIOp::create(b, x, arith::SelectOp::create(b, isZero, one, y));
  // The smallest number divided by -1 overflows, which stops the program; negating it gives itself.
  Value isMinusOne = compare(b, Compare::Equal, y, constant(b, type, -1));
  Value unsafe = arith::OrIOp::create(b, isZero, isMinusOne);
  Value quotient = arith::DivSIOp::create(b, x, arith::SelectOp::create(b, unsafe, one, y));
  Value negated = arith::SubIOp::create(b, constant(b, type, 0), x);
  return arith::SelectOp::create(b, isMinusOne, negated, quotient);
}

Value power(ImplicitLocOpBuilder &b, Value x, Value y) {
  Type type = x.getType();
  if (isa<FloatType>(type))
    return math::PowFOp::create(b, x, y);
  // Square and multiply over the bits of y; only the lowest bit decides for x = -1 and the others overflow anyway.
  Value result = constant(b, type, 1), base = x, rest = y;
  for (int bit = 0; bit < 6; ++bit) {
    Value odd = arith::AndIOp::create(b, rest, constant(b, type, 1));
    Value isOdd = compare(b, Compare::NotEqual, odd, constant(b, type, 0));
    Value product = arith::MulIOp::create(b, result, base);
    result = arith::SelectOp::create(b, isOdd, product, result);
    base = arith::MulIOp::create(b, base, base);
    rest = arith::ShRSIOp::create(b, rest, constant(b, type, 1));
  }
  Value isNegative = compare(b, Compare::Less, y, constant(b, type, 0));
  return arith::SelectOp::create(b, isNegative, constant(b, type, 0), result);
}

/// Floats toward zero, kept within the integers of `bits` bits: outside of them the conversion has no defined result.
static Value toInteger(ImplicitLocOpBuilder &b, Value x, IntegerType to, Sign sign, unsigned bits) {
  auto from = cast<FloatType>(x.getType());
  if (from.getWidth() < 32) { // whose range is smaller than that of the integers
    x = arith::ExtFOp::create(b, b.getF32Type(), x);
    from = b.getF32Type();
  }
  bool isUnsigned = sign == Sign::Unsigned;
  APSInt low = APSInt::getMinValue(bits, isUnsigned), high = APSInt::getMaxValue(bits, isUnsigned);
  auto bound = [&](const APSInt &integer) -> Value {
    APFloat number(from.getFloatSemantics());
    number.convertFromAPInt(integer, !isUnsigned, APFloat::rmTowardZero);
    return arith::ConstantOp::create(b, FloatAttr::get(from, number));
  };
  // Not maximum and minimum, which keep NaN.
  Value within = arith::MinNumFOp::create(b, arith::MaxNumFOp::create(b, x, bound(low)), bound(high));
  return isUnsigned ? Value(arith::FPToUIOp::create(b, to, within)) : Value(arith::FPToSIOp::create(b, to, within));
}

Value convert(ImplicitLocOpBuilder &b, Value x, Type to, Sign fromSign, Sign toSign) {
  Type from = x.getType();
  if (from == to)
    return x;
  if (to.isInteger(1))
    return compare(b, Compare::NotEqual, x, constant(b, from, 0));
  if (auto f = dyn_cast<FloatType>(from)) {
    auto t = dyn_cast<FloatType>(to);
    if (!t)
      return toInteger(b, x, cast<IntegerType>(to), toSign, to.getIntOrFloatBitWidth());
    if (f.getWidth() < t.getWidth())
      return arith::ExtFOp::create(b, to, x);
    if (f.getWidth() == t.getWidth()) // f16 and bf16
      x = arith::ExtFOp::create(b, b.getF32Type(), x);
    else if (f.getWidth() == 64 && t.getWidth() == 16) // CPUs have no single instruction for it
      x = arith::TruncFOp::create(b, b.getF32Type(), x);
    return arith::TruncFOp::create(b, to, x);
  }
  bool isUnsigned = fromSign == Sign::Unsigned || from.isInteger(1);
  if (isa<FloatType>(to))
    return isUnsigned ? Value(arith::UIToFPOp::create(b, to, x)) : Value(arith::SIToFPOp::create(b, to, x));
  if (from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth())
    return isUnsigned ? Value(arith::ExtUIOp::create(b, to, x)) : Value(arith::ExtSIOp::create(b, to, x));
  return arith::TruncIOp::create(b, to, x);
}

Value convertHeld(ImplicitLocOpBuilder &b, Value x, Type from, Type to) {
  if (from == to)
    return x;
  if (isSmallFloat(from)) {
    x = fromSmallFloat(b, x, cast<FloatType>(from));
    from = b.getF32Type();
  }
  if (isSmallFloat(to))
    return toSmallFloat(b, convertHeld(b, x, from, b.getF32Type()), cast<FloatType>(to));
  Type type = held(to);
  if (type == to || type.getIntOrFloatBitWidth() == to.getIntOrFloatBitWidth())
    return convert(b, x, type, signOfType(from), signOfType(to));
  if (isa<FloatType>(from))
    return toInteger(b, x, cast<IntegerType>(type), signOfType(to), to.getIntOrFloatBitWidth());
  // The lowest bits, with the sign that they have alone.
  x = convert(b, x, type, signOfType(from));
  Value rest = constant(b, type, type.getIntOrFloatBitWidth() - to.getIntOrFloatBitWidth());
  Value high = arith::ShLIOp::create(b, x, rest);
  return signOfType(to) == Sign::Unsigned ? Value(arith::ShRUIOp::create(b, high, rest))
                                          : Value(arith::ShRSIOp::create(b, high, rest));
}

} // namespace whit::semantics
