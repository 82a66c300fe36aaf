// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The warps of a block share the tokens that its queries see, a warp's worth at a time. Maximum and sum are kept online ("FlashAttention",
// 2022), and what the warps found is put together at the end, in the order of the warps. Tokens of a cache are dealt out to slices
// ("Flash-Decoding", 2023), which a block has one after another, or, where there are few rows, blocks of their own: the last one to come
// puts slices together, in ascending order (PartialSums.h).

#include "Lower/AttentionByLanes.h"
#include "Lower/AttentionByMatrix.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Remarks.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;

static constexpr float kNone = -std::numeric_limits<float>::infinity();

/// Slices of a cache, as far as it has a turn of tokens for each: rows of 2 key heads then are 32 blocks.
static constexpr int64_t kMostSlices = 16;

static ShapedType typeOf(Value value) { return cast<ShapedType>(value.getType()); }

std::string mlir::whit::whyNotInBlock(AttentionOp op) {
  int64_t depth = typeOf(op.getQ()).getDimSize(3);
  if (ShapedType::isDynamic(depth) || depth > AttentionByLanes::kMostFeatures)
    return "heads of more than 256 features, or of an unknown number";
  return "";
}

void mlir::whit::emitAttentionBlock(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial, Value counts) {
  std::string why;
  if (auto cut = AttentionByMatrix::cutFor(op, b.facts, why))
    return AttentionByMatrix(b, op, *cut, partial, counts).emit();
  remark::missed(op.getLoc(), remark::RemarkOpts::name("attention").category("whit-lower-attention"))
      << "without matrix instructions: " + why;
  AttentionByLanes(b, op, partial, counts).emit();
}

int64_t mlir::whit::attentionWords(AttentionOp op) { return typeOf(op.getQ()).getDimSize(3) + 2; }

int64_t mlir::whit::attentionSlices(AttentionOp op, const TargetFacts &facts) {
  if (op.getBidirectional())
    return 1; // as many rows as tokens
  ShapedType keys = typeOf(op.getK());
  bool inBlocks = keys.getRank() == 5 || op.getKeyFormat();
  if (keys.isDynamicDim(2))
    return kMostSlices;
  int64_t tokens = keys.getDimSize(2) * (inBlocks ? LaneBuilder::kLanes : 1);
  return std::clamp<int64_t>(tokens / (kAttentionWarps * facts.warpSize()), 1, kMostSlices);
}

AttentionBlock::AttentionBlock(LaneBuilder &b, AttentionOp op, int64_t queries, int64_t stride,
                               std::optional<PartialSums> partial, Value counts)
    : b(b), op(op), depth(typeOf(op.getQ()).getDimSize(3)), queries(queries), stride(stride),
      isBlocked(typeOf(op.getK()).getRank() == 5), partial(partial), counts(counts),
      slices(attentionSlices(op, b.facts)), threadsOfQuery(b.threads / queries),
      featuresOfThread(llvm::divideCeil(depth, threadsOfQuery)) {}

void AttentionBlock::emit() {
  Type f32 = b.getF32Type();
  parts = memref::AllocOp::create(b, MemRefType::get({b.warps(), queries, stride}, f32));
  maxima = memref::AllocOp::create(b, MemRefType::get({b.warps(), queries}, f32));
  sums = memref::AllocOp::create(b, MemRefType::get({b.warps(), queries}, f32));
  ownQuery = b.div(b.thread(), threadsOfQuery);
  prepare();
  forPasses([&](const Pass &pass) { emitPass(pass); });
  if (!partial)
    return;
  b.ifThen(countIn(b, counts, partial->tile, slices), [&] {
    forPasses([&](const Pass &pass) {
      auto left = [&](Value slice, Value word) -> Value {
        Value stored = b.read(partial->memory, {placeOf(pass, slice, word)});
        return arith::BitcastOp::create(b, b.getF32Type(), stored);
      };
      finish(pass, b.loop(b.index(0), usedSlices(pass.high), b.index(1), none(), [&](Value slice, ValueRange state) {
        SmallVector<Value> more{left(slice, b.index(0)), left(slice, b.index(1))};
        for (int64_t i = 0; i < featuresOfThread; ++i)
          more.push_back(left(slice, b.add(feature(i), 2)));
        return merge(state, more);
      }));
    });
  });
}

// ---------------------------------------------------------------------------------------------------- queries and tokens

