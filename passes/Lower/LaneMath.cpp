// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floating-point functions of kernels as arithmetic, on scalars and vectors alike. No operation here becomes a library
// call on plain x86-64, so compiled code needs no libm, and without fused multiply-add the bits are the same on every
// target.
//
// exp and tanh reduce their argument as in Moshier, "Methods and Programs for Mathematical Functions", 1989, and use
// its polynomials for f32.

#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>
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

Value LaneBuilder::like(Value value, double constant) {
  Type element = getElementTypeOrSelf(value.getType());
  element = element.isF64() ? element : Type(getF32Type());
  return arith::ConstantOp::create(*this, constantLike(sameShape(value, element), getFloatAttr(element, constant)));
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
  bool wide = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth() == 64;
  return arith::BitcastOp::create(*this, sameShape(value, wide ? getF64Type() : getF32Type()), value);
}

/// Between f32 and f64, and from integers.
Value LaneBuilder::convert(Value value, Type element) {
  Type from = getElementTypeOrSelf(value.getType()), to = sameShape(value, element);
  if (from == element)
    return value;
  if (from.isInteger() && isa<FloatType>(element))
    return arith::SIToFPOp::create(*this, to, value);
  if (from.isInteger())
    return from.getIntOrFloatBitWidth() > element.getIntOrFloatBitWidth()
               ? Value(arith::TruncIOp::create(*this, to, value))
               : Value(arith::ExtSIOp::create(*this, to, value));
  return element.isF64() ? Value(arith::ExtFOp::create(*this, to, value))
                         : Value(arith::TruncFOp::create(*this, to, value));
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
  Value sign =
      arith::ShLIOp::create(*this, arith::AndIOp::create(*this, stored, likeInt(stored, 0x8000)), likeInt(stored, 16));
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
    Value special =
        select(cmp(arith::CmpIPredicate::ugt, magnitude, constant(0x7f800000)), constant(0x7e00), constant(0x7c00));
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

/// y * 2^n, rounded once where it is subnormal, by an instruction for 16 lanes; null where the target has none.
Value LaneBuilder::timesPowerOfTwo(Value y, Value n) {
  auto type = dyn_cast<VectorType>(y.getType());
  if (!type || !type.getElementType().isF32() || type.getNumElements() % kLanes || !facts.has("avx512f"))
    return {};
  Value allLanes = arith::ConstantIntOp::create(*this, -1, 16),
        roundsToNearest = arith::ConstantIntOp::create(*this, 4, 32);
  StringAttr name = getStringAttr("llvm.x86.avx512.mask.scalef.ps.512");
  Value result = y;
  for (int64_t first = 0; first < type.getNumElements(); first += kLanes) {
    auto part = [&](Value all) -> Value {
      return type.getNumElements() == kLanes ? all
                                             : vector::ExtractStridedSliceOp::create(*this, all, first, kLanes, 1);
    };
    Value from = part(y), operands[] = {from, part(n), from, allLanes, roundsToNearest};
    Value scaled = LLVM::CallIntrinsicOp::create(*this, from.getType(), name, operands).getResult(0);
    result = from == y ? scaled : vector::InsertStridedSliceOp::create(*this, scaled, result, first, 1).getResult();
  }
  return result;
}

/// exp(r) * 2^n for |r| <= log(2) / 2, where n is the integer that kRounder left in `shifted`.
Value LaneBuilder::expOfReduced(Value r, Value shifted) {
  Value p = like(r, 1.9875691500e-4);
  for (double c : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1})
    p = fma(p, r, like(r, c));
  Value y = addf(fma(p, mulf(r, r), r), like(r, 1));
  if (Value scaled = timesPowerOfTwo(y, subf(shifted, like(shifted, kRounder))))
    return scaled;
  // 2^n in two factors, so that neither overflows before the product does.
  Value exponent = sub(bits(shifted), likeInt(bits(shifted), 0x4b400000));
  auto power = [&](Value e) { return floats(arith::ShLIOp::create(*this, add(e, likeInt(e, 127)), likeInt(e, 23))); };
  Value half = arith::ShRSIOp::create(*this, exponent, likeInt(exponent, 1));
  return mulf(mulf(y, power(half)), power(sub(exponent, half)));
}

static constexpr double kLog2 = 0.693147180559945309417;
static constexpr double kRounder64 = 0x1.8p52;

