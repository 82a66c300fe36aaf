// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// linalg operations and copies on memrefs to loops. An operation is vectorized along its last loop if every operand allows it;
// the body is then cloned with vectors of 16 lanes in place of scalars.

#include "Lower/ExpandMath.h"
#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERELEMENTWISEPASS
#include "Lower/LowerElementwise.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// One linalg operation, cut along its last loop.
class VectorizedLoops {
public:
  VectorizedLoops(LaneBuilder &b, linalg::LinalgOp op) : b(b), op(op) {}

  /// Why the operation needs scalar loops; nothing if it does not.
  std::optional<StringRef> refuse();
  void emit();

private:
  std::optional<StringRef> refuseOperand(OpOperand &operand);
  std::optional<StringRef> refuseBody();
  bool moves(AffineMap map) { return map.isFunctionOfDim(op.getNumLoops() - 1); }
  SmallVector<Value> sizes();
  SmallVector<Value> addressOf(AffineMap map, ValueRange at);
  Value laneValue(Value value);
  void emitBody(ValueRange at, Value mask);
  Value emitOp(Operation &inner, ValueRange at);

  LaneBuilder &b;
  linalg::LinalgOp op;
  IRMapping lanes; ///< scalars of the body to vectors
};
} // namespace

/// Bytes are the unit of memory, so i1 is stored as one byte and a vector of it is not.
static bool isWhole(Type element) { return element.isIntOrFloat() && element.getIntOrFloatBitWidth() % 8 == 0; }

std::optional<StringRef> VectorizedLoops::refuseOperand(OpOperand &operand) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return operand.get().getType().isIntOrIndexOrFloat() ? std::nullopt : std::optional("an operand is no memref");
  AffineMap map = op.getMatchingIndexingMap(&operand);
  if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return "an index is computed";
  if (!moves(map))
    return std::nullopt;
  if (!isWhole(type.getElementType()))
    return "elements are not whole bytes";
  if (!map.getResults().back().isFunctionOfDim(op.getNumLoops() - 1))
    return "the last loop does not move the last dimension";
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.back() != 1)
    return "the last dimension is strided";
  return std::nullopt;
}

std::optional<StringRef> VectorizedLoops::refuseBody() {
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (isa<arith::ConstantOp, linalg::IndexOp>(inner))
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&inner) || inner.getNumResults() != 1 || inner.getNumRegions())
      return "the body is not lane-wise";
    // Lanes behind a tail hold 0, and dividing integers by 0 is undefined.
    if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp, arith::CeilDivUIOp,
            arith::FloorDivSIOp, math::IPowIOp>(inner))
      return "integers are divided";
  }
  return std::nullopt;
}

std::optional<StringRef> VectorizedLoops::refuse() {
  if (op.getNumLoops() == 0 || op.getNumParallelLoops() != op.getNumLoops())
    return "not all loops are parallel";
  for (OpOperand &operand : op->getOpOperands())
    if (auto why = refuseOperand(operand))
      return why;
  for (OpOperand &init : op.getDpsInitsMutable())
    if (!moves(op.getMatchingIndexingMap(&init)))
      return "the last loop does not move the result";
  return refuseBody();
}

SmallVector<Value> VectorizedLoops::sizes() {
  SmallVector<Value> sizes(op.getNumLoops());
  for (bool wantStatic : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      for (auto [i, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && !sizes[dim.getPosition()] && type.isDynamicDim(i) != wantStatic)
          sizes[dim.getPosition()] = b.dim(operand.get(), i);
    }
  return sizes;
}

SmallVector<Value> VectorizedLoops::addressOf(AffineMap map, ValueRange at) {
  SmallVector<Value> address;
  for (AffineExpr expr : map.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    address.push_back(dim ? at[dim.getPosition()] : b.index(0));
  }
  return address;
}

/// The lanes of a scalar of the body; values from outside are the same in all.
Value VectorizedLoops::laneValue(Value value) {
  if (Value known = lanes.lookupOrNull(value))
    return known;
  return b.splat(value);
}

Value VectorizedLoops::emitOp(Operation &inner, ValueRange at) {
  if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
    VectorType type = b.vectorOf(constant.getType());
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, Attribute(constant.getValue())));
  }
  if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
    Value first = b.splat(at[index.getDim()]);
    if (int64_t(index.getDim()) != op.getNumLoops() - 1)
      return first;
    return arith::AddIOp::create(b, first, vector::StepOp::create(b, b.vectorOf(b.getIndexType())));
  }
  SmallVector<Value> operands;
  for (Value operand : inner.getOperands())
    operands.push_back(laneValue(operand));
  Type type = b.vectorOf(inner.getResult(0).getType());
  return mlir::clone(b, &inner, TypeRange{type}, operands)->getResult(0);
}

void VectorizedLoops::emitBody(ValueRange at, Value mask) {
  lanes.clear();
  Block *body = op.getBlock();
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument scalar = op.getMatchingBlockArgument(&operand);
    if (scalar.use_empty())
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!isa<MemRefType>(operand.get().getType()))
      lanes.map(scalar, b.splat(operand.get()));
    else if (moves(map))
      lanes.map(scalar, b.load(operand.get(), addressOf(map, at), mask));
    else
      lanes.map(scalar, b.splat(b.read(operand.get(), addressOf(map, at))));
  }
  for (Operation &inner : body->without_terminator())
    lanes.map(inner.getResult(0), emitOp(inner, at));
  for (auto [init, yielded] : llvm::zip_equal(op.getDpsInitsMutable(), body->getTerminator()->getOperands()))
    b.store(laneValue(yielded), init.get(), addressOf(op.getMatchingIndexingMap(&init), at), mask);
}

void VectorizedLoops::emit() {
  SmallVector<Value> all = sizes();
  b.loops(ArrayRef(all).drop_back(), [&](ValueRange outer) {
    b.lanes(all.back(), [&](Value last, Value mask) {
      SmallVector<Value> at(outer);
      at.push_back(last);
      emitBody(at, mask);
    });
  });
}

// ---------------------------------------------------------------------------------------------------- copies

static void lowerCopy(LaneBuilder &b, memref::CopyOp op) {
  Value from = op.getSource(), to = op.getTarget();
  auto type = cast<MemRefType>(to.getType());
  auto unitStride = [](Value memref) {
    SmallVector<int64_t> strides;
    int64_t offset;
    return succeeded(cast<MemRefType>(memref.getType()).getStridesAndOffset(strides, offset)) && strides.back() == 1;
  };
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    sizes.push_back(type.isDynamicDim(i) ? b.dim(from, i) : b.dim(to, i));
  if (sizes.empty() || !isWhole(type.getElementType()) || !unitStride(from) || !unitStride(to))
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
    if (!isa<linalg::GenericOp>(op)) {
      FailureOr<linalg::GenericOp> generic = linalg::generalizeNamedOp(rewriter, op);
      if (failed(generic))
        return op.emitOpError() << "cannot be written as linalg.generic";
      op = *generic;
    }
    LaneBuilder b(op);
    VectorizedLoops loops(b, op);
    if (!loops.refuse()) {
      loops.emit();
    } else {
      rewriter.setInsertionPoint(op);
      if (failed(linalg::linalgOpToLoops(rewriter, op)))
        return op.emitOpError() << "cannot be lowered to loops";
    }
    op.erase();
    return success();
  }

  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](Operation *op) {
      if (auto copy = dyn_cast<memref::CopyOp>(op); copy && isa<MemRefType>(copy.getSource().getType()) &&
                                                    isa<MemRefType>(copy.getTarget().getType()))
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
