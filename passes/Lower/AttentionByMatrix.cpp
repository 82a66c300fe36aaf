// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which lane has which feature of a key or token of a value follows from the row of the matrix instruction (MatrixUnits.def); features of keys are
// in the order in which lanes decode units of codes, and those of queries in the same.

#include "Lower/AttentionByMatrix.h"

#include "Lower/MatrixKernel.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace mlir::whit;

static constexpr float kNone = -std::numeric_limits<float>::infinity();
/// Queries of a pass: what keys and values are decoded once for.
static constexpr int64_t kQueries = 16;
/// Floats between queries in shared memory, so that lanes reach different banks; and words between their parts.
static constexpr int64_t kPadding = 8, kWordPadding = 4;
/// Sums that a lane holds, and shared memory that a block of NVIDIA and AMD takes at most: there is to be some for what precedes.
static constexpr int64_t kMostSums = 128, kSharedNvidia = 37 << 10, kSharedAmd = 50 << 10;

// ---------------------------------------------------------------------------------------------------- cuts

/// bf16 numbers that add up to what is stored of a cache, before scales and offsets.
static int64_t partsOf(Type element, FormatAttr format) {
  if (!format)
    return element.isF32() ? MatrixUnit::kMostParts : element.isF16() ? 2 : 1;
  ::whit::Encoding encoding = readPart(format.getEncoding());
  float zero = encoding.zero == ::whit::ZeroKind::Constant ? encoding.constant : 0;
  int64_t most = 1;
  for (float number : encoding.codec().table())
    most = std::max(most, bfloatPartsOf(number - zero));
  return most;
}

std::optional<AttentionByMatrix::Cut> AttentionByMatrix::cutFor(AttentionOp op, const TargetFacts &facts,
                                                                std::string &why) {
  auto refuse = [&](std::string because) {
    why = std::move(because);
    return std::nullopt;
  };
  auto q = cast<ShapedType>(op.getQ().getType()), k = cast<ShapedType>(op.getK().getType()),
       v = cast<ShapedType>(op.getV().getType());
  const MatrixUnit *unit = MatrixUnit::find(facts, MatrixUnit::Operands::Bfloats);
  int64_t depth = q.getDimSize(3), heads = q.getDimSize(2), kvHeads = v.getDimSize(1);
  if (!unit || unit->depth != MatrixUnit::kRows)
    return refuse("no matrix instruction of " + std::string(facts.getGpu().name) + " takes bf16");
  if (ShapedType::isDynamic(depth) || ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads))
    return refuse("the number of heads or their features is not known");

  Cut cut{unit,
          kQueries,
          0,
          unit->depthOfLane(),
          partsOf(k.getElementType(), op.getKeyFormatAttr()),
          partsOf(v.getElementType(), op.getValueFormatAttr())};
  if (FormatAttr format = op.getKeyFormatAttr()) {
    ::whit::Place place = ::whit::solvePlace(format.getEncoding(), ::whit::kBlockTokens, depth);
    cut.elements = std::lcm(4 * PanelDecoder::quadsOf(place.terms.front()), unit->depthOfLane());
    if (int64_t chunk = cut.elements * unit->lanesOfK(); depth % chunk)
      return refuse("lanes take " + std::to_string(chunk) + " features of a key at a time, and heads have " +
                    std::to_string(depth));
  }
  int64_t padded = llvm::alignTo(depth, MatrixUnit::kRows);
  cut.stride = std::max(padded, facts.warpSize()) + kPadding;
  int64_t room = facts.isAmd() ? kSharedAmd : kSharedNvidia;
  auto bytes = [&] {
    return 4 * cut.queries *
           (kAttentionWarps * (cut.stride + 2) + MatrixUnit::kMostParts * (padded / 2 + kWordPadding));
  };
  auto sums = [&] { return padded / MatrixUnit::kRows * cut.queries / unit->tokens * int64_t(unit->sums.size()); };
  while (cut.queries > unit->tokens && (bytes() > room || sums() > kMostSums))
    cut.queries /= 2;
  if (bytes() > room || sums() > kMostSums)
    return refuse("heads of " + std::to_string(depth) + " features leave no room for their sums");
  return cut;
}

