// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stablehlo dialect: what JAX writes for inference. See README.md beside this file.

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::stablehlo {

LogicalResult verifyElementwise(Operation *op);
LogicalResult verifySameElements(Operation *op);

/// Operands and the one result have one shape.
template <typename Op> struct Elementwise : OpTrait::TraitBase<Op, Elementwise> {
  static LogicalResult verifyTrait(Operation *op) { return verifyElementwise(op); }
};

/// Operands and the one result have one type of elements.
template <typename Op> struct SameElements : OpTrait::TraitBase<Op, SameElements> {
  static LogicalResult verifyTrait(Operation *op) { return verifySameElements(op); }
};

} // namespace mlir::stablehlo

#include "StableHLO/StableHLODialect.h.inc"
#include "StableHLO/StableHLOEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "StableHLO/StableHLOAttrs.h.inc"
#define GET_OP_CLASSES
#include "StableHLO/StableHLOOps.h.inc"
