// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The middle of the compiler, from imported to lowered. Pipeline.cpp is the one page on which it stands.

#pragma once

#include <string>

namespace llvm {
class StringRef;
} // namespace llvm

namespace mlir {
class OpPassManager;
}

namespace mlir::whit {

/// What a user may choose; the fields are the flags of whit-compile.
struct PipelineOptions {
  std::string weights;                     ///< format for float weights, empty: as they are
  std::string formatMap;                   ///< 'GLOB=FORMAT,...' for single weights
  std::string keep;                        ///< glob of weights that stay as they are
  std::string quantizer = "least-squares"; ///< how the scales of quantized weights are found, or nearest
  std::string activations = "auto";        ///< as QuantizeActivations.td lists them
  std::string kv = "f32";                  ///< format of keys and values: "int8", "int8,uint4_min"
  bool kvHadamard = false;                 ///< multiply keys by a Hadamard matrix before they are quantized
  int64_t context = 2048;                  ///< capacity of caches, in tokens
  bool isGpu = false;                      ///< kernels and their launches, instead of loops that threads share
  bool requantize = false;                 ///< give formats also to what a GGUF file has quantized
};

/// Adds the passes that lead from the stage before `stage` (raised, encoded, fused, laid-out, tiled or lowered) to it, its verifier
/// last.
void buildStage(OpPassManager &manager, llvm::StringRef stage, const PipelineOptions &options);

} // namespace mlir::whit
