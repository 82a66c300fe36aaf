// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-tile-regions: schedules are applied, never chosen here.

#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
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
    if (schedule->getFew().empty())
      return tile(region, root, yield, schedule->getTile());
    if (schedule->getFew().size() != loops || loops < 2)
      return region.emitError() << "schedule of region '" << region.getName() << "' has " << schedule->getFew().size()
                                << " tile sizes for few rows; its root " << root->getName() << " has " << loops
                                << " loops, of which the second last are rows";
    scf::IfOp branches = makeBranches(region, root, *schedule);
    for (Block *block : {branches.thenBlock(), branches.elseBlock()}) {
      ArrayRef<int64_t> sizes = block == branches.thenBlock() ? schedule->getFew() : schedule->getTile();
      if (failed(tile(region, block->getTerminator()->getPrevNode(), block->getTerminator(), sizes)))
        return failure();
    }
    return success();
  }

  /// What a region computes, once for few rows and once for many. What it reads and writes stays where it is.
  static scf::IfOp makeBranches(RegionOp region, Operation *root, ScheduleAttr schedule) {
    OpBuilder b(root);
    Location loc = root->getLoc();
    SmallVector<Operation *> ops = region.getComputeOps();
    auto isMoved = [&](Value value) { return llvm::is_contained(ops, value.getDefiningOp()); };
    for (Operation &op : region.getBody().front().without_terminator())
      if (llvm::any_of(op.getOperands(), isMoved) && !llvm::is_contained(ops, &op))
        ops.push_back(&op);
    llvm::sort(ops, [](Operation *x, Operation *y) { return x->isBeforeInBlock(y); });
    Operation *yield = region.getBody().front().getTerminator();
    llvm::SetVector<Value> results;
    for (Value value : yield->getOperands())
      if (isMoved(value))
        results.insert(value);

    // The size of what the region writes, not of what it computes.
    int64_t rowLoop = int64_t(schedule.getTile().size()) - 2, dim = rowLoop;
    auto destinations = cast<DestinationStyleOpInterface>(root);
    if (auto op = dyn_cast<linalg::LinalgOp>(root))
      dim =
          *op.getMatchingIndexingMap(destinations.getDpsInitOperand(0)).getResultPosition(b.getAffineDimExpr(rowLoop));
    Value written = destinations.getDpsInits().front();
    while (isMoved(written))
      written =
          cast<DestinationStyleOpInterface>(written.getDefiningOp()).getTiedOpOperand(cast<OpResult>(written))->get();
    Value count = b.createOrFold<tensor::DimOp>(loc, written, dim),
          most = arith::ConstantIndexOp::create(b, loc, schedule.getFew()[rowLoop]),
          isFew = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, count, most);
    auto branch = [&](ArrayRef<int64_t> sizes) {
      return [&, sizes](OpBuilder &inner, Location) {
        auto here = ScheduleAttr::get(inner.getContext(), sizes, schedule.getRows(), schedule.getPanels(), {},
                                      schedule.getSplits(), schedule.getUnroll(), schedule.getPrefetch());
        IRMapping map;
        for (Operation *op : ops)
          if (Operation *copy = inner.clone(*op, map); copy->hasAttr("schedule"))
            copy->setAttr("schedule", here);
        scf::YieldOp::create(inner, loc, llvm::map_to_vector(results, [&](Value value) { return map.lookup(value); }));
      };
    };
    auto branches = scf::IfOp::create(b, loc, isFew, branch(schedule.getFew()), branch(schedule.getTile()));
    for (auto [value, to] : llvm::zip_equal(results, branches.getResults()))
      Value(value).replaceUsesWithIf(to, [&](OpOperand &use) { return use.getOwner() == yield; });
    for (Operation *op : llvm::reverse(ops))
      op->erase();
    return branches;
  }

  /// Tiles `root` and what it needs of its block, which ends with `yield`.
  LogicalResult tile(RegionOp region, Operation *root, Operation *yield, ArrayRef<int64_t> tileSizes) {
    Block &body = *root->getBlock();
    IRRewriter rewriter(&getContext());
    rewriter.setInsertionPoint(root);
    SmallVector<OpFoldResult> sizes;
    for (int64_t size : tileSizes)
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
      return region.emitError() << "region '" << region.getName() << "' cannot be tiled by its schedule "
                                << *region.getSchedule();
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
