// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The warps of a block share the tokens that a row sees, a warp's worth at a time: each lane scores a token, then each lane adds up features of
// all of them. Maximum and sum are kept online ("FlashAttention", 2022), and what the warps found is put together at the end, in the order
// of the warps. Tokens of a cache are dealt out to slices ("Flash-Decoding", 2023), which a block has one after another, or, where there are
// few rows, blocks of their own: the last one to come puts slices together, in ascending order (PartialSums.h).

#include "Lower/AttentionBlock.h"

#include "Lower/CacheKernel.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;

static constexpr float kNone = -std::numeric_limits<float>::infinity();
/// Features of a head that lanes hold in registers.
static constexpr int64_t kMostFeatures = 8;

/// Slices of a cache, as far as it has a turn of tokens for each: rows of 2 key heads then are 32 blocks.
static constexpr int64_t kMostSlices = 16;

static MemRefType typeOf(Value memref) { return cast<MemRefType>(memref.getType()); }

std::string mlir::whit::whyNotInBlock(AttentionOp op) {
  int64_t depth = typeOf(op.getQ()).getDimSize(3);
  if (ShapedType::isDynamic(depth) || depth > 32 * kMostFeatures)
    return "heads of more than 256 features, or of an unknown number";
  return "";
}

int64_t mlir::whit::attentionWords(AttentionOp op) { return typeOf(op.getQ()).getDimSize(3) + 2; }

int64_t mlir::whit::attentionSlices(AttentionOp op, const TargetFacts &facts) {
  if (op.getBidirectional())
    return 1; // as many rows as tokens
  MemRefType keys = typeOf(op.getK());
  bool inBlocks = keys.getRank() == 5 || op.getKeyFormat();
  if (keys.isDynamicDim(2))
    return kMostSlices;
  int64_t tokens = keys.getDimSize(2) * (inBlocks ? LaneBuilder::kLanes : 1);
  return std::clamp<int64_t>(tokens / (kAttentionWarps * facts.warpSize()), 1, kMostSlices);
}

namespace {
class AttentionBlock {
public:
  AttentionBlock(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial, Value counts)
      : b(b), op(op), partial(partial), counts(counts), depth(typeOf(op.getQ()).getDimSize(3)),
        slices(attentionSlices(op, b.facts)) {
    features = llvm::divideCeil(depth, b.facts.warpSize());
    isBlocked = typeOf(op.getK()).getRank() == 5;
  }

  void emit() {
    Type f32 = b.getF32Type();
    query = memref::AllocOp::create(b, MemRefType::get({depth}, f32));
    parts = memref::AllocOp::create(b, MemRefType::get({b.warps(), depth}, f32));
    maxima = memref::AllocOp::create(b, MemRefType::get({b.warps()}, f32));
    sums = memref::AllocOp::create(b, MemRefType::get({b.warps()}, f32));
    if (!partial && slices > 1)
      found = memref::AllocOp::create(b, MemRefType::get({slices, attentionWords(op)}, f32));
    forRows([&](Value batch, Value row, Value head) { emitRow(batch, row, head); });
    if (!partial)
      return;
    b.ifThen(countIn(b, counts, partial->tile, slices), [&] {
      forRows([&](Value batch, Value row, Value head) {
        Value used = usedSlices(rangeOf(batch, row).second);
        b.forThreads(b.index(depth), [&](Value d) { joinSlices(batch, row, head, used, d); });
      });
    });
  }

private:
  /// All threads work on every row.
  void forRows(function_ref<void(Value batch, Value row, Value head)> body) {
    Value q = op.getQ(), zero = b.index(0);
    b.loop(zero, b.dim(q, 0), [&](Value batch) {
      b.loop(zero, b.dim(q, 1),
             [&](Value row) { b.loop(zero, b.dim(q, 2), [&](Value head) { body(batch, row, head); }); });
    });
  }

  int64_t turn() const { return b.warps() * b.facts.warpSize(); }

