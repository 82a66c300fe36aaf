// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels of attention and cache_append. Attention is "FlashAttention", 2022, with the loop over queries outside: a
// tile of query rows stays on the stack with its running maximum, sum and output while blocks of keys and values stream
// by. Both products are one small matrix kernel: a scalar of the left side in all lanes, times a vector of 16 tokens
// (scores) or of 16 features (output), in as many accumulators as the target has registers for.

#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

#include <limits>

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERATTENTIONPASS
#include "Lower/LowerAttention.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

static constexpr int64_t kLanes = LaneBuilder::kLanes;
/// Tokens of a block of keys.
static constexpr int64_t kKeys = 64;

static int64_t rankOf(Value memref) { return cast<MemRefType>(memref.getType()).getRank(); }
static Type elementOf(Value memref) { return cast<MemRefType>(memref.getType()).getElementType(); }

// ---------------------------------------------------------------------------------------------------- cache_append

namespace {
/// A cache in either form, addressed by token.
struct Cache {
  LaneBuilder &b;
  Value memref;

  bool blocked() const { return rankOf(memref) == 5; }
  Value tokens() const { return blocked() ? b.mul(b.dim(memref, 2), kLanes) : b.dim(memref, 2); }
  SmallVector<Value> at(Value batch, Value head, Value token, Value d) const {
    if (blocked())
      return {batch, head, b.div(token, kLanes), d, b.rem(token, kLanes)};
    return {batch, head, token, d};
  }
};
} // namespace

static Value convert(LaneBuilder &b, Value value, Type element) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  return b.narrow(b.widen(value), element);
}

/// Writes a row of `depth` features at a token of the cache. `source` gives a vector (`mask` may be null) or a scalar.
static void writeToken(LaneBuilder &b, Cache cache, Value batch, Value head, Value token, Value depth,
                       function_ref<Value(Value d, Value mask, bool vector)> source) {
  Type element = elementOf(cache.memref);
  if (cache.blocked())
    return b.loop(b.index(0), depth, [&](Value d) {
      b.write(convert(b, source(d, nullptr, false), element), cache.memref, cache.at(batch, head, token, d));
    });
  b.lanes(depth, [&](Value d, Value mask) {
    b.store(convert(b, source(d, mask, true), element), cache.memref, cache.at(batch, head, token, d), mask);
  });
}

static void writeOthers(LaneBuilder &b, Cache cache, Cache past, Value batch, Value head, Value start, Value end,
                        Value depth) {
  using Predicate = arith::CmpIPredicate;
  Value held = past.tokens();
  b.loop(b.index(0), cache.tokens(), [&](Value token) {
    auto copy = [&] {
      writeToken(b, cache, batch, head, token, depth, [&](Value d, Value mask, bool vector) {
        SmallVector<Value> at = past.at(batch, head, token, d);
        if (!vector)
          return b.read(past.memref, at);
        if (!past.blocked())
          return b.load(past.memref, at, mask);
        Value gathered = arith::ConstantOp::create(b, b.getZeroAttr(b.vectorOf(elementOf(past.memref))));
        // Only a blocked past behind a plain cache comes here: lanes are one stride apart, so each is read alone.
        for (int64_t i = 0; i < kLanes; ++i) {
          Value last = b.sub(depth, b.index(1));
          Value one = b.read(past.memref, past.at(batch, head, token, b.min(b.add(d, i), last)));
          gathered = vector::InsertOp::create(b, one, gathered, i);
        }
        return gathered;
      });
    };
    auto clear = [&] {
      Type element = elementOf(cache.memref);
      writeToken(b, cache, batch, head, token, depth, [&](Value, Value, bool vector) -> Value {
        return arith::ConstantOp::create(b, b.getZeroAttr(vector ? Type(b.vectorOf(element)) : element));
      });
    };
    Value before = b.cmp(Predicate::slt, token, start);
    Value known = arith::AndIOp::create(b, before, b.cmp(Predicate::slt, token, held));
    Value outside = arith::OrIOp::create(b, before, b.cmp(Predicate::sge, token, end));
    b.ifThen(outside, [&] { b.ifThen(known, copy, clear); });
  });
}

/// Columns of a 16 x 16 matrix given by rows: four rounds that interleave lanes of rows n apart.
static void transpose(LaneBuilder &b, SmallVector<Value> &rows) {
  for (int64_t n = kLanes / 2; n >= 1; n /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < kLanes; ++i) {
      int64_t within = i % (2 * n), base = i - within;
      low.push_back(within < n ? base + within : kLanes + base + within - n);
      high.push_back(low.back() + n);
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      if (i & n)
        continue;
      Value a = rows[i], c = rows[i + n];
      rows[i] = vector::ShuffleOp::create(b, a, c, low);
      rows[i + n] = vector::ShuffleOp::create(b, a, c, high);
    }
  }
}

