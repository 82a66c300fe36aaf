// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Who has which part of a tile: panels and parts of K for warps, units and columns for lanes. Codes of the next groups are on their way while
// those of this one are multiplied.

#include "Lower/MatrixKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

#include <numeric>

using namespace mlir;
using namespace mlir::whit;
using ::whit::ZeroKind;

/// Elements of K that a warp decodes to shared memory at a time, times their parts.
static constexpr int64_t kChunk = 128;
static constexpr int64_t kMostWarps = MatrixWork::kMostWarps;
/// Slices of K at most.
static constexpr int64_t kMostSlices = 16;
/// What a block may take for it; the rest of shared memory is for results that stay in the block.
static constexpr int64_t kSharedBytes = 32 << 10;
/// Tokens for which a piece of the weight is decoded once.
static constexpr int64_t kMostTokens = 32;
/// Of those that are left over, which need not all be there.
static constexpr int64_t kFewTokens = 16;
/// Words of codes that a lane has on their way, and elements of K between two turns of a loop: enough loads to hide each other.
static constexpr int64_t kMostLoaded = 16;
static constexpr int64_t kTurn = 128;

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

int64_t mlir::whit::bfloatPartsOf(const ::whit::Encoding &encoding, size_t term) {
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

// ---------------------------------------------------------------------------------------------------- cuts

static int64_t elementsOfGroup(const ::whit::Encoding &encoding, const ::whit::Place &place) {
  return encoding.isPlain() ? place.k : place.paddedGroup;
}

/// In registers where each lane gets as many whole units as the others. Else as many units as fit into shared memory, of which each lane has
/// as many as the others and which are whole instructions, if that can be had.
static MatrixKernel::Cut cut(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                             const ::whit::Place &place, size_t term) {
  int64_t elements = encoding.isPlain() ? 4 : 4 * PanelDecoder::quadsOf(place.terms[term]);
  int64_t ofGroup = elementsOfGroup(encoding, place);
  int64_t run = std::lcm(elements, unit.depthOfLane()) / elements, chunk = run * unit.lanesOfK();
  if (unit.product == MatrixProduct::ScaledFloats && place.groups > 1) // a lane has a group of its own
    return {true, elements, run, run, run * elements};
  if (ofGroup % (chunk * elements) == 0)
    return {true, elements, run, chunk, chunk * elements};

  int64_t parts = unit.product == MatrixProduct::Bfloat ? bfloatPartsOf(encoding, term) : 1;
  int64_t shares = warpSize / MatrixUnit::kRows, most = std::max(kChunk / parts, elements);
  int64_t needed = llvm::alignTo(llvm::divideCeil(ofGroup, elements), shares), units = 0;
  for (int64_t count = shares; count <= needed && count * elements <= most; count += shares)
    if (!units || (count * elements) % unit.depth == 0)
      units = count;
  for (int64_t count = shares; !units; count /= 2)
    if (count == 1 || count * elements <= most)
      units = count;
  return {false, elements, 1, units, int64_t(llvm::alignTo(units * elements, unit.depth))};
}

/// Words of a row of the buffer in shared memory; 0 if there is none.
static int64_t rowWordsOf(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                          const ::whit::Place &place) {
  int64_t most = 0;
  for (size_t term = 0; term < encoding.terms.size(); ++term) {
    int64_t parts = unit.product == MatrixProduct::Bfloat ? bfloatPartsOf(encoding, term) : 1;
    MatrixKernel::Cut way = cut(unit, warpSize, encoding, place, term);
    if (!way.inRegisters)
      most = std::max(most, parts * (way.padded / unit.perWord() + MatrixKernel::kPadding));
  }
  return most;
}

/// Chunks of a turn of the loop over them, all of a group at most.
static int64_t chunksOfTurn(const MatrixKernel::Cut &way, int64_t chunks) {
  int64_t step = 1;
  while (way.inRegisters && 2 * step * way.units * way.elements <= kTurn && chunks % (2 * step) == 0)
    step *= 2;
  return step;
}

/// Groups of a turn of the loop over them.
static int64_t groupsOfTurn(const ::whit::Place &place) {
  int64_t step = 1;
  while (2 * step * place.paddedGroup <= kTurn && place.groups % (2 * step) == 0)
    step *= 2;
  return step;
}

/// How many warps can share the K of a panel: turns of the loop over groups, or over the chunks of the only one.
static int64_t mostSplits(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                          const ::whit::Place &place) {
  if (!encoding.isPlain() && place.groups > 1)
    return place.groups / groupsOfTurn(place);
  int64_t turns = kMostWarps * kMostSlices;
  for (size_t term = 0; term < encoding.terms.size(); ++term) {
    MatrixKernel::Cut way = cut(unit, warpSize, encoding, place, term);
    int64_t chunks = llvm::divideCeil(elementsOfGroup(encoding, place), way.units * way.elements);
    turns = std::min(turns, chunks / chunksOfTurn(way, chunks));
  }
  return turns;
}

MatrixWork::Share MatrixWork::shareOf(int64_t panels) const {
  int64_t most = kMostWarps;
  if (int64_t words = rowWordsOf(unit, warpSize, encoding, place))
    most = std::clamp<int64_t>(llvm::bit_floor(uint64_t(kSharedBytes / (4 * MatrixUnit::kRows * words))), 1, most);
  int64_t all = std::min<int64_t>(llvm::bit_ceil(uint64_t(std::max<int64_t>(panels, 1))), most);
  int64_t useful = std::max<int64_t>(1, mostSplits(unit, warpSize, encoding, place));
  useful = llvm::bit_floor(uint64_t(useful));
  int64_t parts = splits.value_or(most / all), split = std::min({parts, most, useful});
  int64_t slices = std::clamp<int64_t>(std::min(parts / kMostWarps, useful / split), 1, kMostSlices);
  return {std::min(most, all * split), split, int64_t(llvm::bit_floor(uint64_t(slices)))};
}

MatrixKernel::Cut MatrixKernel::cutOf(const MatrixWork &work, size_t term) {
  return cut(work.unit, work.warpSize, work.encoding, work.place, term);
}

// ---------------------------------------------------------------------------------------------------- the tile

MatrixKernel::MatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value packed, Value y)
    : b(b), unit(work.unit), encoding(work.encoding), place(work.place), packed(packed), y(y), tokens(b.dim(y, 0)),
      splits(splits), mostTokens(work.tokens), slices(work.slices), sliced(work.partial), room(work.room) {
  if (sliced)
    slice = sliced->slice;
  for (size_t term = 0; term < encoding.terms.size(); ++term)
    cuts.push_back(cut(unit, b.facts.warpSize(), encoding, place, term));
  Value lane = b.lane();
  warp = b.warp();
  share = b.div(lane, MatrixUnit::kRows);
  shares = b.facts.warpSize() / MatrixUnit::kRows;
  laneRow = unit.row.emit(b, lane);
  laneK = unit.k.emit(b, lane);
  laneOfK = unit.k.digit().emit(b, lane);
  firstSumRow = unit.sumRow.emit(b, lane);
  firstSumToken = unit.sumToken.emit(b, lane);
  filled.emplace(Column{KernelBuilder(b, b.getLoc(), b.facts, b.rem(lane, MatrixUnit::kRows)), {}, {}, {}, {}});
  auto numberOf = [](SmallVectorImpl<int64_t> &known, int64_t row) {
    int64_t at = llvm::find(known, row) - known.begin();
    if (at == int64_t(known.size()))
      known.push_back(row);
    return at;
  };
  SmallVector<int64_t> sumRows, operandRows;
  for (const MatrixUnit::Place &sum : unit.sums)
    sumColumnOf.push_back(numberOf(sumRows, sum.row));
  for (const MatrixUnit::Place &word : unit.a)
    numberOf(operandRows, word.row);
  for (int64_t row : operandRows)
    operands.push_back({KernelBuilder(b, b.getLoc(), b.facts, unit.column(b, laneRow, row)), {}, {}, {}, {}});
  if (unit.hasPairs()) {
    operandReader.emplace(b, b.getLoc(), b.facts, unit.column(b, laneRow, 0), 2);
    sumReaders.emplace_back(b, b.getLoc(), b.facts, unit.column(b, firstSumRow, 0), 2);
    return;
  }
  for (int64_t row : sumRows)
    sumReaders.emplace_back(b, b.getLoc(), b.facts, unit.column(b, firstSumRow, row));
}

