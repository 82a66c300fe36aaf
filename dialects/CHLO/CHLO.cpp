// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration and verifiers of the chlo dialect.

#include "CHLO/CHLO.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::chlo;

#include "CHLO/CHLODialect.cpp.inc"
#define GET_OP_CLASSES
#include "CHLO/CHLOOps.cpp.inc"

void CHLODialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "CHLO/CHLOOps.cpp.inc"
      >();
}

static LogicalResult verifyUnary(Operation *op) {
  Type operand = op->getOperand(0).getType(), result = op->getResult(0).getType();
  if (!isa<FloatType>(cast<ShapedType>(operand).getElementType()))
    return op->emitOpError() << "operand has type " << operand << "; its elements must be floats";
  if (operand != result)
    return op->emitOpError() << "operand has type " << operand << " and result " << result << "; they must be the same";
  return success();
}

LogicalResult AcosOp::verify() { return verifyUnary(*this); }
LogicalResult AcoshOp::verify() { return verifyUnary(*this); }
LogicalResult AsinOp::verify() { return verifyUnary(*this); }
LogicalResult AsinhOp::verify() { return verifyUnary(*this); }
LogicalResult AtanOp::verify() { return verifyUnary(*this); }
LogicalResult AtanhOp::verify() { return verifyUnary(*this); }
LogicalResult CoshOp::verify() { return verifyUnary(*this); }
LogicalResult ErfInvOp::verify() { return verifyUnary(*this); }
LogicalResult SinhOp::verify() { return verifyUnary(*this); }
LogicalResult TanOp::verify() { return verifyUnary(*this); }
LogicalResult ErfOp::verify() { return verifyUnary(*this); }
LogicalResult ErfcOp::verify() { return verifyUnary(*this); }
LogicalResult SquareOp::verify() { return verifyUnary(*this); }

static LogicalResult verifyTest(Operation *op) {
  auto operand = cast<RankedTensorType>(op->getOperand(0).getType());
  if (!isa<FloatType>(operand.getElementType()))
    return op->emitOpError() << "operand has type " << operand << "; its elements must be floats";
  Type wanted = operand.clone(IntegerType::get(op->getContext(), 1));
  if (op->getResult(0).getType() != wanted)
    return op->emitOpError() << "result has type " << op->getResult(0).getType() << "; it must have type " << wanted;
  return success();
}

LogicalResult IsInfOp::verify() { return verifyTest(*this); }
LogicalResult IsNegInfOp::verify() { return verifyTest(*this); }
LogicalResult IsPosInfOp::verify() { return verifyTest(*this); }

LogicalResult TopKOp::verify() {
  RankedTensorType operand = getOperand().getType(), values = getValues().getType(), indices = getIndices().getType();
  if (!operand.getRank())
    return emitOpError() << "operand has rank 0; it must have rank 1 or more";
  SmallVector<int64_t> shape(operand.getShape());
  int64_t k = getK();
  if (k < 0 || (!ShapedType::isDynamic(shape.back()) && k > shape.back()))
    return emitOpError() << "k is " << k << "; it must be from 0 to the size of the last dimension of " << operand;
  shape.back() = k;
  if (values.getElementType() != operand.getElementType() || failed(verifyCompatibleShape(shape, values.getShape())))
    return emitOpError() << "values have type " << values << "; they must have type "
                         << RankedTensorType::get(shape, operand.getElementType());
  if (!indices.getElementType().isInteger(32) || failed(verifyCompatibleShape(shape, indices.getShape())))
    return emitOpError() << "indices have type " << indices << "; they must have the shape of values and i32 elements";
  return success();
}
