// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-blocks: which loops over tiles blocks of threads run together, and the operations that are shared out to single threads.

#include "Lower/AttentionBlock.h"
#include "Lower/Float8Kernel.h"
#include "Lower/RegionLoops.h"
#include "Lower/RowViews.h"
#include "Lower/WarpgroupKernel.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERBLOCKSPASS
#include "Lower/LowerBlocks.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// Warps of a block that has no panels to share out.
static constexpr int64_t kWarps = kAttentionWarps;
/// Bytes of shared memory of a block.
static constexpr int64_t kShared = 47 << 10;

// ---------------------------------------------------------------------------------------------------- operations on elements

static SmallVector<Value> sizesOf(LaneBuilder &b, linalg::LinalgOp op) {
  SmallVector<Value> sizes;
  for (Range range : op.createLoopRanges(b, b.getLoc()))
    sizes.push_back(getValueOrCreateConstantIndexOp(b, b.getLoc(), range.size));
  return sizes;
}

/// Elements of the results one by one to the threads, a sum as a loop in its thread.
static void lower(LaneBuilder &b, linalg::GenericOp op) {
  SmallVector<Value> sizes = sizesOf(b, op), parallel, reduced, at(sizes.size());
  SmallVector<unsigned> parallelLoops, reducedLoops;
  for (auto [i, type] : llvm::enumerate(op.getIteratorTypesArray())) {
    bool isParallel = type == utils::IteratorType::parallel;
    (isParallel ? parallelLoops : reducedLoops).push_back(i);
    (isParallel ? parallel : reduced).push_back(sizes[i]);
  }
  auto indicesOf = [&](OpOperand &operand) {
    SmallVector<Value> indices;
    SmallVector<OpFoldResult> loops = getAsOpFoldResult(ValueRange(at));
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (AffineExpr expr : map.getResults())
      indices.push_back(getValueOrCreateConstantIndexOp(
          b, b.getLoc(),
          affine::makeComposedFoldedAffineApply(b, b.getLoc(), AffineMap::get(map.getNumDims(), 0, expr), loops)));
    return indices;
  };
  auto element = [&](OpOperand &operand) -> Value {
    return isa<MemRefType>(operand.get().getType()) ? b.read(operand.get(), indicesOf(operand)) : operand.get();
  };
  auto body = [&](ValueRange carried) {
    IRMapping map;
    for (OpOperand *input : op.getDpsInputOperands())
      map.map(op.getMatchingBlockArgument(input), element(*input));
    for (auto [i, value] : llvm::enumerate(carried))
      map.map(op.getMatchingBlockArgument(op.getDpsInitOperand(i)), value);
    for (Operation &inner : op.getBody()->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner))
        map.map(index.getResult(), at[index.getDim()]);
      else
        b.clone(inner, map);
    }
    return llvm::map_to_vector(op.getBody()->getTerminator()->getOperands(),
                               [&](Value value) { return map.lookupOrDefault(value); });
  };
  b.forThreads(b.product(parallel), [&](Value linear) {
    for (auto [loop, index] : llvm::zip_equal(parallelLoops, b.delinearize(linear, parallel)))
      at[loop] = index;
    for (unsigned loop : reducedLoops)
      at[loop] = b.index(0); // results do not depend on it
    SmallVector<Value> results;
    SmallVector<SmallVector<Value>> destinations;
    for (OpOperand &init : op.getDpsInitsMutable()) {
      destinations.push_back(indicesOf(init));
      bool isRead = !reducedLoops.empty() || !op.getMatchingBlockArgument(&init).use_empty();
      Type type = getElementTypeOrSelf(init.get().getType());
      results.push_back(isRead ? b.read(init.get(), destinations.back())
                               : Value(arith::ConstantOp::create(b, b.getZeroAttr(type))));
    }
    auto nest = [&](auto &&self, size_t depth, ValueRange carried) -> SmallVector<Value> {
      if (depth == reduced.size())
        return body(carried);
      return b.loop(b.index(0), reduced[depth], b.index(1), carried, [&](Value i, ValueRange inner) {
        at[reducedLoops[depth]] = i;
        return self(self, depth + 1, inner);
      });
    };
    results = nest(nest, 0, results);
    for (auto [i, init] : llvm::enumerate(op.getDpsInits()))
      b.write(results[i], init, destinations[i]);
  });
}