/// Writes the 16 tokens from row `s` on as one block of a blocked cache.
static void writeBlock(LaneBuilder &b, CacheAppendOp op, Value batch, Value head, Value s, Value token, int64_t depth) {
  Value block = b.div(token, kLanes);
  b.lanes(b.index(depth), [&](Value d, Value mask) {
    SmallVector<Value> rows;
    for (int64_t i = 0; i < kLanes; ++i)
      rows.push_back(b.load(op.getNewTokens(), {batch, b.add(s, i), head, d}, mask));
    transpose(b, rows);
    for (int64_t i = 0, count = mask ? depth % kLanes : kLanes; i < count; ++i)
      b.storeFloat(rows[i], op.getCache(), {batch, head, block, b.add(d, i), b.index(0)}, nullptr);
  });
}

static LogicalResult lower(LaneBuilder &b, CacheAppendOp op) {
  Cache cache{b, op.getCache()};
  Value fresh = op.getNewTokens(), count = b.dim(fresh, 1), depth = b.dim(fresh, 3);
  std::optional<int64_t> knownDepth = getConstantIntValue(depth);
  b.loops({b.dim(fresh, 0), b.dim(fresh, 2)}, [&](ValueRange at) {
    Value batch = at[0], head = at[1];
    Value start = b.toIndex(b.read(op.getStart(), batch));
    if (op.getPast())
      writeOthers(b, cache, {b, op.getPast()}, batch, head, start, b.add(start, count), depth);
    auto tokens = [&](Value first, Value last) {
      b.loop(first, last, [&](Value s) {
        writeToken(b, cache, batch, head, b.add(start, s), depth, [&](Value d, Value mask, bool vector) {
          SmallVector<Value> from{batch, s, head, d};
          return vector ? b.load(fresh, from, mask) : b.read(fresh, from);
        });
      });
    };
    Value first = b.max(b.index(0), b.sub(b.index(0), start));
    Value last = b.min(count, b.sub(cache.tokens(), start));
    if (!cache.blocked() || !knownDepth || getConstantIntValue(count) == 1)
      return tokens(first, last);
    // Whole blocks are transposed, what stands before and behind them is written token by token.
    auto down = [&](Value token) { return b.mul(b.div(token, kLanes), kLanes); };
    Value begin = b.add(start, first), end = b.max(begin, b.add(start, last));
    Value firstBlock = b.min(down(b.add(begin, kLanes - 1)), end), lastBlock = b.max(down(end), firstBlock);
    tokens(first, b.sub(firstBlock, start));
    b.loop(firstBlock, lastBlock, b.index(kLanes), {}, [&](Value token, ValueRange) -> SmallVector<Value> {
      writeBlock(b, op, batch, head, b.sub(token, start), token, *knownDepth);
      return {};
    });
    tokens(b.sub(lastBlock, start), last);
  });
  return success();
}

// ---------------------------------------------------------------------------------------------------- attention

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
        vectors(llvm::divideCeil(depth, kLanes)), blockedKeys(rankOf(op.getK()) == 5) {
    int64_t maxRows = b.facts.accumulators() >= 24 ? 6 : 3;
    int64_t chunks = llvm::divideCeil(shared, maxRows);
    heads = llvm::divideCeil(shared, chunks);
    positions = std::max<int64_t>(1, maxRows / shared);
  }

  /// The choices made, for remarks.
  std::string describe() const {
    return llvm::formatv("tiles of {0} positions x {1} heads, keys {2}", positions, heads,
                         blockedKeys ? "in blocks of 16 tokens" : "transposed block by block");
  }
  void emit();

private:
  using Accumulators = SmallVector<Value>;

  void emitHeads(Value batch, Value kvHead, Value row, int64_t positions);
  void emitTile(Tile tile);
  void loadQueries(const Tile &tile);
  void packKeys(const Tile &tile, Value from, Value blocks);
  void scores(const Tile &tile, Value from, Value blocks);
  void softmax(const Tile &tile, Value from);
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
  bool blockedKeys;
  int64_t heads, positions; ///< of a full tile
  Value tokens;             ///< T
  Value queries, weights, sums, maxima, factors, outputs, keys;
};
} // namespace

Value AttentionKernel::lowOf(Value position) {
  if (!op.getWindow())
    return b.index(0);
  return b.max(b.index(0), b.sub(position, b.index(op.getWindow() - 1)));
}

Value AttentionKernel::highOf(Value position) { return b.min(b.add(position, 1), tokens); }

void AttentionKernel::emit() {
  int64_t rows = maxTileRows(), padded = vectors * kLanes;
  Type f32 = b.getF32Type();
  auto buffer = [&](ArrayRef<int64_t> shape) { return MemRefType::get(shape, f32); };
  SmallVector<MemRefType> types{buffer({rows, padded}), buffer({rows, kKeys}), buffer({rows, kLanes}),
                                buffer({rows}),         buffer({rows}),        buffer({rows, padded})};
  if (!blockedKeys)
    types.push_back(buffer({kKeys / kLanes, padded, kLanes}));
  tokens = b.dim(op.getV(), 2);
  b.scratch(types, [&](ValueRange buffers) {
    queries = buffers[0], weights = buffers[1], sums = buffers[2];
    maxima = buffers[3], factors = buffers[4], outputs = buffers[5];
    if (!blockedKeys)
      keys = buffers[6];
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
    b.write(b.f32(-std::numeric_limits<float>::infinity()), maxima, row);
    b.store(b.splat(0.0f), sums, {row, b.index(0)}, nullptr);
  }
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
      transpose(b, rows);
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
    Accumulators sums = b.loop(
        zero, b.index(depth), b.index(1), Accumulators(rows * columns, b.splat(0.0f)),
        [&](Value d, ValueRange carried) {
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
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j)
        b.store(sums[r * columns + j], weights, {b.index(r), b.mul(b.add(block, j), kLanes)}, nullptr);
    return {};
  });
}

