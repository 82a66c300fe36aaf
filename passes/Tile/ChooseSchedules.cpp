// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-choose-schedules: the only place where sizes of tiles come from. Everything after it applies what is written here.

#include "Lower/AttentionBlock.h"
#include "Lower/WarpgroupKernel.h"
#include "Whit/Whit.h"
#include "Whit/WhitCostModel.h"

#include "runtime/encoding/Place.h"
#include "whit/MatmulSpace.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <map>

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
/// Rows of a tile when several operations share a region: a nominal prompt, so that its weights are read once.
constexpr int64_t kFusedRows = 128;
/// Elements of an operation on elements that are worth a chunk, those that a buffer between two operations may hold, and
/// what a dynamic dimension counts for.
constexpr int64_t kChunkWork = 16384, kBufferElements = 4096, kNominalSize = 128;
/// A tile of a contraction: rows and columns.
constexpr int64_t kContractionRows = 16, kContractionColumns = 64;

/// On a GPU: rows of a tile that warps share; of a matmul's block its warps, elements of K that each has on
/// their way in a stage, the registers of a thread, and shared memory.
constexpr int64_t kWarpRows = 4, kBlockWarps = 8, kPanelDepth = 128, kBlockRegisters = 128, kBlockShared = 48 << 10;
/// Where warpgroups multiply: sums of 64 to 128 tokens, twice.
constexpr int64_t kWarpgroupRegisters = 216;
/// Parts of K at most: a block has eight, the others have blocks of their own.
constexpr int64_t kMostParts = 128;
/// Tiles that may spill until K is cut in another way.
constexpr size_t kMostRefusals = 2;

/// What a tile of a linalg operation is: whole inner loops as long as there is work for more than one chunk, then a part
/// of one, and single iterations of those around it. Sums are never cut.
SmallVector<int64_t> tileOf(linalg::LinalgOp op, bool hasBuffers) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges(), tile(sizes.size(), 0);
  auto iterators = op.getIteratorTypesArray();
  int64_t work = 1, elements = 1;
  auto nominal = [](int64_t size) { return ShapedType::isDynamic(size) ? kNominalSize : std::max<int64_t>(size, 1); };
  for (auto [size, iterator] : llvm::zip_equal(sizes, iterators))
    if (iterator == utils::IteratorType::reduction)
      work = std::min(work * nominal(size), kChunkWork);
  bool isContraction = op.getNumReductionLoops() && op.getNumParallelLoops() > 1 && op.getNumDpsInputs() == 2;
  int64_t inner = 0;
  for (int64_t i = sizes.size() - 1; i >= 0; --i) {
    if (iterators[i] != utils::IteratorType::parallel)
      continue;
    bool isDynamic = ShapedType::isDynamic(sizes[i]);
    int64_t part = std::max<int64_t>(kChunkWork / work, 1);
    if (isContraction)
      part = inner == 0 ? kContractionColumns : inner == 1 ? kContractionRows : 1;
    if (hasBuffers)
      part = std::min(part, std::max<int64_t>(kBufferElements / elements, 1));
    part = int64_t(1) << llvm::Log2_64(part);
    // An innermost loop is cut where a buffer needs it: vectors run along it.
    bool keeps = isDynamic ? inner == 0 && !hasBuffers && !isContraction
                           : sizes[i] <= part || (inner == 0 && !hasBuffers && !isContraction && sizes[i] <= 4 * part);
    tile[i] = keeps ? 0 : part;
    work = std::min(work * (keeps ? nominal(sizes[i]) : part), kChunkWork);
    elements *= keeps ? nominal(sizes[i]) : part;
    ++inner;
  }
  return tile;
}

/// Rows of a tile, fewer where they are long. Those of a weight are whole panels.
int64_t rowTileOf(ArrayRef<Operation *> ops) {
  int64_t longest = 1;
  for (Operation *op : ops)
    for (Type type : op->getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type);
          tensor && tensor.getRank() && !tensor.isDynamicDim(tensor.getRank() - 1))
        longest = std::max(longest, tensor.getShape().back());
  int64_t rows = std::clamp<int64_t>(4 * kBufferElements / longest, 1, kRowTile);
  bool hasPanels = llvm::any_of(ops, [](Operation *op) { return isa<DequantizeOp>(op); });
  return hasPanels ? llvm::alignTo(rows, ::whit::kPanelColumns) : rows;
}