static void lower(LaneBuilder &b, memref::CopyOp op) {
  auto type = cast<MemRefType>(op.getTarget().getType());
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    sizes.push_back(b.dim(type.isDynamicDim(i) ? op.getSource() : op.getTarget(), i));
  b.forThreads(b.product(sizes), [&](Value linear) {
    SmallVector<Value> at = b.delinearize(linear, sizes);
    b.write(b.read(op.getSource(), at), op.getTarget(), at);
  });
}

// ---------------------------------------------------------------------------------------------------- matmuls

static std::optional<PlaceAttr> placeOf(Operation *op) {
  if (auto matmul = dyn_cast<MatmulOp>(op))
    return matmul.getPlace();
  if (auto matmul = dyn_cast<QuantizedMatmulOp>(op))
    return matmul.getPlace();
  return std::nullopt;
}

static Value resultOf(Operation *op) { return op->getOperand(op->getNumOperands() - 1); }

static const MatrixUnit &unitOf(Operation *op, const TargetFacts &facts, const ::whit::Encoding &encoding,
                                const ::whit::Place &place) {
  MatrixUnit::Operands operands = MatrixUnit::operandsOf(op);
  if (operands == MatrixUnit::Operands::Floats8 && ScaledMatrixKernel::takes(encoding, place))
    if (const MatrixUnit *unit = MatrixUnit::find(facts, MatrixUnit::Operands::ScaledFloats8))
      return *unit;
  return *MatrixUnit::find(facts, operands);
}

/// Why the matrix instructions cannot compute it; empty if they can.
static std::string whyNotByMatrixUnit(Operation *op, const TargetFacts &facts) {
  std::optional<PlaceAttr> place = placeOf(op);
  if (!place)
    return "its weight is not packed";
  MatrixUnit::Operands operands = MatrixUnit::operandsOf(op);
  if (!MatrixUnit::find(facts, operands))
    return "no matrix instruction of " + std::string(facts.getGpu().name) + " takes " +
           (operands == MatrixUnit::Operands::Bytes     ? "bytes"
            : operands == MatrixUnit::Operands::Bfloats ? "bf16"
                                                        : "floats of 8 bits");
  return "";
}

namespace {
/// A matmul as MatrixKernel takes it.
struct Matmul {
  ::whit::Encoding encoding;
  ::whit::Place place;
  MatrixWork work;
  MatrixWork::Share share;
  std::optional<WarpgroupKernel::Cut> warpgroups; ///< if products of warpgroups compute it
  std::string whyNot;                             ///< why they do not, where they were to

  /// `room`: bytes of shared memory that it may take.
  Matmul(Operation *op, const TargetFacts &facts, int64_t room)
      : Matmul(op, facts, placeOf(op)->getFormat().getEncoding(), op->getAttrOfType<ScheduleAttr>("schedule"), room) {}

private:
  Matmul(Operation *op, const TargetFacts &facts, const ::whit::Encoding &stored, ScheduleAttr schedule, int64_t room)
      : encoding(readPart(stored)), place(readPart(stored, placeOf(op)->solve())),
        work{unitOf(op, facts, encoding, place), facts.warpSize(), encoding, place, std::nullopt} {
    if (schedule)
      work.splits = schedule.getSplits();
    if (ArrayRef<int64_t> tile = schedule ? schedule.getTile() : ArrayRef<int64_t>();
        tile.size() > 1 && tile[tile.size() - 2])
      work.tokens = tile[tile.size() - 2];
    int64_t columns = cast<MemRefType>(resultOf(op).getType()).getShape().back();
    int64_t panels = ShapedType::isDynamic(columns) ? kWarps : llvm::divideCeil(columns, MatrixUnit::kRows);
    share = work.shareOf(panels);
    work.splits = share.splits;
    work.slices = share.slices;
    work.room = room;
    if (ArrayRef<int64_t> tile = schedule ? schedule.getTile() : ArrayRef<int64_t>();
        ShapedType::isDynamic(columns) && !tile.empty() && tile.back())
      panels = llvm::divideCeil(tile.back(), MatrixUnit::kRows);
    warpgroups = WarpgroupKernel::cutFor(op, facts, work, panels, whyNot);
    if (warpgroups)
      share.warps = warpgroups->warps;
  }
};
} // namespace

