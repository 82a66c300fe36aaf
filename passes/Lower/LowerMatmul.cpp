// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-matmul: the loops around the blocks of MatmulBlocks.h. This file decides which rows and panels form a block,
// and what to do with those that are left over.

#include "Lower/MatmulBlocks.h"
#include "Lower/RowViews.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERMATMULPASS
#include "Lower/LowerMatmul.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// Fewer rows than this take the decode path.
static constexpr int64_t kManyRows = 4;
/// Bytes that a stream of weights is prefetched ahead.
static constexpr int64_t kPrefetchDistance = 2304;

static MatmulBlocks::Stream streamOf(const TargetFacts &facts, std::optional<ScheduleAttr> schedule) {
  MatmulBlocks::Stream stream{facts.isGpu() ? 0 : kPrefetchDistance, std::nullopt};
  if (!schedule || facts.isGpu())
    return stream;
  return {schedule->getPrefetch().value_or(stream.prefetchDistance), schedule->getUnroll()};
}

namespace {
/// How many rows, largest first, and how many panels the blocks have.
struct Shape {
  SmallVector<int64_t> rows;
  int64_t panels;
};

/// The loops over rows and panels of one matmul.
class Grid {
public:
  Grid(KernelBuilder &k, MatmulBlocks &blocks, Value y) : k(k), blocks(blocks), y(y) {
    m = k.dim(y, 0);
    n = k.dim(y, 1);
  }

  void emit(std::optional<ScheduleAttr> schedule) {
    int64_t room = blocks.accumulators();
    int64_t rows = schedule ? schedule->getRows() : 4, panels = schedule ? schedule->getPanels() : 4;
    panels = std::max<int64_t>(1, std::min(panels, room / rows));
    rows = std::max<int64_t>(1, std::min(rows, room / panels));
    auto block = [](int64_t rows, int64_t panels) {
      return llvm::formatv("block of {0} rows x {1} panels", rows, panels).str();
    };
    auto options = remark::RemarkOpts::name("block").category("whit-lower-matmul");
    if (schedule && rows * panels < schedule->getRows() * schedule->getPanels())
      remark::missed(k.loc, options) << block(schedule->getRows(), schedule->getPanels()) + " cut to a " +
                                            block(rows, panels) + ": the target has no registers for more";
    else
      remark::passed(k.loc, options) << block(rows, panels);
    Shape many{halvings(rows), dividing(panels)};
    Shape few{halvings(std::min<int64_t>(rows, 2)),
              dividing(std::min<int64_t>(blocks.streams(), llvm::bit_floor(uint64_t(room / 2))))};
    if (rows < kManyRows)
      return overPanels(many);
    k.ifLess(m, k.index(kManyRows), [&] { overPanels(few); }, [&] { overPanels(many); });
  }

private:
  /// rows, then the powers of two below it.
  static SmallVector<int64_t> halvings(int64_t rows) {
    SmallVector<int64_t> sizes{rows};
    for (int64_t size = llvm::PowerOf2Ceil(rows) / 2; size >= 1; size /= 2)
      if (size < rows)
        sizes.push_back(size);
    return sizes;
  }

  /// `panels`, or the next smaller number that divides all panels of a known n, if it is more than half as many.
  int64_t dividing(int64_t panels) {
    int64_t all = getConstantIntValue(n).value_or(0) / KernelBuilder::kLanes;
    for (int64_t fewer = panels; fewer > panels / 2; --fewer)
      if (all % fewer == 0)
        return fewer;
    return all ? std::min(panels, all) : panels;
  }

  /// Whole panels in blocks, then one by one; the last panel may have fewer than 16 columns.
  void overPanels(const Shape &shape) {
    int64_t columns = shape.panels * KernelBuilder::kLanes;
    Value blocked = k.roundDown(n, columns);
    k.loop(k.index(0), blocked, columns, [&](Value column) { overRows(shape.rows, column, shape.panels, false); });
    std::optional<int64_t> known = getConstantIntValue(n);
    bool whole = known && *known % KernelBuilder::kLanes == 0;
    SmallVector<int64_t> rows{1};
    if (shape.rows.front() >= 4)
      rows.insert(rows.begin(), 4);
    if (whole && shape.panels == 1)
      return;
    k.loop(blocked, n, KernelBuilder::kLanes, [&](Value column) { overRows(rows, column, 1, !whole); });
  }

