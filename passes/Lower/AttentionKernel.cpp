// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// "FlashAttention", 2022, with the loop over queries outside: a tile of query rows stays on the stack with its running
// maximum, sum and output while blocks of keys and values stream by. Both products are one small matrix kernel: a scalar
// of the left side in all lanes, times a vector of 16 tokens (scores) or of 16 features (output), in as many
// accumulators as the target has registers for.

#include "Lower/AttentionKernel.h"
#include "Lower/CacheKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/FormatVariadic.h"

#include <limits>

using namespace mlir;
using namespace mlir::whit;

static constexpr int64_t kLanes = LaneBuilder::kLanes;
/// Tokens of a block of keys.
static constexpr int64_t kKeys = 64;
static constexpr float kNone = -std::numeric_limits<float>::infinity();

static int64_t rankOf(Value memref) { return cast<MemRefType>(memref.getType()).getRank(); }
static bool isPacked(Value cache) { return cast<MemRefType>(cache.getType()).getElementType().isInteger(8); }

namespace {
/// Query rows that are computed together: `positions` consecutive tokens times `heads` heads of one key-value head.
struct Tile {
  int64_t positions, heads;
  Value batch, kvHead, firstRow, firstHead;
  Value position; ///< of the first row

  int64_t rows() const { return positions * heads; }
};

class AttentionKernel {
public:
  AttentionKernel(LaneBuilder &b, AttentionOp op)
      : b(b), op(op), depth(cast<MemRefType>(op.getQ().getType()).getDimSize(3)),
        shared(cast<MemRefType>(op.getQ().getType()).getDimSize(2) /
               cast<MemRefType>(op.getV().getType()).getDimSize(1)),
        vectors(llvm::divideCeil(depth, kLanes)), packedKeys(isPacked(op.getK())), packedValues(isPacked(op.getV())),
        blockedKeys(packedKeys || rankOf(op.getK()) == 5) {
    int64_t maxRows = b.facts.accumulators() >= 24 ? 6 : 3;
    int64_t chunks = llvm::divideCeil(shared, maxRows);
    heads = llvm::divideCeil(shared, chunks);
    positions = std::max<int64_t>(1, maxRows / shared);
  }

  /// The choices made, for remarks.
  std::string describe() const {
    return llvm::formatv("tiles of {0} positions x {1} heads, keys {2}", positions, heads,
                         packedKeys    ? "unpacked from panels of 16 tokens"
                         : blockedKeys ? "in blocks of 16 tokens"
                                       : "transposed block by block");
  }
  void emit();

private:
  using Accumulators = SmallVector<Value>;

  void emitHeads(Value batch, Value kvHead, Value row, int64_t positions);
  void emitTile(Tile tile);
  void loadQueries(const Tile &tile);
  void prepareQuery(Value row);
  void packKeys(const Tile &tile, Value from, Value blocks);
  void scores(const Tile &tile, Value from, Value blocks);
  Accumulators scoresOfBlocks(const Tile &tile, Value from, ArrayRef<Value> at);
  Accumulators scoresOfPanels(const Tile &tile, Value from, ArrayRef<Value> at);
  void softmax(const Tile &tile, Value from);
  void maximum(const Tile &tile, Value from, Value row);
  void exponentials(Value from, Value row);
  Value maskOf(const Tile &tile, Value row, Value token);
  Value foldScales(Value weight, Value seen, Value block, Value &offset);
  void prefetch(const Tile &tile, Value cache, Value from, Value token);
  void output(const Tile &tile, Value from);
  void outputChunk(const Tile &tile, Value from, Value chunk, int64_t width, Value lastMask);
  void finish(const Tile &tile);

  /// The tokens [low, high) that the rows at a position see.
  Value lowOf(Value position);
  Value highOf(Value position);

  int64_t columnsFor(int64_t rows, int64_t most) const {
    return std::clamp<int64_t>(b.facts.accumulators() / rows, 1, most);
  }
  int64_t maxTileRows() const { return positions * heads; }

