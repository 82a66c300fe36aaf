// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A piece of K goes by in three steps: lanes decode it for the whole warp, read back what the instruction wants of them, and multiply.
// How numbers of f32 become bf16, and bytes signed, stands at the end.

#include "Lower/MatrixKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::whit;
using ::whit::ZeroKind;

/// Elements of K that a warp decodes at a time, times their parts: what it has of shared memory.
static constexpr int64_t kChunk = 128;
/// Tiles of tokens for which a piece of the weight is decoded once.
static constexpr int64_t kTiles = 4;
/// Words behind each row of the buffer, so that the rows that a warp reads at once start in different banks.
static constexpr int64_t kPadding = 4;
/// What a block may take for it; the rest of shared memory is for results that stay in the block.
static constexpr int64_t kSharedBytes = 32 << 10;

int64_t mlir::whit::bfloatPartsOf(float value) {
  int64_t parts = 0;
  for (; parts < 3 && (parts == 0 || value != 0); ++parts) {
    uint32_t bits = llvm::bit_cast<uint32_t>(value);
    if (std::isnan(value) || std::isinf(value))
      return 1;
    value -= llvm::bit_cast<float>(bits & 0xffff0000u);
  }
  return parts;
}

/// Parts of the numbers of a term that are multiplied as bf16, before they are scaled unless the format has minima.
static int64_t partsOf(const ::whit::Encoding &encoding, size_t term) {
  const ::whit::Codec &codec = encoding.terms[term].codec;
  if (encoding.isPlain())
    return encoding.scaleType() == ::whit::ScaleType::BF16 ? 1 : encoding.scaleType() == ::whit::ScaleType::F16 ? 2 : 3;
  if (term == 0 && (encoding.zero == ZeroKind::Minimum || encoding.zero == ZeroKind::Float))
    return 3;
  if (term == 0 && encoding.zero == ZeroKind::Integer)
    return codec.isNumber() ? 1 : 3; // the difference of two numbers of 8 bits has 8
  float constant = term == 0 && encoding.zero == ZeroKind::Constant ? encoding.constant : 0;
  int64_t most = 1;
  for (float number : codec.table())
    most = std::max(most, bfloatPartsOf(number - constant));
  return most;
}

/// How the K of a group is cut into chunks for lanes to decode: as many units as fit, of which each lane has as many as the others and which
/// are whole instructions, if that can be had.
static MatrixKernel::Cut cut(const MatrixUnit &unit, int64_t shares, const ::whit::Encoding &encoding,
                             const ::whit::Place &place, size_t term, int64_t parts) {
  int64_t elements = encoding.isPlain() ? 4 : 4 * PanelDecoder::quadsOf(place.terms[term]);
  int64_t most = std::max(kChunk / parts, elements), ofGroup = encoding.isPlain() ? place.k : place.paddedGroup;
  int64_t needed = llvm::alignTo(llvm::divideCeil(ofGroup, elements), shares), units = 0;
  for (int64_t count = shares; count <= needed && count * elements <= most; count += shares)
    if (!units || (count * elements) % unit.depth == 0)
      units = count;
  for (int64_t count = shares; !units; count /= 2)
    if (count == 1 || count * elements <= most)
      units = count;
  return {elements, units, int64_t(llvm::alignTo(units * elements, unit.depth))};
}

/// Words of a row of the buffer.
static int64_t rowWords(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                        const ::whit::Place &place) {
  int64_t most = 0;
  for (size_t term = 0; term < encoding.terms.size(); ++term) {
    int64_t parts = unit.product == MatrixProduct::Bfloat ? partsOf(encoding, term) : 1;
    int64_t padded = cut(unit, warpSize / MatrixUnit::kRows, encoding, place, term, parts).padded;
    most = std::max(most, parts * (padded / unit.perWord() + kPadding));
  }
  return most;
}