Value LaneBuilder::exp(Value x) {
  if (getElementTypeOrSelf(x.getType()).isF64()) {
    x = lesser(like(x, 710), greater(like(x, -746), x));
    Value shifted = addf(mulf(x, like(x, 1 / kLog2)), like(x, kRounder64)), n = subf(shifted, like(x, kRounder64));
    // The first part of log(2) has 32 bits, so that its multiples are exact.
    Value r = subf(subf(x, mulf(n, like(x, 0x1.62e42feep-1))), mulf(n, like(x, 0x1.a39ef35793c76p-33)));
    Value p = like(x, 1);
    for (int64_t k = 14; k >= 1; --k)
      p = addf(mulf(p, mulf(r, like(x, 1.0 / double(k)))), like(x, 1));
    Value exponent = sub(bits(shifted), likeInt(bits(shifted), 0x4338000000000000));
    auto power = [&](Value e) {
      return floats(arith::ShLIOp::create(*this, add(e, likeInt(e, 1023)), likeInt(e, 52)));
    };
    Value half = arith::ShRSIOp::create(*this, exponent, likeInt(exponent, 1));
    return mulf(mulf(p, power(half)), power(sub(exponent, half)));
  }
  // Constants come first, so that NaN passes through.
  x = lesser(like(x, 89), greater(like(x, -104), x));
  Value shifted = fma(x, like(x, 1.44269504088896341), like(x, kRounder));
  Value n = subf(shifted, like(x, kRounder));
  Value r = fma(n, like(x, -0.693359375), x);
  r = fma(n, like(x, 2.12194440e-4), r);
  return expOfReduced(r, shifted);
}

Value LaneBuilder::exp2(Value x) {
  x = lesser(like(x, 129), greater(like(x, -151), x));
  Value shifted = addf(x, like(x, kRounder));
  Value n = subf(shifted, like(x, kRounder));
  return expOfReduced(mulf(subf(x, n), like(x, 0.693147180559945309)), shifted);
}

static constexpr int64_t kSignBit = std::numeric_limits<int32_t>::min();

Value LaneBuilder::tanh(Value x) {
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value large = subf(like(x, 1), divf(like(x, 2), addf(exp(addf(a, a)), like(x, 1))));
  Value s = mulf(a, a), p = like(x, -5.70498872745e-3);
  for (double c : {2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1})
    p = fma(p, s, like(x, c));
  Value small = fma(mulf(p, s), a, a);
  Value magnitude = select(cmp(arith::CmpFPredicate::OLT, a, like(x, 0.625)), small, large);
  return floats(arith::OrIOp::create(*this, bits(magnitude), sign));
}

/// A polynomial near 0, then 1 - exp of a polynomial, which is log(erfc).
Value LaneBuilder::erf(Value x) {
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value s = mulf(a, a), small = like(x, -5.96761703e-4);
  for (double c : {4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1})
    small = fma(small, s, like(x, c));
  small = fma(small, a, a);
  Value t = lesser(like(x, 4), a), large = like(x, -1.72853470e-5);
  for (double c : {3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1, -1.28717512e-1})
    large = fma(large, t, like(x, c));
  large = subf(like(x, 1), exp(subf(mulf(large, t), t)));
  Value magnitude = select(cmp(arith::CmpFPredicate::OLT, a, like(x, 0.927734375)), small, large);
  return floats(arith::OrIOp::create(*this, bits(magnitude), sign));
}

// ---------------------------------------------------------------------------------------------------- in f64

/// log of a positive f64: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), then the series of 2 atanh((m - 1) / (m + 1)).
Value LaneBuilder::log64(Value x) {
  Value from = bits(x);
  Value e = arith::ShRSIOp::create(*this, sub(from, likeInt(from, 0x3fe6a09e667f3bcd)), likeInt(from, 52));
  Value m = floats(sub(from, arith::ShLIOp::create(*this, e, likeInt(from, 52))));
  Value s = divf(subf(m, like(x, 1)), addf(m, like(x, 1)));
  Value z = mulf(s, s), p = like(x, 1.0 / 21);
  for (int64_t n = 19; n >= 1; n -= 2)
    p = addf(mulf(p, z), like(x, 1.0 / double(n)));
  return addf(mulf(convert(convert(e, getI32Type()), getF64Type()), like(x, kLog2)), mulf(addf(s, s), p));
}