  LaneBuilder &b;
  AttentionOp op;
  int64_t depth, shared, vectors;
  bool packedKeys, packedValues, blockedKeys;
  int64_t heads, positions; ///< of a full tile
  Value tokens;             ///< T, or T' if there is a mask
  Value queries, weights, sums, maxima, factors, outputs, keys;
  Value bases; ///< of each row, what is subtracted from its scores
  /// Of caches in a format: the sum of each query, and of each row the weighted offsets of its values, in 16 lanes.
  Value querySums, offsets;
  PackedHead *keyHead = nullptr, *valueHead = nullptr;
};
} // namespace

Value AttentionKernel::lowOf(Value position) {
  if (!op.getWindow())
    return b.index(0);
  return b.max(b.index(0), b.sub(position, b.index(op.getWindow() - 1)));
}

Value AttentionKernel::highOf(Value position) {
  return op.getBidirectional() ? tokens : b.min(b.add(position, 1), tokens);
}

void AttentionKernel::emit() {
  int64_t rows = maxTileRows(), padded = vectors * kLanes;
  Type f32 = b.getF32Type();
  auto buffer = [&](ArrayRef<int64_t> shape) { return MemRefType::get(shape, f32); };
  SmallVector<MemRefType> types{buffer({rows, padded}), buffer({rows, kKeys}),  buffer({rows, kLanes}),
                                buffer({kLanes}),       buffer({kLanes}),       buffer({rows, padded}),
                                buffer({rows}),         buffer({rows, kLanes}), buffer({kLanes})};
  if (!blockedKeys)
    types.push_back(buffer({kKeys / kLanes, padded, kLanes}));
  tokens = b.dim(op.getV(), 2);
  if (packedValues)
    tokens = b.mul(tokens, kLanes);
  if (op.getMask())
    tokens = b.min(tokens, b.dim(op.getMask(), 3));
  b.scratch(types, [&](ValueRange buffers) {
    queries = buffers[0], weights = buffers[1], sums = buffers[2];
    maxima = buffers[3], factors = buffers[4], outputs = buffers[5];
    querySums = buffers[6], offsets = buffers[7], bases = buffers[8];
    if (!blockedKeys)
      keys = buffers[9];
    Value rowCount = b.dim(op.getQ(), 1);
    b.loops({b.dim(op.getQ(), 0), b.dim(op.getV(), 1)}, [&](ValueRange at) {
      std::optional<int64_t> known = getConstantIntValue(rowCount);
      Value whole = b.mul(b.div(rowCount, positions), positions);
      auto step = [&](Value from, Value to, int64_t count) {
        b.loop(from, to, b.index(count), {}, [&](Value row, ValueRange) -> SmallVector<Value> {
          emitHeads(at[0], at[1], row, count);
          return {};
        });
      };
      if (positions > 1 && (!known || *known >= positions))
        step(b.index(0), whole, positions);
      if (positions == 1)
        step(b.index(0), rowCount, 1);
      else if (!known || *known % positions)
        step(whole, rowCount, 1);
    });
  });
}

void AttentionKernel::emitHeads(Value batch, Value kvHead, Value row, int64_t count) {
  Value start = b.toIndex(b.read(op.getStart(), batch));
  Tile tile{count, heads, batch, kvHead, row, nullptr, b.add(b.add(start, op.getFirst()), row)};
  std::optional<PackedHead> packedK, packedV;
  if (packedKeys)
    keyHead = &packedK.emplace(b, op.getKeyFormatAttr(), ::whit::CacheOrder::Panel, depth, op.getK(), batch, kvHead);
  if (packedValues)
    valueHead = &packedV.emplace(b, op.getValueFormatAttr(), ::whit::CacheOrder::Rows, depth, op.getV(), batch, kvHead);
  Value base = b.mul(kvHead, shared);
  int64_t full = shared / heads;
  b.loop(b.index(0), b.index(full), [&](Value chunk) {
    tile.firstHead = b.add(base, b.mul(chunk, heads));
    emitTile(tile);
  });
  if (int64_t rest = shared % heads) {
    tile.heads = rest;
    tile.firstHead = b.add(base, full * heads);
    emitTile(tile);
  }
}

