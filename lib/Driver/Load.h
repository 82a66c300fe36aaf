// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model file as a module: ONNX and StableHLO through their importers, stages through the parser.

#pragma once

#include "Driver/Console.h"
#include "Driver/Options.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace whit {

/// Null after printing why; `exit` then says what that leads to.
mlir::OwningOpRef<mlir::ModuleOp> loadModel(const CompileOptions &options, mlir::MLIRContext &context, Console &console,
                                            Exit &exit);

} // namespace whit
