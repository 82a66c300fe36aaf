// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-choose-schedules: the only place where sizes of tiles come from. Everything after it applies what is written here.

#include "Whit/Whit.h"
#include "Whit/WhitCostModel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_CHOOSESCHEDULESPASS
#include "Tile/ChooseSchedules.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Rows of a chunk of a row-wise region: enough work for a thread to be worth waking.
constexpr int64_t kRowTile = 8;
/// Query rows of a chunk of attention.
constexpr int64_t kAttentionRows = 32;
/// Chunks that a matmul should at least have, so that threads finish together; and the columns that no chunk goes below.
constexpr int64_t kChunks = 8, kLeastColumns = 32;
/// Rows of a tile when several operations share a region: a nominal prompt, so that its weights are read once.
constexpr int64_t kFusedRows = 128;

struct ChooseSchedulesPass : mlir::whit::impl::ChooseSchedulesPassBase<ChooseSchedulesPass> {
  void runOnOperation() override {
    model = costModelOf(getOperation());
    if (!model)
      return signalPassFailure();
    getOperation().walk([&](RegionOp region) {
      if (!region.getSchedule())
        choose(region);
    });
  }

  void choose(RegionOp region) {
    SmallVector<Operation *> ops = region.getComputeOps(), matmuls;
    llvm::copy_if(ops, std::back_inserter(matmuls), [](Operation *op) { return isa<MatmulOp, QuantizedMatmulOp>(op); });
    Operation *root = region.getRoot();
    if (!root)
      return;
    size_t loops = cast<TilingInterface>(root).getLoopIteratorTypes().size();
    SmallVector<int64_t> tile(loops, 0);
    ::whit::MatmulTile best;
    if (!matmuls.empty()) {
      best = chooseMatmul(matmuls, ops.size() > 1);
      tile[loops - 1] = best.tileColumns;
      if (loops > 1)
        tile[loops - 2] = best.tileRows;
    } else if (isa<AttentionOp>(root)) {
      tile = {1, 1, kAttentionRows};
    } else if (isa<CacheAppendOp>(root)) {
      tile = {1, 0};
    } else if (isa<RotaryOp>(root)) {
      tile = {1, kAttentionRows, 0};
    } else if (loops > 0 && !isa<linalg::LinalgOp>(root)) {
      tile[0] = kRowTile;
    } else if (loops > 1) {
      auto iterators = cast<TilingInterface>(root).getLoopIteratorTypes();
      if (iterators[0] == utils::IteratorType::parallel)
        tile[0] = kRowTile;
    }
    auto schedule = ScheduleAttr::get(&getContext(), tile, best.rows, best.panels);
    region.setScheduleAttr(schedule);
    for (Operation *matmul : matmuls)
      matmul->setAttr("schedule", schedule);
  }

  ::whit::MatmulTile chooseMatmul(ArrayRef<Operation *> matmuls, bool fused) {
    ::whit::MatmulTile best;
    int64_t n = workOf(matmuls.front(), 1).n;
    double bestSeconds = std::numeric_limits<double>::infinity();
    for (int64_t columns : {32, 64, 128, 256})
      for (int64_t panels : {1, 2, 4})
        for (int64_t rows : {1, 2, 4, 6, 8, 12}) {
          if (panels * ::whit::kPanelColumns > columns || (columns > kLeastColumns && n / columns < kChunks))
            continue;
          ::whit::MatmulTile tile{fused ? kFusedRows : 0, columns, rows, panels};
          double seconds = 0;
          for (Operation *matmul : matmuls)
            for (int64_t m : ::whit::kNominalRows)
              seconds += model->matmulSeconds(workOf(matmul, m), tile);
          if (seconds < bestSeconds) {
            bestSeconds = seconds;
            best = tile;
          }
        }
    remark::passed(matmuls.front()->getLoc(), remark::RemarkOpts::name("schedule").category(getArgument()))
        << llvm::formatv("tile of {0} columns, block of {1} rows x {2} panels, predicted {3:f1} us for 1 and 128 rows",
                         best.tileColumns, best.rows, best.panels, bestSeconds * 1e6)
               .str();
    return best;
  }

  ::whit::MatmulWork workOf(Operation *matmul, int64_t rows) {
    ::whit::MatmulWork work;
    work.rows = rows;
    work.integer = isa<QuantizedMatmulOp>(matmul);
    auto place = matmul->getAttrOfType<PlaceAttr>("place");
    if (!place)
      return work;
    ::whit::Place solved = place.solve();
    work.n = solved.n;
    work.k = solved.k;
    work.group = solved.group;
    work.bitsPerWeight = 8.0 * double(solved.bytes()) / double(solved.n * solved.k);
    return work;
  }

  const ::whit::CostModel *model = nullptr;
};
} // namespace