void AttentionKernel::emitTile(Tile tile) {
  loadQueries(tile);
  Value low = lowOf(tile.position), high = highOf(b.add(tile.position, tile.positions - 1));
  Value firstBlock = b.mul(b.div(low, kKeys), kKeys);
  b.loop(firstBlock, high, b.index(kKeys), {}, [&](Value from, ValueRange) -> SmallVector<Value> {
    Value blocks = b.div(b.add(b.min(b.sub(high, from), b.index(kKeys)), kLanes - 1), kLanes);
    if (!blockedKeys)
      packKeys(tile, from, blocks);
    scores(tile, from, blocks);
    softmax(tile, from);
    output(tile, from);
    return {};
  });
  finish(tile);
}

/// Index of row r of a tile in q and y.
static SmallVector<Value> rowAt(LaneBuilder &b, const Tile &tile, int64_t r, Value d) {
  return {tile.batch, b.add(tile.firstRow, r / tile.heads), b.add(tile.firstHead, r % tile.heads), d};
}

void AttentionKernel::loadQueries(const Tile &tile) {
  for (int64_t r = 0; r < tile.rows(); ++r) {
    Value row = b.index(r);
    b.lanes(b.index(depth), [&](Value d, Value mask) {
      b.store(b.load(op.getQ(), rowAt(b, tile, r, d), mask), queries, {row, d}, nullptr);
      b.store(b.splat(0.0f), outputs, {row, d}, nullptr);
    });
    if (packedKeys)
      prepareQuery(row);
    if (valueHead && valueHead->hasOffsets())
      b.store(b.splat(0.0f), offsets, {row, b.index(0)}, nullptr);
    b.write(b.f32(kNone), maxima, row);
    b.store(b.splat(0.0f), sums, {row, b.index(0)}, nullptr);
  }
}

/// Rotates a query as its keys were, and sums it up for what they have in common.
void AttentionKernel::prepareQuery(Value row) {
  SmallVector<Value> query;
  for (int64_t i = 0; i < vectors; ++i)
    query.push_back(b.load(queries, {row, b.index(i * kLanes)}, nullptr));
  if (op.getHadamard()) {
    emitHadamard(b, query, depth);
    for (int64_t i = 0; i < vectors; ++i)
      b.store(query[i], queries, {row, b.index(i * kLanes)}, nullptr);
  }
  if (!keyHead->hasOffsets())
    return;
  Value sum = query[0];
  for (Value more : ArrayRef(query).drop_front())
    sum = b.addf(sum, more);
  b.write(b.sum(sum), querySums, row);
}

/// keys[block][d][lane] of the next tokens. Past the last token its row is repeated: in bounds, and masked later.
void AttentionKernel::packKeys(const Tile &tile, Value from, Value blocks) {
  Value last = b.sub(tokens, b.index(1));
  b.loop(b.index(0), blocks, [&](Value block) {
    b.lanes(b.index(depth), [&](Value d, Value mask) {
      SmallVector<Value> rows;
      for (int64_t i = 0; i < kLanes; ++i) {
        Value token = b.min(b.add(b.add(from, b.mul(block, kLanes)), i), last);
        rows.push_back(b.loadFloat(op.getK(), {tile.batch, tile.kvHead, token, d}, mask));
      }
      b.transpose(rows);
      for (int64_t i = 0; i < kLanes; ++i)
        b.store(rows[i], keys, {block, b.add(d, i), b.index(0)}, nullptr);
    });
  });
}

