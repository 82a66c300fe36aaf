// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bytes of codes and of activations, and sums that are scaled group by group.

#include "Lower/Float8Kernel.h"

using namespace mlir;
using namespace mlir::whit;

Float8MatrixKernel::Float8MatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value x, Value packed,
                                       Value y)
    : MatrixKernel(b, work, splits, packed, y), carriers(*::whit::float8Carriers(encoding)), x(x),
      isHalved(unit.product == MatrixProduct::HalvedFloats) {
  if (!isHalved)
    return;
  for (::whit::IntegerCarrier &carrier : carriers)
    for (uint8_t &byte : carrier.table)
      byte = byte == 0x80 ? 0 : byte == 0x7f || byte == 0xff ? 0x80 : byte;
}

Value Float8MatrixKernel::asOperand(Value word) {
  if (!isHalved)
    return word;
  // Where the lower seven bits are not 0, a sum carries into the eighth: there the sign may stay. NaN (0x7f) becomes the largest number
  // instead: the scale of a row with one is NaN itself.
  Value low = arith::AndIOp::create(b, word, b.i32(0x7f7f7f7f));
  Value signs = arith::AndIOp::create(b, word, arith::AddIOp::create(b, low, b.i32(0x7f7f7f7f)));
  return arith::OrIOp::create(b, low, arith::AndIOp::create(b, signs, b.i32(int32_t(0x80808080))));
}

void Float8MatrixKernel::open(PanelDecoder &decoder, Column &column, const Position &at) {
  column.zero = {};
  if (!carriers[at.term].table.empty() || encoding.terms[at.term].codec.isSparse)
    column.zero = decoder.open(at.source.panel, at.source.group);
}

SmallVector<Value> Float8MatrixKernel::decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines,
                                              int64_t quad, Value, const Position &at) {
  KernelBuilder &k = column.builder;
  const ::whit::IntegerCarrier &carrier = carriers[at.term];
  Value word = scalarOf(k.bitcast(decoder.quad(lines, quad, column.zero, carrier), k.ints()));
  return {carrier.table.empty() ? asOperand(word) : word};
}

MatrixKernel::Words Float8MatrixKernel::activations(const Position &at, int64_t tile, Value first, int64_t count) {
  auto [token, isToken] = inside(at, operandToken(at, tile));
  Value from = b.add(b.mul(at.group, place.group), first);
  Words words(1);
  if (at.isWhole) {
    for (Value four : loadWords(x, {token, from}, count))
      words.front().push_back(orZero(isToken, asOperand(four), b.i32(0)));
    return words;
  }
  for (int64_t i = 0; i < count; i += 4) {
    Value word = b.i32(0);
    for (int64_t j = 0; j < 4; ++j) {
      Value element = b.add(first, i + j), column = b.add(from, i + j);
      Value exists = arith::AndIOp::create(b, b.cmp(arith::CmpIPredicate::slt, element, b.index(place.group)),
                                           b.cmp(arith::CmpIPredicate::slt, column, b.index(place.k)));
      Value byte = b.read(x, {token, b.min(column, b.index(place.k - 1))});
      byte = arith::ExtUIOp::create(b, b.getI32Type(), arith::BitcastOp::create(b, b.getI8Type(), byte));
      byte = b.select(both(isToken, exists), byte, b.i32(0));
      word = arith::OrIOp::create(b, word, arith::ShLIOp::create(b, byte, b.i32(int32_t(8 * j))));
    }
    words.front().push_back(asOperand(word));
  }
  return words;
}

SmallVector<Value> Float8MatrixKernel::flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) {
  SmallVector<Value> scales =
      ofSumColumns(at, [&](PanelDecoder &decoder) { return decoder.scales(at.source.panel, at.source.group); });
  for (Value &scale : scales)
    scale = isHalved ? b.mulf(scale, b.f32(4.0f)) : scale;
  for (auto [i, total] : llvm::enumerate(totals))
    total = b.fma(scales[sumColumnOf[i % unit.sums.size()]], sums[i], total);
  return totals;
}

bool ScaledMatrixKernel::takes(const ::whit::Encoding &encoding, const ::whit::Place &place) {
  constexpr int64_t kGroup = 32;
  if (encoding.terms.size() != 1 || place.group != kGroup || place.paddedGroup != kGroup || place.groups < 2)
    return false;
  const ::whit::Term &term = encoding.terms.front();
  return term.scale.size() == 1 && term.scale.front().type == ::whit::ScaleType::E8M0 && !term.codec.isSparse &&
         term.scale.front().block.rows == 1 && kGroup % (4 * PanelDecoder::quadsOf(place.terms.front())) == 0;
}

SmallVector<Value> ScaledMatrixKernel::addGroups(Position at, SmallVector<Value> totals) {
  int64_t lanes = unit.lanesOfK(), quads = PanelDecoder::quadsOf(place.terms.front()), each = unit.sums.size();
  int64_t units = place.group / (4 * quads);
  at.isWhole = place.k % place.group == 0;
  Span span = ofSplit(llvm::divideCeil(place.groups, lanes), 1);
  return b.loop(span.from, span.to, b.index(1), totals, [&](Value turn, ValueRange carried) {
    Value group = b.add(b.mul(turn, lanes), laneOfK), exists;
    if (place.groups % lanes) {
      exists = b.cmp(arith::CmpIPredicate::slt, group, b.index(place.groups));
      group = b.min(group, b.index(place.groups - 1));
    }
    at.group = at.source.group = group;
    Column &column = operands.front();
    PanelDecoder decoder(column.builder, encoding, *at.source.place, at.term, at.source.packed, 0);
    open(decoder, column, at);
    SmallVector<Value> words;
    for (int64_t i = 0; i < units; ++i) {
      PanelDecoder::Unit lines = decoder.loadUnit(at.source.panel, group, b.index(0), i);
      for (int64_t quad = 0; quad < quads; ++quad)
        words.append(decode(decoder, column, lines, quad, b.index(4 * (i * quads + quad)), at));
    }
    // The exponent of a power of two is its byte.
    Value scale = arith::BitcastOp::create(b, b.getI32Type(), scalarOf(decoder.scales(at.source.panel, group)));
    words.push_back(arith::ShRUIOp::create(b, scale, b.i32(23)));
    SmallVector<Value> sums(carried);
    for (int64_t tile = 0; tile < at.tiles; ++tile) {
      SmallVector<Value> other;
      Words read = activations(at, tile, b.index(0), place.group);
      for (Value word : read.front())
        other.push_back(orZero(exists, word, b.i32(0)));
      llvm::copy(unit.emit(b, words, other, ArrayRef(sums).slice(tile * each, each)), sums.begin() + tile * each);
    }
    return sums;
  });
}
