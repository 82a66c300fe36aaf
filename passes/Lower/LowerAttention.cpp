// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-attention: the kernel of cache_append, and attention by AttentionKernel.h.

#include "Lower/AttentionBlock.h"
#include "Lower/AttentionKernel.h"
#include "Lower/CacheKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERATTENTIONPASS
#include "Lower/LowerAttention.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

static constexpr int64_t kLanes = LaneBuilder::kLanes;

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

/// Writes the 16 tokens from row `s` on as one block of a blocked cache.
static void writeBlock(LaneBuilder &b, CacheAppendOp op, Value batch, Value head, Value s, Value token, int64_t depth) {
  Value block = b.div(token, kLanes);
  b.lanes(b.index(depth), [&](Value d, Value mask) {
    SmallVector<Value> rows;
    for (int64_t i = 0; i < kLanes; ++i)
      rows.push_back(b.load(op.getNewTokens(), {batch, b.add(s, i), head, d}, mask));
    b.transpose(rows);
    for (int64_t i = 0, count = mask ? depth % kLanes : kLanes; i < count; ++i)
      b.storeFloat(rows[i], op.getCache(), {batch, head, block, b.add(d, i), b.index(0)}, nullptr);
  });
}

static LogicalResult lower(LaneBuilder &b, CacheAppendOp op) {
  if (op.getFormat()) {
    if (!elementOf(op.getCache()).isInteger(8))
      return op.emitOpError() << "has a format and a cache of " << elementOf(op.getCache())
                              << "; run whit-solve-places, which makes it bytes";
    emitPackedAppend(b, op);
    return success();
  }
  Cache cache{b, op.getCache()};
  Value fresh = op.getNewTokens(), count = b.dim(fresh, 1), depth = b.dim(fresh, 3);
  std::optional<int64_t> knownDepth = getConstantIntValue(depth);
  if (b.threads) {
    b.loops({b.dim(fresh, 0), b.dim(fresh, 1), b.dim(fresh, 2)}, [&](ValueRange at) {
      Value token = b.add(b.toIndex(b.read(op.getStart(), at[0])), at[1]);
      Value exists = b.cmp(arith::CmpIPredicate::ult, token, cache.tokens()); // also of one that is negative
      b.ifThen(exists, [&] {
        b.forLanes(depth, [&](Value d) {
          Value feature = convert(b, b.read(fresh, {at[0], at[1], at[2], d}), elementOf(cache.memref));
          b.write(feature, cache.memref, cache.at(at[0], at[2], token, d));
        });
      });
    });
    return success();
  }
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

static LogicalResult lower(LaneBuilder &b, AttentionOp op) {
  if (cast<MemRefType>(op.getQ().getType()).isDynamicDim(3))
    return op.emitOpError() << "q has a dynamic size in dimension 3; the size of a head must be static";
  for (auto [cache, format] : {std::pair(op.getK(), op.getKeyFormatAttr()), {op.getV(), op.getValueFormatAttr()}})
    if (format && !elementOf(cache).isInteger(8))
      return op.emitOpError() << "has a format and a cache of " << elementOf(cache)
                              << "; run whit-solve-places, which makes it bytes";
  if (b.threads) {
    emitAttentionBlock(b, op);
    return success();
  }
  std::string choices = emitAttention(b, op);
  remark::passed(op.getLoc(), remark::RemarkOpts::name("tile").category("whit-lower-attention")) << choices;
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
