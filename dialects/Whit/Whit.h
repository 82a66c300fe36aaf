// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The whit dialect: attributes, types and operations. See README.md beside this file for why they are as they are.

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/BufferizationTypeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/TilingInterface.h"

#include "runtime/encoding/CacheBlock.h"
#include "runtime/encoding/Quantize.h"
#include "whit/Encoding.h"

namespace mlir::whit {
/// How one dimension of an operand moves with a loop: offset and size are those of `loop` times `multiply` over `divide`
/// (size rounded up). A negative loop means that the dimension is always taken whole.
struct DimUse {
  int64_t loop = -1, multiply = 1, divide = 1;
};

void registerBufferization(DialectRegistry &registry);
} // namespace mlir::whit

#include "Whit/WhitDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "Whit/WhitAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "Whit/WhitTypes.h.inc"

#include "Whit/WhitInterfaces.h.inc"
#define GET_OP_CLASSES
#include "Whit/WhitOps.h.inc"