void AttentionBlock::forPasses(function_ref<void(const Pass &)> body) {
  Value q = op.getQ(), zero = b.index(0);
  int64_t heads = typeOf(q).getDimSize(2), kvHeads = typeOf(op.getV()).getDimSize(1);
  if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(kvHeads))
    shared = arith::DivUIOp::create(b, b.dim(q, 2), b.dim(op.getV(), 1));
  else
    shared = b.index(heads / kvHeads);
  total = b.mul(b.dim(q, 1), shared);
  b.loop(zero, b.dim(q, 0), [&](Value batch) {
    b.loop(zero, b.dim(op.getV(), 1), [&](Value kvHead) {
      b.loop(zero, total, b.index(queries), {}, [&](Value first, ValueRange) -> SmallVector<Value> {
        Pass pass{batch, kvHead, first, Value(), Value()};
        pass.low = rangeOf(batch, queryOf(pass, first).row).first;
        pass.high = rangeOf(batch, queryOf(pass, b.add(first, queries - 1)).row).second;
        body(pass);
        return {};
      });
    });
  });
}

AttentionBlock::Query AttentionBlock::queryOf(const Pass &pass, Value number) {
  Value inside = b.min(number, b.sub(total, b.index(1)));
  if (std::optional<int64_t> heads = getConstantIntValue(shared))
    return {b.div(inside, *heads), b.add(b.mul(pass.kvHead, *heads), b.rem(inside, *heads))};
  Value row = arith::DivUIOp::create(b, inside, shared);
  return {row, b.add(b.mul(pass.kvHead, shared), b.sub(inside, b.mul(row, shared)))};
}