MatrixKernel::MatrixKernel(LaneBuilder &b, const MatrixUnit &unit, const ::whit::Encoding &encoding,
                           const ::whit::Place &place, Value packed, Value y)
    : b(b), unit(unit), encoding(encoding), place(place), packed(packed), y(y), tokens(b.dim(y, 0)),
      columnBuilder(b, b.getLoc(), b.facts, b.rem(b.lane(), MatrixUnit::kRows)) {
  Value lane = b.lane();
  warp = b.warp();
  share = b.div(lane, MatrixUnit::kRows);
  shares = b.facts.warpSize() / MatrixUnit::kRows;
  laneRow = unit.row.emit(b, lane);
  laneK = unit.k.emit(b, lane);
  firstSumRow = unit.sumRow.emit(b, lane);
  firstSumToken = unit.sumToken.emit(b, lane);
  SmallVector<int64_t> rows;
  for (const MatrixUnit::Place &sum : unit.sums) {
    auto known = llvm::find(rows, sum.row);
    rowBuilderOf.push_back(known - rows.begin());
    if (known != rows.end())
      continue;
    rows.push_back(sum.row);
    rowBuilders.emplace_back(b, b.getLoc(), b.facts, b.add(firstSumRow, sum.row));
  }
}

std::pair<Value, Value> MatrixKernel::inside(Value token) {
  return {b.min(token, b.sub(tokens, b.index(1))), b.cmp(arith::CmpIPredicate::slt, token, tokens)};
}

MatrixKernel::Cut MatrixKernel::cutOf(size_t term) const {
  return cut(unit, shares, encoding, place, term, parts(term));
}

int64_t MatrixKernel::mostWarps(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                                const ::whit::Place &place) {
  return std::max<int64_t>(1, kSharedBytes / (4 * MatrixUnit::kRows * rowWords(unit, warpSize, encoding, place)));
}

void MatrixKernel::emit() {
  int64_t words = rowWords(unit, b.facts.warpSize(), encoding, place);
  buffer = memref::AllocOp::create(b, MemRefType::get({b.warps(), MatrixUnit::kRows, words}, b.getI32Type()));
  Value panels = b.div(b.add(b.dim(y, 1), MatrixUnit::kRows - 1), MatrixUnit::kRows);
  b.loop(warp, panels, b.index(b.warps()), {}, [&](Value panel, ValueRange) -> SmallVector<Value> {
    Value few = b.cmp(arith::CmpIPredicate::ule, b.sub(tokens, b.index(1)), b.index(unit.tokens - 1)); // and not none
    b.ifThen(
        few, [&] { block(panel, b.index(0), 1); },
        [&] {
          b.loop(b.index(0), tokens, b.index(kTiles * unit.tokens), {},
                 [&](Value token, ValueRange) -> SmallVector<Value> {
                   block(panel, token, kTiles);
                   return {};
                 });
        });
    return {};
  });
}

void MatrixKernel::block(Value panel, Value firstToken, int64_t tiles) {
  Position at{panel, b.index(0), 0, b.index(0), firstToken, tiles, {}, false, {}, {}};
  SmallVector<Value> totals(tiles * unit.sums.size(), b.f32(0.0f));
  auto group = [&](Value g, ValueRange carried) {
    SmallVector<Value> next(carried);
    at.group = g;
    for (at.term = 0; at.term < encoding.terms.size(); ++at.term)
      next = addTerm(at, next);
    return next;
  };
  if (int64_t groups = encoding.isPlain() ? 1 : place.groups; groups == 1)
    totals = group(b.index(0), totals);
  else
    totals = b.loop(b.index(0), b.index(groups), b.index(1), totals, group);
  store(at, totals);
}