/// Tokens of a tile at most whose K blocks may share.
static constexpr int64_t kMostSharedTokens = 16;

/// Whether a loop in a branch for few rows has so few that one tile holds them.
static bool isOneTile(scf::ForallOp loop, int64_t tokens) {
  auto branch = dyn_cast<scf::IfOp>(loop->getParentOp());
  auto compare = branch ? branch.getCondition().getDefiningOp<arith::CmpIOp>() : arith::CmpIOp();
  if (!compare || loop->getBlock() != branch.thenBlock())
    return false;
  std::optional<int64_t> most = getConstantIntValue(compare.getRhs());
  bool isLess = compare.getPredicate() == arith::CmpIPredicate::ult;
  return most && (isLess || compare.getPredicate() == arith::CmpIPredicate::ule) && *most - isLess <= tokens;
}

/// How blocks share the K of the matmul with which the tiles of a loop begin, if they do.
static std::optional<SlicedLoop> slicedLoop(scf::ForallOp loop, ArrayRef<Operation *> ops, const TargetFacts &facts) {
  if (ops.empty() || llvm::count_if(ops, [](Operation *op) { return placeOf(op).has_value(); }) != 1 ||
      !placeOf(ops.front()) || !whyNotByMatrixUnit(ops.front(), facts).empty())
    return std::nullopt;
  auto schedule = ops.front()->getAttrOfType<ScheduleAttr>("schedule");
  auto result = cast<MemRefType>(resultOf(ops.front()).getType());
  Matmul how(ops.front(), facts, kShared);
  if (!schedule || result.getRank() != 2 || how.work.slices == 1 || how.work.tokens > kMostSharedTokens)
    return std::nullopt;
  int64_t columns = result.isDynamicDim(1) ? schedule.getTile().back() : result.getDimSize(1);
  SlicedLoop sliced{how.work.slices,
                    how.work.encoding.isPlain() || how.work.place.groups == 1 ? int64_t(how.work.encoding.terms.size())
                                                                              : 1,
                    how.work.tokens, int64_t(llvm::alignTo(columns, MatrixUnit::kRows)), 1};
  int64_t rank = loop.getRank();
  for (auto [i, lower, upper, step] :
       llvm::enumerate(loop.getMixedLowerBound(), loop.getMixedUpperBound(), loop.getMixedStep())) {
    auto from = getConstantIntValue(lower), to = getConstantIntValue(upper), by = getConstantIntValue(step);
    if (from && to && by && *from == 0)
      sliced.tiles *= llvm::divideCeil(*to, *by);
    else if (int64_t(i) != rank - 2 || !isOneTile(loop, how.work.tokens))
      return std::nullopt;
  }
  return sliced;
}

/// Whether an operation of a tile writes to memory of the tile alone.
static bool staysInTile(Operation *op, scf::ForallOp loop) {
  auto writer = dyn_cast<DestinationStyleOpInterface>(op);
  return writer && llvm::all_of(writer.getDpsInits(), [&](Value init) {
           while (auto view = init.getDefiningOp<ViewLikeOpInterface>())
             init = view.getViewSource();
           auto buffer = init.getDefiningOp<memref::AllocOp>();
           return buffer && loop->isProperAncestor(buffer);
         });
}