std::pair<Value, Value> MatrixKernel::inside(const Position &at, Value token) {
  if (at.isFull)
    return {token, Value()};
  return {b.min(token, b.sub(tokens, b.index(1))), b.cmp(arith::CmpIPredicate::slt, token, tokens)};
}

SmallVector<Value> MatrixKernel::ofSumColumns(const Position &at, function_ref<Value(PanelDecoder &)> read) {
  SmallVector<Value> numbers;
  for (KernelBuilder &reader : sumReaders) {
    PanelDecoder decoder(reader, encoding, *at.source.place, at.term, at.source.packed, 0);
    Value lanes = read(decoder);
    for (int64_t lane = 0; lane < reader.lanes; ++lane)
      numbers.push_back(vector::ExtractOp::create(b, lanes, lane));
  }
  return numbers;
}

MatrixKernel::Span MatrixKernel::ofSplit(int64_t turns, int64_t step) {
  int64_t parts = slice ? slices * splits : splits;
  if (parts == 1)
    return {b.index(0), b.index(turns * step)};
  Value part = slice ? b.add(b.mul(slice, splits), split) : split;
  auto bound = [&](Value number) { return b.mul(b.div(b.mul(number, turns), parts), step); };
  return {bound(part), bound(b.add(part, 1))};
}