  /// The first slices, behind which no slice has a token before `high`.
  Value usedSlices(Value high) {
    Value turns = b.div(b.add(b.max(high, b.index(0)), turn() - 1), turn());
    return b.min(turns, b.index(slices));
  }

  /// The tokens that a row sees.
  std::pair<Value, Value> rangeOf(Value batch, Value row) {
    Value start = b.toIndex(b.read(op.getStart(), {batch}));
    Value position = b.add(b.add(start, op.getFirst()), row);
    auto tokensOf = [&](Value cache, bool inBlocks) {
      return inBlocks ? b.mul(b.dim(cache, 2), LaneBuilder::kLanes) : b.dim(cache, 2);
    };
    Value high =
        b.min(tokensOf(op.getK(), isBlocked || op.getKeyFormat()), tokensOf(op.getV(), bool(op.getValueFormat())));
    if (op.getMask())
      high = b.min(high, b.dim(op.getMask(), 3));
    if (!op.getBidirectional())
      high = b.min(high, b.add(position, 1));
    Value low = b.index(0);
    if (op.getWindow())
      low = b.max(low, b.sub(b.add(position, 1), b.index(op.getWindow())));
    return {low, high};
  }

  void emitRow(Value batch, Value row, Value head) {
    int64_t shared = typeOf(op.getQ()).getDimSize(2), kvHeads = typeOf(op.getV()).getDimSize(1);
    // A tile of one head has the keys that belong to it.
    Value kvHead = ShapedType::isDynamic(shared) || ShapedType::isDynamic(kvHeads)
                       ? Value(arith::DivUIOp::create(b, b.mul(head, b.dim(op.getV(), 1)), b.dim(op.getQ(), 2)))
                       : b.div(b.mul(head, kvHeads), shared);
    b.barrier(); // the row before has been read
    b.forThreads(b.index(depth), [&](Value d) { b.write(b.read(op.getQ(), {batch, row, head, d}), query, {d}); });
    b.barrier();
    if (op.getHadamard())
      rotateQuery();

    auto [low, high] = rangeOf(batch, row);
    if (slices == 1) {
      addSlice(batch, row, head, kvHead, b.index(0), low, high);
      b.forThreads(b.index(depth), [&](Value d) { join(batch, row, head, d); });
      return;
    }
    Value used = usedSlices(high);
    auto addAndKeep = [&, low = low, high = high](Value slice) {
      addSlice(batch, row, head, kvHead, slice, low, high);
      b.forThreads(b.index(depth), [&](Value d) { keep(head, slice, d); });
    };
    if (partial) {
      b.ifThen(b.cmp(arith::CmpIPredicate::slt, partial->slice, used), [&] { addAndKeep(partial->slice); });
      return;
    }
    b.loop(b.index(0), used, b.index(1), {}, [&](Value slice, ValueRange) -> SmallVector<Value> {
      addAndKeep(slice);
      b.barrier();
      return {};
    });
    b.forThreads(b.index(depth), [&](Value d) { joinSlices(batch, row, head, used, d); });
  }

  /// What the warps find in the tokens of a slice, in shared memory, behind a barrier.
  void addSlice(Value batch, Value row, Value head, Value kvHead, Value slice, Value low, Value high) {
    // Turn i of the warps belongs to slice i % slices; the first of them that is not in front of the turn of the first token is where to begin.
    int64_t warpSize = b.facts.warpSize(), round = slices * turn();
    Value first = b.div(low, turn());
    Value behind = b.rem(b.sub(b.add(slice, slices), b.rem(first, slices)), slices);
    Value from = b.add(b.mul(b.add(first, behind), turn()), b.mul(b.warp(), warpSize));
    SmallVector<Value> state{b.f32(kNone), b.f32(0.0f)};
    state.append(features, b.f32(0.0f));
    state = b.loop(from, high, b.index(round), state, [&](Value first, ValueRange carried) {
      return addTokens(batch, row, head, kvHead, first, low, high, carried);
    });
    Value warp = b.warp();
    b.ifThen(b.cmp(arith::CmpIPredicate::eq, b.lane(), b.index(0)), [&] {
      b.write(state[0], maxima, {warp});
      b.write(state[1], sums, {warp});
    });
    forFeatures([&](Value d, int64_t i) { b.write(state[2 + i], parts, {warp, d}); });
    b.barrier();
  }

