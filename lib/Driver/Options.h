// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The command line of whit-compile as a struct; the C ABI's option list is read by the same reader.

#pragma once

#include "Emit/Artifact.h"
#include "Emit/Failure.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace whit {

enum class EmitKind { SharedObject, Mlir, Llvm, Assembly, Ptx, Cubin, Hsaco };

struct CompileOptions {
  std::string model;                ///< .onnx, .mlir of StableHLO, or .mlir of stage `startFrom`
  std::string output;               ///< "-" = standard output (text only)
  std::vector<std::string> targets; ///< none: this machine
  std::string formatsFile, weights, formatMap, keep, quantizer = "least-squares";
  std::string activations = "auto", kv = "f32";
  bool kvHadamard = false, requantize = false;
  int64_t context = 2048;
  std::vector<DimBound> dims;
  bool embedWeights = false, simulation = false;
  std::string params, paramNames; ///< files that bind the arguments of a StableHLO program
  std::string startFrom = "imported", stopAfter = "emitted";
  std::string dumpStages;            ///< folder; empty: none
  std::string exportKernels;         ///< regions to export, by name; empty: a model is compiled
  std::vector<std::string> exportAs; ///< ways to call them
  EmitKind emit = EmitKind::SharedObject;
  std::optional<std::string> explain; ///< file; "-" = standard output
  std::string report, facts;
  std::string largeM = "auto"; ///< which ways matmuls of many rows may take on a GPU
  int64_t mostRegisters = 0;   ///< of a thread of a GPU; 0: as many as there are
  bool chooseTokens = false; ///< the next token is an output beside the logits
  bool jsonDiagnostics = false;
  bool quiet = false;
};

/// The flags among `options` that decide what is computed and in which regions, as they would be written.
std::vector<std::string> meaningOf(const CompileOptions &options);

/// All stages in order, imported first and emitted last.
const std::vector<std::string> &stageNames();
/// Position of a stage in stageNames().
size_t stageIndex(llvm::StringRef name);

/// What reading a command line came to: options to run with, or a text to print (help, version) and be done.
struct ParsedOptions {
  CompileOptions options;
  std::string text;
};

/// `arguments` without the program's name. A wrong command line is a Failure with Exit::Usage.
llvm::Expected<ParsedOptions> parseOptions(std::vector<std::string> arguments);

} // namespace whit
