// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes come out four of a column at a time; a single one is a byte of them.

#include "Lower/DecodeCodes.h"

#include "Lower/ExtractCodes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::whit;

/// A float between 2^23 and 2^24 has its integer value in its low mantissa bits.
static constexpr float kIntegerBase = 8388608.0f;
static constexpr int32_t kIntegerBaseBits = 0x4B000000;

PanelDecoder::PanelDecoder(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
                           int64_t prefetchDistance)
    : k(k), encoding(encoding), place(place), packed(packed), prefetchDistance(prefetchDistance) {
  if (!encoding.isPlain())
    quads = place.terms.front().unit.quads;
}

PanelDecoder::Unit PanelDecoder::loadUnit(Value panel, Value block, Value first, int64_t unit) {
  const ::whit::TermPlace &term = place.terms.front();
  Unit result;
  int64_t bytes = term.unit.bytes();
  Value begin = k.plus(k.plus(block, k.times(first, bytes)), term.offset + unit * bytes);
  for (int64_t line = 0; line < term.unit.lines; ++line) {
    Value at = k.plus(begin, line * ::whit::kLineBytes);
    Value loaded = k.load(k.bytes(::whit::kLineBytes), packed, {panel, at});
    if (prefetchDistance)
      memref::PrefetchOp::create(k.b, k.loc, packed, ValueRange{panel, k.plus(at, prefetchDistance)},
                                 /*isWrite=*/false,
                                 /*localityHint=*/3u, /*isDataCache=*/true);
    result.push_back(k.bitcast(loaded, k.ints()));
  }
  return result;
}

Value PanelDecoder::codes(const Unit &unit, int64_t quad) {
  return extractCodes(k, place.terms.front().unit, unit, quad, CodeUse::Number);
}

Value PanelDecoder::quad(const Unit &unit, int64_t quad) {
  return k.bitcast(codes(unit, quad), k.bytes(::whit::kLineBytes));
}

Value PanelDecoder::element(const Unit &unit, int64_t element, Value bias) {
  Value code = codes(unit, element / 4);
  if (element % 4)
    code = k.shiftRight(code, 8 * (element % 4));
  if (element % 4 != 3)
    code = k.bitAnd(code, 0xff);
  return k.sub(k.bitcast(k.bitOr(code, k.splat(kIntegerBaseBits)), k.floats()), bias);
}

Value PanelDecoder::biasOf(int32_t zero) { return k.splat(kIntegerBase + float(zero)); }

Value PanelDecoder::biasOf(Value zeros) { return k.bitcast(k.bitOr(zeros, k.splat(kIntegerBaseBits)), k.floats()); }

Value PanelDecoder::storedFloats(::whit::ScaleType type, Value panel, Value offset) {
  int64_t each = ::whit::scaleBytes(type);
  Value loaded = k.load(k.bytes(16 * each), packed, {panel, offset});
  if (type == ::whit::ScaleType::F32)
    return k.bitcast(loaded, k.floats());
  if (type == ::whit::ScaleType::F16 && k.facts.hasHalf()) {
    Value halves = k.bitcast(loaded, VectorType::get({16}, k.b.getF16Type()));
    return arith::ExtFOp::create(k.b, k.loc, k.floats(), halves);
  }
  Value bits = arith::ExtUIOp::create(k.b, k.loc, k.ints(), k.bitcast(loaded, VectorType::get({16}, k.b.getI16Type())));
  if (type == ::whit::ScaleType::BF16)
    return k.bitcast(k.shiftLeft(bits, 16), k.floats());
  // Exponent and fraction as those of a float, then the difference of the exponents' biases by one exact product; the
  // largest exponent stands for infinity and NaN and has to become the largest one again.
  Value magnitude = k.shiftLeft(k.bitAnd(bits, 0x7fff), 13);
  Value finite = k.bitcast(k.mul(k.bitcast(magnitude, k.floats()), k.splat(0x1p112f)), k.ints());
  Value isFinite = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, magnitude, k.splat(0x7c00 << 13));
  Value either = arith::SelectOp::create(k.b, k.loc, isFinite, finite, k.bitOr(magnitude, k.splat(0x7f800000)));
  return k.bitcast(k.bitOr(either, k.shiftLeft(k.bitAnd(bits, 0x8000), 16)), k.floats());
}

Value PanelDecoder::scales(Value panel, Value block) {
  return storedFloats(encoding.scaleType(), panel, k.plus(block, place.terms.front().factors.front().offset));
}
Value PanelDecoder::floatZeros(Value panel, Value block) {
  return storedFloats(encoding.offset.front().type, panel, k.plus(block, place.offset.front().offset));
}

Value PanelDecoder::integerZeros(Value panel, Value block) {
  Value loaded = k.load(k.bytes(16), packed, {panel, k.plus(block, place.offset.front().offset)});
  return arith::ExtUIOp::create(k.b, k.loc, k.ints(), loaded);
}
