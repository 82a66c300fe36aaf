// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// linalg operations and copies on memrefs to loops. An operation is vectorized along the loop that suits its operands best
// (VectorizedLoops.h); what has none becomes scalar loops.

#include "Lower/ExpandMath.h"
#include "Lower/LaneBuilder.h"
#include "Lower/VectorizedLoops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERELEMENTWISEPASS
#include "Lower/LowerElementwise.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// The body once, where there is no loop: on scalars.
static void emitOnce(linalg::GenericOp op) {
  LaneBuilder b(op);
  IRMapping map;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    map.map(op.getMatchingBlockArgument(&operand), isa<MemRefType>(value.getType()) ? b.read(value, {}) : value);
  }
  for (Operation &inner : op.getBody()->without_terminator())
    b.clone(inner, map);
  for (auto [init, value] : llvm::zip_equal(op.getDpsInits(), op.getBody()->getTerminator()->getOperands()))
    b.write(map.lookupOrDefault(value), init, {});
}

/// Lanes along the loop that needs the fewest scattered accesses: the last parallel one of these, or else a reduction.
static bool vectorize(linalg::GenericOp op) {
  LaneBuilder b(op);
  std::optional<VectorizedLoops> best;
  for (utils::IteratorType type : {utils::IteratorType::parallel, utils::IteratorType::reduction})
    for (int64_t loop = op.getNumLoops() - 1; loop >= 0; --loop) {
      VectorizedLoops loops(b, op, loop);
      if (op.getIteratorTypesArray()[loop] == type && loops.possible() && (!best || loops.cost() < best->cost()))
        best.emplace(loops);
    }
  if (!best)
    return false;
  if (best->scattered())
    remark::missed(op.getLoc(), remark::RemarkOpts::name("loops").category("whit-lower-elementwise"))
        << "one access per element: no loop moves only last dimensions of unit stride";
  best->emit();
  return true;
}

// ---------------------------------------------------------------------------------------------------- copies

static void lowerCopy(LaneBuilder &b, memref::CopyOp op) {
  Value from = op.getSource(), to = op.getTarget();
  auto type = cast<MemRefType>(to.getType());
  auto unitStride = [](Value memref) { return hasUnitStride(cast<MemRefType>(memref.getType())); };
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    sizes.push_back(type.isDynamicDim(i) ? b.dim(from, i) : b.dim(to, i));
  if (sizes.empty() || !isStorable(type.getElementType()) || !unitStride(from) || !unitStride(to))
    return b.loops(sizes, [&](ValueRange at) { b.write(b.read(from, at), to, at); });
  b.loops(ArrayRef(sizes).drop_back(), [&](ValueRange outer) {
    b.lanes(sizes.back(), [&](Value last, Value mask) {
      SmallVector<Value> at(outer);
      at.push_back(last);
      b.store(b.load(from, at, mask), to, at, mask);
    });
  });
}

// ---------------------------------------------------------------------------------------------------- the pass

namespace {
struct LowerElementwisePass : mlir::whit::impl::LowerElementwisePassBase<LowerElementwisePass> {
  LogicalResult lower(linalg::LinalgOp op) {
    IRRewriter rewriter(op);
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic) {
      FailureOr<linalg::GenericOp> general = linalg::generalizeNamedOp(rewriter, op);
      if (failed(general))
        return op.emitOpError() << "cannot be written as linalg.generic";
      generic = *general;
    }
    rewriter.setInsertionPoint(generic);
    if (generic.getNumLoops() == 0) {
      emitOnce(generic);
    } else if (!vectorize(generic)) {
      remark::missed(generic.getLoc(), remark::RemarkOpts::name("loops").category(getArgument()))
          << "scalar loops: no loop can be taken 16 iterations at a time";
      if (failed(linalg::linalgOpToLoops(rewriter, generic)))
        return generic.emitOpError() << "cannot be lowered to loops";
    }
    generic.erase();
    return success();
  }

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](Operation *op) {
      if (auto copy = dyn_cast<memref::CopyOp>(op);
          copy && isa<MemRefType>(copy.getSource().getType()) && isa<MemRefType>(copy.getTarget().getType()))
        copies.push_back(copy);
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op); linalgOp && linalgOp.hasPureBufferSemantics())
        ops.push_back(linalgOp);
    });
    for (memref::CopyOp copy : copies) {
      LaneBuilder b(copy);
      lowerCopy(b, copy);
      copy.erase();
    }
    for (linalg::LinalgOp op : ops)
      if (failed(lower(op)))
        return signalPassFailure();
    if (failed(expandMath(getOperation())))
      signalPassFailure();
  }
};
} // namespace