std::string mlir::whit::whyNotByMatrix(AttentionOp op, const TargetFacts &facts) {
  std::string why;
  return AttentionByMatrix::cutFor(op, facts, why) ? "" : why;
}

int64_t mlir::whit::attentionRows(AttentionOp op, const TargetFacts &facts) {
  std::string why;
  auto cut = AttentionByMatrix::cutFor(op, facts, why);
  if (!cut)
    return 1;
  int64_t heads = cast<ShapedType>(op.getQ().getType()).getDimSize(2);
  int64_t kvHeads = cast<ShapedType>(op.getV().getType()).getDimSize(1);
  return std::max<int64_t>(1, cut->queries / (heads / kvHeads));
}

// ---------------------------------------------------------------------------------------------------- queries

AttentionByMatrix::AttentionByMatrix(LaneBuilder &b, AttentionOp op, const Cut &cut, std::optional<PartialSums> partial,
                                     Value counts)
    : AttentionBlock(b, op, cut.queries, cut.stride, partial, counts), cut(cut) {
  Value lane = b.lane();
  laneRow = cut.unit->row.emit(b, lane);
  laneK = cut.unit->k.emit(b, lane);
  laneOfK = cut.unit->k.digit().emit(b, lane);
  sumRow = cut.unit->sumRow.emit(b, lane);
  sumToken = cut.unit->sumToken.emit(b, lane);
}

void AttentionByMatrix::prepare() {
  query = parts; // until they are words
  int64_t pairs = llvm::alignTo(depth, MatrixUnit::kRows) / 2 + kWordPadding;
  words = memref::AllocOp::create(b, MemRefType::get({MatrixUnit::kMostParts, queries, pairs}, b.getI32Type()));
  if (op.getKeyFormat())
    querySums = memref::AllocOp::create(b, MemRefType::get({queries}, b.getF32Type()));
}

void AttentionByMatrix::begin(const Pass &) {
  int64_t pairs = llvm::alignTo(depth, MatrixUnit::kRows) / 2;
  Value zero = b.index(0);
  b.forThreads(b.index(queries * pairs), [&](Value i) {
    Value number = b.div(i, pairs), pair = b.rem(i, pairs);
    auto feature = [&](int64_t which) -> Value {
      Value d = b.add(b.mul(pair, 2), which);
      Value x = b.read(query, {zero, number, b.min(d, b.index(depth - 1))});
      return depth % MatrixUnit::kRows ? b.select(b.cmp(arith::CmpIPredicate::slt, d, b.index(depth)), x, b.f32(0.0f))
                                       : x;
    };
    for (auto [part, word] : llvm::enumerate(cutPair(b, feature(0), feature(1), MatrixUnit::kMostParts)))
      b.write(word, words, {b.index(int64_t(part)), number, pair});
  });
  if (querySums)
    b.forThreads(b.index(queries), [&](Value number) {
      Value sum = b.loop(zero, b.index(depth), b.index(1), {b.f32(0.0f)}, [&](Value d, ValueRange carried) {
        return SmallVector<Value>{b.addf(carried[0], b.read(query, {zero, number, d}))};
      })[0];
      b.write(sum, querySums, {number});
    });
  b.barrier(); // scores and parts go where the queries were
}

// ---------------------------------------------------------------------------------------------------- scores