int64_t MatrixKernel::turnSize() const {
  return groups() > 1 ? groupsOfTurn(place) : chunksOfTurn(cuts.front(), chunksOf(0));
}

void MatrixKernel::emit() {
  prepare();
  overPanels();
}

void MatrixKernel::emitSlice() {
  prepare();
  overPanels();
}

void MatrixKernel::emitResult() {
  isResult = true;
  overPanels();
}

void MatrixKernel::prepare() {
  int64_t warps = b.warps();
  if (int64_t words = rowWordsOf(unit, b.facts.warpSize(), encoding, place))
    buffer = memref::AllocOp::create(b, MemRefType::get({warps, MatrixUnit::kRows, words}, b.getI32Type()));
  if (splits > 1)
    partial = memref::AllocOp::create(
        b, MemRefType::get({warps, int64_t(unit.sums.size()), b.facts.warpSize()}, b.getI32Type()));
  split = b.rem(warp, splits);
  for (Value memory : {buffer, partial})
    if (memory)
      room -= cast<MemRefType>(memory.getType()).getNumElements() * 4;
  if (groups() > 1) {
    int64_t step = groupsOfTurn(place);
    if (int64_t stages = PanelRing::stagesOf(b.facts, encoding, place, step, warps, room))
      ring.emplace(b, place, packed, step, stages);
  }
}

void MatrixKernel::overPanels() {
  Value columns = b.dim(y, 1), panels = b.div(b.add(columns, MatrixUnit::kRows - 1), MatrixUnit::kRows);
  // All warps take part in the same number of sums, also those that have no panel of their own.
  Value slot = b.div(warp, splits), last = b.sub(panels, b.index(1));
  int64_t slots = b.warps() / splits;
  b.loop(splits == 1 ? slot : b.index(0), panels, b.index(slots), {},
         [&](Value first, ValueRange) -> SmallVector<Value> {
           Value panel = first, isMine;
           if (splits > 1) {
             Value own = b.add(first, slot);
             isMine = arith::AndIOp::create(b, b.cmp(arith::CmpIPredicate::sle, own, last),
                                            b.cmp(arith::CmpIPredicate::eq, split, b.index(0)));
             panel = b.min(own, last);
           }
           overTokens(panel, isMine);
           return {};
         });
}