  void overRows(ArrayRef<int64_t> sizes, Value column, int64_t panels, bool masked) {
    Value panel = k.b.createOrFold<arith::DivUIOp>(k.loc, column, k.index(KernelBuilder::kLanes));
    Value begin = k.index(0);
    for (int64_t size : sizes) {
      Value end = k.plus(begin, k.roundDown(k.minus(m, begin), size));
      k.loop(begin, end, size, [&](Value row) {
        SmallVector<Value> sums = blocks.emit(row, size, panel, panels);
        for (int64_t i = 0; i < size * panels; ++i)
          store(sums[i], k.plus(row, i / panels), k.plus(column, i % panels * KernelBuilder::kLanes), masked);
      });
      begin = end;
    }
  }

  void store(Value sum, Value row, Value column, bool masked) {
    if (!masked)
      return k.store(sum, y, {row, column});
    SmallVector<int32_t> lanes = llvm::to_vector(llvm::seq<int32_t>(KernelBuilder::kLanes));
    Value lane = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.ints(), ArrayRef<int32_t>(lanes)));
    Value left = k.b.createOrFold<arith::IndexCastOp>(k.loc, k.b.getI32Type(),
                                                      k.smaller(k.minus(n, column), k.index(KernelBuilder::kLanes)));
    Value mask = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, lane, k.broadcast(left));
    vector::MaskedStoreOp::create(k.b, k.loc, y, ValueRange{row, column}, mask, sum);
  }

  KernelBuilder &k;
  MatmulBlocks &blocks;
  Value y, m, n;
};

struct LowerMatmulPass : mlir::whit::impl::LowerMatmulPassBase<LowerMatmulPass> {
  void runOnOperation() override {
    TargetFacts facts = TargetFacts::of(getOperation());
    SmallVector<Operation *> matmuls;
    getOperation().walk([&](Operation *op) {
      if (isa<MatmulOp, QuantizedMatmulOp>(op))
        matmuls.push_back(op);
    });
    for (Operation *op : matmuls)
      if (failed(isa<MatmulOp>(op) ? lower(cast<MatmulOp>(op), facts) : lower(cast<QuantizedMatmulOp>(op), facts)))
        return signalPassFailure();
  }

  /// Loads and stores are vectors along the last dimension.
  static LogicalResult checkOperands(Operation *op, std::optional<PlaceAttr> place) {
    for (auto [i, type] : llvm::enumerate(op->getOperandTypes())) {
      auto memref = dyn_cast<MemRefType>(type);
      if (!memref)
        return op->emitOpError() << "operand " << i << " has type " << type << "; it must be a memref, bufferize first";
      if (!memref.isLastDimUnitStride())
        return op->emitOpError() << "operand " << i << " has type " << type
                                 << "; the stride of its last dimension must be 1, copy it first";
    }
    if (!place)
      return op->emitOpError() << "has no place; pack the weight first";
    return success();
  }

  static LogicalResult lower(MatmulOp op, const TargetFacts &facts) {
    if (failed(checkOperands(op, op.getPlace())))
      return failure();
    ::whit::Encoding stored = op.getPlace()->getFormat().getEncoding(), encoding = readPart(stored);
    ::whit::Place place = readPart(stored, op.getPlace()->solve());
    OpBuilder b(op);
    KernelBuilder k(b, op.getLoc(), facts);
    forRowViews(k, {{op.getX(), 1}, {op.getY(), 1}}, [&](ValueRange views) {
      FloatBlocks blocks(k, encoding, place, op.getW(), streamOf(facts, op.getSchedule()), views[0]);
      Grid(k, blocks, views[1]).emit(op.getSchedule());
    });
    op.erase();
    return success();
  }

  static LogicalResult lower(QuantizedMatmulOp op, const TargetFacts &facts) {
    if (failed(checkOperands(op, op.getPlace())))
      return failure();
    ::whit::Encoding stored = op.getPlace()->getFormat().getEncoding(), encoding = readPart(stored);
    ::whit::Place place = readPart(stored, op.getPlace()->solve());
    int64_t longest = ::whit::longestIntegerGroup(*::whit::integerCarriers(encoding));
    if (place.group > longest)
      return op.emitOpError() << "has groups of " << place.group << " elements; sums in int32 hold " << longest
                              << ", use whit.matmul";
    OpBuilder b(op);
    KernelBuilder k(b, op.getLoc(), facts);
    forRowViews(k, {{op.getCodes(), 2}, {op.getScales(), 1}, {op.getSums(), 1}, {op.getY(), 1}}, [&](ValueRange views) {
      IntegerBlocks blocks(k, encoding, place, op.getW(), streamOf(facts, op.getSchedule()), views[0], views[1],
                           views[2]);
      Grid(k, blocks, views[3]).emit(op.getSchedule());
    });
    op.erase();
    return success();
  }
};
} // namespace
