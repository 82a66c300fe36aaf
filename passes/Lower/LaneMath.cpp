// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floating-point functions of kernels as arithmetic, on scalars and vectors alike. No operation here becomes a library call on
// plain x86-64, so compiled code needs no libm, and without fused multiply-add the bits are the same on every target.
//
// exp and tanh reduce their argument as in Moshier, "Methods and Programs for Mathematical Functions", 1989, and use its
// polynomials for f32.

#include "Lower/LaneBuilder.h"

#include <limits>

using namespace mlir;
using namespace mlir::whit;

static Type sameShape(Value value, Type element) {
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

static TypedAttr constantLike(Type type, Attribute element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return DenseElementsAttr::get(vector, element);
  return cast<TypedAttr>(element);
}

Value LaneBuilder::like(Value value, float constant) {
  return arith::ConstantOp::create(*this, constantLike(sameShape(value, getF32Type()), getF32FloatAttr(constant)));
}

Value LaneBuilder::likeInt(Value value, int64_t constant) {
  Type element = getElementTypeOrSelf(value.getType());
  return arith::ConstantOp::create(*this, constantLike(value.getType(), getIntegerAttr(element, constant)));
}

Value LaneBuilder::bits(Value value) {
  Type element = getIntegerType(getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth());
  return arith::BitcastOp::create(*this, sameShape(value, element), value);
}

Value LaneBuilder::floats(Value value) {
  return arith::BitcastOp::create(*this, sameShape(value, getF32Type()), value);
}

// ---------------------------------------------------------------------------------------------------- conversions

Value LaneBuilder::widen(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element.isF32())
    return value;
  if (element.isF16() && facts.hasHalf())
    return arith::ExtFOp::create(*this, sameShape(value, getF32Type()), value);
  Value stored = arith::ExtUIOp::create(*this, sameShape(value, getI32Type()), bits(value));
  if (element.isBF16())
    return floats(arith::ShLIOp::create(*this, stored, likeInt(stored, 16)));

  // Exponent and mantissa moved into place, then scaled by 2^112, which is exact for subnormals too.
  Value sign = arith::ShLIOp::create(*this, arith::AndIOp::create(*this, stored, likeInt(stored, 0x8000)), likeInt(stored, 16));
  Value magnitude = arith::AndIOp::create(*this, stored, likeInt(stored, 0x7fff));
  Value moved = arith::ShLIOp::create(*this, magnitude, likeInt(stored, 13));
  Value finite = bits(mulf(floats(moved), like(value, 0x1p112f)));
  Value special = arith::OrIOp::create(*this, moved, likeInt(stored, 0x7f800000));
  Value isSpecial = cmp(arith::CmpIPredicate::uge, magnitude, likeInt(stored, 0x7c00));
  return floats(arith::OrIOp::create(*this, select(isSpecial, special, finite), sign));
}

Value LaneBuilder::narrow(Value value, Type element) {
  if (element.isF32())
    return value;
  if (element.isF16() && facts.hasHalf())
    return arith::TruncFOp::create(*this, sameShape(value, element), value);
  Value from = bits(value);
  auto constant = [&](int64_t number) { return likeInt(from, number); };
  auto shifted = [&](Value number, int64_t by) -> Value { return arith::ShRUIOp::create(*this, number, constant(by)); };
  auto masked = [&](Value number, int64_t by) -> Value { return arith::AndIOp::create(*this, number, constant(by)); };
  Value result;
  if (element.isBF16()) {
    Value rounded = shifted(add(from, add(masked(shifted(from, 16), 1), constant(0x7fff))), 16);
    Value quiet = arith::OrIOp::create(*this, shifted(from, 16), constant(0x40));
    result = select(cmp(arith::CmpFPredicate::UNO, value, value), quiet, rounded);
  } else {
    Value magnitude = masked(from, 0x7fffffff);
    Value sign = masked(shifted(from, 16), 0x8000);
    // Normal: rebias the exponent by 127 - 15 and round at bit 13. Subnormal: let an addition align and round.
    Value odd = masked(shifted(magnitude, 13), 1);
    Value normal = shifted(add(add(magnitude, constant(0xfff - (int64_t(112) << 23))), odd), 13);
    Value small = sub(bits(addf(floats(magnitude), like(value, 0.5f))), constant(0x3f000000));
    Value special = select(cmp(arith::CmpIPredicate::ugt, magnitude, constant(0x7f800000)), constant(0x7e00), constant(0x7c00));
    result = select(cmp(arith::CmpIPredicate::ult, magnitude, constant(113 << 23)), small, normal);
    result = select(cmp(arith::CmpIPredicate::uge, magnitude, constant(143 << 23)), special, result);
    result = arith::OrIOp::create(*this, result, sign);
  }
  Value stored = arith::TruncIOp::create(*this, sameShape(value, getIntegerType(16)), result);
  return arith::BitcastOp::create(*this, sameShape(value, element), stored);
}

// Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa.
static constexpr float kRounder = 0x1.8p23f;

Value LaneBuilder::toInt(Value value) {
  Value shifted = bits(addf(value, like(value, kRounder)));
  return sub(shifted, likeInt(shifted, 0x4b400000));
}

// ---------------------------------------------------------------------------------------------------- functions

Value LaneBuilder::exp(Value x) {
  auto constant = [&](float number) { return like(x, number); };
  // Constants come first, so that NaN passes through.
  x = lesser(constant(89.0f), greater(constant(-104.0f), x));
  Value shifted = fma(x, constant(1.44269504088896341f), constant(kRounder));
  Value n = subf(shifted, constant(kRounder));
  Value r = fma(n, constant(-0.693359375f), x);
  r = fma(n, constant(2.12194440e-4f), r);
  Value p = constant(1.9875691500e-4f);
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = fma(p, r, constant(c));
  Value y = addf(fma(p, mulf(r, r), r), constant(1.0f));
  // 2^n in two factors, so that neither overflows before the product does.
  Value exponent = sub(bits(shifted), likeInt(bits(shifted), 0x4b400000));
  auto power = [&](Value e) {
    Value biased = add(e, likeInt(e, 127));
    return floats(arith::ShLIOp::create(*this, biased, likeInt(e, 23)));
  };
  Value half = arith::ShRSIOp::create(*this, exponent, likeInt(exponent, 1));
  return mulf(mulf(y, power(half)), power(sub(exponent, half)));
}

Value LaneBuilder::tanh(Value x) {
  auto constant = [&](float number) { return like(x, number); };
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), std::numeric_limits<int32_t>::min()));
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value large = subf(constant(1.0f), divf(constant(2.0f), addf(exp(addf(a, a)), constant(1.0f))));
  Value s = mulf(a, a), p = constant(-5.70498872745e-3f);
  for (float c : {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f})
    p = fma(p, s, constant(c));
  Value small = fma(mulf(p, s), a, a);
  Value magnitude = select(cmp(arith::CmpFPredicate::OLT, a, constant(0.625f)), small, large);
  return floats(arith::OrIOp::create(*this, bits(magnitude), sign));
}