void AttentionKernel::scores(const Tile &tile, Value from, Value blocks) {
  // Six rows of two vectors are chains enough to hide latency, and compute less behind the causal limit than four
  // would.
  int64_t rows = tile.rows(), columns = llvm::bit_floor(uint64_t(columnsFor(rows, rows >= 6 ? 2 : 4)));
  Value zero = b.index(0), lastBlock = b.sub(blocks, b.index(1)), firstBlock = b.div(from, kLanes);
  b.loop(zero, blocks, b.index(columns), {}, [&](Value block, ValueRange) -> SmallVector<Value> {
    // Past the last block it is computed again: in bounds, and masked later.
    SmallVector<Value> at;
    for (int64_t j = 0; j < columns; ++j) {
      Value clamped = b.min(b.add(block, j), lastBlock);
      at.push_back(blockedKeys ? b.add(firstBlock, clamped) : clamped);
    }
    Accumulators sums = packedKeys ? scoresOfPanels(tile, from, at) : scoresOfBlocks(tile, from, at);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j)
        b.store(sums[r * columns + j], weights, {b.index(r), b.mul(b.add(block, j), kLanes)}, nullptr);
    return {};
  });
}

/// Products of all rows with the keys of some blocks, row by row.
AttentionKernel::Accumulators AttentionKernel::scoresOfBlocks(const Tile &tile, Value from, ArrayRef<Value> at) {
  int64_t rows = tile.rows(), columns = at.size();
  Value zero = b.index(0);
  return b.loop(
      zero, b.index(depth), b.index(1), Accumulators(rows * columns, b.splat(0.0f)), [&](Value d, ValueRange carried) {
        prefetch(tile, op.getV(), from, d);
        SmallVector<Value> keyVectors;
        for (Value each : at)
          keyVectors.push_back(blockedKeys ? b.loadFloat(op.getK(), {tile.batch, tile.kvHead, each, d, zero}, nullptr)
                                           : b.load(keys, {each, d, zero}, nullptr));
        Accumulators next;
        for (int64_t r = 0; r < rows; ++r) {
          Value query = b.splat(b.read(queries, {b.index(r), d}));
          for (int64_t j = 0; j < columns; ++j)
            next.push_back(b.fma(query, keyVectors[j], carried[r * columns + j]));
        }
        return next;
      });
}

/// The same for keys in a format: products with codes, then one scale per token.
AttentionKernel::Accumulators AttentionKernel::scoresOfPanels(const Tile &tile, Value from, ArrayRef<Value> at) {
  int64_t rows = tile.rows(), columns = at.size(), features = keyHead->unitFeatures();
  auto addUnit = [&](Value unit, int64_t count, ValueRange carried) {
    for (int64_t i = 0; i < count; ++i)
      prefetch(tile, op.getV(), from, b.add(b.mul(unit, features), i));
    SmallVector<PanelDecoder::Unit> units;
    for (Value each : at)
      units.push_back(keyHead->loadUnit(each, unit));
    Accumulators sums(carried);
    Value first = b.mul(unit, features);
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<Value> keyVectors;
      for (const PanelDecoder::Unit &each : units)
        keyVectors.push_back(keyHead->feature(each, i));
      for (int64_t r = 0; r < rows; ++r) {
        Value query = b.splat(b.read(queries, {b.index(r), b.add(first, i)}));
        for (int64_t j = 0; j < columns; ++j)
          sums[r * columns + j] = b.fma(query, keyVectors[j], sums[r * columns + j]);
      }
    }
    return sums;
  };
  Accumulators sums(rows * columns, b.splat(0.0f));
  int64_t whole = depth / features;
  if (whole)
    sums = b.loop(b.index(0), b.index(whole), b.index(1), sums,
                  [&](Value unit, ValueRange carried) { return addUnit(unit, features, carried); });
  if (int64_t rest = depth % features)
    sums = addUnit(b.index(whole), rest, sums);
  for (int64_t j = 0; j < columns; ++j) {
    Value scales = keyHead->scales(at[j]);
    Value common = keyHead->hasOffsets() ? keyHead->offsets(at[j], scales) : Value();
    for (int64_t r = 0; r < rows; ++r) {
      Value &sum = sums[r * columns + j];
      sum = b.mulf(sum, scales);
      if (common)
        sum = b.fma(b.splat(b.read(querySums, b.index(r))), common, sum);
    }
  }
  return sums;
}