struct ChooseSchedulesPass : mlir::whit::impl::ChooseSchedulesPassBase<ChooseSchedulesPass> {
  void runOnOperation() override {
    model = costModelOf(getOperation());
    if (!model)
      return signalPassFailure();
    facts = TargetFacts::of(getOperation());
    choices.clear();
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
    std::optional<ScheduleAttr> blocks;
    if (facts.isGpu() && !matmuls.empty()) {
      blocks = scheduleOfBlocks(region, ops, matmuls, root);
    } else if (facts.isGpu() && !isa<linalg::LinalgOp>(root)) {
      tile = tileOfBlock(root, ops, loops);
    } else if (!matmuls.empty()) {
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
    } else if (loops > 0 && llvm::any_of(ops, [](Operation *op) { return isa<RowwiseOpInterface>(op); })) {
      tile[0] = rowTileOf(ops);
    } else if (auto linalgRoot = dyn_cast<linalg::LinalgOp>(root)) {
      tile = tileOf(linalgRoot, hasBuffers(ops));
    }
    auto known = [](int64_t knob) {
      return knob == ::whit::MatmulTile::kUsual ? std::nullopt : std::optional<int64_t>(knob);
    };
    ScheduleAttr schedule = blocks ? *blocks
                                   : ScheduleAttr::get(&getContext(), tile, best.rows, best.panels, {}, 1,
                                                       known(best.unroll), known(best.prefetch));
    region.setScheduleAttr(schedule);
    for (Operation *matmul : matmuls)
      matmul->setAttr("schedule", schedule);
  }

  struct Candidate {
    ::whit::GpuTile block;
    double seconds;
  };

  /// Blocks for so many rows, the least predicted time first; `buffers` tiles of results stay in shared memory, and so many blocks at most may
  /// share the K of a tile.
  SmallVector<Candidate> blocksFor(ArrayRef<Operation *> matmuls, ArrayRef<int64_t> tileRows, int64_t rows,
                                   int64_t buffers, int64_t mostSlices) {
    SmallVector<Candidate> candidates;
    for (int64_t columns : {16, 32, 64, 128})
      for (int64_t tile : tileRows) {
        ::whit::GpuTile block;
        block.rows = tile;
        block.columns = columns;
        block.warps = kBlockWarps;
        block.registers = kBlockRegisters;
        block.sharedBytes = columns * buffers * tile * 4;
        if (block.sharedBytes > kBlockShared && !candidates.empty())
          continue;
        if (takeWarpgroups(matmuls, block)) {
          candidates.push_back({block, secondsOf(matmuls, rows, block)});
          continue;
        }
        // What is left holds a ring of stages for each warp, where the target fills it by itself.
        auto stage =
            int64_t(kBlockWarps * kPanelDepth * workOf(matmuls.front(), 1).bitsPerWeight * ::whit::kPanelColumns / 8);
        for (int32_t stages : {4, 2})
          if (int64_t ring = stages * stage * int64_t(matmuls.size());
              facts.has("cp-async") && block.stages == 1 && block.sharedBytes + ring <= kBlockShared) {
            block.stages = stages;
            block.sharedBytes += ring;
          }
        for (; block.splits <= mostSlices; block.splits *= 2) {
          candidates.push_back({block, secondsOf(matmuls, rows, block)});
          if (columns > ::whit::kPanelColumns) // more blocks are to be had by smaller tiles
            break;
        }
      }
    bool isAsked = WarpgroupKernel::isAsked(matmuls.front());
    llvm::stable_sort(candidates, [&](const Candidate &x, const Candidate &y) {
      if (isAsked && x.block.usesWarpgroups != y.block.usesWarpgroups)
        return x.block.usesWarpgroups;
      return x.seconds < y.seconds;
    });
    return candidates;
  }

