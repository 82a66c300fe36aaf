// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The calls of a region, frames for observers around them, and the tiles of its loops.

#include "Lower/RegionLoops.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::whit;

/// if (context->observe) observe_REGION(context, id, when, buffers...): the descriptors are built in a function of their own.
static void observe(ModuleOp module, OpBuilder &b, Location loc, Value context, func::FuncOp region, Value id,
                    int32_t when, ArrayRef<Value> buffers) {
  auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  std::string name = ("observe_" + region.getSymName()).str();
  auto observer = module.lookupSymbol<func::FuncOp>(name);
  if (!observer) {
    OpBuilder top = OpBuilder::atBlockEnd(module.getBody());
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

void mlir::whit::passContext(ModuleOp module, func::FuncOp region) {
  auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  int64_t observed = cast<IntegerAttr>(region->getAttr("whit.observed")).getInt();
  SmallVector<func::CallOp> calls;
  module.walk([&](func::CallOp call) {
    if (call.getCallee() == region.getSymName())
      calls.push_back(call);
  });
  (void)region.insertArgument(0, pointer, {}, region.getLoc());
  for (func::CallOp call : calls) {
    OpBuilder b(call);
    Value context = call->getParentOfType<func::FuncOp>().getArgument(0);
    SmallVector<Value> operands{context}, buffers;
    operands.append(call->operand_begin(), call->operand_end());
    if (observed < 0) {
      func::CallOp::create(b, call.getLoc(), region, operands);
      call.erase();
      continue;
    }
    for (Value operand : call.getOperands().take_front(observed))
      if (isa<MemRefType>(operand.getType()))
        buffers.push_back(operand);
    Value id = call.getOperands().back();
    observe(module, b, call.getLoc(), context, region, id, 0, buffers);
    func::CallOp::create(b, call.getLoc(), region, operands);
    observe(module, b, call.getLoc(), context, region, id, 1, buffers);
    call.erase();
  }
}

FailureOr<int64_t> mlir::whit::largestBytes(memref::AllocOp buffer) {
  MemRefType type = buffer.getType();
  int64_t bytes = (type.getElementTypeBitWidth() + 7) / 8;
  for (auto [i, size] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      bytes *= size;
      continue;
    }
    FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
        presburger::BoundType::UB, {buffer.getDynamicSizes()[type.getDynamicDimIndex(i)]}, nullptr, /*closedUB=*/true);
    if (failed(bound))
      return buffer.emitError() << "tile buffer of type " << type << " has no largest size in dimension " << i
                                << "; the schedule of its region must cut that dimension";
    bytes *= *bound;
  }
  return bytes;
}

SmallVector<scf::ForallOp> mlir::whit::loopsOf(Operation *region) {
  SmallVector<scf::ForallOp> loops;
  region->walk<WalkOrder::PreOrder>([&](scf::ForallOp loop) {
    loops.push_back(loop);
    return WalkResult::skip();
  });
  return loops;
}

Captured mlir::whit::capturedBy(scf::ForallOp loop) {
  Captured captured;
  auto capture = [&](Value value) {
    Operation *def = value.getDefiningOp();
    if (!def || !matchPattern(def, m_Constant()))
      captured.values.insert(value);
    else if (!llvm::is_contained(captured.constants, def))
      captured.constants.push_back(def);
  };
  for (Value value : loop->getOperands())
    capture(value);
  loop.getRegion().walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (!loop.getRegion().isAncestor(operand.getParentRegion()))
        capture(operand);
  });
  return captured;
}

static OpFoldResult mapped(OpFoldResult value, IRMapping &map) {
  if (auto v = dyn_cast<Value>(value))
    return map.lookupOrDefault(v);
  return value;
}

SmallVector<Value> mlir::whit::tileCounts(OpBuilder &b, scf::ForallOp loop, IRMapping &map) {
  SmallVector<Value> counts;
  AffineExpr lower = b.getAffineSymbolExpr(0), upper = b.getAffineSymbolExpr(1), step = b.getAffineSymbolExpr(2);
  for (auto [l, u, s] : llvm::zip_equal(loop.getMixedLowerBound(), loop.getMixedUpperBound(), loop.getMixedStep()))
    counts.push_back(getValueOrCreateConstantIndexOp(
        b, loop.getLoc(),
        affine::makeComposedFoldedAffineApply(b, loop.getLoc(), (upper - lower).ceilDiv(step),
                                              {mapped(l, map), mapped(u, map), mapped(s, map)})));
  return counts;
}

void mlir::whit::mapTile(OpBuilder &b, scf::ForallOp loop, Value tile, ArrayRef<Value> counts, IRMapping &map) {
  Location loc = loop.getLoc();
  Value rest = tile;
  auto lower = loop.getMixedLowerBound(), step = loop.getMixedStep();
  for (int64_t i = counts.size() - 1; i >= 0; --i) {
    Value digit = rest;
    if (i > 0) {
      digit = arith::RemUIOp::create(b, loc, rest, counts[i]);
      rest = arith::DivUIOp::create(b, loc, rest, counts[i]);
    }
    AffineExpr e = b.getAffineDimExpr(0) * b.getAffineSymbolExpr(0) + b.getAffineSymbolExpr(1);
    Value index = getValueOrCreateConstantIndexOp(
        b, loc, affine::makeComposedFoldedAffineApply(b, loc, e, {digit, mapped(step[i], map), mapped(lower[i], map)}));
    map.map(loop.getInductionVars()[i], index);
  }
}