/// Numbers of features [feature, feature + elements) of the key of a lane's token.
SmallVector<Value> AttentionByMatrix::keyNumbers(const Pass &pass, Value token, Value feature) {
  SmallVector<Value> numbers;
  Value block = b.div(token, LaneBuilder::kLanes), inBlock = b.rem(token, LaneBuilder::kLanes);
  if (op.getKeyFormat()) {
    PackedHead keys(b, op.getKeyFormatAttr(), ::whit::CacheOrder::Panel, depth, op.getK(), pass.batch, pass.kvHead,
                    inBlock);
    int64_t unit = keys.unitFeatures();
    for (int64_t from = 0; from < cut.elements; from += unit) {
      PanelDecoder::Unit lines = keys.loadUnit(block, b.div(b.add(feature, from), unit));
      for (int64_t i = 0; i < unit; ++i)
        numbers.push_back(vector::ExtractOp::create(b, keys.feature(lines, i), 0));
    }
    return numbers;
  }
  for (int64_t i = 0; i < cut.elements; ++i) {
    Value d = b.add(feature, i), inside = depth % MatrixUnit::kRows ? b.min(d, b.index(depth - 1)) : d;
    SmallVector<Value> at{pass.batch, pass.kvHead, token, inside};
    if (isBlocked)
      at = {pass.batch, pass.kvHead, block, inside, inBlock};
    Value number = b.widen(b.read(op.getK(), at));
    if (depth % MatrixUnit::kRows)
      number = b.select(b.cmp(arith::CmpIPredicate::slt, d, b.index(depth)), number, b.f32(0.0f));
    numbers.push_back(number);
  }
  return numbers;
}

/// Products of the 16 keys from `first + from` on with all queries, in shared memory.
void AttentionByMatrix::scoreTokens(const Pass &pass, ArrayRef<Column> columns, Value first) {
  const MatrixUnit &unit = *cut.unit;
  SmallVector<int64_t> rows;
  for (const MatrixUnit::Place &word : unit.a)
    if (!llvm::is_contained(rows, word.row))
      rows.push_back(word.row);
  int64_t chunk = cut.elements * unit.lanesOfK(), chunks = llvm::divideCeil(depth, chunk);
  Value last = b.sub(pass.high, b.index(1));
  b.rolledLoop(
      b.index(0), b.index(b.facts.warpSize()), b.index(MatrixUnit::kRows), {},
      [&](Value from, ValueRange) -> SmallVector<Value> {
        SmallVector<Value> dots(tiles() * unit.sums.size(), b.f32(0.0f));
        auto addChunk = [&](Value number, ValueRange carried) {
          SmallVector<Value> sums(carried);
          Value feature = b.add(b.mul(number, chunk), b.mul(laneOfK, cut.elements));
          SmallVector<SmallVector<Value>> numbers;
          for (int64_t row : rows)
            numbers.push_back(keyNumbers(pass, b.min(b.add(b.add(first, from), b.add(laneRow, row)), last), feature));
          for (int64_t step = 0; step < cut.elements; step += unit.depthOfLane()) {
            Parts keys(cut.keyParts);
            for (size_t word = 0; word < unit.a.size(); ++word) { // row by row for each word of a lane
              ArrayRef<Value> row = numbers[word % rows.size()];
              int64_t at = step + 2 * int64_t(word / rows.size());
              for (auto [list, pair] : llvm::zip_equal(keys, cutPair(b, row[at], row[at + 1], cut.keyParts)))
                list.push_back(pair);
            }
            Value pair = b.div(b.add(feature, step), 2);
            for (int64_t tile = 0; tile < tiles(); ++tile) {
              Parts operand(MatrixUnit::kMostParts);
              for (auto [part, list] : llvm::enumerate(operand))
                for (size_t word = 0; word < unit.b.size(); ++word)
                  list.push_back(
                      b.read(words, {b.index(int64_t(part)), queryOfOperand(tile), b.add(pair, int64_t(word))}));
              SmallVector<Value> here(ArrayRef(sums).slice(tile * unit.sums.size(), unit.sums.size()));
              llvm::copy(unit.emitParts(b, keys, operand, here), sums.begin() + tile * unit.sums.size());
            }
          }
          return sums;
        };
        dots = b.loop(b.index(0), b.index(chunks), b.index(1), dots, addChunk);
        storeScores(pass, columns, first, from, dots);
        return {};
      });
}

