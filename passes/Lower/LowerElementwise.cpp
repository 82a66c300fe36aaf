// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// linalg operations and copies on memrefs to loops. An operation is vectorized along a loop that every operand allows;
// it becomes the innermost one, and the body is cloned with vectors of 16 lanes in place of scalars.

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
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERELEMENTWISEPASS
#include "Lower/LowerElementwise.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// One linalg operation, cut along one of its loops.
class VectorizedLoops {
public:
  VectorizedLoops(LaneBuilder &b, linalg::GenericOp op, unsigned loop) : b(b), op(op), loop(loop) {}

  /// Whether every operand and the body can be taken 16 iterations of the loop at a time.
  bool possible();
  void emit();

private:
  bool isReduction() { return op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction; }
  bool moves(AffineMap map) { return map.isFunctionOfDim(loop); }
  bool operandAllows(OpOperand &operand);
  bool bodyAllows();
  bool findCombiner();
  SmallVector<Value> sizes();
  SmallVector<Value> addressOf(OpOperand &operand, ValueRange at);
  Value laneValue(Value value);
  void mapOperands(ValueRange at, Value mask);
  void emitBody(ValueRange at);
  Value emitOp(Operation &inner, ValueRange at);
  void emitParallel(ValueRange at, Value mask);
  void emitReduction(Value size, function_ref<SmallVector<Value>(Value)> address);
  Value combine(Value accumulated, Value term);

  LaneBuilder &b;
  linalg::GenericOp op;
  unsigned loop;
  IRMapping lanes; ///< scalars of the body to vectors
  Operation *combiner = nullptr;
  unsigned accumulator = 0; ///< operand of the combiner that holds the result so far
};
} // namespace

/// Bytes are the unit of memory, so i1 is stored as one byte and a vector of it is not.
static bool isWhole(Type element) { return element.isIntOrFloat() && element.getIntOrFloatBitWidth() % 8 == 0; }

static bool hasUnitStride(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) && !strides.empty() && strides.back() == 1;
}

bool VectorizedLoops::operandAllows(OpOperand &operand) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type)
    return operand.get().getType().isIntOrIndexOrFloat();
  AffineMap map = op.getMatchingIndexingMap(&operand);
  if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return false;
  return !moves(map) ||
         (isWhole(type.getElementType()) && map.getResults().back().isFunctionOfDim(loop) && hasUnitStride(type));
}

bool VectorizedLoops::bodyAllows() {
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp, linalg::IndexOp>(inner))
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&inner) || inner.getNumResults() != 1 || inner.getNumRegions())
      return false;
    // Lanes behind a tail hold 0, and dividing integers by 0 is undefined.
    if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp, arith::CeilDivUIOp,
            arith::FloorDivSIOp, math::IPowIOp>(inner))
      return false;
  }
  return true;
}

/// result = combiner(result, term), where nothing else reads the result.
bool VectorizedLoops::findCombiner() {
  if (op.getNumDpsInits() != 1 || moves(op.getMatchingIndexingMap(op.getDpsInitOperand(0))))
    return false;
  BlockArgument result = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  combiner = op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  if (!combiner || combiner->getBlock() != op.getBody() || combiner->getNumOperands() != 2 || !result.hasOneUse() ||
      result.use_begin()->getOwner() != combiner || !arith::getNeutralElement(combiner))
    return false;
  accumulator = result.use_begin()->getOperandNumber();
  return true;
}

bool VectorizedLoops::possible() {
  if (!llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) { return operandAllows(operand); }) || !bodyAllows())
    return false;
  if (isReduction())
    return findCombiner();
  return llvm::all_of(op.getDpsInitsMutable(),
                      [&](OpOperand &init) { return moves(op.getMatchingIndexingMap(&init)); });
}

SmallVector<Value> VectorizedLoops::sizes() {
  SmallVector<Value> sizes(op.getNumLoops());
  for (bool wantStatic : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      for (auto [i, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr);
            dim && !sizes[dim.getPosition()] && type.isDynamicDim(i) != wantStatic)
          sizes[dim.getPosition()] = b.dim(operand.get(), i);
    }
  return sizes;
}

SmallVector<Value> VectorizedLoops::addressOf(OpOperand &operand, ValueRange at) {
  SmallVector<Value> address;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
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
    if (index.getDim() != loop)
      return first;
    return arith::AddIOp::create(b, first, vector::StepOp::create(b, b.vectorOf(b.getIndexType())));
  }
  SmallVector<Value> operands;
  for (Value operand : inner.getOperands())
    operands.push_back(laneValue(operand));
  Type type = b.vectorOf(inner.getResult(0).getType());
  return mlir::clone(b, &inner, TypeRange{type}, operands)->getResult(0);
}

