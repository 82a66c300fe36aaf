// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-views: expansions into several dynamic dimensions (upstream's expand-strided-metadata assumes one per group).

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERVIEWSPASS
#include "Lower/LowerViews.h.inc"
} // namespace mlir::whit

using namespace mlir;

namespace {

/// A group that was one dimension of stride s has, from the inside out, strides s, s * size, ...
void lowerExpansion(memref::ExpandShapeOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto source = memref::ExtractStridedMetadataOp::create(b, loc, op.getSrc());
  // One element has no groups; its dimensions are all of size 1.
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape(), strides(sizes.size(), b.getIndexAttr(1));
  auto [staticStrides, staticOffset] = op.getResultType().getStridesAndOffset();
  for (auto [group, stride] : llvm::zip_equal(op.getReassociationIndices(), source.getConstifiedMixedStrides())) {
    OpFoldResult next = stride;
    for (int64_t dim : llvm::reverse(group)) {
      strides[dim] =
          ShapedType::isDynamic(staticStrides[dim]) ? next : OpFoldResult(b.getIndexAttr(staticStrides[dim]));
      next = affine::makeComposedFoldedAffineApply(b, loc, b.getAffineSymbolExpr(0) * b.getAffineSymbolExpr(1),
                                                   {strides[dim], sizes[dim]});
    }
  }
  OpFoldResult offset = ShapedType::isDynamic(staticOffset) ? source.getConstifiedMixedOffset()
                                                            : OpFoldResult(b.getIndexAttr(staticOffset));
  Value view =
      memref::ReinterpretCastOp::create(b, loc, op.getResultType(), source.getBaseBuffer(), offset, sizes, strides);
  op.replaceAllUsesWith(view);
  op.erase();
}

struct LowerViewsPass : mlir::whit::impl::LowerViewsPassBase<LowerViewsPass> {
  void runOnOperation() override {
    SmallVector<memref::ExpandShapeOp> ops;
    getOperation().walk([&](memref::ExpandShapeOp op) { ops.push_back(op); });
    for (memref::ExpandShapeOp op : ops)
      lowerExpansion(op);
  }
};
} // namespace