void AttentionByMatrix::storeScores(const Pass &pass, ArrayRef<Column> columns, Value first, Value from,
                                    ArrayRef<Value> dots) {
  using Predicate = arith::CmpIPredicate;
  const MatrixUnit &unit = *cut.unit;
  Value last = b.sub(pass.high, b.index(1)), warp = b.warp();
  llvm::SmallDenseMap<int64_t, std::pair<Value, Value>> scaleOfRow; // and offset
  for (auto [i, dot] : llvm::enumerate(dots)) {
    const MatrixUnit::Place &place = unit.sums[i % unit.sums.size()];
    const Column &column = columns[i];
    Value number = queryOfSum(int64_t(i / unit.sums.size()), i % unit.sums.size());
    Value at = b.add(from, b.add(sumRow, place.row)), token = b.add(first, at), inside = b.min(token, last);
    Value sum = dot;
    if (op.getKeyFormat()) {
      auto &[scale, offset] = scaleOfRow[place.row];
      if (!scale) {
        Value block = b.div(inside, LaneBuilder::kLanes);
        PackedHead keys(b, op.getKeyFormatAttr(), ::whit::CacheOrder::Panel, depth, op.getK(), pass.batch, pass.kvHead,
                        b.rem(inside, LaneBuilder::kLanes));
        Value scales = keys.scales(block);
        scale = vector::ExtractOp::create(b, scales, 0);
        if (keys.hasOffsets())
          offset = vector::ExtractOp::create(b, keys.offsets(block, scales), 0);
      }
      sum = b.mulf(sum, scale);
      if (offset)
        sum = b.fma(b.read(querySums, {number}), offset, sum);
    }
    Value isSeen =
        arith::AndIOp::create(b, b.cmp(Predicate::slt, token, column.high), b.cmp(Predicate::sge, token, column.low));
    Value value = b.select(isSeen, score(sum, pass.batch, column.query, inside), b.f32(kNone));
    b.write(value, parts, {warp, number, at});
  }
}

// ---------------------------------------------------------------------------------------------------- weights and values

/// The same for all lanes that hold elements of K of one row.
Value AttentionByMatrix::acrossLanesOfK(Value value, function_ref<Value(Value, Value)> combine) {
  for (int64_t step = 1; step < cut.unit->lanesOfK(); step *= 2) {
    Value other = gpu::ShuffleOp::create(b, value, int32_t(step * cut.unit->k.divide), int32_t(b.facts.warpSize()),
                                         gpu::ShuffleMode::XOR)
                      .getShuffleResult();
    value = combine(value, other);
  }
  return value;
}