/// How blocks share the tokens of the attention that a loop's tiles end with (each block has what precedes it for itself), where the loop has few tiles: at most `tiles`, half as many as
/// the machine has units. Nothing if they never do.
static std::optional<SlicedLoop> slicedAttention(scf::ForallOp loop, ArrayRef<Operation *> ops,
                                                 const TargetFacts &facts) {
  auto attention = ops.empty() ? AttentionOp() : dyn_cast<AttentionOp>(ops.back());
  if (!attention || !whyNotInBlock(attention).empty() ||
      !llvm::all_of(ops.drop_back(), [&](Operation *op) { return staysInTile(op, loop) && !placeOf(op); }))
    return std::nullopt;
  auto query = cast<MemRefType>(attention.getQ().getType());
  int64_t slices = attentionSlices(attention, facts), rows = query.getDimSize(1);
  SmallVector<OpFoldResult> steps = loop.getMixedStep();
  if (ShapedType::isDynamic(rows)) // the last tile has fewer
    rows = getConstantIntValue(steps.back()).value_or(rows);
  if (slices == 1 || query.getDimSize(0) != 1 || ShapedType::isDynamic(rows) || query.isDynamicDim(2) ||
      cast<MemRefType>(attention.getV().getType()).getDimSize(1) != 1 ||
      !llvm::all_of(loop.getMixedLowerBound(), isZeroInteger) ||
      !llvm::all_of(steps, [](OpFoldResult step) { return getConstantIntValue(step).has_value(); }))
    return std::nullopt;
  return SlicedLoop{slices, 1, rows * query.getDimSize(2), attentionWords(attention), facts.getMachine().units / 2};
}

/// The tiles of each dimension of a loop from 0 on.
static SmallVector<Value> countTiles(OpBuilder &b, scf::ForallOp loop) {
  Location loc = loop.getLoc();
  SmallVector<Value> tiles;
  AffineExpr count = b.getAffineSymbolExpr(0).ceilDiv(b.getAffineSymbolExpr(1));
  for (auto [upper, step] : llvm::zip(loop.getMixedUpperBound(), loop.getMixedStep()))
    tiles.push_back(getValueOrCreateConstantIndexOp(
        b, loc, affine::makeComposedFoldedAffineApply(b, loc, count, {upper, step})));
  return tiles;
}

/// The same loop with one iteration more for each slice, next to each other; its number is the last index.
static scf::ForallOp overSlices(scf::ForallOp loop, int64_t slices) {
  OpBuilder b(loop);
  auto lower = loop.getMixedLowerBound(), upper = loop.getMixedUpperBound(), step = loop.getMixedStep();
  lower.push_back(b.getIndexAttr(0));
  upper.push_back(b.getIndexAttr(slices));
  step.push_back(b.getIndexAttr(1));
  auto sliced = scf::ForallOp::create(b, loop.getLoc(), lower, upper, step, ValueRange(), std::nullopt);
  for (auto [from, to] : llvm::zip(loop.getInductionVars(), sliced.getInductionVars()))
    from.replaceAllUsesWith(to);
  sliced.getBody()->getOperations().splice(sliced.getBody()->begin(), loop.getBody()->getOperations(),
                                           loop.getBody()->begin(), std::prev(loop.getBody()->end()));
  loop.erase();
  return sliced;
}

/// The number of a tile, and its slice, by the indices of such a loop.
static PartialSums partialSums(LaneBuilder &b, scf::ForallOp loop, const SlicedLoop &sliced, Value memory) {
  Value tile = b.index(0);
  SmallVector<Value> indices = llvm::to_vector_of<Value>(loop.getInductionVars());
  for (auto [index, upper, step] :
       llvm::zip(ArrayRef(indices).drop_back(), loop.getMixedUpperBound(), loop.getMixedStep()))
    if (std::optional<int64_t> to = getConstantIntValue(upper)) { // of the others there is one
      int64_t by = *getConstantIntValue(step);
      tile = b.add(b.mul(tile, llvm::divideCeil(*to, by)), b.div(index, by));
    }
  return {indices.back(), memory, tile, sliced.terms, sliced.tokens, sliced.columns};
}