void MatrixKernel::overTokens(Value panel, Value isMine) {
  int64_t many = std::max<int64_t>(1, std::min(kMostTokens, mostTokens) / unit.tokens);
  int64_t few = std::min(many, std::max<int64_t>(1, kFewTokens / unit.tokens));
  auto loop = [&](Value from, Value to, int64_t tiles, bool isFull) {
    b.loop(from, to, b.index(tiles * unit.tokens), {}, [&](Value token, ValueRange) -> SmallVector<Value> {
      block(panel, isMine, token, tiles, isFull);
      return {};
    });
  };
  Value full = b.index(0);
  if (many > few) {
    full = b.mul(b.div(tokens, many * unit.tokens), many * unit.tokens);
    loop(b.index(0), full, many, true);
  }
  loop(full, tokens, few, false);
}

void MatrixKernel::block(Value panel, Value isMine, Value firstToken, int64_t tiles, bool isFull) {
  Position at{panel, b.index(0), 0, firstToken, tiles, isFull, false, {packed, &place, panel, b.index(0)}};
  SmallVector<Value> zeros(tiles * unit.sums.size(), b.f32(0.0f));
  auto sum = [&] {
    return groups() == 1 ? sumOfTerm(at) : overSlices(zeros, [&] { return addSplits(addGroups(at, zeros)); });
  };
  size_t terms = groups() == 1 ? encoding.terms.size() : 1;
  if (sliced && !isResult) {
    for (; at.term < terms; ++at.term)
      storeSlice(at, isMine, sum());
    return;
  }
  auto finish = [&](Value isMine) {
    SmallVector<Value> totals = zeros;
    for (; at.term < terms; ++at.term) {
      SmallVector<Value> sums = isResult ? loadSlices(at, groups() == 1 ? zeroSum() : zeros.front()) : sum();
      totals = groups() == 1 ? finishTerm(at, totals, sums) : sums;
    }
    store(at, isMine, totals);
  };
  if (isResult && isMine)
    b.ifThen(isMine, [&] { finish(Value()); });
  else
    finish(isMine);
}

SmallVector<Value> MatrixKernel::overSlices(SmallVector<Value> zeros, function_ref<SmallVector<Value>()> sum) {
  if (slices == 1 || sliced)
    return sum();
  SmallVector<Value> totals =
      b.loop(b.index(0), b.index(slices), b.index(1), zeros, [&](Value number, ValueRange carried) {
        slice = number;
        SmallVector<Value> sums = sum();
        for (auto [total, part] : llvm::zip_equal(carried, sums))
          part = plus(total, part);
        return sums;
      });
  slice = Value();
  return totals;
}

void MatrixKernel::storeSlice(const Position &at, Value isMine, ArrayRef<Value> sums) {
  Value first = b.mul(at.panel, MatrixUnit::kRows);
  int64_t count = int64_t(unit.sums.size());
  for (auto [i, sum] : llvm::enumerate(sums)) {
    Value token = sumToken(at, int64_t(i) / count, int64_t(i) % count), column = b.add(first, sumColumn(i % count));
    Value exists = at.isFull ? isMine : both(isMine, b.cmp(arith::CmpIPredicate::slt, token, tokens));
    auto write = [&, sum = sum] {
      Value word = isa<FloatType>(sum.getType()) ? Value(arith::BitcastOp::create(b, b.getI32Type(), sum)) : sum;
      b.write(word, sliced->memory, sliced->place(b, slices, int64_t(at.term), slice, token, column));
    };
    exists ? b.ifThen(exists, write) : write();
  }
}