SmallVector<Value> MatrixKernel::addTerm(Position at, SmallVector<Value> totals) {
  PanelDecoder decoder(columnBuilder, encoding, place, at.term, packed, 0);
  open(decoder, at);
  Cut cut = cutOf(at.term);
  at.isWhole = cut.padded == cut.units * cut.elements && activationElements() % cut.padded == 0;
  SmallVector<Value> sums = totals;
  if (!sumsAllGroups(at.term))
    sums.assign(totals.size(), zeroSum());
  auto chunk = [&](Value index, ValueRange carried) {
    at.chunk = b.mul(index, cut.units * cut.elements);
    fill(at, decoder, cut, b.mul(index, cut.units));
    b.warpSync();
    SmallVector<Value> next = multiplyChunk(at, cut, SmallVector<Value>(carried));
    b.warpSync();
    return next;
  };
  int64_t chunks = llvm::divideCeil(groupElements(), cut.units * cut.elements);
  sums = chunks == 1 ? chunk(b.index(0), sums) : b.loop(b.index(0), b.index(chunks), b.index(1), sums, chunk);
  return sumsAllGroups(at.term) ? sums : flush(at, totals, sums);
}

void MatrixKernel::fill(const Position &at, PanelDecoder &decoder, const Cut &cut, Value firstUnit) {
  int64_t perWord = unit.perWord(), count = parts(at.term), rowWords = cut.padded / perWord + kPadding;
  Value row = columnBuilder.column;
  auto write = [&](Value word, Value at, int64_t part) {
    b.write(word, buffer, {warp, row, b.add(at, part * rowWords)});
  };
  auto decodeUnit = [&](Value within, bool exists) {
    Value number = b.add(firstUnit, within);
    PanelDecoder::Unit lines;
    if (exists && !encoding.isPlain())
      lines = decoder.loadUnit(at.panel, at.group, number, 0);
    for (int64_t quad = 0; quad < cut.elements / 4; ++quad) {
      SmallVector<Value> words;
      if (exists)
        words = decode(decoder, lines, quad, b.add(b.mul(number, cut.elements), 4 * quad), at);
      else
        words.assign(count * 4 / perWord, b.i32(0));
      Value to = b.add(b.mul(within, cut.elements / perWord), 4 * quad / perWord);
      for (int64_t i = 0, each = 4 / perWord; i < int64_t(words.size()); ++i)
        write(words[i], b.add(to, i % each), i / each);
    }
  };
  bool allExist = groupElements() % (cut.units * cut.elements) == 0;
  int64_t unitsOfGroup = llvm::divideCeil(groupElements(), cut.elements);
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

SmallVector<Value> MatrixKernel::multiplyChunk(const Position &at, const Cut &cut, SmallVector<Value> sums) {
  int64_t perWord = unit.perWord(), rowWords = cut.padded / perWord + kPadding;
  Value firstWord = b.div(laneK, perWord);
  for (int64_t step = 0; step < cut.padded; step += unit.depth) {
    SmallVector<SmallVector<Value>> words(parts(at.term));
    for (auto [part, list] : llvm::enumerate(words))
      for (const MatrixUnit::Place &word : unit.a) {
        Value from = b.add(firstWord, (step + word.other) / perWord + int64_t(part) * rowWords);
        list.push_back(b.read(buffer, {warp, b.add(laneRow, word.row), from}));
      }
    multiply(at, b.add(at.chunk, step), words, sums);
  }
  return sums;
}

void MatrixKernel::store(const Position &at, ArrayRef<Value> totals) {
  Value columns = b.dim(y, 1), first = b.mul(at.panel, MatrixUnit::kRows);
  bool isWhole = getConstantIntValue(columns).value_or(1) % MatrixUnit::kRows == 0;
  for (int64_t tile = 0; tile < at.tiles; ++tile)
    for (int64_t i = 0, count = int64_t(unit.sums.size()); i < count; ++i) {
      Value token = sumToken(at, tile, i), column = b.add(first, sumRow(i));
      Value exists = b.cmp(arith::CmpIPredicate::slt, token, tokens);
      if (!isWhole)
        exists = arith::AndIOp::create(b, exists, b.cmp(arith::CmpIPredicate::slt, column, columns));
      b.ifThen(exists, [&] { b.write(totals[tile * count + i], y, {token, column}); });
    }
}

FloatMatrixKernel::FloatMatrixKernel(LaneBuilder &b, const MatrixUnit &unit, const ::whit::Encoding &encoding,
                                     const ::whit::Place &place, Value x, Value packed, Value y)
    : MatrixKernel(b, unit, encoding, place, packed, y), x(x),
      activationParts(cast<MemRefType>(x.getType()).getElementType().isBF16() ? 1 : 3) {
  for (size_t term = 0; term < encoding.terms.size(); ++term)
    weightParts.push_back(partsOf(encoding, term));
}

void FloatMatrixKernel::open(PanelDecoder &decoder, Position &at) {
  if (encoding.isPlain())
    return;
  at.zero = decoder.open(at.panel, at.group);
  if (isMinimum(at.term)) {
    at.scale = decoder.scales(at.panel, at.group);
    at.minimum = decoder.offsets(at.panel, at.group);
  }
}

SmallVector<Value> FloatMatrixKernel::cutPair(Value first, Value second, int64_t count) {
  SmallVector<Value> words;
  Value numbers[] = {first, second};
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  for (int64_t part = 0; part < count; ++part) {
    Value upper[2];
    for (auto [number, bits] : llvm::zip_equal(numbers, upper)) {
      bits = arith::AndIOp::create(b, arith::BitcastOp::create(b, i32, number), b.i32(int32_t(0xffff0000)));
      if (part + 1 == count)
        continue;
      // Of an infinity nothing is left.
      Value rest = b.subf(number, arith::BitcastOp::create(b, f32, bits));
      number = b.select(b.cmp(arith::CmpFPredicate::ORD, rest, rest), rest, b.f32(0.0f));
    }
    words.push_back(arith::OrIOp::create(b, arith::ShRUIOp::create(b, upper[0], b.i32(16)), upper[1]));
  }
  return words;
}

SmallVector<Value> FloatMatrixKernel::decode(PanelDecoder &decoder, const PanelDecoder::Unit &lines, int64_t quad,
                                             Value first, const Position &at) {
  KernelBuilder &k = columnBuilder;
  auto number = [&](int64_t i) -> Value {
    if (!encoding.isPlain()) {
      Value number = decoder.number(lines, 4 * quad + i, at.zero);
      return scalarOf(at.minimum ? k.multiplyAdd(number, at.scale, at.minimum) : number);
    }
    // Stored in runs of a column; the last group of four may have fewer.
    ::whit::ScaleType type = encoding.scaleType();
    int64_t run = place.run, each = ::whit::scaleBytes(type);
    Value element = b.add(first, i), last = b.index(place.k - 1), clamped = b.min(element, last);
    Value offset =
        b.add(b.mul(b.div(clamped, run), ::whit::kPanelColumns * run * each), b.mul(b.rem(clamped, run), each));
    Value stored;
    if (run == 1) {
      stored = scalarOf(decoder.storedFloats(type, at.panel, offset));
    } else {
      offset = b.add(offset, b.mul(k.column, run * each));
      Value half = b.load(packed, {at.panel, offset}, nullptr, each);
      half = vector::BitCastOp::create(b, b.vectorOf(b.getBF16Type(), 1), half);
      stored = k.widen(scalarOf(half));
    }
    if (place.k % 4 == 0)
      return stored;
    return b.select(b.cmp(arith::CmpIPredicate::sle, element, last), stored, b.f32(0.0f));
  };
  Value numbers[4];
  for (int64_t i = 0; i < 4; ++i)
    numbers[i] = number(i);
  int64_t count = parts(at.term);
  SmallVector<Value> low = cutPair(numbers[0], numbers[1], count), high = cutPair(numbers[2], numbers[3], count), words;
  for (int64_t part = 0; part < count; ++part)
    words.append({low[part], high[part]});
  return words;
}

int64_t FloatMatrixKernel::activationElements() const {
  int64_t group = encoding.isPlain() ? place.k : place.group;
  return place.k % group == 0 ? group : 1; // the last group is shorter
}

SmallVector<Value> FloatMatrixKernel::activations(const Position &at, Value k, Value token, Value isToken) {
  int64_t group = encoding.isPlain() ? place.k : place.group;
  Value start = b.mul(at.group, group), numbers[2];
  for (int64_t i = 0; i < 2; ++i) {
    Value element = b.add(k, i), from = b.add(start, element), exists = isToken;
    if (!at.isWhole) {
      Value isInGroup = b.cmp(arith::CmpIPredicate::slt, element, b.index(group));
      Value isInRow = b.cmp(arith::CmpIPredicate::slt, from, b.index(place.k));
      exists = arith::AndIOp::create(b, exists, arith::AndIOp::create(b, isInGroup, isInRow));
      from = b.min(from, b.index(place.k - 1));
    }
    Value number = b.read(x, {token, from});
    if (number.getType().isBF16())
      number = columnBuilder.widen(number);
    numbers[i] = b.select(exists, number, b.f32(0.0f));
  }
  return cutPair(numbers[0], numbers[1], activationParts);
}

void FloatMatrixKernel::multiply(const Position &at, Value k, ArrayRef<SmallVector<Value>> a,
                                 SmallVector<Value> &sums) {
  size_t each = unit.sums.size();
  for (int64_t tile = 0; tile < at.tiles; ++tile) {
    auto [token, isToken] = inside(operandToken(at, tile));
    SmallVector<SmallVector<Value>> words(activationParts);
    for (int64_t word : unit.b) {
      SmallVector<Value> pair = activations(at, b.add(b.add(k, laneK), word), token, isToken);
      for (int64_t part = 0; part < activationParts; ++part)
        words[part].push_back(pair[part]);
    }
    SmallVector<Value> tileSums(ArrayRef(sums).slice(tile * each, each));
    // The smallest products first.
    for (int64_t rank = kMostParts - 1; rank >= 0; --rank)
      for (int64_t part = 0; part < int64_t(a.size()); ++part)
        if (int64_t other = rank - part; other >= 0 && other < activationParts)
          tileSums = unit.emit(b, a[part], words[other], tileSums);
    llvm::copy(tileSums, sums.begin() + tile * each);
  }
}

SmallVector<Value> FloatMatrixKernel::flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) {
  SmallVector<Value> scales;
  for (KernelBuilder &row : rowBuilders)
    scales.push_back(scalarOf(PanelDecoder(row, encoding, place, at.term, packed, 0).scales(at.panel, at.group)));
  for (auto [i, total] : llvm::enumerate(totals))
    total = b.fma(scales[rowBuilderOf[i % unit.sums.size()]], sums[i], total);
  return totals;
}