  /// The query times the normalized Hadamard matrix, in the shared buffer: butterflies of all distances one after another.
  void rotateQuery() {
    for (int64_t distance = 1; distance < depth; distance *= 2) {
      b.forThreads(b.index(depth / 2), [&](Value i) {
        Value low = b.add(b.mul(b.div(i, distance), 2 * distance), b.rem(i, distance)), high = b.add(low, distance);
        Value x = b.read(query, {low}), y = b.read(query, {high});
        b.write(b.addf(x, y), query, {low});
        b.write(b.subf(x, y), query, {high});
      });
      b.barrier();
    }
    Value norm = b.f32(1.0f / std::sqrt(float(depth)));
    b.forThreads(b.index(depth), [&](Value d) { b.write(b.mulf(b.read(query, {d}), norm), query, {d}); });
    b.barrier();
  }

  /// The product of the query and a key in a format: numbers of units of features, scaled at the end.
  Value packedDot(Value batch, Value kvHead, Value token) {
    Value block = b.div(token, LaneBuilder::kLanes);
    PackedHead keys(b, op.getKeyFormatAttr(), ::whit::CacheOrder::Panel, depth, op.getK(), batch, kvHead,
                    b.rem(token, LaneBuilder::kLanes));
    int64_t unit = keys.unitFeatures();
    auto addUnit = [&](Value number, int64_t count, SmallVector<Value> sums) {
      PanelDecoder::Unit lines = keys.loadUnit(block, number);
      for (int64_t i = 0; i < count; ++i) {
        Value x = b.read(query, {b.add(b.mul(number, unit), i)});
        sums[0] = b.fma(x, vector::ExtractOp::create(b, keys.feature(lines, i), 0), sums[0]);
        sums[1] = b.addf(sums[1], x);
      }
      return sums;
    };
    SmallVector<Value> sums{b.f32(0.0f), b.f32(0.0f)};
    if (int64_t whole = depth / unit)
      sums = b.loop(b.index(0), b.index(whole), b.index(1), sums,
                    [&](Value i, ValueRange carried) { return addUnit(i, unit, SmallVector<Value>(carried)); });
    if (depth % unit)
      sums = addUnit(b.index(depth / unit), depth % unit, sums);
    Value scales = keys.scales(block), scale = vector::ExtractOp::create(b, scales, 0);
    Value dot = b.mulf(sums[0], scale);
    return keys.hasOffsets() ? b.fma(sums[1], vector::ExtractOp::create(b, keys.offsets(block, scales), 0), dot) : dot;
  }

  /// Feature d of the value of a token.
  Value valueOf(Value batch, Value kvHead, Value token, Value d) {
    if (!op.getValueFormat())
      return b.widen(b.read(op.getV(), {batch, kvHead, token, d}));
    PackedHead values(b, op.getValueFormatAttr(), ::whit::CacheOrder::Rows, depth, op.getV(), batch, kvHead,
                      b.rem(token, LaneBuilder::kLanes));
    std::pair<Value, Value> row = values.rowOf(token);
    Value scales = values.scales(row.first), number = b.mulf(values.number(row, d), scales);
    if (values.hasOffsets())
      number = b.addf(number, values.offsets(row.first, scales));
    return vector::ExtractOp::create(b, number, 0);
  }

  /// A lane's features, as far as there are so many.
  void forFeatures(function_ref<void(Value d, int64_t i)> body) {
    int64_t warpSize = b.facts.warpSize();
    Value lane = b.lane();
    for (int64_t i = 0; i < features; ++i) {
      Value d = b.add(lane, i * warpSize);
      if ((i + 1) * warpSize <= depth)
        body(d, i);
      else
        b.ifThen(b.cmp(arith::CmpIPredicate::slt, d, b.index(depth)), [&] { body(d, i); });
    }
  }