/// Scores of a block to weights, and the running maximum and sum of each row.
void AttentionKernel::softmax(const Tile &tile, Value from) {
  using Predicate = arith::CmpIPredicate;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  Value zero = b.index(0);
  b.loop(zero, b.index(tile.rows()), [&](Value row) {
    Value position = b.add(tile.position, tile.positions == 1 ? zero : b.div(row, tile.heads));
    Value low = lowOf(position), high = highOf(position);
    SmallVector<Value> values;
    Value largest;
    for (int64_t j = 0; j < kKeys / kLanes; ++j) {
      Value score =
          b.mulf(b.load(weights, {row, b.index(j * kLanes)}, nullptr), b.splat(op.getScale().convertToFloat()));
      if (float cap = op.getSoftcap().convertToFloat(); cap > 0)
        score = b.mulf(b.tanh(b.divf(score, b.splat(cap))), b.splat(cap));
      Value lanes = arith::AddIOp::create(b, b.splat(b.toI32(b.add(from, j * kLanes))), b.iota());
      Value seen = b.cmp(Predicate::slt, lanes, b.splat(b.toI32(high)));
      if (op.getWindow())
        seen = arith::AndIOp::create(b, seen, b.cmp(Predicate::sge, lanes, b.splat(b.toI32(low))));
      values.push_back(b.select(seen, score, b.splat(kNone)));
      largest = largest ? b.greater(largest, values.back()) : values.back();
    }
    Value before = b.read(maxima, row);
    Value now = b.greater(before, b.reduce(largest, [&](Value a, Value c) { return b.greater(a, c); }));
    b.write(now, maxima, row);
    // A row that has seen nothing yet subtracts 0, so that its weights are exp(-inf) = 0 and not NaN.
    Value base = b.select(b.cmp(arith::CmpFPredicate::OEQ, now, b.f32(kNone)), b.f32(0.0f), now);
    Value factor = b.exp(b.subf(before, base));
    b.write(factor, factors, row);
    Value sum = b.mulf(b.load(sums, {row, zero}, nullptr), b.splat(factor));
    for (auto [j, value] : llvm::enumerate(values)) {
      Value weight = b.exp(b.subf(value, b.splat(base)));
      b.store(weight, weights, {row, b.index(j * kLanes)}, nullptr);
      sum = b.addf(sum, weight);
    }
    b.store(sum, sums, {row, zero}, nullptr);
  });
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
      SmallVector<Value> values;
      for (int64_t j = 0; j < width; ++j)
        values.push_back(b.loadFloat(op.getV(), {tile.batch, tile.kvHead, t, b.add(chunk, j * kLanes)},
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
  if (tile.positions == 1) {
    accumulate(begin, end, false);
  } else {
    Value allFrom = begin;
    if (op.getWindow()) {
      allFrom = b.min(b.max(lowOf(lastPosition), begin), end);
      accumulate(begin, allFrom, true);
    }
    Value allTo = b.min(b.max(highOf(tile.position), allFrom), end);
    accumulate(allFrom, allTo, false);
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
    b.lanes(b.index(depth), [&](Value d, Value mask) {
      b.store(b.divf(b.load(outputs, {row, d}, nullptr), sum), op.getY(), rowAt(b, tile, r, d), mask);
    });
  }
}

static LogicalResult lower(LaneBuilder &b, AttentionOp op) {
  if (cast<MemRefType>(op.getQ().getType()).isDynamicDim(3))
    return op.emitOpError() << "q has a dynamic size in dimension 3; the size of a head must be static";
  AttentionKernel kernel(b, op);
  remark::passed(op.getLoc(), remark::RemarkOpts::name("tile").category("whit-lower-attention")) << kernel.describe();
  kernel.emit();
  return success();
}

// ---------------------------------------------------------------------------------------------------- the pass

namespace {
struct LowerAttentionPass : mlir::whit::impl::LowerAttentionPassBase<LowerAttentionPass> {
  template <typename Op> void lowerAll() {
    SmallVector<Op> ops;
    getOperation().walk([&](Op op) {
      if (op.hasPureBufferSemantics())
        ops.push_back(op);
    });
    for (Op op : ops) {
      LaneBuilder b(op);
      if (failed(lower(b, op)))
        return signalPassFailure();
      op.erase();
    }
  }

  void runOnOperation() override {
    lowerAll<CacheAppendOp>();
    lowerAll<AttentionOp>();
  }
};
} // namespace