// ---------------------------------------------------------------------------------------------------- bytes

void ByteMatrixKernel::open(PanelDecoder &decoder, Position &at) {
  if (!carriers[at.term].table.empty() || encoding.terms[at.term].codec.isSparse)
    at.zero = decoder.open(at.panel, at.group);
}

SmallVector<Value> ByteMatrixKernel::decode(PanelDecoder &decoder, const PanelDecoder::Unit &lines, int64_t quad, Value,
                                            const Position &at) {
  KernelBuilder &k = columnBuilder;
  Value word = scalarOf(k.bitcast(decoder.quad(lines, quad, at.zero, carriers[at.term]), k.ints()));
  if (unit.product == MatrixProduct::SignedBytes) // less 128
    word = arith::XOrIOp::create(b, word, b.i32(int32_t(0x80808080)));
  return {word};
}

void ByteMatrixKernel::multiply(const Position &at, Value k, ArrayRef<SmallVector<Value>> a, SmallVector<Value> &sums) {
  size_t each = unit.sums.size();
  for (int64_t tile = 0; tile < at.tiles; ++tile) {
    auto [token, isToken] = inside(operandToken(at, tile));
    SmallVector<Value> words;
    for (int64_t word : unit.b) {
      Value from = b.add(b.add(k, laneK), word), exists = isToken;
      if (!at.isWhole) {
        Value last = b.index(place.paddedGroup - 4);
        exists = arith::AndIOp::create(b, exists, b.cmp(arith::CmpIPredicate::sle, from, last));
        from = b.min(from, last);
      }
      Value four = vector::LoadOp::create(b, b.vectorOf(b.getI8Type(), 4), codes, ValueRange{token, at.group, from},
                                          /*nontemporal=*/false, llvm::MaybeAlign(4));
      four = scalarOf(vector::BitCastOp::create(b, b.vectorOf(b.getI32Type(), 1), four));
      words.push_back(b.select(exists, four, b.i32(0)));
    }
    SmallVector<Value> tileSums = unit.emit(b, a.front(), words, ArrayRef(sums).slice(tile * each, each));
    llvm::copy(tileSums, sums.begin() + tile * each);
  }
}