  Value plainDot(Value batch, Value kvHead, Value token) {
    return b.loop(b.index(0), b.index(depth), b.index(1), {b.f32(0.0f)}, [&](Value d, ValueRange sum) {
      SmallVector<Value> at{batch, kvHead, token, d};
      if (isBlocked)
        at = {batch, kvHead, b.div(token, LaneBuilder::kLanes), d, b.rem(token, LaneBuilder::kLanes)};
      return SmallVector<Value>{b.fma(b.read(query, {d}), b.widen(b.read(op.getK(), at)), sum[0])};
    })[0];
  }

  Value score(Value batch, Value row, Value head, Value kvHead, Value token) {
    Value dot = op.getKeyFormat() ? packedDot(batch, kvHead, token) : plainDot(batch, kvHead, token);
    Value score = b.mulf(dot, b.f32(op.getScale().convertToFloat()));
    if (float cap = op.getSoftcap().convertToFloat(); cap > 0)
      score = b.mulf(b.tanh(b.divf(score, b.f32(cap))), b.f32(cap));
    if (op.getMask()) {
      Value at[] = {batch, head, row};
      SmallVector<Value> from;
      for (int64_t dim = 0; dim < 3; ++dim)
        from.push_back(op.maskIsShared(dim) ? b.index(0) : at[dim]);
      from.push_back(token);
      score = b.addf(score, b.read(op.getMask(), from));
    }
    return score;
  }

  /// Maximum, sum and features after the tokens from `first` on, one for each lane.
  SmallVector<Value> addTokens(Value batch, Value row, Value head, Value kvHead, Value first, Value low, Value high,
                               ValueRange carried) {
    using Predicate = arith::CmpIPredicate;
    Value token = b.add(first, b.lane());
    Value isSeen = arith::AndIOp::create(b, b.cmp(Predicate::slt, token, high), b.cmp(Predicate::sge, token, low));
    Value clamped = b.min(token, b.sub(high, b.index(1)));
    Value value = b.select(isSeen, score(batch, row, head, kvHead, clamped), b.f32(kNone));
    Value now = b.greater(carried[0], b.reduce(value, [&](Value x, Value y) { return b.greater(x, y); }));
    // What has seen nothing yet subtracts 0, so that its weights are exp(-inf) = 0 and not NaN.
    Value base = b.select(b.cmp(arith::CmpFPredicate::OEQ, now, b.f32(kNone)), b.f32(0.0f), now);
    Value factor = b.exp(b.subf(carried[0], base)), weight = b.exp(b.subf(value, base));
    SmallVector<Value> next{now, b.addf(b.mulf(carried[1], factor), b.sum(weight))};
    SmallVector<Value> totals;
    for (int64_t i = 0; i < features; ++i)
      totals.push_back(b.mulf(carried[2 + i], factor));
    int64_t warpSize = b.facts.warpSize();
    Value count = b.min(b.index(warpSize), b.sub(high, first)), lane = b.lane(), width = b.i32(warpSize);
    totals = b.loop(b.index(0), count, b.index(1), totals, [&](Value i, ValueRange sum) {
      Value share = gpu::ShuffleOp::create(b, weight, b.toI32(i), width, gpu::ShuffleMode::IDX).getShuffleResult();
      SmallVector<Value> added;
      for (int64_t j = 0; j < features; ++j) {
        // Lanes without a feature read the last one, for nothing.
        Value d = b.add(lane, j * warpSize);
        if ((j + 1) * warpSize > depth)
          d = b.min(d, b.index(depth - 1));
        added.push_back(b.fma(share, valueOf(batch, kvHead, b.add(first, i), d), sum[j]));
      }
      return added;
    });
    next.append(totals);
    return next;
  }

