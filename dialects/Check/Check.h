// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The check dialect: assertions as IR.

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"

#include "Check/CheckDialect.h.inc"
#define GET_OP_CLASSES
#include "Check/CheckOps.h.inc"
