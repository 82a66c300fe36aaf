// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-tile-regions: schedules are applied, never chosen here.

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::whit {
#define GEN_PASS_DEF_TILEREGIONSPASS
#include "Tile/TileRegions.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// Whether a loop is known to be empty. Upstream's tiling divides by its size.
static bool hasNoIterations(Operation *root) {
  if (auto op = dyn_cast<linalg::LinalgOp>(root))
    return llvm::is_contained(op.getStaticLoopRanges(), 0);
  return llvm::any_of(root->getResultTypes(), [](Type type) {
    auto shaped = dyn_cast<ShapedType>(type);
    return shaped && shaped.hasRank() && llvm::is_contained(shaped.getShape(), 0);
  });
}

namespace {
struct TileRegionsPass : mlir::whit::impl::TileRegionsPassBase<TileRegionsPass> {
  void runOnOperation() override {
    SmallVector<RegionOp> regions;
    getOperation().walk([&](RegionOp region) { regions.push_back(region); });
    for (RegionOp region : regions)
      if (failed(tileRegion(region)))
        return signalPassFailure();
    // A slice of a destination whose content is never read is just a smaller destination.
    RewritePatternSet patterns(&getContext());
    tensor::populateFoldTensorEmptyPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

  LogicalResult tileRegion(RegionOp region) {
    std::optional<ScheduleAttr> schedule = region.getSchedule();
    if (!schedule || llvm::all_of(schedule->getTile(), [](int64_t size) { return size == 0; }))
      return success();
    Block &body = region.getBody().front();
    Operation *yield = body.getTerminator(), *root = region.getRoot();
    if (!root || hasNoIterations(root))
      return success();
    size_t loops = cast<TilingInterface>(root).getLoopIteratorTypes().size();
    if (schedule->getTile().size() != loops)
      return region.emitError() << "schedule of region '" << region.getName() << "' has " << schedule->getTile().size()
                                << " tile sizes; its root " << root->getName() << " has " << loops << " loops";
    IRRewriter rewriter(&getContext());
    rewriter.setInsertionPoint(root);
    SmallVector<OpFoldResult> sizes;
    for (int64_t size : schedule->getTile())
      sizes.push_back(rewriter.getIndexAttr(size));
    scf::SCFTileAndFuseOptions options;
    options.tilingOptions.setTileSizes(sizes).setLoopType(scf::SCFTilingOptions::LoopType::ForallOp);
    options.setFusionControlFn([&](tensor::ExtractSliceOp, OpResult producer,
                                   bool isDestination) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
      Operation *op = producer.getOwner();
      // A destination is only computed by what fills it: a constant, tile by tile.
      if (op->getBlock() != &body || (isDestination && !isa<linalg::LinalgOp>(op)))
        return std::nullopt;
      return scf::SCFTileAndFuseOptions::ControlFnResult{llvm::is_contained(yield->getOperands(), producer)};
    });
    FailureOr<scf::SCFTileAndFuseResult> tiled =
        scf::tileConsumerAndFuseProducersUsingSCF(rewriter, cast<TilingInterface>(root), options);
    if (failed(tiled))
      return region.emitError() << "region '" << region.getName() << "' cannot be tiled by its schedule " << *schedule;
    for (auto [from, to] : tiled->replacements)
      from.replaceUsesWithIf(to, [&](OpOperand &use) {
        return use.getOwner() == yield ||
               (use.getOwner()->getBlock() == &body && isa<tensor::InsertSliceOp>(use.getOwner()));
      });
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
      if (isOpTriviallyDead(&op))
        op.erase();
    return success();
  }
};
} // namespace
