// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-parallel: parallel loops become functions over ranges. Which thread runs which range is the runtime's business and
// cannot change a result: iterations write disjoint memory.

#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERPARALLELPASS
#include "Lower/LowerParallel.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Stack memory that a body may use; a thread's stack is a megabyte or more.
constexpr int64_t kMaxScratchBytes = 256 << 10;

struct LowerParallelPass : mlir::whit::impl::LowerParallelPassBase<LowerParallelPass> {
  void runOnOperation() override {
    SmallVector<func::FuncOp> regions;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("whit.observed"))
        regions.push_back(func);
    for (func::FuncOp region : regions)
      if (failed(placeScratch(region)) || failed(outlineLoops(region)))
        return signalPassFailure();
    for (func::FuncOp region : regions)
      passContext(region);
  }

  // ------------------------------------------------------------------------------------------------ scratch

  LogicalResult placeScratch(func::FuncOp region) {
    SmallVector<memref::AllocOp> allocs;
    region.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
    int64_t total = 0;
    for (memref::AllocOp alloc : allocs) {
      MemRefType type = alloc.getType();
      int64_t bytes = (type.getElementTypeBitWidth() + 7) / 8;
      for (auto [i, size] : llvm::enumerate(type.getShape())) {
        if (!ShapedType::isDynamic(size)) {
          bytes *= size;
          continue;
        }
        FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
            presburger::BoundType::UB, {alloc.getDynamicSizes()[type.getDynamicDimIndex(i)]}, nullptr,
            /*closedUB=*/true);
        if (failed(bound))
          return alloc.emitError() << "tile buffer of type " << type << " has no largest size in dimension " << i
                                   << "; the schedule of its region must cut that dimension";
        bytes *= *bound;
      }
      total += bytes;
      if (total > kMaxScratchBytes)
        return alloc.emitError() << "tile buffers of region function " << region.getSymName() << " take " << total
                                 << " bytes of stack; at most " << kMaxScratchBytes
                                 << " are allowed, choose smaller tiles in its schedule";
      OpBuilder b(alloc);
      auto raw =
          memref::AllocaOp::create(b, alloc.getLoc(), MemRefType::get({bytes}, b.getI8Type()), b.getI64IntegerAttr(64));
      Value zero = arith::ConstantIndexOp::create(b, alloc.getLoc(), 0);
      auto view = memref::ViewOp::create(b, alloc.getLoc(), type, raw, zero, alloc.getDynamicSizes());
      alloc.replaceAllUsesWith(view.getResult());
      alloc.erase();
    }
    return success();
  }

  // ------------------------------------------------------------------------------------------------ loops

  LogicalResult outlineLoops(func::FuncOp region) {
    SmallVector<scf::ForallOp> loops(region.getOps<scf::ForallOp>());
    for (auto [i, loop] : llvm::enumerate(loops)) {
      if (loop->getNumResults())
        return loop.emitError() << "parallel loop still yields tensors; bufferize before whit-lower-parallel";
      outline(region, loop,
              llvm::formatv("{0}_body{1}", region.getSymName(), loops.size() == 1 ? "" : std::to_string(i)).str());
    }
    return success();
  }

  void outline(func::FuncOp region, scf::ForallOp loop, std::string name) {
    llvm::SetVector<Value> captured;
    SmallVector<Operation *> constants;
    auto capture = [&](Value value) {
      Operation *def = value.getDefiningOp();
      if (def && matchPattern(def, m_Constant())) {
        if (!llvm::is_contained(constants, def))
          constants.push_back(def);
      } else {
        captured.insert(value);
      }
    };
    for (Value value : loop->getOperands())
      capture(value);
    loop.getRegion().walk([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (!loop.getRegion().isAncestor(operand.getParentRegion()))
          capture(operand);
    });

    Location loc = loop.getLoc();
    OpBuilder b(region);
    SmallVector<Type> types = llvm::map_to_vector(captured, [](Value v) { return v.getType(); });
    types.append(2, b.getIndexType());
    auto body = func::FuncOp::create(b, loc, name, b.getFunctionType(types, {}));
    body.setPrivate();
    Block *entry = body.addEntryBlock();
    IRMapping map;
    map.map(captured.getArrayRef(), entry->getArguments().drop_back(2));
    b.setInsertionPointToStart(entry);
    for (Operation *constant : constants)
      b.clone(*constant, map);
    SmallVector<Value> counts = chunkCounts(b, loop, map);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    auto range = scf::ForOp::create(b, loc, entry->getArguments().end()[-2], entry->getArguments().back(), one);
    b.setInsertionPoint(range.getBody()->getTerminator());
    mapIndices(b, loop, range.getInductionVar(), counts, map);
    for (Operation &op : loop.getBody()->without_terminator())
      b.clone(op, map);
    b.setInsertionPointToEnd(entry);
    func::ReturnOp::create(b, loc);
    // Stack memory is taken once per call, not once per chunk.
    body.walk([&](memref::AllocaOp alloca) { alloca->moveBefore(entry, entry->begin()); });

    b.setInsertionPoint(loop);
    IRMapping outside;
    SmallVector<Value> outer = chunkCounts(b, loop, outside);
    Value count = one = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value size : outer)
      count = arith::MulIOp::create(b, loc, count, size);
    ParallelOp::create(b, loc, FlatSymbolRefAttr::get(body.getSymNameAttr()), count, captured.getArrayRef());
    loop.erase();
  }

  /// ceil((upper - lower) / step) of each loop.
  SmallVector<Value> chunkCounts(OpBuilder &b, scf::ForallOp loop, IRMapping &map) {
    SmallVector<Value> counts;
    AffineExpr lower = b.getAffineSymbolExpr(0), upper = b.getAffineSymbolExpr(1), step = b.getAffineSymbolExpr(2);
    for (auto [l, u, s] : llvm::zip_equal(loop.getMixedLowerBound(), loop.getMixedUpperBound(), loop.getMixedStep()))
      counts.push_back(getValueOrCreateConstantIndexOp(
          b, loop.getLoc(),
          affine::makeComposedFoldedAffineApply(b, loop.getLoc(), (upper - lower).ceilDiv(step),
                                                {mapped(l, map), mapped(u, map), mapped(s, map)})));
    return counts;
  }

  static OpFoldResult mapped(OpFoldResult value, IRMapping &map) {
    if (auto v = dyn_cast<Value>(value))
      return map.lookupOrDefault(v);
    return value;
  }

  /// Loop indices of chunk number `chunk`, the last loop fastest.
  void mapIndices(OpBuilder &b, scf::ForallOp loop, Value chunk, ArrayRef<Value> counts, IRMapping &map) {
    Location loc = loop.getLoc();
    Value rest = chunk;
    auto lower = loop.getMixedLowerBound(), step = loop.getMixedStep();
    for (int64_t i = counts.size() - 1; i >= 0; --i) {
      Value digit = rest;
      if (i > 0) {
        digit = arith::RemUIOp::create(b, loc, rest, counts[i]);
        rest = arith::DivUIOp::create(b, loc, rest, counts[i]);
      }
      AffineExpr e = b.getAffineDimExpr(0) * b.getAffineSymbolExpr(0) + b.getAffineSymbolExpr(1);
      Value index = getValueOrCreateConstantIndexOp(
          b, loc,
          affine::makeComposedFoldedAffineApply(b, loc, e, {digit, mapped(step[i], map), mapped(lower[i], map)}));
      map.map(loop.getInductionVars()[i], index);
    }
  }

  // ------------------------------------------------------------------------------------------------ context, observers

  /// `region` takes the context first; its calls pass it on and let the runtime watch the buffers of the region.
  void passContext(func::FuncOp region) {
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    int64_t observed = cast<IntegerAttr>(region->getAttr("whit.observed")).getInt();
    SmallVector<func::CallOp> calls;
    getOperation().walk([&](func::CallOp call) {
      if (call.getCallee() == region.getSymName())
        calls.push_back(call);
    });
    (void)region.insertArgument(0, pointer, {}, region.getLoc());
    for (func::CallOp call : calls) {
      OpBuilder b(call);
      Value context = call->getParentOfType<func::FuncOp>().getArgument(0);
      SmallVector<Value> operands{context}, buffers;
      operands.append(call->operand_begin(), call->operand_end());
      for (Value operand : call.getOperands().take_front(observed))
        if (isa<MemRefType>(operand.getType()))
          buffers.push_back(operand);
      Value id = call.getOperands().back();
      observe(b, call.getLoc(), context, region, id, 0, buffers);
      func::CallOp::create(b, call.getLoc(), region, operands);
      observe(b, call.getLoc(), context, region, id, 1, buffers);
      call.erase();
    }
  }

  /// if (context->observe) observe_REGION(context, id, when, buffers...): the descriptors are built in a function of their own.
  void observe(OpBuilder &b, Location loc, Value context, func::FuncOp region, Value id, int32_t when,
               ArrayRef<Value> buffers) {
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    std::string name = ("observe_" + region.getSymName()).str();
    auto observer = getOperation().lookupSymbol<func::FuncOp>(name);
    if (!observer) {
      OpBuilder top = OpBuilder::atBlockEnd(getOperation().getBody());
      SmallVector<Type> types{pointer, b.getI32Type(), b.getI32Type()};
      llvm::append_range(types, ValueRange(buffers).getTypes());
      observer = func::FuncOp::create(top, loc, name, b.getFunctionType(types, {}));
      observer.setPrivate();
      observer->setAttr("passthrough", b.getStrArrayAttr({"noinline", "cold"}));
      Block *entry = observer.addEntryBlock();
      top.setInsertionPointToStart(entry);
      ObserveOp::create(top, loc, entry->getArgument(1), entry->getArgument(2), entry->getArguments().drop_front(3));
      func::ReturnOp::create(top, loc);
    }
    Value address = LLVM::GEPOp::create(b, loc, pointer, pointer, context, ArrayRef<LLVM::GEPArg>{1});
    Value callback = LLVM::LoadOp::create(b, loc, pointer, address);
    Value null = LLVM::ZeroOp::create(b, loc, pointer);
    Value watched = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, callback, null);
    scf::IfOp::create(b, loc, watched, [&](OpBuilder &then, Location) {
      SmallVector<Value> operands{context, id, arith::ConstantIntOp::create(then, loc, when, 32)};
      llvm::append_range(operands, buffers);
      func::CallOp::create(then, loc, observer, operands);
      scf::YieldOp::create(then, loc);
    });
  }
};
} // namespace
