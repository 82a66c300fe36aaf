// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The three things whit-check does, by what it was given.

#pragma once

#include "Emit/Failure.h"
#include "Interpret/Models.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/SourceMgr.h"

#include <string>

namespace whit::check {

struct Request {
  std::string model, artifact, inputs, outputs;
  std::vector<std::pair<std::string, int64_t>> dims; ///< that are fixed
  bool bounds = false, all = false;
  int threads = 2;
};

/// Where modules are read: all dialects, and what is wrong with a text on stderr.
struct Reading {
  Reading();
  mlir::MLIRContext context;
  llvm::SourceMgr sources;
  mlir::SourceMgrDiagnosticHandler printer;
};

/// Runs the checks of a file, a model on its inputs, or the replay of an artifact.
llvm::Error run(const Request &request);

/// Runs `artifact` on the inputs, and every region of it again in the interpreter; compares within the regions' bounds.
llvm::Error replay(const Request &request);

/// Arrays of an .npz file by name.
llvm::Expected<interpret::NamedTensors> readInputs(const std::string &path, mlir::MLIRContext &context);

/// Prints an error, if it is one, and returns the exit code.
int report(llvm::Error error, llvm::raw_ostream &out);

} // namespace whit::check