  /// Maximum, sum and a feature, of what all warps found.
  std::array<Value, 3> joinWarps(Value d) {
    Value largest = b.f32(kNone), sum = b.f32(0.0f), total = b.f32(0.0f);
    for (int64_t warp = 0; warp < b.warps(); ++warp)
      largest = b.greater(b.read(maxima, {b.index(warp)}), largest);
    Value base = b.select(b.cmp(arith::CmpFPredicate::OEQ, largest, b.f32(kNone)), b.f32(0.0f), largest);
    for (int64_t warp = 0; warp < b.warps(); ++warp) {
      Value at = b.index(warp), factor = b.exp(b.subf(b.read(maxima, {at}), base));
      sum = b.fma(b.read(sums, {at}), factor, sum);
      total = b.fma(b.read(parts, {at, d}), factor, total);
    }
    return {largest, sum, total};
  }

  void join(Value batch, Value row, Value head, Value d) {
    auto [largest, sum, total] = joinWarps(d);
    finish(batch, row, head, d, sum, total);
  }

  /// Leaves a feature of a slice for those who add up; the first thread leaves maximum and sum.
  void keep(Value head, Value slice, Value d) {
    auto [largest, sum, total] = joinWarps(d);
    b.ifThen(b.cmp(arith::CmpIPredicate::eq, d, b.index(0)), [&, largest = largest, sum = sum] {
      leave(largest, head, slice, b.index(0));
      leave(sum, head, slice, b.index(1));
    });
    leave(total, head, slice, b.add(d, 2));
  }
  void leave(Value value, Value head, Value slice, Value word) {
    if (!partial)
      return b.write(value, found, {slice, word});
    b.write(arith::BitcastOp::create(b, b.getI32Type(), value), partial->memory, {placeOf(head, slice, word)});
  }
  Value left(Value head, Value slice, Value word) {
    if (!partial)
      return b.read(found, {slice, word});
    return arith::BitcastOp::create(b, b.getF32Type(), b.read(partial->memory, {placeOf(head, slice, word)}));
  }
  /// Heads are the rows of what is shared.
  Value placeOf(Value head, Value slice, Value word) { return partial->place(b, slices, 0, slice, head, word); }

  /// A feature of the row, of what was left of slices [0, used).
  void joinSlices(Value batch, Value row, Value head, Value used, Value d) {
    Value zero = b.index(0), one = b.index(1);
    Value largest = b.loop(zero, used, one, {b.f32(kNone)}, [&](Value slice, ValueRange carried) -> SmallVector<Value> {
      return {b.greater(left(head, slice, zero), carried[0])};
    })[0];
    Value base = b.select(b.cmp(arith::CmpFPredicate::OEQ, largest, b.f32(kNone)), b.f32(0.0f), largest);
    SmallVector<Value> none{b.f32(0.0f), b.f32(0.0f)};
    SmallVector<Value> sums = b.loop(zero, used, one, none, [&](Value slice, ValueRange carried) -> SmallVector<Value> {
      Value factor = b.exp(b.subf(left(head, slice, zero), base));
      return {b.fma(left(head, slice, one), factor, carried[0]),
              b.fma(left(head, slice, b.add(d, 2)), factor, carried[1])};
    });
    finish(batch, row, head, d, sums[0], sums[1]);
  }

  void finish(Value batch, Value row, Value head, Value d, Value sum, Value total) {
    // A row that has seen nothing gives 0.
    Value nothing = b.cmp(arith::CmpFPredicate::OEQ, sum, b.f32(0.0f));
    b.write(b.select(nothing, b.f32(0.0f), b.divf(total, sum)), op.getY(), {batch, row, head, d});
  }

  LaneBuilder &b;
  AttentionOp op;
  std::optional<PartialSums> partial; ///< where blocks share tokens
  Value counts;
  int64_t depth, features, slices;
  bool isBlocked;
  Value query, parts, maxima, sums;
  Value found; ///< of slices, where a block has all of them
};
} // namespace

void mlir::whit::emitAttentionBlock(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial, Value counts) {
  AttentionBlock(b, op, partial, counts).emit();
}