std::pair<Value, Value> AttentionBlock::rangeOf(Value batch, Value row) {
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

Value AttentionBlock::usedSlices(Value high) {
  Value turns = b.div(b.add(b.max(high, b.index(0)), turn() - 1), turn());
  return b.min(turns, b.index(slices));
}

void AttentionBlock::emitPass(const Pass &pass) {
  b.barrier(); // the pass before has been read
  b.forThreads(b.index(queries * depth), [&](Value i) {
    Value number = b.div(i, depth), d = b.rem(i, depth);
    Query from = queryOf(pass, b.add(pass.first, number));
    b.write(b.read(op.getQ(), {pass.batch, from.row, from.head, d}), query, {b.index(0), number, d});
  });
  b.barrier();
  if (op.getHadamard())
    rotateQueries();
  begin(pass);

  if (slices == 1) {
    addSlice(pass, b.index(0));
    return finish(pass, joinWarps());
  }
  Value used = usedSlices(pass.high);
  if (partial) {
    b.ifThen(b.cmp(arith::CmpIPredicate::slt, partial->slice, used), [&] {
      addSlice(pass, partial->slice);
      keep(pass, joinWarps());
    });
    return;
  }
  finish(pass, b.loop(b.index(0), used, b.index(1), none(), [&](Value slice, ValueRange state) {
    addSlice(pass, slice);
    SmallVector<Value> next = merge(state, joinWarps());
    b.barrier();
    return next;
  }));
}

/// The queries times the normalized Hadamard matrix: butterflies of all distances one after another.
void AttentionBlock::rotateQueries() {
  for (int64_t distance = 1; distance < depth; distance *= 2) {
    b.forThreads(b.index(queries * (depth / 2)), [&](Value i) {
      Value number = b.div(i, depth / 2), pair = b.rem(i, depth / 2);
      Value low = b.add(b.mul(b.div(pair, distance), 2 * distance), b.rem(pair, distance)), high = b.add(low, distance);
      SmallVector<Value> lower{b.index(0), number, low}, upper{b.index(0), number, high};
      Value x = b.read(query, lower), y = b.read(query, upper);
      b.write(b.addf(x, y), query, lower);
      b.write(b.subf(x, y), query, upper);
    });
    b.barrier();
  }
  Value norm = b.f32(1.0f / std::sqrt(float(depth)));
  b.forThreads(b.index(queries * depth), [&](Value i) {
    SmallVector<Value> at{b.index(0), b.div(i, depth), b.rem(i, depth)};
    b.write(b.mulf(b.read(query, at), norm), query, at);
  });
  b.barrier();
}

void AttentionBlock::addSlice(const Pass &pass, Value slice) {
  // Turn i of the warps belongs to slice i % slices; the first of them that is not in front of the turn of the first token is where to begin.
  Value first = b.div(pass.low, turn());
  Value behind = b.rem(b.sub(b.add(slice, slices), b.rem(first, slices)), slices);
  Value from = b.add(b.mul(b.add(first, behind), turn()), b.mul(b.warp(), b.facts.warpSize()));
  addTokensOfWarp(pass, from, b.index(slices * turn()));
  b.barrier();
}

Value AttentionBlock::score(Value dot, Value batch, const Query &query, Value token) {
  Value score = b.mulf(dot, b.f32(op.getScale().convertToFloat()));
  if (float cap = op.getSoftcap().convertToFloat(); cap > 0)
    score = b.mulf(b.tanh(b.divf(score, b.f32(cap))), b.f32(cap));
  if (op.getMask()) {
    Value at[] = {batch, query.head, query.row};
    SmallVector<Value> from;
    for (int64_t dim = 0; dim < 3; ++dim)
      from.push_back(op.maskIsShared(dim) ? b.index(0) : at[dim]);
    from.push_back(token);
    score = b.addf(score, b.read(op.getMask(), from));
  }
  return score;
}

Value AttentionBlock::baseOf(Value maximum) {
  return b.select(b.cmp(arith::CmpFPredicate::OEQ, maximum, b.f32(kNone)), b.f32(0.0f), maximum);
}

// ---------------------------------------------------------------------------------------------------- results

/// Maximum, sum, and the features of a thread, of no token.
SmallVector<Value> AttentionBlock::none() {
  SmallVector<Value> state(2 + featuresOfThread, b.f32(0.0f));
  state.front() = b.f32(kNone);
  return state;
}

/// A feature of this thread; the last one in place of those behind it.
Value AttentionBlock::feature(int64_t i) {
  Value d = b.add(b.rem(b.thread(), threadsOfQuery), i * threadsOfQuery);
  return (i + 1) * threadsOfQuery <= depth ? d : b.min(d, b.index(depth - 1));
}

SmallVector<Value> AttentionBlock::joinWarps() {
  SmallVector<Value> state = none();
  for (int64_t warp = 0; warp < b.warps(); ++warp)
    state.front() = b.greater(b.read(maxima, {b.index(warp), ownQuery}), state.front());
  Value base = baseOf(state.front());
  for (int64_t warp = 0; warp < b.warps(); ++warp) {
    Value at = b.index(warp), factor = b.exp(b.subf(b.read(maxima, {at, ownQuery}), base));
    state[1] = b.fma(b.read(sums, {at, ownQuery}), factor, state[1]);
    for (int64_t i = 0; i < featuresOfThread; ++i)
      state[2 + i] = b.fma(b.read(parts, {at, ownQuery, feature(i)}), factor, state[2 + i]);
  }
  return state;
}

/// Nothing changes by what has no tokens: its weight is 0, and the other's 1.
SmallVector<Value> AttentionBlock::merge(ValueRange before, ValueRange more) {
  SmallVector<Value> state{b.greater(more[0], before[0])};
  Value base = baseOf(state.front());
  Value kept = b.exp(b.subf(before[0], base)), added = b.exp(b.subf(more[0], base));
  for (auto [x, y] : llvm::zip(before.drop_front(), more.drop_front()))
    state.push_back(b.fma(y, added, b.mulf(x, kept)));
  return state;
}

void AttentionBlock::forOwnFeatures(const Pass &pass, function_ref<void(Value d, int64_t i)> body) {
  Value exists = b.cmp(arith::CmpIPredicate::slt, b.add(pass.first, ownQuery), total);
  b.ifThen(exists, [&] {
    Value d = b.rem(b.thread(), threadsOfQuery);
    for (int64_t i = 0; i < featuresOfThread; ++i, d = b.add(d, threadsOfQuery))
      if ((i + 1) * threadsOfQuery <= depth)
        body(d, i);
      else
        b.ifThen(b.cmp(arith::CmpIPredicate::slt, d, b.index(depth)), [&] { body(d, i); });
  });
}

/// Queries are the rows of what blocks share.
Value AttentionBlock::placeOf(const Pass &pass, Value slice, Value word) {
  Value number = b.min(b.add(pass.first, ownQuery), b.sub(total, b.index(1)));
  return partial->place(b, slices, 0, slice, number, word);
}

/// Leaves a slice for those who add up; the thread that has the first feature leaves maximum and sum.
void AttentionBlock::keep(const Pass &pass, ValueRange state) {
  auto leave = [&](Value value, Value word) {
    b.write(arith::BitcastOp::create(b, b.getI32Type(), value), partial->memory, {placeOf(pass, partial->slice, word)});
  };
  forOwnFeatures(pass, [&](Value d, int64_t i) {
    if (i == 0)
      b.ifThen(b.cmp(arith::CmpIPredicate::eq, d, b.index(0)), [&] {
        leave(state[0], b.index(0));
        leave(state[1], b.index(1));
      });
    leave(state[2 + i], b.add(d, 2));
  });
}

void AttentionBlock::finish(const Pass &pass, ValueRange state) {
  // A row that has seen nothing gives 0.
  Value nothing = b.cmp(arith::CmpFPredicate::OEQ, state[1], b.f32(0.0f));
  Query to = queryOf(pass, b.add(pass.first, ownQuery));
  forOwnFeatures(pass, [&](Value d, int64_t i) {
    Value mean = b.select(nothing, b.f32(0.0f), b.divf(state[2 + i], state[1]));
    b.write(mean, op.getY(), {pass.batch, to.row, to.head, d});
  });
}