SmallVector<Value> MatrixKernel::loadSlices(const Position &at, Value zero) {
  Value first = b.mul(at.panel, MatrixUnit::kRows);
  SmallVector<Value> sums(at.tiles * unit.sums.size(), zero);
  int64_t count = int64_t(unit.sums.size());
  for (int64_t number = 0; number < slices; ++number)
    for (auto [i, sum] : llvm::enumerate(sums)) {
      Value token = inside(at, sumToken(at, int64_t(i) / count, int64_t(i) % count)).first;
      Value word = b.read(sliced->memory, sliced->place(b, slices, int64_t(at.term), b.index(number), token,
                                                        b.add(first, sumColumn(i % count))));
      if (isa<FloatType>(zero.getType()))
        word = arith::BitcastOp::create(b, zero.getType(), word);
      sum = plus(sum, word);
    }
  return sums;
}

SmallVector<Value> MatrixKernel::pipeline(Span span, int64_t step, SmallVector<Value> sums,
                                          function_ref<SmallVector<Value>(Value)> load,
                                          function_ref<SmallVector<Value>(Value, ValueRange, ValueRange)> add) {
  size_t count = sums.size();
  Value last = b.sub(span.to, b.index(step));
  sums.append(load(span.from));
  sums = b.loop(span.from, span.to, b.index(step), sums, [&](Value at, ValueRange carried) {
    SmallVector<Value> next = load(b.min(b.add(at, step), last));
    SmallVector<Value> results = add(at, carried.drop_front(count), carried.take_front(count));
    results.append(next);
    return results;
  });
  sums.truncate(count);
  return sums;
}

int64_t MatrixKernel::loadedWords(size_t term, int64_t chunks) const {
  const Cut &way = cuts[term];
  if (!way.inRegisters || encoding.isPlain())
    return kMostLoaded + 1;
  return chunks * int64_t(operands.size()) * way.run * PanelDecoder::valuesOf(encoding.terms[term], place.terms[term]);
}

SmallVector<Value> MatrixKernel::addGroups(Position at, SmallVector<Value> totals) {
  int64_t step = groupsOfTurn(place), words = 0;
  SmallVector<int64_t> chunks;
  for (size_t term = 0; term < cuts.size(); ++term) {
    chunks.push_back(chunksOf(term));
    words += loadedWords(term, chunks.back());
  }
  bool isAhead = !ring && words * step <= kMostLoaded;
  auto load = [&](Value group) {
    SmallVector<Value> loaded;
    for (int64_t i = 0; isAhead && i < step; ++i)
      for (at.source.group = b.add(group, i), at.term = 0; at.term < cuts.size(); ++at.term)
        for (int64_t chunk = 0; chunk < chunks[at.term]; ++chunk)
          loaded.append(loadChunk(at, b.index(chunk)));
    return loaded;
  };
  auto add = [&](Value group, ValueRange loaded, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t i = 0; i < step; ++i)
      for (at.group = b.add(group, i), at.source.group = ring ? b.index(i) : at.group, at.term = 0;
           at.term < cuts.size(); ++at.term) {
        SmallVector<Value> sums = next;
        if (!sumsAllGroups(at.term))
          sums.assign(next.size(), zeroSum());
        if (isAhead || chunks[at.term] == chunksOfTurn(cuts[at.term], chunks[at.term])) {
          size_t each = isAhead ? loadedWords(at.term, 1) : 0;
          for (int64_t chunk = 0; chunk < chunks[at.term]; ++chunk, loaded = loaded.drop_front(each))
            sums = addChunk(at, b.index(chunk), loaded.take_front(each), sums);
        } else {
          sums = b.loop(b.index(0), b.index(chunks[at.term]), b.index(1), sums, [&](Value chunk, ValueRange inner) {
            return addChunk(at, chunk, {}, SmallVector<Value>(inner));
          });
        }
        next = sumsAllGroups(at.term) ? sums : flush(at, next, sums);
      }
    return next;
  };
  Span span = ofSplit(place.groups / step, step);
  if (!ring)
    return pipeline(span, step, totals, load, add);
  return ring->loop(at.panel, span.from, span.to, totals, [&](Value group, Value row, ValueRange carried) {
    at.source = {ring->memory(), &ring->place(), row, Value()};
    return add(group, ValueRange(), carried);
  });
}

