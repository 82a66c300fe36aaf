// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The whole way from a model file to an artifact: import, the stages of passes/Pipeline.h, emit.

#pragma once

#include "Driver/Options.h"
#include "llvm/Support/raw_ostream.h"

namespace whit {

/// Where the compiler writes while it runs.
struct CompileOutlet {
  llvm::raw_ostream &messages; ///< problems and progress
  bool isTerminal = false;
  bool keepsReproducers = true; ///< whether a bug leaves a file behind
};

/// Runs what `options` say; they have passed parseOptions.
Exit compile(const CompileOptions &options, const CompileOutlet &outlet);

/// For tools: reads the command line, runs, and gives the exit code.
int compileMain(int argc, char **argv);

} // namespace whit
