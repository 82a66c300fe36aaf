// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-fuse-elementwise: upstream's patterns, with a choice of which reshapes may move.

#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::whit {
#define GEN_PASS_DEF_FUSEELEMENTWISEPASS
#include "Fuse/FuseElementwise.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

static bool readsRows(Operation *op) {
  return isa<linalg::LinalgOp>(op) && llvm::any_of(op->getOperands(), [](Value operand) {
           return operand.getDefiningOp<RowwiseOpInterface>() != nullptr;
         });
}

namespace {
struct FuseElementwisePass : mlir::whit::impl::FuseElementwisePassBase<FuseElementwisePass> {
  void runOnOperation() override {
    // A chain is whole before reshapes move: from its middle, the matmul behind it cannot be seen.
    if (failed(run(/*reshapes=*/false)) || failed(run(/*reshapes=*/true)))
      signalPassFailure();
  }

  LogicalResult run(bool reshapes) {
    RewritePatternSet patterns(&getContext());
    auto alone = [](OpOperand *fused) {
      Operation *producer = fused->get().getDefiningOp();
      return producer && producer->hasOneUse();
    };
    linalg::populateElementwiseOpsFusionPatterns(patterns, alone);
    // Either end of a reshape that moves gets its other operands reshaped.
    if (reshapes)
      linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, [=](OpOperand *fused) {
        return alone(fused) && !readsRows(fused->getOwner()) && !readsRows(fused->get().getDefiningOp());
      });
    affine::AffineApplyOp::getCanonicalizationPatterns(patterns, &getContext());
    linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    getContext().getLoadedDialect<linalg::LinalgDialect>()->getCanonicalizationPatterns(patterns);
    linalg::populateConstantFoldLinalgOperations(patterns, alone);
    // Long chains, like the rounds of a random generator, take more than the ten walks that are usual.
    return applyPatternsGreedily(getOperation(), std::move(patterns), GreedyRewriteConfig().setMaxIterations(64));
  }
};
} // namespace
