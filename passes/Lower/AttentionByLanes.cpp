// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lanes read whole keys, one each, and features of values next to each other.

#include "Lower/AttentionByLanes.h"

#include "Lower/CacheKernel.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;
using namespace mlir::whit;

static constexpr float kNone = -std::numeric_limits<float>::infinity();

AttentionByLanes::AttentionByLanes(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial, Value counts)
    : AttentionBlock(b, op, /*queries=*/1, cast<MemRefType>(op.getQ().getType()).getDimSize(3), partial, counts),
      features(llvm::divideCeil(depth, b.facts.warpSize())) {}

void AttentionByLanes::prepare() { query = memref::AllocOp::create(b, MemRefType::get({1, 1, depth}, b.getF32Type())); }

void AttentionByLanes::addTokensOfWarp(const Pass &pass, Value from, Value round) {
  SmallVector<Value> state(2 + features, b.f32(0.0f));
  state.front() = b.f32(kNone);
  state = b.loop(from, pass.high, round, state,
                 [&](Value first, ValueRange carried) { return addTokens(pass, first, carried); });
  Value warp = b.warp(), lane = b.lane(), zero = b.index(0);
  b.ifThen(b.cmp(arith::CmpIPredicate::eq, lane, zero), [&] {
    b.write(state[0], maxima, {warp, zero});
    b.write(state[1], sums, {warp, zero});
  });
  int64_t warpSize = b.facts.warpSize();
  for (int64_t i = 0; i < features; ++i) {
    Value d = b.add(lane, i * warpSize);
    auto write = [&] { b.write(state[2 + i], parts, {warp, zero, d}); };
    if ((i + 1) * warpSize <= depth)
      write();
    else
      b.ifThen(b.cmp(arith::CmpIPredicate::slt, d, b.index(depth)), write);
  }
}

Value AttentionByLanes::plainDot(const Pass &pass, Value token) {
  return b.loop(b.index(0), b.index(depth), b.index(1), {b.f32(0.0f)}, [&](Value d, ValueRange sum) {
    SmallVector<Value> at{pass.batch, pass.kvHead, token, d};
    if (isBlocked)
      at = {pass.batch, pass.kvHead, b.div(token, LaneBuilder::kLanes), d, b.rem(token, LaneBuilder::kLanes)};
    Value x = b.read(query, {b.index(0), b.index(0), d});
    return SmallVector<Value>{b.fma(x, b.widen(b.read(op.getK(), at)), sum[0])};
  })[0];
}

/// The product of the query and a key in a format: numbers of units of features, scaled at the end.
Value AttentionByLanes::packedDot(const Pass &pass, Value token) {
  Value block = b.div(token, LaneBuilder::kLanes);
  PackedHead keys(b, op.getKeyFormatAttr(), ::whit::CacheOrder::Panel, depth, op.getK(), pass.batch, pass.kvHead,
                  b.rem(token, LaneBuilder::kLanes));
  int64_t unit = keys.unitFeatures();
  auto addUnit = [&](Value number, int64_t count, SmallVector<Value> sums) {
    PanelDecoder::Unit lines = keys.loadUnit(block, number);
    for (int64_t i = 0; i < count; ++i) {
      Value x = b.read(query, {b.index(0), b.index(0), b.add(b.mul(number, unit), i)});
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
Value AttentionByLanes::valueOf(const Pass &pass, Value token, Value d) {
  if (!op.getValueFormat())
    return b.widen(b.read(op.getV(), {pass.batch, pass.kvHead, token, d}));
  PackedHead values(b, op.getValueFormatAttr(), ::whit::CacheOrder::Rows, depth, op.getV(), pass.batch, pass.kvHead,
                    b.rem(token, LaneBuilder::kLanes));
  std::pair<Value, Value> row = values.rowOf(token);
  Value scales = values.scales(row.first), number = b.mulf(values.number(row, d), scales);
  if (values.hasOffsets())
    number = b.addf(number, values.offsets(row.first, scales));
  return vector::ExtractOp::create(b, number, 0);
}

/// Maximum, sum and features after the tokens from `first` on, one for each lane.
SmallVector<Value> AttentionByLanes::addTokens(const Pass &pass, Value first, ValueRange carried) {
  using Predicate = arith::CmpIPredicate;
  Value token = b.add(first, b.lane());
  Value isSeen =
      arith::AndIOp::create(b, b.cmp(Predicate::slt, token, pass.high), b.cmp(Predicate::sge, token, pass.low));
  Value clamped = b.min(token, b.sub(pass.high, b.index(1)));
  Value dot = op.getKeyFormat() ? packedDot(pass, clamped) : plainDot(pass, clamped);
  Value value = b.select(isSeen, score(dot, pass.batch, queryOf(pass, pass.first), clamped), b.f32(kNone));
  Value now = b.greater(carried[0], b.reduce(value, [&](Value x, Value y) { return b.greater(x, y); }));
  Value base = baseOf(now);
  Value factor = b.exp(b.subf(carried[0], base)), weight = b.exp(b.subf(value, base));
  SmallVector<Value> next{now, b.addf(b.mulf(carried[1], factor), b.sum(weight))};
  SmallVector<Value> totals;
  for (int64_t i = 0; i < features; ++i)
    totals.push_back(b.mulf(carried[2 + i], factor));
  int64_t warpSize = b.facts.warpSize();
  Value count = b.min(b.index(warpSize), b.sub(pass.high, first)), lane = b.lane(), width = b.i32(warpSize);
  totals = b.loop(b.index(0), count, b.index(1), totals, [&](Value i, ValueRange sum) {
    Value share = gpu::ShuffleOp::create(b, weight, b.toI32(i), width, gpu::ShuffleMode::IDX).getShuffleResult();
    SmallVector<Value> added;
    for (int64_t j = 0; j < features; ++j) {
      // Lanes without a feature read the last one, for nothing.
      Value d = b.add(lane, j * warpSize);
      if ((j + 1) * warpSize > depth)
        d = b.min(d, b.index(depth - 1));
      added.push_back(b.fma(share, valueOf(pass, b.add(first, i), d), sum[j]));
    }
    return added;
  });
  next.append(totals);
  return next;
}