Value LaneBuilder::exp64(Value x) {
  x = lesser(like(x, 200), greater(like(x, -200), x));
  Value shifted = addf(mulf(x, like(x, 1 / kLog2)), like(x, kRounder64));
  Value r = subf(x, mulf(subf(shifted, like(x, kRounder64)), like(x, kLog2)));
  Value p = like(x, 1);
  for (int64_t n = 11; n >= 1; --n)
    p = addf(mulf(p, mulf(r, like(x, 1.0 / double(n)))), like(x, 1));
  Value biased = add(bits(shifted), likeInt(bits(shifted), 1023));
  return mulf(p, floats(arith::ShLIOp::create(*this, biased, likeInt(biased, 52))));
}

Value LaneBuilder::log(Value x, double base) {
  using Predicate = arith::CmpFPredicate;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Type element = getElementTypeOrSelf(x.getType());
  Value wide = convert(x, getF64Type()), y = log64(wide);
  if (element.isF64()) { // all of f32 are normal numbers here, but not all of f64
    Value isTiny = cmp(Predicate::OLT, x, like(x, std::numeric_limits<double>::min()));
    Value scaled = log64(mulf(x, like(x, 0x1p54)));
    y = select(isTiny, subf(scaled, like(x, 54 * kLog2)), y);
  }
  if (base)
    y = mulf(y, like(wide, 1 / std::log(base)));
  y = convert(y, element);
  y = select(cmp(Predicate::OLT, x, like(x, infinity)), y, x); // infinity and NaN are their own logarithms
  y = select(cmp(Predicate::OEQ, x, like(x, 0)), like(x, -infinity), y);
  return select(cmp(Predicate::OLT, x, like(x, 0)), like(x, std::numeric_limits<double>::quiet_NaN()), y);
}

Value LaneBuilder::pow(Value x, Value y) {
  using Predicate = arith::CmpFPredicate;
  auto infinite = like(x, std::numeric_limits<double>::infinity()), zero = like(x, 0), one = like(x, 1);
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value wide = mulf(convert(y, getF64Type()), log64(convert(a, getF64Type())));
  Value value = convert(exp64(wide), getF32Type());
  Value grows = cmp(Predicate::OGT, y, zero);
  value = select(cmp(Predicate::OEQ, a, zero), select(grows, zero, infinite), value);
  value = select(cmp(Predicate::OEQ, a, infinite), select(grows, infinite, zero), value);
  value = select(cmp(Predicate::OEQ, a, one), one, value);
  // Negative bases: odd exponents keep the sign, exponents with a fraction have no value.
  Value half = mulf(y, like(y, 0.5));
  Value whole = cmp(Predicate::OEQ, trunc(y), y), even = cmp(Predicate::OEQ, trunc(half), half);
  Value isNegative = cmp(arith::CmpIPredicate::slt, bits(x), likeInt(bits(x), 0));
  Value odd = arith::AndIOp::create(*this, arith::AndIOp::create(*this, whole, isNegative), flip(even));
  value = select(odd, subf(like(x, -0.0), value), value);
  Value below = arith::AndIOp::create(*this, cmp(Predicate::OLT, x, zero), cmp(Predicate::OLT, a, infinite));
  Value none = arith::AndIOp::create(*this, below, flip(whole));
  value = select(none, like(x, std::numeric_limits<double>::quiet_NaN()), value);
  value = select(cmp(Predicate::UNO, x, y), addf(x, y), value);
  Value isOne = arith::OrIOp::create(*this, cmp(Predicate::OEQ, y, zero), cmp(Predicate::OEQ, x, one));
  return select(isOne, one, value);
}

/// Long division: the quotient of two f32 has at most 277 bits before the point, and each step takes 28 of them, in f64,
/// where a divisor of 24 bits times a digit is exact. A rounded digit may be one too large; then what is left is negative.
Value LaneBuilder::remainder(Value x, Value y) {
  using Predicate = arith::CmpFPredicate;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Value a = magnitude(x), d = magnitude(y);
  Value isFinite =
      arith::AndIOp::create(*this, cmp(Predicate::OLT, a, like(x, infinity)), cmp(Predicate::OGT, d, like(x, 0)));
  // Stand-ins where the result is chosen below.
  Value rest = convert(select(isFinite, a, like(x, 0)), getF64Type());
  Value divisor =
      convert(select(isFinite, lesser(d, like(x, std::numeric_limits<float>::max())), like(x, 1)), getF64Type());
  for (int exponent = 252; exponent >= 0; exponent -= 28) {
    Value scaled = mulf(divisor, like(rest, std::ldexp(1.0, exponent)));
    Value digit = arith::FPToSIOp::create(*this, sameShape(x, getI32Type()), divf(rest, scaled));
    rest = subf(rest, mulf(convert(digit, getF64Type()), scaled));
    rest = select(cmp(Predicate::OLT, rest, like(rest, 0)), addf(rest, scaled), rest);
  }
  Value result = convert(rest, getF32Type());
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  result = floats(arith::OrIOp::create(*this, bits(result), sign));
  result = select(cmp(Predicate::OLT, a, d), x, result); // an infinite divisor too
  Value quiet = like(x, std::numeric_limits<double>::quiet_NaN());
  result = select(isFinite, result, quiet);
  return select(cmp(Predicate::UNO, x, y), addf(x, y), result);
}

