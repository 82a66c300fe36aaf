// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-insert-parts: upstream's decompositions of tensor.concat and tensor.pad.

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::whit {
#define GEN_PASS_DEF_INSERTPARTSPASS
#include "Encode/InsertParts.h.inc"
} // namespace mlir::whit

using namespace mlir;

namespace {
struct InsertPartsPass : mlir::whit::impl::InsertPartsPassBase<InsertPartsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    tensor::populateDecomposeTensorConcatPatterns(patterns);
    linalg::populateDecomposePadPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