void VectorizedLoops::mapOperands(ValueRange at, Value mask) {
  lanes.clear();
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument scalar = op.getMatchingBlockArgument(&operand);
    if (scalar.use_empty() || (combiner && op.isDpsInit(&operand)))
      continue;
    if (!isa<MemRefType>(operand.get().getType()))
      lanes.map(scalar, b.splat(operand.get()));
    else if (moves(op.getMatchingIndexingMap(&operand)))
      lanes.map(scalar, b.load(operand.get(), addressOf(operand, at), mask));
    else
      lanes.map(scalar, b.splat(b.read(operand.get(), addressOf(operand, at))));
  }
}

void VectorizedLoops::emitBody(ValueRange at) {
  for (Operation &inner : op.getBody()->without_terminator())
    if (&inner != combiner)
      lanes.map(inner.getResult(0), emitOp(inner, at));
}

void VectorizedLoops::emitParallel(ValueRange at, Value mask) {
  mapOperands(at, mask);
  emitBody(at);
  for (auto [init, yielded] : llvm::zip_equal(op.getDpsInitsMutable(), op.getBody()->getTerminator()->getOperands()))
    b.store(laneValue(yielded), init.get(), addressOf(init, at), mask);
}

Value VectorizedLoops::combine(Value accumulated, Value term) {
  SmallVector<Value> operands{accumulated, term};
  if (accumulator == 1)
    std::swap(operands[0], operands[1]);
  return mlir::clone(b, combiner, TypeRange{term.getType()}, operands)->getResult(0);
}

void VectorizedLoops::emitReduction(Value size, function_ref<SmallVector<Value>(Value)> address) {
  TypedAttr neutral = *arith::getNeutralElement(combiner);
  VectorType type = b.vectorOf(neutral.getType());
  Value neutrals = arith::ConstantOp::create(b, DenseElementsAttr::get(type, Attribute(neutral)));
  Value partial = b.lanes(size, {neutrals}, [&](Value i, Value mask, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> at = address(i);
    mapOperands(at, mask);
    emitBody(at);
    Value term = laneValue(combiner->getOperand(1 - accumulator));
    return {combine(carried[0], mask ? b.select(mask, term, neutrals) : term)};
  })[0];
  Value folded = b.reduce(partial, [&](Value x, Value y) { return combine(x, y); });
  OpOperand &init = *op.getDpsInitOperand(0);
  SmallVector<Value> at = addressOf(init, address(b.index(0)));
  b.write(combine(b.read(init.get(), at), folded), init.get(), at);
}

void VectorizedLoops::emit() {
  SmallVector<Value> outer = sizes();
  Value inner = outer[loop];
  outer.erase(outer.begin() + loop);
  b.loops(outer, [&](ValueRange others) {
    auto address = [&](Value i) {
      SmallVector<Value> at(others);
      at.insert(at.begin() + loop, i);
      return at;
    };
    if (isReduction())
      return emitReduction(inner, address);
    b.lanes(inner, [&](Value i, Value mask) { emitParallel(address(i), mask); });
  });
}

/// Lanes along the last parallel loop that can have them, or else along a reduction.
static bool vectorize(linalg::GenericOp op) {
  LaneBuilder b(op);
  for (utils::IteratorType type : {utils::IteratorType::parallel, utils::IteratorType::reduction})
    for (int64_t loop = op.getNumLoops() - 1; loop >= 0; --loop) {
      VectorizedLoops loops(b, op, loop);
      if (op.getIteratorTypesArray()[loop] != type || !loops.possible())
        continue;
      loops.emit();
      return true;
    }
  return false;
}

// ---------------------------------------------------------------------------------------------------- copies

static void lowerCopy(LaneBuilder &b, memref::CopyOp op) {
  Value from = op.getSource(), to = op.getTarget();
  auto type = cast<MemRefType>(to.getType());
  auto unitStride = [](Value memref) { return hasUnitStride(cast<MemRefType>(memref.getType())); };
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
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic) {
      FailureOr<linalg::GenericOp> general = linalg::generalizeNamedOp(rewriter, op);
      if (failed(general))
        return op.emitOpError() << "cannot be written as linalg.generic";
      generic = *general;
    }
    rewriter.setInsertionPoint(generic);
    if (!vectorize(generic)) {
      remark::missed(generic.getLoc(), remark::RemarkOpts::name("loops").category(getArgument()))
          << "scalar loops: no loop moves only last dimensions of unit stride under a lane-wise body";
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