  double secondsOf(ArrayRef<Operation *> matmuls, int64_t rows, const ::whit::GpuTile &block) {
    double seconds = 0;
    for (Operation *matmul : matmuls)
      seconds += model->kernelSeconds(workOf(matmul, rows), block);
    return seconds;
  }

  /// Whether products of warpgroups compute all matmuls of such a block, and what it then takes.
  bool takeWarpgroups(ArrayRef<Operation *> matmuls, ::whit::GpuTile &block) {
    int64_t room = (kBlockShared - block.sharedBytes) / int64_t(matmuls.size()), bytes = 0, warps = 0;
    for (Operation *matmul : matmuls) {
      auto cut = WarpgroupKernel::cutFor(matmul, facts, block.rows, block.columns, 1, room);
      if (!cut)
        return false;
      bytes += cut->bytes;
      warps = std::max(warps, cut->warps);
    }
    block.usesWarpgroups = true;
    block.warps = int32_t(warps);
    block.registers = kWarpgroupRegisters;
    block.sharedBytes += bytes;
    block.stages = 2;
    return true;
  }

  /// The first block whose cut (sizes and splits, as `cutOf` says) was not refused; but before it the first of those that are preferred.
  ::whit::GpuTile chooseBlock(RegionOp region, ArrayRef<Operation *> matmuls, ArrayRef<int64_t> tileRows, int64_t rows,
                              int64_t buffers, int64_t mostSlices,
                              llvm::function_ref<ScheduleAttr(const ::whit::GpuTile &)> cutOf) {
    SmallVector<Candidate> candidates = blocksFor(matmuls, tileRows, rows, buffers, mostSlices);
    auto isIn = [&](StringRef list, const Candidate &candidate) {
      auto cuts = region->getAttrOfType<ArrayAttr>(list);
      return cuts && llvm::is_contained(cuts, cutOf(candidate.block));
    };
    const Candidate *best = candidates.begin();
    if (auto preferred = region->getAttrOfType<ArrayAttr>("whit.preferred")) {
      auto rank = [&](const Candidate &candidate) {
        return llvm::find(preferred, cutOf(candidate.block)) - preferred.begin();
      };
      best = llvm::min_element(candidates, [&](const Candidate &x, const Candidate &y) { return rank(x) < rank(y); });
    }
    if (!isIn("whit.preferred", *best)) {
      best = llvm::find_if(candidates, [&](const Candidate &candidate) { return !isIn("whit.refused", candidate); });
      if (best == candidates.end())
        best = candidates.begin();
    }
    remark::passed(matmuls.front()->getLoc(), remark::RemarkOpts::name("schedule").category(getArgument()))
        << llvm::formatv("blocks of {0} rows x {1} columns{5}, predicted {2:f1} us for {3} {4}{6}{7}", best->block.rows,
                         best->block.columns, best->seconds * 1e6, rows, rows == 1 ? "row" : "rows",
                         best->block.usesWarpgroups ? " by warpgroups" : "", alone(candidates, best->block),
                         expected(region, cutOf(best->block)))
               .str();
    return best->block;
  }

  /// What the kernel is expected to take, where that is known. Nothing is chosen by it.
  std::string expected(RegionOp region, ScheduleAttr cut) const {
    auto forecast = forecastOf(region, facts.getGpu().name, cut.getTile(), cut.getSplits());
    if (!forecast)
      return "";
    return llvm::formatv("; about {0} registers and {1} bytes of code are expected{2}", forecast->registers,
                         forecast->code, forecast->spills ? ", and spills" : "");
  }

  /// What is gained where blocks share K.
  static std::string alone(ArrayRef<Candidate> candidates, const ::whit::GpuTile &best) {
    if (best.splits == 1)
      return "";
    double seconds = std::numeric_limits<double>::infinity();
    for (const Candidate &other : candidates)
      if (other.block.splits == 1)
        seconds = std::min(seconds, other.seconds);
    return llvm::formatv(" (K of a tile shared by {0} blocks; {1:f1} us by one)", best.splits, seconds * 1e6).str();
  }

