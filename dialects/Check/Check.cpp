// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration and the one verifier of the check dialect. Meaning is given to the operations by those who run them.

#include "Check/Check.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::check;

#include "Check/CheckDialect.cpp.inc"
#define GET_OP_CLASSES
#include "Check/CheckOps.cpp.inc"

void CheckDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "Check/CheckOps.cpp.inc"
      >();
}

LogicalResult ExpectEqConstOp::verify() {
  if (isa<DenseElementsAttr, IntegerAttr, FloatAttr>(getExpected()))
    return success();
  return emitOpError() << "expected is " << getExpected() << "; it must be dense elements, an integer or a float";
}
