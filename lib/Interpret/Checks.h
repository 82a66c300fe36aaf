// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running what a user hands to whit-check: a file of tests, or a model on inputs of its own names.

#pragma once

#include "Emit/Failure.h"
#include "Interpret/Interpreter.h"

#include "mlir/IR/OwningOpRef.h"

#include <map>

namespace whit::interpret {

/// A module and the folder its weights lie in.
struct LoadedModule {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string directory;
};

/// Reads an .mlir file of any stage the interpreter knows. Errors are reported through the context's diagnostics as well.
llvm::Expected<LoadedModule> readModule(const std::string &path, mlir::MLIRContext &context);

/// Runs every function without arguments and reports each failed expectation at its place. Failure with Exit::Mismatch if
/// there is one; `passed` counts the others.
llvm::Error runChecks(LoadedModule &loaded, int64_t &passed);

/// Tensors by name.
using NamedTensors = std::map<std::string, Tensor>;

/// Runs @main. Inputs have the names and types of the model's; caches may be left out and are empty then. Results have the model's output names. `bounds`: results carry the error bound of a correct f32 program.
llvm::Expected<NamedTensors> evaluateModel(LoadedModule &loaded, const NamedTensors &inputs, bool bounds, int threads);

} // namespace whit::interpret
