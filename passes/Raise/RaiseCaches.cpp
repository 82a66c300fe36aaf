// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-caches: present = concat(past, new tokens), and new tokens written over a part of a cache.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISECACHESPASS
#include "Raise/RaiseCaches.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

/// y[b, h, t, d] = 0 <= t - start < S ? new[b, h, t - start, d] : cache[b, h, t, d], as an update of a slice becomes
/// when it is imported: an elementwise operation that reads the new tokens where they are.
static Value raiseUpdate(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  if (type.getRank() != 4 || !type.getElementType().isF32() || op.getNumParallelLoops() != 4)
    return {};
  auto chosen = operands<arith::SelectOp>(elementOf(op.getResult(0)));
  auto fits = chosen ? operands<arith::CmpIOp>((*chosen)[0]) : std::nullopt;
  auto place = fits ? operands<arith::SubIOp>((*fits)[0]) : std::nullopt;
  auto read = chosen ? dyn_cast_or_null<tensor::ExtractOp>(makerOf((*chosen)[1])) : tensor::ExtractOp();
  if (!place || !read || cast<arith::CmpIOp>(makerOf((*chosen)[0])).getPredicate() != arith::CmpIPredicate::ult)
    return {};
  auto isIndex = [&](const Element &element, unsigned dim) {
    auto index = dyn_cast_or_null<linalg::IndexOp>(makerOf(element));
    AffineExpr wanted = type.getDimSize(dim) == 1 ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(dim);
    return index && resolve(element).at.getResult(index.getDim()) == wanted;
  };
  // The new tokens are read at the place, or at 0 where there are none, and at the same indices otherwise.
  auto fresh = cast<RankedTensorType>(read.getTensor().getType());
  Element start = (*place)[1], old = (*chosen)[2];
  if (fresh.getRank() != 4 || !fresh.hasStaticShape() || !isIndex((*place)[0], 2) ||
      constantOf((*fits)[1]) != double(fresh.getDimSize(2)))
    return {};
  SmallVector<Element> indices = operandsOf(read, resolve((*chosen)[1]).at);
  for (unsigned i = 0; i < 4; ++i) {
    Element index = indices[i + 1];
    if (auto guarded = operands<arith::SelectOp>(index); i == 2 && guarded && same((*guarded)[0], (*chosen)[0]))
      index = (*guarded)[1];
    bool matches =
        i == 2 ? same(index, (*fits)[0]) : isIndex(index, i) || (fresh.getDimSize(i) == 1 && constantOf(index) == 0.0);
    if (!matches || (i != 2 && fresh.getDimSize(i) != type.getDimSize(i)))
      return {};
  }
  AffineMap identity = b.getMultiDimIdentityMap(4);
  Value cache = arrange(b, old, identity.getResults(), sizesOf(b, op.getResult(0)));
  SmallVector<OpFoldResult> sizes = sizesOf(b, read.getTensor());
  std::swap(sizes[1], sizes[2]);
  Value rows =
      arrange(b, elementOf(read.getTensor()),
              {identity.getResult(0), identity.getResult(2), identity.getResult(1), identity.getResult(3)}, sizes);
  if (!cache || !rows)
    return {};
  Value starts =
      compute(b, start, {0}, {sizes[0]}, b.getI32Type(), [](ImplicitLocOpBuilder &at, ValueRange values) -> Value {
        return arith::IndexCastOp::create(at, at.getI32Type(), values[0]);
      });
  return starts ? CacheAppendOp::create(b, type, Value(), rows, starts, cache).getResult(0) : Value();
}