Value AttentionByMatrix::fromRow(Value value, int64_t i) {
  Value lane = b.mul(b.add(sumToken, cut.unit->sums[i].other), cut.unit->row.divide);
  return gpu::ShuffleOp::create(b, value, b.toI32(lane), b.i32(b.facts.warpSize()), gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

/// The tokens from `first` on that a lane has as elements of K.
SmallVector<AttentionByMatrix::TokenValue, 0> AttentionByMatrix::valuesOf(const Pass &pass, Value first) {
  SmallVector<TokenValue, 0> values;
  Value last = b.sub(pass.high, b.index(1));
  for (int64_t word : cut.unit->b)
    for (int64_t half = 0; half < 2; ++half) {
      TokenValue value;
      value.token = b.min(b.add(b.add(first, laneK), word + half), last);
      if (op.getValueFormat()) {
        value.head =
            std::make_unique<PackedHead>(b, op.getValueFormatAttr(), ::whit::CacheOrder::Rows, depth, op.getV(),
                                         pass.batch, pass.kvHead, b.rem(value.token, LaneBuilder::kLanes));
        value.row = value.head->rowOf(value.token);
        Value scales = value.head->scales(value.row.first);
        value.scale = vector::ExtractOp::create(b, scales, 0);
        if (value.head->hasOffsets())
          value.offset = vector::ExtractOp::create(b, value.head->offsets(value.row.first, scales), 0);
      }
      values.push_back(std::move(value));
    }
  return values;
}

Value AttentionByMatrix::numberOf(const Pass &pass, TokenValue &value, Value feature) {
  if (value.head)
    return vector::ExtractOp::create(b, value.head->number(value.row, feature), 0);
  return b.widen(b.read(op.getV(), {pass.batch, pass.kvHead, value.token, feature}));
}

/// The scores of a tile's queries with the tokens that a lane has as elements of K, from token `step` of the turn on.
SmallVector<Value> AttentionByMatrix::scoresOf(int64_t tile, Value step) {
  SmallVector<Value> scores;
  for (int64_t word : cut.unit->b)
    for (int64_t half = 0; half < 2; ++half)
      scores.push_back(b.read(parts, {b.warp(), queryOfOperand(tile), b.add(b.add(laneK, step), word + half)}));
  return scores;
}

/// Of each tile of queries the maximum, the sum of weights and that of offsets, and then sums of features, after a turn's tokens.
SmallVector<Value> AttentionByMatrix::addTokens(const Pass &pass, ArrayRef<Column> columns, Value first,
                                                ValueRange carried) {
  const MatrixUnit &unit = *cut.unit;
  SmallVector<Value> next(carried), bases, factors;
  scoreTokens(pass, columns, first);
  b.warpSync();
  auto larger = [&](Value x, Value y) { return b.greater(x, y); };
  auto plus = [&](Value x, Value y) { return b.addf(x, y); };
  for (int64_t tile = 0; tile < tiles(); ++tile) {
    Value now;
    for (int64_t step = 0; step < b.facts.warpSize(); step += unit.depth)
      for (Value score : scoresOf(tile, b.index(step)))
        now = now ? larger(score, now) : score;
    Value &largest = next[3 * tile];
    now = larger(acrossLanesOfK(now, larger), largest);
    bases.push_back(baseOf(now));
    factors.push_back(b.exp(b.subf(largest, bases.back())));
    largest = now;
    for (size_t i = 0; i < unit.sums.size(); ++i) {
      Value ofColumn = fromRow(factors.back(), int64_t(i));
      for (int64_t features = 0; features < featureTiles(); ++features) {
        Value &total = next[3 * tiles() + sumsOf(tile, features) + i];
        total = b.mulf(total, ofColumn);
      }
    }
  }
  SmallVector<Value> added(2 * tiles(), b.f32(0.0f)); // a lane's weights, and their products with offsets
  added.append(next.begin() + 3 * tiles(), next.end());
  added = b.rolledLoop(b.index(0), b.index(b.facts.warpSize()), b.index(unit.depth), added,
                       [&](Value step, ValueRange sums) { return addValues(pass, first, step, bases, sums); });
  for (int64_t tile = 0; tile < tiles(); ++tile)
    for (int64_t i : {0, 1})
      if (Value &sum = next[3 * tile + 1 + i]; i == 0 || op.getValueFormat())
        sum = b.addf(b.mulf(sum, factors[tile]), acrossLanesOfK(added[2 * tile + i], plus));
  llvm::copy(ArrayRef(added).drop_front(2 * tiles()), next.begin() + 3 * tiles());
  b.warpSync(); // scores have been read
  return next;
}

/// Of each tile of queries a lane's weights and their products with offsets, and then sums of features, after tokens
/// [first + step, first + step + 16).
SmallVector<Value> AttentionByMatrix::addValues(const Pass &pass, Value first, Value step, ArrayRef<Value> bases,
                                                ValueRange carried) {
  const MatrixUnit &unit = *cut.unit;
  SmallVector<Value> next(carried);
  SmallVector<TokenValue, 0> values = valuesOf(pass, b.add(first, step));
  SmallVector<Parts> operands;
  for (int64_t tile = 0; tile < tiles(); ++tile) {
    Value &sum = next[2 * tile], &offsets = next[2 * tile + 1];
    SmallVector<Value> weights = scoresOf(tile, step);
    for (auto [weight, value] : llvm::zip_equal(weights, values)) {
      weight = b.exp(b.subf(weight, bases[tile]));
      sum = b.addf(sum, weight);
      if (value.offset)
        offsets = b.fma(weight, value.offset, offsets);
      if (value.scale)
        weight = b.mulf(weight, value.scale);
    }
    Parts words(MatrixUnit::kMostParts);
    for (size_t i = 0; i < weights.size(); i += 2)
      for (auto [list, word] : llvm::zip_equal(words, cutPair(b, weights[i], weights[i + 1], MatrixUnit::kMostParts)))
        list.push_back(word);
    operands.push_back(std::move(words));
  }
  for (int64_t features = 0; features < featureTiles(); ++features) {
    Parts rows(cut.valueParts);
    for (const MatrixUnit::Place &word : unit.a) {
      Value feature = b.add(laneRow, features * MatrixUnit::kRows + word.row);
      if (depth % MatrixUnit::kRows)
        feature = b.min(feature, b.index(depth - 1));
      int64_t at = 2 * (llvm::find(unit.b, word.other) - unit.b.begin());
      Value low = numberOf(pass, values[at], feature), high = numberOf(pass, values[at + 1], feature);
      for (auto [list, pair] : llvm::zip_equal(rows, cutPair(b, low, high, cut.valueParts)))
        list.push_back(pair);
    }
    for (int64_t tile = 0; tile < tiles(); ++tile) {
      auto place = next.begin() + 2 * tiles() + sumsOf(tile, features);
      SmallVector<Value> here(place, place + unit.sums.size());
      llvm::copy(unit.emitParts(b, rows, operands[tile], here), place);
    }
  }
  return next;
}

void AttentionByMatrix::addTokensOfWarp(const Pass &pass, Value from, Value round) {
  const MatrixUnit &unit = *cut.unit;
  SmallVector<Column> columns;
  for (int64_t tile = 0; tile < tiles(); ++tile)
    for (size_t i = 0; i < unit.sums.size(); ++i) {
      Query query = queryOf(pass, b.add(pass.first, queryOfSum(tile, i)));
      auto [low, high] = rangeOf(pass.batch, query.row);
      columns.push_back({query, low, high});
    }
  SmallVector<Value> state(3 * tiles() + sumsOf(tiles(), 0), b.f32(0.0f));
  for (int64_t tile = 0; tile < tiles(); ++tile)
    state[3 * tile] = b.f32(kNone);
  state = b.loop(from, pass.high, round, state,
                 [&](Value first, ValueRange carried) { return addTokens(pass, columns, first, carried); });

  Value warp = b.warp();
  Value isFirst = b.cmp(arith::CmpIPredicate::eq, b.lane(), b.mul(laneRow, unit.row.divide));
  b.ifThen(isFirst, [&] {
    for (int64_t tile = 0; tile < tiles(); ++tile) {
      b.write(state[3 * tile], maxima, {warp, queryOfOperand(tile)});
      b.write(state[3 * tile + 1], sums, {warp, queryOfOperand(tile)});
    }
  });
  for (int64_t tile = 0; tile < tiles(); ++tile)
    for (size_t i = 0; i < unit.sums.size(); ++i) {
      Value offset = op.getValueFormat() ? fromRow(state[3 * tile + 2], int64_t(i)) : Value();
      for (int64_t features = 0; features < featureTiles(); ++features) {
        Value sum = state[3 * tiles() + sumsOf(tile, features) + i];
        Value d = b.add(sumRow, features * MatrixUnit::kRows + unit.sums[i].row);
        b.write(offset ? b.addf(sum, offset) : sum, parts, {warp, queryOfSum(tile, i), d});
      }
    }
}