  /// Slices of K that blocks may have: there must be work for the warps of all, and nothing but the matmul before its sums are known.
  int64_t mostSlicesOf(ArrayRef<Operation *> ops, ArrayRef<Operation *> matmuls, Operation *root) {
    auto place = matmuls.front()->getAttrOfType<PlaceAttr>("place");
    const MatrixUnit *unit = MatrixUnit::find(facts, MatrixUnit::operandsOf(matmuls.front()));
    if (matmuls.size() > 1 || ops.front() != matmuls.front() || !place || !unit ||
        cast<TilingInterface>(root).getLoopIteratorTypes().size() != 2)
      return 1;
    ::whit::Encoding encoding = readPart(place.getFormat().getEncoding());
    ::whit::Place solved = readPart(place.getFormat().getEncoding(), place.solve());
    return MatrixWork{*unit, facts.warpSize(), encoding, solved, kMostParts}.shareOf(1).slices;
  }

  /// The schedule of matmuls: of its own for few rows, where their number is known only at run time. Both share K in the same way, since a
  /// row must not depend on how many there are. Warps that have no panel of their own share the K of one.
  ScheduleAttr scheduleOfBlocks(RegionOp region, ArrayRef<Operation *> ops, ArrayRef<Operation *> matmuls,
                                Operation *root) {
    int64_t buffers = countBuffers(ops), slices = mostSlicesOf(ops, matmuls, root);
    int64_t count = int64_t(cast<TilingInterface>(root).getLoopIteratorTypes().size()), few = facts.isNvidia() ? 8 : 16;
    ArrayRef<int64_t> shape = cast<ShapedType>(matmuls.front()->getOperands().back().getType()).getShape();
    int64_t known = count > 1 && shape.size() > 1 ? shape[shape.size() - 2] : 1;
    bool isDynamic = ShapedType::isDynamic(known);
    auto splitsOf = [](const ::whit::GpuTile &block) {
      return std::max<int64_t>(1, kBlockWarps * ::whit::kPanelColumns / block.columns) * block.splits;
    };
    auto cutOf = [&](const ::whit::GpuTile &block, int64_t splits) {
      SmallVector<int64_t> tile(count, 0);
      tile[count - 1] = block.columns;
      if (count > 1)
        tile[count - 2] = block.rows;
      return ScheduleAttr::get(&getContext(), tile, 1, 1, {}, splits);
    };
    auto cutOfItself = [&](const ::whit::GpuTile &block) { return cutOf(block, splitsOf(block)); };
    SmallVector<int64_t> many{32, 64, 128};
    if (!isDynamic)
      return cutOfItself(chooseBlock(region, matmuls, known <= few ? ArrayRef(few) : ArrayRef(many), known, buffers,
                                     known <= few ? slices : 1, cutOfItself));
    ::whit::GpuTile small =
        chooseBlock(region, matmuls, few, ::whit::kNominalRows.front(), buffers, slices, cutOfItself);
    int64_t splits = splitsFor(region, splitsOf(small));
    auto cutOfMany = [&](const ::whit::GpuTile &block) { return cutOf(block, splits); };
    ::whit::GpuTile large = chooseBlock(region, matmuls, many, ::whit::kNominalRows.back(), buffers, 1, cutOfMany);
    return ScheduleAttr::get(&getContext(), cutOfMany(large).getTile(), 1, 1, cutOfItself(small).getTile(), splits);
  }

