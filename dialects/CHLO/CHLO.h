// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The chlo dialect: what JAX leaves to a client library. See README.md beside this file.

#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "CHLO/CHLODialect.h.inc"
#define GET_OP_CLASSES
#include "CHLO/CHLOOps.h.inc"
