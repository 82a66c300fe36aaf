// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-caches: present = concat(past, new tokens).

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