  /// Into how many parts K is cut: `wanted`, or half as many as soon as some tiles have spilled with it, and so on: what a sum over parts needs
  /// registers for does not depend on the tile. At the end the number with which least was spilled.
  static int64_t splitsFor(RegionOp region, int64_t wanted) {
    auto cutsIn = [&](StringRef list, int64_t splits) {
      SmallVector<int64_t> places;
      if (auto cuts = region->getAttrOfType<ArrayAttr>(list))
        for (auto [i, cut] : llvm::enumerate(cuts))
          if (cast<ScheduleAttr>(cut).getSplits() == splits)
            places.push_back(int64_t(i));
      return places;
    };
    std::optional<std::pair<int64_t, int64_t>> best;
    for (int64_t splits = wanted; splits >= 1; splits /= 2) {
      SmallVector<int64_t> refused = cutsIn("whit.refused", splits); // those that spilled least are first
      if (!region->hasAttr("whit.preferred")) {
        if (refused.size() < kMostRefusals)
          return splits;
        continue;
      }
      int64_t rank = refused.empty() ? -1 : refused.front();
      if (!cutsIn("whit.preferred", splits).empty() && (!best || rank < best->first))
        best = {rank, splits};
    }
    return best ? best->second : wanted;
  }

  /// What a block of a GPU works on: rows of the heads that share keys in attention, and heads of a cache.
  SmallVector<int64_t> tileOfBlock(Operation *root, ArrayRef<Operation *> ops, size_t loops) {
    SmallVector<int64_t> tile(loops, 0);
    if (auto attention = dyn_cast<AttentionOp>(root)) {
      tile = {1, 1, attentionRows(attention, facts)};
    } else if (isa<RotaryOp>(root)) {
      tile = {1, kWarpRows, 0};
    } else if (loops > 0) {
      int64_t fitting = kBlockShared / std::max<int64_t>(1, bytesOfRow(ops));
      tile[0] = isa<CacheAppendOp>(root) ? 1 : std::clamp<int64_t>(fitting, 1, kWarpRows);
      if (isa<CacheAppendOp>(root) && loops > 1)
        tile[1] = 1;
    }
    return tile;
  }

  /// Whether a result stays inside the region. A constant that a reduction starts from is written where its result goes.
  static bool isBuffer(Operation *op) {
    return llvm::any_of(op->getUses(), [](OpOperand &use) {
      auto user = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
      return user && !user.isDpsInit(&use);
    });
  }
  static int64_t countBuffers(ArrayRef<Operation *> ops) { return llvm::count_if(ops.drop_back(), isBuffer); }

  /// Bytes of what stays inside the region, for each row of a tile.
  static int64_t bytesOfRow(ArrayRef<Operation *> ops) {
    int64_t bytes = 0;
    for (Operation *op : ops.drop_back())
      for (Type type : op->getResultTypes())
        if (auto shaped = dyn_cast<RankedTensorType>(type);
            isBuffer(op) && shaped && shaped.getRank() && !ShapedType::isDynamic(shaped.getShape().back()))
          bytes += shaped.getShape().back() * llvm::divideCeil(shaped.getElementTypeBitWidth(), 8);
    return bytes;
  }

  static bool hasBuffers(ArrayRef<Operation *> ops) { return countBuffers(ops) > 0; }

  /// Tiles that are compared. A model that knows nothing of the other knobs leaves them to the lowering.
  std::vector<::whit::MatmulTile> tilesFor(const ::whit::MatmulWork &work) {
    if (model->knowsAllKnobs(work))
      return ::whit::matmulTiles(work);
    std::vector<::whit::MatmulTile> tiles;
    for (int64_t columns : {32, 64, 128, 256})
      for (int64_t panels : {1, 2, 4})
        for (int64_t rows : {1, 2, 4, 6, 8, 12}) {
          bool isTooLarge = panels > 1 && rows * panels > facts.accumulators();
          bool hasChunks = columns <= ::whit::kLeastMatmulColumns || work.n / columns >= ::whit::kMatmulChunks;
          if (!isTooLarge && panels * ::whit::kPanelColumns <= columns && hasChunks)
            tiles.push_back({0, columns, rows, panels});
        }
    return tiles;
  }

  struct Choice {
    ::whit::MatmulTile tile, second;
    double seconds = 0, slower = 0;
  };

