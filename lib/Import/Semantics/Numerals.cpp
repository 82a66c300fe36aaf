// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bits are counted in parallel: in pairs, in fours, in bytes, and then bytes are added up.

#include "Import/Semantics/Numerals.h"

#include "Import/Semantics/Scalars.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace whit::semantics {

static Value integer(ImplicitLocOpBuilder &b, Type type, const APInt &value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
}

static Value shiftedDown(ImplicitLocOpBuilder &b, Value x, unsigned amount) {
  return arith::ShRUIOp::create(b, x, constant(b, x.getType(), amount));
}

Value countBits(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType();
  unsigned width = type.getIntOrFloatBitWidth();
  if (width == 1)
    return x;
  auto masked = [&](Value value, uint64_t byte) -> Value {
    return arith::AndIOp::create(b, value, integer(b, type, APInt::getSplat(width, APInt(8, byte))));
  };
  auto sum = [&](Value left, Value right) -> Value { return arith::AddIOp::create(b, left, right); };
  x = arith::SubIOp::create(b, x, masked(shiftedDown(b, x, 1), 0x55));
  x = sum(masked(x, 0x33), masked(shiftedDown(b, x, 2), 0x33));
  x = masked(sum(x, shiftedDown(b, x, 4)), 0x0f);
  for (unsigned step = 8; step < width; step *= 2)
    x = sum(x, shiftedDown(b, x, step));
  return width == 8 ? x : Value(arith::AndIOp::create(b, x, constant(b, type, 0xff)));
}

Value countLeadingZeros(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType();
  unsigned width = type.getIntOrFloatBitWidth();
  for (unsigned step = 1; step < width; step *= 2) // all bits below the highest
    x = arith::OrIOp::create(b, x, shiftedDown(b, x, step));
  if (width == 1)
    return arith::XOrIOp::create(b, x, constant(b, type, 1));
  return arith::SubIOp::create(b, constant(b, type, width), countBits(b, x));
}

Value reducePrecision(ImplicitLocOpBuilder &b, Value x, int64_t exponent, int64_t mantissa) {
  auto floats = cast<FloatType>(x.getType());
  int64_t width = floats.getWidth(), fraction = floats.getFPMantissaWidth() - 1, range = width - 1 - fraction;
  Type bits = b.getIntegerType(width);
  auto number = [&](const APInt &value) { return integer(b, bits, value); };
  Value original = arith::BitcastOp::create(b, bits, x), result = original;
  if (mantissa < fraction) {
    // Half of the last bit that stays, less one where that bit is even.
    APInt last = APInt::getOneBitSet(width, fraction - mantissa);
    Value isOdd = arith::AndIOp::create(b, shiftedDown(b, result, fraction - mantissa), number(APInt(width, 1)));
    Value half = arith::AddIOp::create(b, number(last.lshr(1) - 1), isOdd);
    result = arith::AndIOp::create(b, arith::AddIOp::create(b, result, half), number(~(last - 1)));
  }
  if (exponent < range) {
    APInt all = APInt::getBitsSet(width, fraction, width - 1);
    uint64_t bias = (uint64_t(1) << (range - 1)) - 1, reduced = (uint64_t(1) << (exponent - 1)) - 1;
    Value sign = arith::AndIOp::create(b, result, number(APInt::getSignMask(width)));
    Value found = arith::AndIOp::create(b, result, number(all));
    Value isOver = compare(b, Compare::Greater, found, number(APInt(width, bias + reduced) << fraction));
    Value isUnder = compare(b, Compare::LessOrEqual, found, number(APInt(width, bias - reduced) << fraction));
    Value infinity = arith::OrIOp::create(b, sign, number(all));
    result = arith::SelectOp::create(b, isOver, infinity, arith::SelectOp::create(b, isUnder, sign, result));
  }
  return arith::SelectOp::create(b, isNaN(b, x), x, arith::BitcastOp::create(b, floats, result));
}

Value inverseErf(ImplicitLocOpBuilder &b, Value x) {
  Type type = x.getType(), f32 = b.getF32Type();
  x = convert(b, x, f32);
  auto number = [&](double value) { return constant(b, f32, value); };
  auto times = [&](Value left, Value right) -> Value { return arith::MulFOp::create(b, left, right); };
  auto plus = [&](Value left, Value right) -> Value { return arith::AddFOp::create(b, left, right); };
  // Two polynomials in w = -log(1 - x^2), for the middle and for the tails, by M. Giles (2010).
  static constexpr double middle[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                      -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
  static constexpr double tails[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                     -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
  Value w = arith::NegFOp::create(b, math::Log1pOp::create(b, arith::NegFOp::create(b, times(x, x))));
  Value isMiddle = compare(b, Compare::Less, w, number(5));
  Value at = arith::SelectOp::create(b, isMiddle, plus(w, number(-2.5)), plus(math::SqrtOp::create(b, w), number(-3)));
  Value y;
  for (auto [inner, outer] : llvm::zip(middle, tails)) {
    Value coefficient = arith::SelectOp::create(b, isMiddle, number(inner), number(outer));
    y = y ? plus(coefficient, times(y, at)) : coefficient;
  }
  // At -1 and 1, w is infinite and so is the result, of the sign of x.
  Value one = number(1), isEnd = compare(b, Compare::Equal, math::AbsFOp::create(b, x), one);
  Value infinity = times(x, number(std::numeric_limits<double>::infinity()));
  return convert(b, arith::SelectOp::create(b, isEnd, infinity, times(y, x)), type);
}

} // namespace whit::semantics
