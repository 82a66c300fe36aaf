// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes are a sign, an exponent and a mantissa; what differs between types is where NaN and infinity are.

#include "Import/Semantics/SmallFloats.h"

#include "Import/Semantics/Scalars.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace whit::semantics {

bool isSmallFloat(Type numbers) {
  return isa<Float8E4M3FNType, Float8E4M3FNUZType, Float8E5M2Type, Float8E5M2FNUZType, Float8E8M0FNUType,
             Float4E2M1FNType>(numbers);
}

namespace {
constexpr int kMantissa = 23, kBias = 127; // of f32

/// A type with a sign, as numbers.
struct Layout {
  int bits, mantissa, least;   ///< `least` is the exponent of the smallest normal number
  int largest;                 ///< code of the largest finite number
  bool hasNaN, nanIsMinusZero; ///< the only NaN stands where -0 would
  bool hasInfinity;            ///< with the code behind the largest
  double most;

  explicit Layout(FloatType type) {
    const llvm::fltSemantics &s = type.getFloatSemantics();
    bits = type.getWidth();
    mantissa = llvm::APFloat::semanticsPrecision(s) - 1;
    least = llvm::APFloat::semanticsMinExponent(s);
    llvm::APFloat end = llvm::APFloat::getLargest(s);
    largest = int(end.bitcastToAPInt().getZExtValue());
    most = end.convertToDouble();
    hasNaN = llvm::APFloat::semanticsHasNaN(s);
    nanIsMinusZero = isa<Float8E4M3FNUZType, Float8E5M2FNUZType>(type);
    hasInfinity = llvm::APFloat::semanticsHasInf(s);
  }
};

/// Words of 32 bits.
struct Words {
  ImplicitLocOpBuilder &b;

  Value number(int64_t value) { return constant(b, b.getI32Type(), double(int32_t(value))); }
  Value real(double value) { return constant(b, b.getF32Type(), value); }
  Value bitsOf(Value x) { return arith::BitcastOp::create(b, b.getI32Type(), x); }
  Value floatOf(Value bits) { return arith::BitcastOp::create(b, b.getF32Type(), bits); }
  Value masked(Value x, int64_t mask) { return arith::AndIOp::create(b, x, number(mask)); }
  Value left(Value x, int64_t by) { return arith::ShLIOp::create(b, x, number(by)); }
  Value right(Value x, int64_t by) { return arith::ShRUIOp::create(b, x, number(by)); }
  Value plus(Value x, int64_t y) { return arith::AddIOp::create(b, x, number(y)); }
  Value is(Compare how, Value x, int64_t y) { return compare(b, how, x, number(y)); }
  Value choose(Value condition, Value yes, Value no) { return arith::SelectOp::create(b, condition, yes, no); }
  Value nan() { return real(std::numeric_limits<double>::quiet_NaN()); }
};
} // namespace

Value fromSmallFloat(ImplicitLocOpBuilder &b, Value code, FloatType type) {
  Words w{b};
  Value word = arith::ExtUIOp::create(b, b.getI32Type(), code);
  if (isa<Float8E8M0FNUType>(type)) { // the exponent of f32, whose subnormals begin one power later
    Value lowest = w.number(int64_t(1) << (kMantissa - 1));
    Value power = w.choose(w.is(Compare::Equal, word, 0), lowest, w.left(word, kMantissa));
    return w.choose(w.is(Compare::Equal, word, 255), w.nan(), w.floatOf(power));
  }
  Layout layout(type);
  int sign = 1 << (layout.bits - 1);
  Value magnitude = w.masked(word, sign - 1);
  Value steps = arith::SIToFPOp::create(b, b.getF32Type(), magnitude);
  Value small = arith::MulFOp::create(b, steps, w.real(std::ldexp(1.0, layout.least - layout.mantissa)));
  int64_t rebias = int64_t(kBias + layout.least - 1) << kMantissa;
  Value normal = w.floatOf(w.plus(w.left(magnitude, kMantissa - layout.mantissa), rebias));
  Value value = w.choose(w.is(Compare::Less, magnitude, int64_t(1) << layout.mantissa), small, normal);
  if (layout.largest < sign - 1) {
    value = w.choose(w.is(Compare::Greater, magnitude, layout.largest), w.nan(), value);
    if (layout.hasInfinity)
      value = w.choose(w.is(Compare::Equal, magnitude, layout.largest + 1),
                       w.real(std::numeric_limits<double>::infinity()), value);
  }
  Value isNegative = w.is(Compare::NotEqual, w.masked(word, sign), 0);
  value = w.choose(isNegative, arith::NegFOp::create(b, value), value);
  return layout.nanIsMinusZero ? w.choose(w.is(Compare::Equal, word, sign), w.nan(), value) : value;
}

