// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions that models rarely use, in f64: what cancels there still leaves more bits than f32 has, so their definitions
// can be followed. Below 2^-10, where that ends, two terms of a series are exact enough.

#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;

using Predicate = arith::CmpFPredicate;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value LaneBuilder::magnitude(Value value) {
  int64_t mask = getElementTypeOrSelf(value.getType()).isF64() ? std::numeric_limits<int64_t>::max() : 0x7fffffff;
  return floats(arith::AndIOp::create(*this, bits(value), likeInt(bits(value), mask)));
}

Value LaneBuilder::withSign(Value value, Value sign) {
  Value bit = arith::AndIOp::create(*this, bits(sign), likeInt(bits(sign), std::numeric_limits<int32_t>::min()));
  return floats(arith::OrIOp::create(*this, bits(value), bit));
}

Value LaneBuilder::onlyIf(Value condition, Value value) {
  return select(condition, value, like(value, std::numeric_limits<double>::quiet_NaN()));
}

/// a + c * a^3 for small a, else `large`.
static Value smallOr(LaneBuilder &b, Value a, double c, Value large) {
  Value small = b.addf(a, b.mulf(b.mulf(b.mulf(a, a), a), b.like(a, c)));
  return b.select(b.cmp(Predicate::OLT, a, b.like(a, 0x1p-10)), small, large);
}

// ---------------------------------------------------------------------------------------------------- hyperbolic

Value LaneBuilder::sinh(Value x) {
  Value a = convert(magnitude(x), getF64Type()), e = exp64(a);
  Value large = mulf(subf(e, divf(like(a, 1), e)), like(a, 0.5));
  Value y = convert(smallOr(*this, a, 1.0 / 6, large), getF32Type());
  return select(cmp(Predicate::UNO, x, x), x, withSign(y, x));
}

Value LaneBuilder::cosh(Value x) {
  Value a = convert(magnitude(x), getF64Type()), e = exp64(a);
  Value y = convert(mulf(addf(e, divf(like(a, 1), e)), like(a, 0.5)), getF32Type());
  return select(cmp(Predicate::UNO, x, x), x, y);
}

Value LaneBuilder::asinh(Value x) {
  Value a = convert(magnitude(x), getF64Type());
  Value root = math::SqrtOp::create(*this, addf(mulf(a, a), like(a, 1)));
  Value y = convert(smallOr(*this, a, -1.0 / 6, log64(addf(a, root))), getF32Type());
  return select(cmp(Predicate::OLT, magnitude(x), like(x, kInfinity)), withSign(y, x), x);
}

Value LaneBuilder::acosh(Value x) {
  Value wide = convert(x, getF64Type());
  Value square = subf(mulf(wide, wide), like(wide, 1));
  Value y = convert(log64(addf(wide, math::SqrtOp::create(*this, square))), getF32Type());
  y = select(cmp(Predicate::OLT, x, like(x, kInfinity)), y, x);
  return onlyIf(cmp(Predicate::OGE, x, like(x, 1)), y);
}

Value LaneBuilder::atanh(Value x) {
  Value a = convert(magnitude(x), getF64Type()), one = like(a, 1);
  Value large = mulf(log64(divf(addf(one, a), subf(one, a))), like(a, 0.5));
  Value y = convert(smallOr(*this, a, 1.0 / 3, large), getF32Type()), edge = like(x, 1);
  y = select(cmp(Predicate::OEQ, magnitude(x), edge), like(x, kInfinity), y);
  return onlyIf(cmp(Predicate::OLE, magnitude(x), edge), withSign(y, x));
}

// ---------------------------------------------------------------------------------------------------- angles

/// The angle of (x, y), both f64 and y not negative: two halvings bring a tangent of at most 1 below 1/5, then a series.
Value LaneBuilder::angle64(Value y, Value x) {
  Value run = magnitude(x), one = like(y, 1);
  Value isSteep = cmp(Predicate::OGT, y, run);
  Value less = select(isSteep, run, y), more = select(isSteep, y, run);
  Value tangent = divf(less, select(cmp(Predicate::OEQ, more, like(y, 0)), one, more));
  tangent = select(cmp(Predicate::OEQ, less, like(y, kInfinity)), one, tangent); // both are infinite
  for (int i = 0; i < 2; ++i) {
    Value root = math::SqrtOp::create(*this, addf(mulf(tangent, tangent), one));
    tangent = divf(tangent, addf(root, one));
  }
  Value z = mulf(tangent, tangent), p = like(y, 1.0 / 17);
  for (int n = 15; n >= 1; n -= 2)
    p = subf(like(y, 1.0 / n), mulf(p, z));
  Value angle = mulf(mulf(tangent, p), like(y, 4));
  angle = select(isSteep, subf(like(y, M_PI / 2), angle), angle);
  Value isLeft = cmp(arith::CmpIPredicate::slt, bits(x), likeInt(bits(x), 0));
  return select(isLeft, subf(like(y, M_PI), angle), angle);
}

Value LaneBuilder::atan2(Value y, Value x) {
  Value angle = convert(angle64(convert(magnitude(y), getF64Type()), convert(x, getF64Type())), getF32Type());
  return select(cmp(Predicate::UNO, x, y), addf(x, y), withSign(angle, y));
}

Value LaneBuilder::asin(Value x) {
  Value a = convert(magnitude(x), getF64Type()), one = like(a, 1);
  Value rest = math::SqrtOp::create(*this, mulf(subf(one, a), addf(one, a)));
  Value y = withSign(convert(angle64(a, rest), getF32Type()), x);
  return onlyIf(cmp(Predicate::OLE, magnitude(x), like(x, 1)), y);
}

Value LaneBuilder::acos(Value x) {
  Value wide = convert(x, getF64Type()), one = like(wide, 1);
  Value rest = math::SqrtOp::create(*this, mulf(subf(one, wide), addf(one, wide)));
  Value y = convert(angle64(rest, wide), getF32Type());
  return onlyIf(cmp(Predicate::OLE, magnitude(x), like(x, 1)), y);
}

// ---------------------------------------------------------------------------------------------------- others

Value LaneBuilder::cbrt(Value x) {
  Value a = magnitude(x), wide = convert(a, getF64Type());
  Value y = withSign(convert(exp64(divf(log64(wide), like(wide, 3))), getF32Type()), x);
  Value isOrdinary =
      arith::AndIOp::create(*this, cmp(Predicate::OGT, a, like(x, 0)), cmp(Predicate::OLT, a, like(x, kInfinity)));
  return select(isOrdinary, y, x); // zeros, infinities and NaN are their own roots
}

/// t exp(p(t) - x^2) with t = 1 / (1 + x / 2), the Chebyshev fit of "Numerical Recipes", 1992, chapter 6.2.
Value LaneBuilder::erfc(Value x) {
  Value a = convert(magnitude(x), getF64Type()), one = like(a, 1);
  a = lesser(like(a, 14), a); // 0 from there on
  Value t = divf(one, addf(mulf(a, like(a, 0.5)), one)), p = like(a, 0.17087277);
  for (double c :
       {-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223})
    p = addf(mulf(p, t), like(a, c));
  Value y = mulf(t, exp64(subf(p, mulf(a, a))));
  Value isNegative = cmp(Predicate::OLT, convert(x, getF64Type()), like(a, 0));
  y = convert(select(isNegative, subf(like(a, 2), y), y), getF32Type());
  return select(cmp(Predicate::UNO, x, x), x, y);
}
