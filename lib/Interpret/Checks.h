// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files of tests: functions without arguments that state what their values must be.

#pragma once

#include "Emit/Failure.h"
#include "Interpret/Interpreter.h"

#include "mlir/IR/OwningOpRef.h"

namespace whit::interpret {

/// A module and the folder its weights lie in.
struct LoadedModule {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string directory;
};

/// Reads an .mlir file of any stage the interpreter knows. Errors are reported through the context's diagnostics as
/// well.
llvm::Expected<LoadedModule> readModule(const std::string &path, mlir::MLIRContext &context);

/// Runs every function without arguments and reports each failed expectation at its place. Failure with Exit::Mismatch
/// if there is one; `passed` counts the others.
llvm::Error runChecks(LoadedModule &loaded, int64_t &passed);

} // namespace whit::interpret