  Choice compareTiles(ArrayRef<Operation *> matmuls, bool fused) {
    struct Candidate {
      double product, seconds;
      ::whit::MatmulTile tile;
    };
    std::vector<Candidate> all;
    for (::whit::MatmulTile tile : tilesFor(workOf(matmuls.front(), 1))) {
      tile.tileRows = fused ? kFusedRows : 0;
      // A tenth of the time of one row is worth a tenth of that of many, which is a hundred times as long.
      double product = 1, seconds = 0;
      for (int64_t m : ::whit::kNominalRows) {
        double some = 0;
        for (Operation *matmul : matmuls)
          some += model->matmulSeconds(workOf(matmul, m), tile);
        product *= some;
        seconds += some;
      }
      all.push_back({product, seconds, tile});
    }
    // The first of equal ones.
    llvm::stable_sort(all, [](const Candidate &x, const Candidate &y) { return x.product < y.product; });
    const Candidate &best = all[0], &second = all[all.size() > 1 ? 1 : 0];
    double slower = std::pow(second.product / best.product, 1.0 / std::size(::whit::kNominalRows)) - 1;
    return {best.tile, second.tile, best.seconds, slower};
  }

  ::whit::MatmulTile chooseMatmul(ArrayRef<Operation *> matmuls, bool fused) {
    // Layers of a model ask the same again and again.
    std::string question = fused ? "fused" : "";
    for (Operation *matmul : matmuls) {
      ::whit::MatmulWork work = workOf(matmul, 1);
      question += llvm::formatv(" {0} {1} {2} {3} {4} {5}", work.n, work.k, work.group, work.bitsPerWeight,
                                int(work.products), work.unit);
    }
    auto [known, isNew] = choices.try_emplace(question);
    if (isNew)
      known->second = compareTiles(matmuls, fused);
    const Choice &choice = known->second;
    const ::whit::MatmulTile &best = choice.tile;
    remark::passed(matmuls.front()->getLoc(), remark::RemarkOpts::name("schedule").category(getArgument()))
        << llvm::formatv(
               "tile of {0} columns, block of {1} rows x {2} panels{3}, predicted {4:f1} us for 1 and 128 rows by {5}; "
               "{6} "
               "takes longest; runner-up {7:f1} % slower: tile of {8} columns, block of {9} rows x {10} panels{11}",
               best.tileColumns, best.rows, best.panels, knobsOf(best), choice.seconds * 1e6,
               model->source(workOf(matmuls.front(), 1)),
               model->binding(workOf(matmuls.front(), ::whit::kNominalRows.back()), best), choice.slower * 100,
               choice.second.tileColumns, choice.second.rows, choice.second.panels, knobsOf(choice.second))
               .str();
    return best;
  }

  static std::string knobsOf(const ::whit::MatmulTile &tile) {
    std::string text;
    if (tile.unroll != ::whit::MatmulTile::kUsual)
      text += llvm::formatv(", {0} elements of K unrolled", tile.unroll);
    if (tile.prefetch != ::whit::MatmulTile::kUsual)
      text +=
          tile.prefetch ? llvm::formatv(", fetched {0} bytes ahead", tile.prefetch).str() : ", nothing fetched ahead";
    return text;
  }

  ::whit::MatmulWork workOf(Operation *matmul, int64_t rows) {
    ::whit::MatmulWork work;
    work.rows = rows;
    work.products = productsOf(matmul);
    work.sums = facts.accumulators();
    auto place = matmul->getAttrOfType<PlaceAttr>("place");
    if (!place)
      return work;
    ::whit::Place solved = place.solve();
    work.n = solved.n;
    work.k = solved.k;
    work.group = solved.group;
    work.bitsPerWeight = 8.0 * double(solved.bytes()) / double(solved.n * solved.k);
    ::whit::Encoding encoding = readPart(place.getFormat().getEncoding());
    ::whit::Place read = readPart(place.getFormat().getEncoding(), solved);
    work.isStored = encoding.isPlain();
    work.unit = work.isStored ? read.run : read.terms.front().unit.elements();
    return work;
  }

  const ::whit::CostModel *model = nullptr;
  TargetFacts facts;
  std::map<std::string, Choice> choices; ///< by what was asked
};
} // namespace