SmallVector<Value> ByteMatrixKernel::flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) {
  const ::whit::IntegerCarrier &carrier = carriers[at.term];
  bool hasExactZeros = at.term == 0 && encoding.zero == ZeroKind::Integer && carriers.front().table.empty();
  bool isMinimum = at.term == 0 && encoding.zero == ZeroKind::Minimum;
  bool isZero = at.term == 0 && !isMinimum && encoding.zero != ZeroKind::Constant && !hasExactZeros;
  struct Row {
    Value scale, offset, zero;
  };
  SmallVector<Row> rows;
  for (KernelBuilder &row : rowBuilders) {
    PanelDecoder decoder(row, encoding, place, at.term, packed, 0);
    Row &read = rows.emplace_back();
    read.scale = scalarOf(decoder.scales(at.panel, at.group));
    if (carrier.scale != 1 && !isZero)
      read.scale = b.mulf(read.scale, b.f32(carrier.scale));
    if (isMinimum || isZero)
      read.offset = scalarOf(decoder.offsets(at.panel, at.group));
    if (hasExactZeros)
      read.zero = scalarOf(decoder.integerZeros(at.panel, at.group));
  }
  size_t each = unit.sums.size();
  Type f32 = b.getF32Type();
  for (auto [i, total] : llvm::enumerate(totals)) {
    Value token = inside(sumToken(at, int64_t(i / each), int64_t(i % each))).first;
    const Row &row = rows[rowBuilderOf[i % each]];
    Value scaleX = b.read(scales, {token, at.group}), sumX = b.read(rowSums, {token, at.group}), dot = sums[i];
    // What is subtracted from all codes of a row, times the sum of its activations: exact in int32, as the sum itself is.
    int64_t bias = hasExactZeros ? 0 : -int64_t(carrier.offset);
    if (unit.product == MatrixProduct::SignedBytes)
      bias += 128;
    if (bias)
      dot = arith::AddIOp::create(b, dot, arith::MulIOp::create(b, sumX, b.i32(bias)));
    if (row.zero)
      dot = arith::SubIOp::create(b, dot, arith::MulIOp::create(b, sumX, row.zero));
    Value sum = arith::SIToFPOp::create(b, f32, dot);
    Value sumOfX = isMinimum || isZero ? Value(arith::SIToFPOp::create(b, f32, sumX)) : Value();
    if (isMinimum) {
      total = b.addf(total, b.mulf(scaleX, b.addf(b.mulf(row.scale, sum), b.mulf(row.offset, sumOfX))));
      continue;
    }
    if (isZero)
      sum = b.subf(carrier.scale == 1 ? sum : b.mulf(sum, b.f32(carrier.scale)), b.mulf(row.offset, sumOfX));
    total = b.addf(total, b.mulf(b.mulf(scaleX, row.scale), sum));
  }
  return totals;
}