/// `counts`: if blocks share K, those that have come for each tile; what follows in the tile is then for the last one.
static void lowerMatmul(LaneBuilder &b, Operation *op, int64_t room, StringRef pass,
                        std::optional<PartialSums> partial = std::nullopt, Value counts = Value()) {
  Matmul how(op, b.facts, room);
  how.work.partial = partial;
  auto options = remark::RemarkOpts::name("wgmma").category(pass);
  if (how.warpgroups)
    remark::passed(op->getLoc(), options) << how.warpgroups->text();
  else if (!how.whyNot.empty())
    remark::missed(op->getLoc(), options) << "mma.sync instead of wgmma: " + how.whyNot;
  auto emit = [&](MatrixKernel &&kernel) {
    if (partial) {
      kernel.emitSlice();
      Value isLast = countIn(b, counts, partial->tile, how.work.slices);
      auto rest = scf::IfOp::create(b, isLast, /*withElseRegion=*/false);
      for (Operation *next = op->getNextNode(), *end = op->getBlock()->getTerminator(); next != end;) {
        Operation *moved = std::exchange(next, next->getNextNode());
        moved->moveBefore(rest.thenBlock()->getTerminator());
      }
      b.setInsertionPointToStart(rest.thenBlock());
      return kernel.emitResult();
    }
    how.warpgroups ? WarpgroupKernel(kernel, *how.warpgroups).emit() : kernel.emit();
  };
  KernelBuilder k(b, b.getLoc(), b.facts);
  if (auto matmul = dyn_cast<MatmulOp>(op)) {
    forRowViews(k, {{matmul.getX(), 1}, {matmul.getY(), 1}}, [&](ValueRange views) {
      if (how.work.unit.operands() == MatrixUnit::Operands::ScaledFloats8)
        emit(ScaledMatrixKernel(b, how.work, how.share.splits, views[0], matmul.getW(), views[1]));
      else if (how.work.unit.operands() == MatrixUnit::Operands::Floats8)
        emit(Float8MatrixKernel(b, how.work, how.share.splits, views[0], matmul.getW(), views[1]));
      else
        emit(FloatMatrixKernel(b, how.work, how.share.splits, views[0], matmul.getW(), views[1]));
    });
    return;
  }
  auto matmul = cast<QuantizedMatmulOp>(op);
  forRowViews(
      k, {{matmul.getCodes(), 2}, {matmul.getScales(), 1}, {matmul.getSums(), 1}, {matmul.getY(), 1}},
      [&](ValueRange views) {
        emit(ByteMatrixKernel(b, how.work, how.share.splits, views[0], views[1], views[2], matmul.getW(), views[3]));
      });
}

// ---------------------------------------------------------------------------------------------------- the pass

namespace {
struct LowerBlocksPass : mlir::whit::impl::LowerBlocksPassBase<LowerBlocksPass> {
  void runOnOperation() override {
    TargetFacts facts = TargetFacts::of(getOperation());
    if (!facts.isGpu())
      return;
    addPartialSums(getOperation(), [&](func::FuncOp region) {
      SmallVector<SlicedLoop> sliced;
      for (scf::ForallOp loop : loopsOf(region))
        if (auto how = slicedLoop(loop, computedBy(loop), facts))
          sliced.push_back(*how);
        else if (auto how = slicedAttention(loop, computedBy(loop), facts))
          sliced.push_back(*how);
      return sliced;
    });
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (!function->hasAttr("whit.observed")) {
        copyConstants(function);
        outlineWrites(function);
      }
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("whit.observed") && failed(lowerRegion(function, facts)))
        return signalPassFailure();
  }

  /// Constants of the program lie in memory of the host; kernels have their own and copy them to a buffer.
  void copyConstants(func::FuncOp caller) {
    SmallVector<memref::GetGlobalOp> constants;
    caller.walk([&](memref::GetGlobalOp constant) { constants.push_back(constant); });
    for (memref::GetGlobalOp constant : constants) {
      OpBuilder b(constant), top = OpBuilder::atBlockEnd(getOperation().getBody());
      Location loc = constant.getLoc();
      MemRefType type = constant.getType();
      std::string name = ("copy_" + constant.getName()).str();
      auto function = getOperation().lookupSymbol<func::FuncOp>(name);
      if (!function) {
        function = func::FuncOp::create(top, loc, name, b.getFunctionType({type, b.getI32Type()}, {}));
        function.setPrivate();
        function->setAttr("whit.observed", b.getI64IntegerAttr(-1));
        Block *entry = function.addEntryBlock();
        top.setInsertionPointToStart(entry);
        Value from = memref::GetGlobalOp::create(top, loc, type, constant.getName());
        memref::CopyOp::create(top, loc, from, entry->getArgument(0));
        func::ReturnOp::create(top, loc);
      }
      Value buffer = memref::AllocOp::create(b, loc, type);
      Value id = arith::ConstantIntOp::create(b, loc, b.getI32Type(), -1);
      func::CallOp::create(b, loc, function, ValueRange{buffer, id});
      constant.replaceAllUsesWith(buffer);
      constant.erase();
    }
  }

