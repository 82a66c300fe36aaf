// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A float of few bits is decoded by shifting sign, exponent and fraction to where a float has them, and one product that corrects
// the bias of the exponent: exact for subnormal numbers too. Tables, and floats so short that a permutation of registers is
// cheaper, are looked up.

#include "Lower/CodeNumbers.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;
using ::whit::CodecKind;
using ::whit::FloatRule;
using ::whit::ScaleType;

static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Value CodeNumbers::constant(Type like, int32_t value) {
  TypedAttr attr = b.getI32IntegerAttr(value);
  if (auto vector = dyn_cast<VectorType>(like))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value CodeNumbers::constant(Type like, float value) {
  TypedAttr attr = b.getF32FloatAttr(value);
  if (auto vector = dyn_cast<VectorType>(like))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Type CodeNumbers::floatsLike(Value ints) {
  auto vector = dyn_cast<VectorType>(ints.getType());
  return vector ? Type(vector.clone(b.getF32Type())) : b.getF32Type();
}

Value CodeNumbers::small(Value codes, int exponentBits, int mantissaBits, int bias, FloatRule rule, bool hasSign) {
  Type ints = codes.getType(), floats = floatsLike(codes);
  int bits = exponentBits + mantissaBits;
  auto at = [&](Value x, int32_t by) -> Value { return arith::ShLIOp::create(b, loc, x, constant(ints, by)); };
  auto asFloat = [&](Value x) -> Value { return arith::BitcastOp::create(b, loc, floats, x); };
  auto either = [&](arith::CmpIPredicate predicate, Value x, int32_t y, Value yes, Value no) -> Value {
    Value holds = arith::CmpIOp::create(b, loc, predicate, x, constant(ints, y));
    return arith::SelectOp::create(b, loc, holds, yes, no);
  };
  auto masked = [&](Value x, int32_t mask) -> Value { return arith::AndIOp::create(b, loc, x, constant(ints, mask)); };

  // Where a float has them. A sign is shifted down with its copies, which the mask takes away.
  int32_t field = int32_t((1u << bits) - 1) << (23 - mantissaBits);
  Value moved = at(codes, hasSign ? 31 - bits : 23 - mantissaBits);
  if (hasSign)
    moved = masked(arith::ShRSIOp::create(b, loc, moved, constant(ints, 8 - exponentBits)), field | INT32_MIN);
  Value value = arith::MulFOp::create(b, loc, asFloat(moved), constant(floats, std::ldexp(1.0f, 127 - bias)));
  if (rule == FloatRule::Fnuz)
    return either(arith::CmpIPredicate::eq, moved, INT32_MIN, constant(floats, kNaN), value);
  // Doubled, a magnitude has lost its sign.
  Value magnitude = hasSign ? at(moved, 1) : moved;
  int32_t most = hasSign ? 2 * field : field, oneCode = int32_t(1u << (23 - mantissaBits + hasSign));
  if (rule == FloatRule::Fn)
    return either(arith::CmpIPredicate::eq, magnitude, most, constant(floats, kNaN), value);
  if (rule == FloatRule::Ieee) {
    // The largest exponent has to become the largest one again.
    Value special = asFloat(arith::OrIOp::create(b, loc, moved, constant(ints, 0x7f800000)));
    int32_t largestExponent = most & ~(oneCode * ((1 << mantissaBits) - 1));
    value = either(arith::CmpIPredicate::uge, magnitude, largestExponent, special, value);
  }
  return value;
}

Value CodeNumbers::powerOfTwo(Value stored) {
  Type ints = stored.getType();
  Value bits = arith::ShLIOp::create(b, loc, stored, constant(ints, 23));
  // Code 0 is the subnormal number 2^-127.
  bits = arith::MaxUIOp::create(b, loc, bits, constant(ints, 0x00400000));
  Value isNaN = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, stored, constant(ints, 255));
  bits = arith::SelectOp::create(b, loc, isNaN, constant(ints, 0x7fc00000), bits);
  return arith::BitcastOp::create(b, loc, floatsLike(stored), bits);
}

/// 2^-stored as a product of two powers that are normal numbers: only the product may be subnormal or 0.
Value CodeNumbers::shift(Value stored) {
  Type ints = stored.getType(), floats = floatsLike(stored);
  Value most = constant(ints, 126);
  Value first = arith::MinUIOp::create(b, loc, stored, most);
  Value second = arith::MinUIOp::create(b, loc, arith::SubIOp::create(b, loc, stored, first), most);
  auto power = [&](Value by) -> Value {
    Value exponent = arith::SubIOp::create(b, loc, constant(ints, 127), by);
    return arith::BitcastOp::create(b, loc, floats, arith::ShLIOp::create(b, loc, exponent, constant(ints, 23)));
  };
  return arith::MulFOp::create(b, loc, power(first), power(second));
}

Value CodeNumbers::ofFactor(ScaleType type, Value stored) {
  Type ints = stored.getType(), floats = floatsLike(stored);
  switch (type) {
  case ScaleType::F32:
    return arith::BitcastOp::create(b, loc, floats, stored);
  case ScaleType::BF16:
    return arith::BitcastOp::create(b, loc, floats, arith::ShLIOp::create(b, loc, stored, constant(ints, 16)));
  case ScaleType::F16:
    if (facts.hasHalf()) {
      auto like = [&](Type element) {
        auto vector = dyn_cast<VectorType>(ints);
        return vector ? Type(vector.clone(element)) : element;
      };
      Value halves = arith::TruncIOp::create(b, loc, like(b.getI16Type()), stored);
      halves = arith::BitcastOp::create(b, loc, like(b.getF16Type()), halves);
      return arith::ExtFOp::create(b, loc, floats, halves);
    }
    return small(stored, 5, 10, 15, FloatRule::Ieee, /*hasSign=*/true);
  case ScaleType::E8M0:
    return powerOfTwo(stored);
  case ScaleType::E4M3:
    return small(arith::AndIOp::create(b, loc, stored, constant(ints, 0x7f)), 4, 3, 7, FloatRule::Fn,
                 /*hasSign=*/false);
  case ScaleType::UE5M3:
    return small(stored, 5, 3, 15, FloatRule::Fn, /*hasSign=*/false);
  case ScaleType::Shift:
    return shift(stored);
  default:
    if (type >= ScaleType::I2) { // a byte in two's complement
      Value up = arith::ShLIOp::create(b, loc, stored, constant(ints, 24));
      stored = arith::ShRSIOp::create(b, loc, up, constant(ints, 24));
    }
    return arith::SIToFPOp::create(b, loc, floats, stored);
  }
}

Value CodeNumbers::lookUp(const ::whit::Codec &codec, float constant, Value codes) {
  std::vector<float> table = codec.table();
  table.resize(llvm::PowerOf2Ceil(table.size()), kNaN); // of three tables the fourth is never chosen
  for (float &number : table)
    number -= constant; // rounded once, as where a table is read first
  auto lanes = cast<VectorType>(codes.getType());
  auto type = RankedTensorType::get({int64_t(table.size())}, b.getF32Type());
  return LookupOp::create(b, loc, lanes.clone(b.getF32Type()), codes, DenseElementsAttr::get(type, ArrayRef(table)));
}

Value CodeNumbers::ofCodes(const ::whit::Codec &codec, float zero, Value codes) {
  Type floats = floatsLike(codes);
  bool isArithmetic = codec.kind == CodecKind::Int;
  if (codec.kind == CodecKind::Float) {
    int64_t permuted = facts.has("avx512f") ? 64 : facts.has("avx2") ? 16 : 0;
    bool isInRange = codec.bias >= 0 && (1 << codec.exponentBits) - 1 - codec.bias <= 127;
    isArithmetic = isInRange && (int64_t(1) << codec.bits) > permuted;
  }
  if (!isArithmetic)
    return lookUp(codec, zero, codes);
  Value numbers = codec.kind == CodecKind::Int
                      ? Value(arith::SIToFPOp::create(b, loc, floats, codes))
                      : small(codes, codec.exponentBits, codec.mantissaBits, codec.bias, codec.rule, true);
  return zero == 0 ? numbers : Value(arith::SubFOp::create(b, loc, numbers, constant(floats, zero)));
}