namespace {
struct RaiseCachesPass : mlir::whit::impl::RaiseCachesPassBase<RaiseCachesPass> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isExternal())
      return;
    SmallVector<tensor::ConcatOp> concats;
    func.walk([&](tensor::ConcatOp op) { concats.push_back(op); });
    for (tensor::ConcatOp op : concats)
      raise(func, op);
    raiseEach(func, getArgument(), "update of a cache", raiseUpdate);
  }

  void raise(func::FuncOp func, tensor::ConcatOp op) {
    auto type = op.getResultType();
    if (op.getDim() != 2 || type.getRank() != 4 || op.getInputs().size() != 2 || !type.getElementType().isF32())
      return;
    auto past = dyn_cast<BlockArgument>(op.getInputs()[0]);
    std::optional<unsigned> output = outputOf(func, op.getResult());
    if (!past || past.getOwner() != &func.getBody().front() || !output)
      return;
    ImplicitLocOpBuilder b(op.getLoc(), op);
    Value fresh = op.getInputs()[1];
    AffineMap identity = b.getMultiDimIdentityMap(4);
    SmallVector<OpFoldResult> sizes = sizesOf(b, fresh);
    std::swap(sizes[1], sizes[2]); // [B, S, H, D]
    Value rows =
        arrange(b, elementOf(fresh),
                {identity.getResult(0), identity.getResult(2), identity.getResult(1), identity.getResult(3)}, sizes);
    if (!rows || !isa<IntegerAttr>(dyn_cast<Attribute>(sizes[2])) || !isa<IntegerAttr>(dyn_cast<Attribute>(sizes[3]))) {
      remark::missed(op.getLoc(), remark::RemarkOpts::name("raised").category(getArgument()))
          << "cache is not raised: its heads and their size must be known";
      return;
    }
    AffineExpr x = b.getAffineSymbolExpr(0), y = b.getAffineSymbolExpr(1);
    auto apply = [&](AffineExpr expr, OpFoldResult first, OpFoldResult second) {
      return affine::makeComposedFoldedAffineApply(b, b.getLoc(), expr, {first, second});
    };
    OpFoldResult total = type.isDynamicDim(2) ? lengthOf(b, func, past, *output) : b.getIndexAttr(type.getDimSize(2)),
                 length;
    if (total) {
      length = apply(x - y, total, sizes[1]);
    } else {
      length = tensor::getMixedSize(b, b.getLoc(), past, 2);
      total = apply(x + y, length, sizes[1]);
    }
    Value start = getValueOrCreateConstantIndexOp(b, b.getLoc(), length);
    start = arith::IndexCastOp::create(b, b.getI32Type(), start);
    Value starts = tensor::EmptyOp::create(b, ArrayRef(sizes[0]), b.getI32Type());
    starts = linalg::FillOp::create(b, start, starts).getResult(0);
    Value empty =
        tensor::EmptyOp::create(b, ArrayRef<OpFoldResult>{sizes[0], sizes[2], total, sizes[3]}, b.getF32Type());
    Value cache = CacheAppendOp::create(b, empty.getType(), past, rows, starts, empty).getResult(0);
    if (cache.getType() != type)
      cache = tensor::CastOp::create(b, type, cache);
    op.getResult().replaceAllUsesWith(cache);
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(getArgument()))
        << "cache raised from a concatenation of past and new tokens";
    op.erase();
  }

  static std::optional<unsigned> outputOf(func::FuncOp func, Value value) {
    for (OpOperand &use : value.getUses())
      if (isa<func::ReturnOp>(use.getOwner()))
        return use.getOperandNumber();
    return std::nullopt;
  }

  /// The length of the output, from an argument other than the past that has a dimension of the same name.
  static OpFoldResult lengthOf(ImplicitLocOpBuilder &b, func::FuncOp func, BlockArgument past, unsigned output) {
    auto dims = func.getResultAttrOfType<ArrayAttr>(output, "whit.dims");
    auto name = dims && dims.size() == 4 ? dyn_cast<StringAttr>(dims[2]) : StringAttr();
    for (BlockArgument argument : func.getArguments()) {
      auto named = func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "whit.dims");
      if (!name || !named || argument == past)
        continue;
      for (auto [i, dim] : llvm::enumerate(named))
        if (dim == name)
          return tensor::getMixedSize(b, b.getLoc(), argument, i);
    }
    return {};
  }
};
} // namespace