  /// What writes to memory between regions, copies and numbers that the host computed, becomes functions that nobody watches.
  void outlineWrites(func::FuncOp caller) {
    SmallVector<Operation *> writes;
    caller.walk([&](Operation *op) {
      if (isa<memref::CopyOp, memref::StoreOp>(op))
        writes.push_back(op);
    });
    for (Operation *write : writes) {
      OpBuilder b(write);
      SmallVector<Type> types(write->getOperandTypes());
      types.push_back(b.getI32Type());
      auto type = b.getFunctionType(types, {});
      func::FuncOp &function = writers[{write->getName(), type}];
      if (!function) {
        OpBuilder top = OpBuilder::atBlockEnd(getOperation().getBody());
        function = func::FuncOp::create(top, write->getLoc(), "write_" + std::to_string(writers.size() - 1), type);
        function.setPrivate();
        function->setAttr("whit.observed", b.getI64IntegerAttr(-1));
        Block *entry = function.addEntryBlock();
        top.setInsertionPointToStart(entry);
        IRMapping map;
        map.map(write->getOperands(), entry->getArguments().drop_back());
        top.clone(*write, map);
        func::ReturnOp::create(top, write->getLoc());
      }
      SmallVector<Value> operands(write->getOperands());
      operands.push_back(arith::ConstantIntOp::create(b, write->getLoc(), b.getI32Type(), -1));
      func::CallOp::create(b, write->getLoc(), function, operands);
      write->erase();
    }
  }

  LogicalResult lowerRegion(func::FuncOp region, const TargetFacts &facts) {
    putInLoops(region);
    if (failed(readInLoops(region)))
      return failure();
    for (scf::ForallOp loop : loopsOf(region)) {
      if (failed(shareTokens(loop, facts)) || failed(lowerLoop(loop, facts)))
        return failure();
    }
    return success();
  }

