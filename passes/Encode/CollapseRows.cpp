// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-collapse-rows: [B, S, K] activations become [B * S, K]. Weights are then read once for a whole batch, and kernels have
// one row loop instead of several.

#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::whit {
#define GEN_PASS_DEF_COLLAPSEROWSPASS
#include "Encode/CollapseRows.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {

/// [[0, 1, ..., rows - 1], [rows], ...]
SmallVector<ReassociationIndices> leadingTogether(int64_t rank, int64_t rows) {
  SmallVector<ReassociationIndices> groups{llvm::to_vector<2>(llvm::seq<int64_t>(0, rows))};
  for (int64_t i = rows; i < rank; ++i)
    groups.push_back({i});
  return groups;
}

Value collapse(OpBuilder &b, Location loc, Value value, int64_t rows) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  return tensor::CollapseShapeOp::create(b, loc, value, leadingTogether(rank, rows));
}

/// A destination whose content is never read needs no view of the old one, only its size.
Value collapseDestination(OpBuilder &b, Location loc, Value value, int64_t rows) {
  auto empty = value.getDefiningOp<tensor::EmptyOp>();
  if (!empty)
    return collapse(b, loc, value, rows);
  auto type = empty.getType();
  SmallVector<OpFoldResult> sizes = empty.getMixedSizes(), merged;
  AffineExpr product = b.getAffineConstantExpr(1);
  SmallVector<OpFoldResult> factors(sizes.begin(), sizes.begin() + rows);
  for (int64_t i = 0; i < rows; ++i)
    product = product * b.getAffineSymbolExpr(i);
  merged.push_back(affine::makeComposedFoldedAffineApply(b, loc, product, factors));
  merged.append(sizes.begin() + rows, sizes.end());
  return tensor::EmptyOp::create(b, loc, merged, type.getElementType());
}

Value expand(OpBuilder &b, Location loc, Value value, RankedTensorType type, Value like, int64_t rows) {
  return tensor::ExpandShapeOp::create(b, loc, type, value, leadingTogether(type.getRank(), rows),
                                       tensor::getMixedSizes(b, loc, like));
}

/// Rewrites `op` on rank - rows + 1: operands whose leading dimensions move with the loops are collapsed.
struct CollapseRowwise : OpInterfaceRewritePattern<RowwiseOpInterface> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(RowwiseOpInterface op, PatternRewriter &rewriter) const override {
    if (isa<RotaryOp, AttentionOp, CacheAppendOp, DequantizeOp>(op.getOperation()))
      return rewriter.notifyMatchFailure(op, "batch and sequence are not alike here");
    auto dps = cast<DestinationStyleOpInterface>(op.getOperation());
    if (!dps.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "only tensors are collapsed");
    int64_t rows = op.getLoopCount() - isa<MatmulOp, QuantizedMatmulOp>(op.getOperation());
    if (rows < 2)
      return rewriter.notifyMatchFailure(op, "has at most one leading dimension");
    SmallVector<Value> operands;
    SmallVector<Type> types;
    for (auto [operand, uses] : llvm::zip_equal(op->getOpOperands(), op.getDimUses())) {
      Value value = operand.get();
      if (!uses.empty() && uses[0].loop == 0 && uses[0].divide == 1)
        value = dps.isDpsInit(&operand) ? collapseDestination(rewriter, op.getLoc(), value, rows)
                                        : collapse(rewriter, op.getLoc(), value, rows);
      operands.push_back(value);
      if (dps.isDpsInit(&operand))
        types.push_back(value.getType());
    }
    Operation *flat = clone(rewriter, op.getOperation(), types, operands);
    SmallVector<Value> results;
    for (auto [result, init, value] : llvm::zip_equal(op->getResults(), dps.getDpsInits(), flat->getResults()))
      results.push_back(expand(rewriter, op.getLoc(), value, cast<RankedTensorType>(result.getType()), init, rows));
    rewriter.replaceOp(op, results);
    return success();
  }
};

/// How an elementwise operation of `rank` loops reads an operand: all of its leading dimensions as they are, or none of them.
enum class Leading { All, None, Some };

Leading leadingOf(AffineMap map, int64_t rows) {
  int64_t together = 0;
  while (together < map.getNumResults() && together < rows &&
         map.getResult(together) == getAffineDimExpr(together, map.getContext()))
    ++together;
  bool others = llvm::any_of(map.getResults().drop_front(together), [&](AffineExpr e) {
    return llvm::any_of(llvm::seq<int64_t>(0, rows), [&](int64_t d) { return e.isFunctionOfDim(d); });
  });
  if (others)
    return Leading::Some;
  return together == rows ? Leading::All : together == 0 ? Leading::None : Leading::Some;
}

/// Elementwise operations whose operands have all leading dimensions or none, as a bias: leading dimensions together.
struct CollapseElementwise : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    int64_t rank = op.getNumLoops();
    if (rank < 3 || op.getNumParallelLoops() != rank || !op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "is not elementwise on rank 3 or more");
    int64_t rows = rank - 1;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      if (op.isDpsInit(&operand) && !map.isIdentity())
        return rewriter.notifyMatchFailure(op, "the result is permuted");
      if (leadingOf(map, rows) == Leading::Some)
        return rewriter.notifyMatchFailure(op, "an operand is broadcast along some of the leading dimensions");
    }
    if (op.hasIndexSemantics())
      return rewriter.notifyMatchFailure(op, "the body reads its indices");
    if (llvm::none_of(op.getInputs(), [](Value v) { return v.getDefiningOp<tensor::ExpandShapeOp>(); }))
      return rewriter.notifyMatchFailure(op, "no operand was collapsed before");
    SmallVector<Value> inputs, inits;
    SmallVector<Type> types;
    SmallVector<AffineMap> maps;
    // What is left of an index: one dimension for all rows, then the last one.
    SmallVector<AffineExpr> left(rows, rewriter.getAffineDimExpr(0));
    left.push_back(rewriter.getAffineDimExpr(1));
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      bool moves = leadingOf(map, rows) == Leading::All;
      inputs.push_back(moves ? collapse(rewriter, op.getLoc(), input->get(), rows) : input->get());
      SmallVector<AffineExpr> results;
      for (AffineExpr e : map.getResults().drop_front(moves ? rows - 1 : 0))
        results.push_back(e.replaceDims(left));
      maps.push_back(AffineMap::get(2, 0, results, rewriter.getContext()));
    }
    for (Value init : op.getOutputs()) {
      inits.push_back(collapseDestination(rewriter, op.getLoc(), init, rows));
      types.push_back(inits.back().getType());
      maps.push_back(rewriter.getMultiDimIdentityMap(2));
    }
    SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
    auto flat = linalg::GenericOp::create(rewriter, op.getLoc(), types, inputs, inits, maps, loops);
    rewriter.inlineRegionBefore(op.getRegion(), flat.getRegion(), flat.getRegion().begin());
    SmallVector<Value> results;
    for (auto [result, init, value] : llvm::zip_equal(op.getResults(), op.getOutputs(), flat.getResults()))
      results.push_back(expand(rewriter, op.getLoc(), value, cast<RankedTensorType>(result.getType()), init, rows));
    rewriter.replaceOp(op, results);
    return success();
  }
};

struct CollapseRowsPass : mlir::whit::impl::CollapseRowsPassBase<CollapseRowsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<CollapseRowwise, CollapseElementwise>(&getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::DimOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
