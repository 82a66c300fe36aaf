// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A piece of K, in registers or by way of shared memory: lanes decode it for the whole warp, read back what the instruction wants of them,
// and multiply.

#include "Lower/MatrixKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::whit;

SmallVector<Value> MatrixKernel::loadChunk(const Position &at, Value chunk) {
  const Cut &way = cuts[at.term];
  SmallVector<Value> loaded;
  Value first = b.mul(b.add(b.mul(chunk, unit.lanesOfK()), laneOfK), way.run);
  const ::whit::Codec &codec = encoding.terms[at.term].codec;
  if (operandReader && codec.kind != ::whit::CodecKind::Vector && !place.terms[at.term].unit.radix) {
    PanelDecoder decoder(*operandReader, encoding, *at.source.place, at.term, at.source.packed, 0);
    for (int64_t i = 0; i < way.run; ++i)
      loaded.append(decoder.loadUnit(at.source.panel, at.source.group, first, i));
    SmallVector<Value> columns;
    for (int64_t column = 0; column < operandReader->lanes; ++column)
      for (Value both : loaded)
        columns.push_back(vector::ExtractStridedSliceOp::create(b, both, {column}, {1}, {1}));
    return columns;
  }
  for (Column &column : operands) {
    PanelDecoder decoder(column.builder, encoding, *at.source.place, at.term, at.source.packed, 0);
    for (int64_t i = 0; i < way.run; ++i)
      loaded.append(decoder.loadUnit(at.source.panel, at.source.group, first, i));
  }
  return loaded;
}

SmallVector<Value> MatrixKernel::addChunk(Position at, Value chunk, ValueRange loaded, SmallVector<Value> sums) {
  const Cut &way = cuts[at.term];
  int64_t activations = activationElements();
  at.isWhole = way.padded == way.units * way.elements && activations % way.padded == 0;
  if (!way.inRegisters)
    return addShared(at, chunk, sums);
  SmallVector<Value> here;
  if (loaded.empty() && !encoding.isPlain()) {
    here = loadChunk(at, chunk);
    loaded = here;
  }
  SmallVector<PanelDecoder, 2> decoders;
  for (Column &column : operands) {
    decoders.emplace_back(column.builder, encoding, *at.source.place, at.term, at.source.packed, 0);
    open(decoders.back(), column, at);
  }
  int64_t perLane = unit.depthOfLane();
  Value first = b.mul(b.add(b.mul(chunk, unit.lanesOfK()), laneOfK), way.run * way.elements);
  for (int64_t from = 0; from < way.run * way.elements; from += perLane)
    sums = multiply(
        at, decodeStep(at, decoders, chunk, from, loaded),
        [&](int64_t tile) { return this->activations(at, tile, b.add(first, from), perLane); }, sums);
  return sums;
}

MatrixKernel::Words MatrixKernel::decodeStep(const Position &at, MutableArrayRef<PanelDecoder> decoders, Value chunk,
                                             int64_t from, ValueRange loaded) {
  const Cut &way = cuts[at.term];
  int64_t perLane = unit.depthOfLane(), quads = way.elements / 4, count = parts(at.term), perQuad = 4 / unit.perWord();
  size_t each = loaded.size() / (operands.size() * way.run);
  Value first = b.mul(b.add(b.mul(chunk, unit.lanesOfK()), laneOfK), way.run * way.elements);
  SmallVector<Words, 2> rows(operands.size(), Words(count));
  for (auto [i, column] : llvm::enumerate(operands))
    for (int64_t quad = from / 4; quad < (from + perLane) / 4; ++quad) {
      PanelDecoder::Unit lines(loaded.slice((i * way.run + quad / quads) * each, each));
      SmallVector<Value> words = decode(decoders[i], column, lines, quad % quads, b.add(first, 4 * quad), at);
      for (int64_t part = 0; part < count; ++part)
        llvm::append_range(rows[i][part], ArrayRef(words).slice(part * perQuad, perQuad));
    }
  Words a(count);
  for (int64_t part = 0; part < count; ++part)
    for (size_t word = 0; word < unit.a.size(); ++word) // column by column for each word of a lane
      a[part].push_back(rows[word % operands.size()][part][word / operands.size()]);
  return a;
}