SmallVector<Value> MatrixKernel::sumOfTerm(Position at) {
  const Cut &way = cuts[at.term];
  int64_t chunks = chunksOf(at.term), step = chunksOfTurn(way, chunks), words = loadedWords(at.term, 1);
  bool isAhead = words * step <= kMostLoaded;
  SmallVector<Value> zeros(at.tiles * unit.sums.size(), zeroSum());
  auto load = [&](Value chunk) {
    SmallVector<Value> loaded;
    for (int64_t i = 0; isAhead && i < step; ++i)
      loaded.append(loadChunk(at, b.add(chunk, i)));
    return loaded;
  };
  auto add = [&](Value chunk, ValueRange loaded, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t i = 0; i < step; ++i)
      next = addChunk(at, b.add(chunk, i), isAhead ? loaded.slice(i * words, words) : ValueRange(), next);
    return next;
  };
  auto sum = [&] { return addSplits(pipeline(ofSplit(chunks / step, step), step, zeros, load, add)); };
  // Sums of integers are the same however K is cut.
  return zeroSum().getType().isInteger() ? sum() : overSlices(zeros, sum);
}

SmallVector<Value> MatrixKernel::finishTerm(const Position &at, SmallVector<Value> totals, SmallVector<Value> sums) {
  if (!sumsAllGroups(at.term))
    return flush(at, totals, sums);
  for (auto [total, sum] : llvm::zip_equal(totals, sums))
    sum = b.addf(total, sum);
  return sums;
}

SmallVector<Value> MatrixKernel::addSplits(SmallVector<Value> sums) {
  if (splits == 1)
    return sums;
  size_t each = unit.sums.size();
  Type type = sums.front().getType(), i32 = b.getI32Type();
  bool isFloat = isa<FloatType>(type);
  Value lane = b.lane(), first = b.sub(warp, split);
  for (size_t tile = 0; tile < sums.size(); tile += each) {
    b.barrier();
    for (size_t i = 0; i < each; ++i) {
      Value word = isFloat ? Value(arith::BitcastOp::create(b, i32, sums[tile + i])) : sums[tile + i];
      b.write(word, partial, {warp, b.index(int64_t(i)), lane});
    }
    b.barrier();
    for (size_t i = 0; i < each; ++i)
      for (int64_t other = 0; other < splits; ++other) {
        Value word = b.read(partial, {b.add(first, other), b.index(int64_t(i)), lane}), &sum = sums[tile + i];
        Value term = isFloat ? Value(arith::BitcastOp::create(b, type, word)) : word;
        sum = other == 0 ? term : isFloat ? b.addf(sum, term) : Value(arith::AddIOp::create(b, sum, term));
      }
  }
  return sums;
}

void MatrixKernel::store(const Position &at, Value isMine, ArrayRef<Value> totals) {
  Value columns = b.dim(y, 1), first = b.mul(at.panel, MatrixUnit::kRows);
  bool isWhole = getConstantIntValue(columns).value_or(1) % MatrixUnit::kRows == 0;
  for (int64_t tile = 0; tile < at.tiles; ++tile)
    for (int64_t i = 0, count = int64_t(unit.sums.size()); i < count; ++i) {
      Value token = sumToken(at, tile, i), column = b.add(first, sumColumn(i));
      Value exists = isMine;
      if (!at.isFull)
        exists = both(exists, b.cmp(arith::CmpIPredicate::slt, token, tokens));
      if (!isWhole)
        exists = both(exists, b.cmp(arith::CmpIPredicate::slt, column, columns));
      auto write = [&] { b.write(totals[tile * count + i], y, {token, column}); };
      exists ? b.ifThen(exists, write) : write();
    }
}