/// The exponent of f32, one more where the rest of the mantissa asks for it.
static Value toPower(ImplicitLocOpBuilder &b, Value x, SmallRounding rounding) {
  Words w{b};
  Value bits = w.masked(w.bitsOf(x), 0x7fffffff), exponent = w.right(bits, kMantissa), rest = w.masked(bits, 0x7fffff);
  int64_t half = int64_t(1) << (kMantissa - 1);
  Value isSubnormal = w.is(Compare::Equal, exponent, 0);
  // Subnormal numbers: code 0 is at half, code 1 at the end.
  int64_t above = rounding.powers == SmallRounding::Up ? 0 : half - 1, aboveHalf = half + (above ? half / 2 : 0);
  Value isMore = w.choose(isSubnormal, w.is(Compare::Greater, rest, aboveHalf), w.is(Compare::Greater, rest, above));
  Value code = exponent;
  if (rounding.powers != SmallRounding::Down)
    code = arith::AddIOp::create(b, exponent, arith::ExtUIOp::create(b, b.getI32Type(), isMore));
  int64_t last = rounding.saturates ? 254 : 255;
  code = arith::MinSIOp::create(b, code, w.number(last));
  if (!rounding.saturates)
    code = w.choose(w.is(Compare::Less, bits, half), w.number(255), code);
  return arith::TruncIOp::create(b, b.getI8Type(), w.choose(isNaN(b, x), w.number(255), code));
}

Value toSmallFloat(ImplicitLocOpBuilder &b, Value x, FloatType type, SmallRounding rounding) {
  if (isa<Float8E8M0FNUType>(type))
    return toPower(b, x, rounding);
  Words w{b};
  Layout layout(type);
  int sign = 1 << (layout.bits - 1);
  Value size = math::AbsFOp::create(b, x), within = arith::MinNumFOp::create(b, size, w.real(layout.most));
  // Steps of the mantissa from the number's power of two; a carry into the next power has the right code.
  Value found = w.plus(w.right(w.bitsOf(within), kMantissa), -kBias);
  Value exponent = arith::MaxSIOp::create(b, found, w.number(layout.least));
  Value scale = arith::SubIOp::create(b, w.number(kBias + layout.mantissa), exponent);
  Value steps = arith::MulFOp::create(b, within, w.floatOf(w.left(scale, kMantissa)));
  Value count = arith::FPToSIOp::create(b, b.getI32Type(), math::RoundEvenOp::create(b, steps));
  Value code = arith::AddIOp::create(b, count, w.left(w.plus(exponent, -layout.least), layout.mantissa));

  double step = std::ldexp(1.0, int(std::floor(std::log2(layout.most))) - layout.mantissa);
  Compare beyond = layout.largest % 2 ? Compare::GreaterOrEqual : Compare::Greater; // half a step goes to the even code
  Value isBeyond = compare(b, beyond, size, w.real(layout.most + step / 2));
  int nan = layout.nanIsMinusZero ? sign : layout.hasNaN ? sign - 1 : 0;
  int last = rounding.saturates || !layout.hasNaN ? layout.largest : layout.hasInfinity ? layout.largest + 1 : nan;
  code = w.choose(isBeyond, w.number(last), code);
  Value signBit = w.left(w.right(w.bitsOf(x), 31), layout.bits - 1), result = arith::OrIOp::create(b, code, signBit);
  if (layout.nanIsMinusZero) // neither -0 nor -NaN
    result = w.choose(w.is(Compare::Equal, w.masked(code, sign - 1), 0), code, result);
  Value none = layout.hasNaN && !layout.nanIsMinusZero ? arith::OrIOp::create(b, w.number(nan), signBit).getResult()
                                                       : w.number(nan);
  return arith::TruncIOp::create(b, b.getI8Type(), w.choose(isNaN(b, x), none, result));
}

} // namespace whit::semantics