SmallVector<Value> MatrixKernel::multiply(const Position &at, const Words &a, function_ref<Words(int64_t)> operand,
                                          SmallVector<Value> sums) {
  size_t each = unit.sums.size();
  for (int64_t tile = 0; tile < at.tiles; ++tile) {
    SmallVector<Value> tileSums(ArrayRef(sums).slice(tile * each, each));
    tileSums = unit.emitParts(b, a, operand(tile), tileSums);
    llvm::copy(tileSums, sums.begin() + tile * each);
  }
  return sums;
}

void MatrixKernel::fill(const Position &at, Value firstUnit) {
  const Cut &cut = cuts[at.term];
  PanelDecoder decoder(filled->builder, encoding, *at.source.place, at.term, at.source.packed, 0);
  open(decoder, *filled, at);
  int64_t perWord = unit.perWord(), count = parts(at.term), rowWords = cut.padded / perWord + kPadding;
  Value row = filled->builder.column;
  auto write = [&](Value word, Value at, int64_t part) {
    b.write(word, buffer, {warp, row, b.add(at, part * rowWords)});
  };
  auto decodeUnit = [&](Value within, bool exists) {
    Value number = b.add(firstUnit, within);
    PanelDecoder::Unit lines;
    if (exists && !encoding.isPlain())
      lines = decoder.loadUnit(at.source.panel, at.source.group, number, 0);
    for (int64_t quad = 0; quad < cut.elements / 4; ++quad) {
      SmallVector<Value> words;
      if (exists)
        words = decode(decoder, *filled, lines, quad, b.add(b.mul(number, cut.elements), 4 * quad), at);
      else
        words.assign(count * 4 / perWord, b.i32(0));
      Value to = b.add(b.mul(within, cut.elements / perWord), 4 * quad / perWord);
      for (int64_t i = 0, each = 4 / perWord; i < int64_t(words.size()); ++i)
        write(words[i], b.add(to, i % each), i / each);
    }
  };
  int64_t ofGroup = elementsOfGroup();
  bool allExist = ofGroup % (cut.units * cut.elements) == 0;
  int64_t unitsOfGroup = llvm::divideCeil(ofGroup, cut.elements);
  for (int64_t i = 0; i * shares < cut.units; ++i) {
    Value within = b.add(share, i * shares);
    if (cut.units % shares) { // there is one for the first lanes alone
      Value exists = b.cmp(arith::CmpIPredicate::slt, within, b.index(cut.units));
      if (!allExist) {
        Value isInGroup = b.cmp(arith::CmpIPredicate::slt, b.add(firstUnit, within), b.index(unitsOfGroup));
        b.ifThen(exists,
                 [&] { b.ifThen(isInGroup, [&] { decodeUnit(within, true); }, [&] { decodeUnit(within, false); }); });
        continue;
      }
      b.ifThen(exists, [&] { decodeUnit(within, true); });
      continue;
    }
    if (allExist) {
      decodeUnit(within, true);
      continue;
    }
    Value exists = b.cmp(arith::CmpIPredicate::slt, b.add(firstUnit, within), b.index(unitsOfGroup));
    b.ifThen(exists, [&] { decodeUnit(within, true); }, [&] { decodeUnit(within, false); });
  }
  for (int64_t part = 0; part < count; ++part)
    for (int64_t word = cut.units * cut.elements / perWord; word < cut.padded / perWord; ++word)
      write(b.i32(0), b.index(word), part);
}

SmallVector<Value> MatrixKernel::addShared(const Position &at, Value chunk, SmallVector<Value> sums) {
  const Cut &cut = cuts[at.term];
  fill(at, b.mul(chunk, cut.units));
  b.warpSync();
  int64_t perWord = unit.perWord(), rowWords = cut.padded / perWord + kPadding;
  Value firstWord = b.div(laneK, perWord), firstElement = b.add(b.mul(chunk, cut.units * cut.elements), laneK);
  for (int64_t step = 0; step < cut.padded; step += unit.depth) {
    Words a(parts(at.term));
    for (auto [part, list] : llvm::enumerate(a))
      for (const MatrixUnit::Place &word : unit.a) {
        Value from = b.add(firstWord, (step + word.other) / perWord + int64_t(part) * rowWords);
        list.push_back(b.read(buffer, {warp, unit.column(b, laneRow, word.row), from}));
      }
    auto operand = [&](int64_t tile) {
      Words words(activationParts());
      for (int64_t word : unit.b) {
        Words one = activations(at, tile, b.add(firstElement, step + word), perWord);
        for (auto [list, more] : llvm::zip_equal(words, one))
          list.append(more);
      }
      return words;
    };
    sums = multiply(at, a, operand, sums);
  }
  b.warpSync();
  return sums;
}