  /// Puts a branch in front of attention, for so few tiles that blocks share the tokens of each; the loop itself becomes the other branch.
  LogicalResult shareTokens(scf::ForallOp loop, const TargetFacts &facts) {
    SmallVector<Operation *> ops = computedBy(loop);
    auto region = loop->getParentOfType<func::FuncOp>();
    Value counts = argument(region, kArrivals), memory = argument(region, kPartialSums);
    std::optional<SlicedLoop> how = slicedAttention(loop, ops, facts);
    if (!how || !counts || llvm::any_of(ops, [&](Operation *op) { return !whyNotShared(op, facts).empty(); }))
      return success();
    OpBuilder b(loop);
    Location loc = loop.getLoc();
    Value most = arith::ConstantIndexOp::create(b, loc, how->tiles);
    SmallVector<Value> tiles = countTiles(b, loop);
    Value all = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value each : tiles)
      all = b.createOrFold<arith::MulIOp>(loc, all, each);
    Value isFew = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, all, most);
    auto branch = scf::IfOp::create(b, loc, isFew, /*withElseRegion=*/true);
    b.setInsertionPointToStart(branch.thenBlock());
    auto few = cast<scf::ForallOp>(b.clone(*loop));
    loop->moveBefore(branch.elseBlock(), branch.elseBlock()->begin());
    few = overSlices(few, how->slices);
    few->setAttr(kThreads, IntegerAttr::get(IntegerType::get(&getContext(), 64), kWarps * facts.warpSize()));
    ops = computedBy(few);
    for (Operation *op : ArrayRef(ops).drop_back()) {
      LaneBuilder lanes(op);
      if (op != ops.front())
        lanes.barrier();
      if (failed(lowerOp(lanes, op, /*room=*/0)))
        return failure();
    }
    auto attention = cast<AttentionOp>(ops.back());
    LaneBuilder lanes(attention);
    Value tile = lanes.index(0);
    for (auto [index, step, each] : llvm::zip(few.getInductionVars(), few.getMixedStep(), tiles))
      tile = lanes.add(lanes.mul(tile, each), lanes.div(index, *getConstantIntValue(step)));
    PartialSums partial{few.getInductionVars().back(), memory, tile, how->terms, how->tokens, how->columns};
    emitAttentionBlock(lanes, attention, partial, counts);
    attention.erase();
    remark::passed(loc, remark::RemarkOpts::name("slices").category(getArgument()))
        << std::to_string(how->slices) + " blocks share the tokens of a row where there are at most " +
               std::to_string(how->tiles) + " tiles";
    return success();
  }

  static bool computes(Operation &op) {
    return loopsOf(&op).empty() &&
           isa<RowwiseOpInterface, linalg::LinalgOp, memref::CopyOp, scf::ForOp, scf::IfOp, memref::StoreOp>(op);
  }

  static SmallVector<Operation *> computedBy(scf::ForallOp loop) {
    SmallVector<Operation *> ops;
    for (Operation &op : loop.getBody()->without_terminator())
      if (computes(op))
        ops.push_back(&op);
    return ops;
  }

  /// What stands outside of a parallel loop becomes the only tile of one. Operations that hand buffers on share a tile.
  void putInLoops(func::FuncOp region) {
    Block &body = region.getBody().front();
    bool hasBuffers = !body.getOps<memref::AllocOp>().empty();
    auto newLoop = [](Operation &before) {
      OpBuilder b(&before);
      OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
      return scf::ForallOp::create(b, before.getLoc(), ArrayRef(zero), ArrayRef(one), ArrayRef(one), ValueRange(),
                                   std::nullopt);
    };
    if (hasBuffers && loopsOf(region).empty()) {
      scf::ForallOp loop = newLoop(*body.getTerminator());
      SmallVector<Operation *> ops;
      for (Operation &op : body.without_terminator())
        if (&op != loop && llvm::none_of(op.getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); }))
          ops.push_back(&op);
      for (Operation *op : ops)
        op->moveBefore(loop.getBody()->getTerminator());
      return;
    }
    for (Operation &op : llvm::make_early_inc_range(body))
      if (computes(op))
        op.moveBefore(newLoop(op).getBody()->getTerminator());
  }

  /// The host cannot read memory of the device, nor kernels that of the host: what stands outside of a loop and reads, and constants, move
  /// into those that need them.
  LogicalResult readInLoops(func::FuncOp region) {
    Block &body = region.getBody().front();
    SmallVector<Operation *> moved;
    auto isMoved = [&](Value value) { return llvm::is_contained(moved, value.getDefiningOp()); };
    for (Operation &op : body.without_terminator()) {
      for (scf::ForallOp loop : loopsOf(&op)) {
        if (llvm::any_of(loop->getOperands(), isMoved))
          return loop.emitOpError() << "has bounds that depend on the content of a tensor, which the host cannot read";
        OpBuilder b = OpBuilder::atBlockBegin(loop.getBody());
        IRMapping map;
        for (Operation *read : moved) {
          Operation *copy = b.clone(*read, map);
          for (auto [from, to] : llvm::zip_equal(read->getResults(), copy->getResults()))
            from.replaceUsesWithIf(
                to, [&](OpOperand &use) { return loop->isProperAncestor(use.getOwner()) && use.getOwner() != copy; });
        }
      }
      if (isa<memref::LoadOp, memref::GetGlobalOp>(op) || (isPure(&op) && llvm::any_of(op.getOperands(), isMoved)))
        moved.push_back(&op);
    }
    for (Operation *op : llvm::reverse(moved))
      if (op->use_empty())
        op->erase();
    return success();
  }

  LogicalResult lowerLoop(scf::ForallOp loop, const TargetFacts &facts) {
    SmallVector<Operation *> ops = computedBy(loop);
    int64_t warps = 0, matmuls = llvm::count_if(ops, [](Operation *op) { return placeOf(op).has_value(); });
    int64_t room = kShared;
    for (memref::AllocOp buffer : loop.getOps<memref::AllocOp>())
      if (FailureOr<int64_t> bytes = largestBytes(buffer); succeeded(bytes))
        room -= llvm::alignTo(*bytes, 16);
    room /= std::max<int64_t>(matmuls, 1);
    for (Operation *op : ops) {
      if (std::string why = whyNotShared(op, facts); !why.empty()) {
        remark::missed(op->getLoc(), remark::RemarkOpts::name("blocks").category(getArgument()))
            << "a single thread works on each tile: " + why;
        return success();
      }
      if (placeOf(op))
        warps = std::max(warps, Matmul(op, facts, room).share.warps);
    }
    int64_t threads = (warps ? warps : kWarps) * facts.warpSize();
    loop->setAttr(kThreads, IntegerAttr::get(IntegerType::get(&getContext(), 64), threads));
    for (Operation *op : ops)
      if (auto cut = op->getAttrOfType<ScheduleAttr>("schedule"))
        loop->setAttr("whit.cut", cut);
    auto region = loop->getParentOfType<func::FuncOp>();
    std::optional<PartialSums> partial;
    Value counts = argument(region, kArrivals);
    if (auto sliced = slicedLoop(loop, ops, facts); sliced && counts) {
      Attribute cut = loop->getAttr("whit.cut"), count = loop->getAttr(kThreads);
      loop = overSlices(loop, sliced->slices);
      loop->setAttr("whit.cut", cut);
      loop->setAttr(kThreads, count);
      LaneBuilder b(ops.front());
      partial = partialSums(b, loop, *sliced, argument(region, kPartialSums));
      remark::passed(ops.front()->getLoc(), remark::RemarkOpts::name("slices").category(getArgument()))
          << std::to_string(sliced->slices) + " blocks share the K of a tile";
    }
    for (auto [i, op] : llvm::enumerate(ops)) {
      LaneBuilder b(op);
      if (i == 0 && partial) {
        lowerMatmul(b, op, room, getArgument(), partial, counts);
        op->erase();
        continue;
      }
      if (i > 0)
        b.barrier();
      if (failed(lowerOp(b, op, room)))
        return failure();
    }
    return success();
  }

  /// The argument that has such a mark; null if there is none.
  static Value argument(func::FuncOp region, StringRef mark) {
    for (unsigned i = 0; i < region.getNumArguments(); ++i)
      if (region.getArgAttr(i, mark))
        return region.getArgument(i);
    return Value();
  }

  static std::string whyNotShared(Operation *op, const TargetFacts &facts) {
    if (isa<MatmulOp, QuantizedMatmulOp>(op))
      return whyNotByMatrixUnit(op, facts);
    if (isa<QuantizeOp, QuantizeFloatOp, DequantizeOp, GatherOp, RmsNormOp, LayerNormOp, SoftmaxOp, RotaryOp,
            memref::CopyOp, memref::StoreOp>(op))
      return "";
    if (auto attention = dyn_cast<AttentionOp>(op))
      return whyNotInBlock(attention);
    if (auto append = dyn_cast<CacheAppendOp>(op); append && !append.getPast())
      return "";
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op); linalgOp && linalgOp.hasPureBufferSemantics())
      return "";
    return (op->getName().getStringRef() + " is not shared out to threads yet").str();
  }

  /// Operations on rows, caches and attention stay for their own passes, which share them out where a loop is marked.
  LogicalResult lowerOp(LaneBuilder &b, Operation *op, int64_t room) {
    if (placeOf(op)) {
      lowerMatmul(b, op, room, getArgument());
    } else if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      lower(b, copy);
    } else if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      IRRewriter rewriter(op);
      auto generic = dyn_cast<linalg::GenericOp>(op);
      if (!generic) {
        FailureOr<linalg::GenericOp> general = linalg::generalizeNamedOp(rewriter, linalgOp);
        if (failed(general))
          return op->emitOpError() << "cannot be written as linalg.generic";
        generic = *general;
        b.setInsertionPoint(generic);
      }
      lower(b, generic);
      op = generic;
    } else {
      return success();
    }
    op->erase();
    return success();
  }

  llvm::MapVector<std::pair<OperationName, Type>, func::FuncOp> writers;
};
} // namespace