/// The mask of a row of the tile for 16 tokens; 0 past the last.
Value AttentionKernel::maskOf(const Tile &tile, Value row, Value token) {
  Value at[] = {tile.batch, b.add(tile.firstHead, b.rem(row, tile.heads)),
                b.add(tile.firstRow, b.div(row, tile.heads))};
  SmallVector<Value> from;
  for (int64_t dim = 0; dim < 3; ++dim)
    from.push_back(op.maskIsShared(dim) ? b.index(0) : at[dim]);
  from.push_back(token);
  return b.load(op.getMask(), from, b.maskOf(b.sub(b.dim(op.getMask(), 3), token)));
}

/// Fetches what token `token` of the block `from` has in a cache: values while scores are computed, keys of the next block while values are added.
/// A single row has nothing else to do while it waits for a cache that was last read a token ago; rows of a prompt read it again and again.
void AttentionKernel::prefetch(const Tile &tile, Value cache, Value from, Value token) {
  auto type = cast<MemRefType>(cache.getType());
  if (tile.positions > 1 || type.isDynamicDim(3))
    return;
  int64_t rank = type.getRank(), line = 512 / type.getElementTypeBitWidth();
  auto fetch = [&](ValueRange at) {
    memref::PrefetchOp::create(b, cache, at, /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
  };
  if (rank == 4 && !isPacked(cache)) { // [batch, head, token, feature]
    for (int64_t d = 0; d < depth; d += line)
      fetch({tile.batch, tile.kvHead, b.add(from, token), b.index(d)});
    return;
  }
  // [batch, head, block, ...]: a token stands for a sixteenth of the block's bytes.
  Value block = b.add(b.div(from, kLanes), b.div(token, kLanes)), part = b.rem(token, kLanes);
  int64_t elements = rank == 5 ? depth : llvm::divideCeil(type.getDimSize(3), kLanes);
  for (int64_t i = 0; i < elements; i += line) {
    Value at = b.add(b.mul(part, elements), i);
    if (rank == 5)
      fetch({tile.batch, tile.kvHead, block, b.div(at, kLanes), b.rem(at, kLanes)});
    else
      fetch({tile.batch, tile.kvHead, block, at});
  }
}

/// Scores of a block to weights, and the running maximum and sum of each row.
void AttentionKernel::softmax(const Tile &tile, Value from) {
  Value zero = b.index(0);
  b.loop(zero, b.index(tile.rows()), [&](Value row) { maximum(tile, from, row); });
  // The factors of all rows at once.
  Value before = b.load(maxima, zero, nullptr), now = b.load(bases, zero, nullptr);
  b.store(now, maxima, zero, nullptr);
  // A row that has seen nothing yet subtracts 0, so that its weights are exp(-inf) = 0 and not NaN.
  now = b.select(b.cmp(arith::CmpFPredicate::OEQ, now, b.splat(kNone)), b.splat(0.0f), now);
  b.store(now, bases, zero, nullptr);
  b.store(b.exp(b.subf(before, now)), factors, zero, nullptr);
  b.loop(zero, b.index(tile.rows()), [&](Value row) { exponentials(from, row); });
}

/// The scores of a row that it sees, the others as -infinity, and their maximum with those before, to `bases`.
void AttentionKernel::maximum(const Tile &tile, Value from, Value row) {
  using Predicate = arith::CmpIPredicate;
  Value position = b.add(tile.position, tile.positions == 1 ? b.index(0) : b.div(row, tile.heads));
  Value low = lowOf(position), high = highOf(position), largest;
  for (int64_t j = 0; j < kKeys / kLanes; ++j) {
    SmallVector<Value> at{row, b.index(j * kLanes)};
    Value score = b.mulf(b.load(weights, at, nullptr), b.splat(op.getScale().convertToFloat()));
    if (float cap = op.getSoftcap().convertToFloat(); cap > 0)
      score = b.mulf(b.tanh(b.divf(score, b.splat(cap))), b.splat(cap));
    if (op.getMask())
      score = b.addf(score, maskOf(tile, row, b.add(from, j * kLanes)));
    Value lanes = arith::AddIOp::create(b, b.splat(b.toI32(b.add(from, j * kLanes))), b.iota());
    Value seen = b.cmp(Predicate::slt, lanes, b.splat(b.toI32(high)));
    if (op.getWindow())
      seen = arith::AndIOp::create(b, seen, b.cmp(Predicate::sge, lanes, b.splat(b.toI32(low))));
    score = b.select(seen, score, b.splat(kNone));
    b.store(score, weights, at, nullptr);
    largest = largest ? b.greater(largest, score) : score;
  }
  b.write(b.greater(b.read(maxima, row), b.reduce(largest, [&](Value a, Value c) { return b.greater(a, c); })), bases,
          row);
}

/// Weights of a row from its scores; they are added to its sum.
void AttentionKernel::exponentials(Value from, Value row) {
  Value zero = b.index(0), factor = b.splat(b.read(factors, row)), base = b.splat(b.read(bases, row));
  Value sum = b.mulf(b.load(sums, {row, zero}, nullptr), factor);
  Value offset = valueHead && valueHead->hasOffsets() ? b.mulf(b.load(offsets, {row, zero}, nullptr), factor) : Value();
  SmallVector<Value> values;
  for (int64_t j = 0; j < kKeys / kLanes; ++j)
    values.push_back(b.load(weights, {row, b.index(j * kLanes)}, nullptr));
  for (auto [j, value] : llvm::enumerate(values)) {
    Value weight = b.exp(b.subf(value, base));
    sum = b.addf(sum, weight);
    if (valueHead) {
      Value seen = b.cmp(arith::CmpFPredicate::UNE, value, b.splat(kNone));
      weight = foldScales(weight, seen, b.add(b.div(from, kLanes), j), offset);
    }
    b.store(weight, weights, {row, b.index(j * kLanes)}, nullptr);
  }
  b.store(sum, sums, {row, zero}, nullptr);
  if (offset)
    b.store(offset, offsets, {row, zero}, nullptr);
}

/// The weights of a block of 16 tokens times the scales of their values; what the values have in common is added to `offset`.
/// Tokens that are not seen may have any scale.
Value AttentionKernel::foldScales(Value weight, Value seen, Value block, Value &offset) {
  block = b.min(block, valueHead->lastBlock());
  Value scales = valueHead->scales(block), nothing = b.splat(0.0f);
  if (offset) {
    Value common = b.select(seen, valueHead->offsets(block, scales), nothing);
    offset = b.fma(weight, common, offset);
  }
  return b.mulf(weight, b.select(seen, scales, nothing));
}

void AttentionKernel::output(const Tile &tile, Value from) {
  int64_t width = columnsFor(tile.rows(), vectors);
  Value lastMask = depth % kLanes ? b.maskOf(b.index(depth % kLanes)) : Value();
  int64_t whole = (lastMask ? vectors - 1 : vectors) / width;
  b.loop(b.index(0), b.index(whole),
         [&](Value chunk) { outputChunk(tile, from, b.mul(chunk, width * kLanes), width, nullptr); });
  if (int64_t rest = vectors - whole * width)
    outputChunk(tile, from, b.index(whole * width * kLanes), rest, lastMask);
}

/// `width` vectors of features from `chunk` on. Tokens that only some rows of the tile see stand before and behind
/// those that all rows see, and are added under a select.
void AttentionKernel::outputChunk(const Tile &tile, Value from, Value chunk, int64_t width, Value lastMask) {
  int64_t rows = tile.rows();
  Accumulators sums;
  for (int64_t r = 0; r < rows; ++r) {
    Value factor = b.splat(b.read(factors, b.index(r)));
    for (int64_t j = 0; j < width; ++j)
      sums.push_back(b.mulf(b.load(outputs, {b.index(r), b.add(chunk, j * kLanes)}, nullptr), factor));
  }
  auto accumulate = [&](Value begin, Value end, bool partial) {
    sums = b.loop(begin, end, b.index(1), sums, [&](Value t, ValueRange carried) {
      prefetch(tile, op.getK(), b.add(from, kKeys), b.sub(t, from));
      SmallVector<Value> values;
      std::pair<Value, Value> packed;
      if (valueHead)
        packed = valueHead->rowOf(t);
      for (int64_t j = 0; j < width; ++j)
        values.push_back(valueHead ? valueHead->numbers(packed, b.add(b.div(chunk, kLanes), j))
                                   : b.loadFloat(op.getV(), {tile.batch, tile.kvHead, t, b.add(chunk, j * kLanes)},
                                                 j == width - 1 ? lastMask : Value()));
      Accumulators next;
      Value seen;
      for (int64_t r = 0; r < rows; ++r) {
        Value weight = b.splat(b.read(weights, {b.index(r), b.sub(t, from)}));
        if (partial && r % tile.heads == 0) {
          Value position = b.add(tile.position, r / tile.heads);
          seen = arith::AndIOp::create(b, b.cmp(arith::CmpIPredicate::sge, t, lowOf(position)),
                                       b.cmp(arith::CmpIPredicate::slt, t, highOf(position)));
        }
        for (int64_t j = 0; j < width; ++j) {
          Value sum = b.fma(weight, values[j], carried[r * width + j]);
          next.push_back(partial ? b.select(seen, sum, carried[r * width + j]) : sum);
        }
      }
      return next;
    });
  };
  Value lastPosition = b.add(tile.position, tile.positions - 1);
  Value begin = b.max(lowOf(tile.position), from), end = b.min(highOf(lastPosition), b.add(from, kKeys));
  if (tile.positions == 1 || (op.getBidirectional() && !op.getWindow())) {
    accumulate(begin, end, false);
  } else {
    Value allFrom = begin;
    if (op.getWindow()) {
      allFrom = b.min(b.max(lowOf(lastPosition), begin), end);
      accumulate(begin, allFrom, true);
    }
    Value allTo = op.getBidirectional() ? end : b.min(b.max(highOf(tile.position), allFrom), end);
    accumulate(allFrom, allTo, false);
    if (allTo != end)
      accumulate(allTo, end, true);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < width; ++j)
      b.store(sums[r * width + j], outputs, {b.index(r), b.add(chunk, j * kLanes)}, nullptr);
}

void AttentionKernel::finish(const Tile &tile) {
  for (int64_t r = 0; r < tile.rows(); ++r) {
    Value row = b.index(r), sum = b.sum(b.load(sums, {row, b.index(0)}, nullptr));
    // Only a row that saw nothing has the sum 0; its output is 0 already.
    sum = b.splat(b.select(b.cmp(arith::CmpFPredicate::OEQ, sum, b.f32(0.0f)), b.f32(1.0f), sum));
    Value offset;
    if (valueHead && valueHead->hasOffsets())
      offset = b.splat(b.sum(b.load(offsets, {row, b.index(0)}, nullptr)));
    b.lanes(b.index(depth), [&](Value d, Value mask) {
      Value output = b.load(outputs, {row, d}, nullptr);
      if (offset)
        output = b.addf(output, offset);
      b.store(b.divf(output, sum), op.getY(), rowAt(b, tile, r, d), mask);
    });
  }
}

std::string mlir::whit::emitAttention(LaneBuilder &b, AttentionOp op) {
  AttentionKernel kernel(b, op);
  kernel.emit();
  return kernel.describe();
}
