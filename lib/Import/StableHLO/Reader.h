// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// StableHLO programs become modules of stage `imported`, like ONNX files: the same operations, with weights that are
// bytes of the file that binds the arguments.

#pragma once

#include "Import/Diagnostics.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace whit {

struct StableHloOptions {
  std::string params;     ///< .safetensors or .npz; empty: all arguments are inputs
  std::string paramNames; ///< .json; empty: tensors have the names of arguments
};

/// Whether a parsed module is such a program: it says so, or holds operations of the dialect.
bool isStableHlo(mlir::ModuleOp module);

/// Reports what makes a text no program that can be parsed: bytecode, operations that the dialect does not have, nesting
/// beyond measure. False if it reported something. The context must have the dialect loaded.
bool checkStableHloText(llvm::StringRef text, mlir::MLIRContext &context, Diagnostics &diagnostics);

/// The module of a parsed program from the file `path`; null if errors were found, then `diagnostics` has all of them.
mlir::OwningOpRef<mlir::ModuleOp> importStableHlo(mlir::ModuleOp source, llvm::StringRef path,
                                                  const StableHloOptions &options, Diagnostics &diagnostics);

} // namespace whit