Value LaneBuilder::flip(Value condition) { return arith::XOrIOp::create(*this, condition, likeInt(condition, -1)); }

/// Reduced by multiples of pi/2 in f64, pi/2 in two parts of which the first has 33 bits.
Value LaneBuilder::sine(Value x, int64_t quarters) {
  Value wide = convert(x, getF64Type());
  Value shifted = addf(mulf(wide, like(wide, 0.636619772367581343076)), like(wide, kRounder64));
  Value n = subf(shifted, like(wide, kRounder64));
  Value reduced = subf(wide, mulf(n, like(wide, 1.57079632673412561417)));
  Value r = convert(subf(reduced, mulf(n, like(wide, 6.07710050650619224932e-11))), getF32Type());
  Value quadrant = convert(bits(shifted), getI32Type());
  quadrant = add(quadrant, likeInt(quadrant, quarters));
  Value z = mulf(r, r);
  auto chain = [&](std::initializer_list<double> coefficients) {
    Value p;
    for (double c : coefficients)
      p = p ? fma(p, z, like(x, c)) : like(x, c);
    return p;
  };
  Value sine = fma(mulf(chain({-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}), z), r, r);
  Value cosine = chain({2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2});
  cosine = addf(subf(mulf(cosine, mulf(z, z)), mulf(z, like(x, 0.5))), like(x, 1));
  auto bit = [&](int64_t mask) -> Value { return arith::AndIOp::create(*this, quadrant, likeInt(quadrant, mask)); };
  Value value = select(cmp(arith::CmpIPredicate::eq, bit(1), likeInt(quadrant, 0)), sine, cosine);
  Value sign = arith::ShLIOp::create(*this, bit(2), likeInt(quadrant, 30));
  return floats(arith::XOrIOp::create(*this, bits(value), sign));
}

// ---------------------------------------------------------------------------------------------------- rounding

/// Numbers from 2^23 on are whole.
Value LaneBuilder::trunc(Value x) {
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  Value integer = arith::FPToSIOp::create(*this, sameShape(x, getI32Type()), lesser(a, like(x, 0x1p23)));
  Value cut = floats(arith::OrIOp::create(*this, bits(convert(integer, getF32Type())), sign));
  return select(cmp(arith::CmpFPredicate::OLT, a, like(x, 0x1p23)), cut, x);
}

Value LaneBuilder::floor(Value x) {
  Value t = trunc(x);
  return select(cmp(arith::CmpFPredicate::OGT, t, x), subf(t, like(x, 1)), t);
}

Value LaneBuilder::ceil(Value x) { return subf(like(x, -0.0), floor(subf(like(x, -0.0), x))); }

Value LaneBuilder::roundEven(Value x) {
  Value a = floats(arith::AndIOp::create(*this, bits(x), likeInt(bits(x), 0x7fffffff)));
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  Value rounded = subf(addf(a, like(x, 0x1p23)), like(x, 0x1p23));
  rounded = floats(arith::OrIOp::create(*this, bits(rounded), sign));
  return select(cmp(arith::CmpFPredicate::OLT, a, like(x, 0x1p23)), rounded, x);
}

Value LaneBuilder::roundAway(Value x) {
  Value t = trunc(x), rest = subf(x, t);
  Value a = floats(arith::AndIOp::create(*this, bits(rest), likeInt(bits(rest), 0x7fffffff)));
  Value sign = arith::AndIOp::create(*this, bits(x), likeInt(bits(x), kSignBit));
  Value one = floats(arith::OrIOp::create(*this, likeInt(bits(x), 0x3f800000), sign));
  return select(cmp(arith::CmpFPredicate::OGE, a, like(x, 0.5)), addf(t, one), t);
}
