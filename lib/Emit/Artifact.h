// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes the artifact of include/whit/Artifact.h: packed weights, then the shared object whose manifest names them. Both appear whole or
// not at all, the shared object last.

#pragma once

#include "Emit/Cpu.h"
#include "Emit/WeightLoss.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/trust/Sha256.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <functional>
#include <string>

namespace whit {

/// Bounds of one of the model's symbolic dimensions; equal bounds fix it.
struct DimBound {
  std::string name;
  int64_t low = 0, high = 0;
  bool isFixed() const { return low == high; }
};

struct ArtifactRequest {
  std::string output; ///< path of the .so; the weights stand beside it with the extension .safetensors
  std::string model;  ///< path of the model file, which may hold weights itself
  bool embedWeights = false;
  std::vector<DimBound> bounds;                              ///< what the runtime checks of the symbols of these names
  std::vector<std::string> options;                          ///< flags of the compiler that the manifest keeps
  std::function<void(int64_t done, int64_t total)> progress; ///< bytes of packed weights; may be empty
};

struct ArtifactResult {
  Digest identity;         ///< what the trust store holds
  std::string weightsFile; ///< path; empty if there is none
  int64_t codeBytes = 0, weightBytes = 0, weightCount = 0;
  std::vector<WeightLoss> losses; ///< one for each weight of the model, in the artifact's order
};

/// `lowered` has the signature as module attributes and the weights as whit.weight operations; `variants` stand best first and `linked` is
/// the shared object made of them.
llvm::Expected<ArtifactResult> writeArtifact(mlir::ModuleOp lowered, llvm::ArrayRef<CpuCode> variants,
                                             std::vector<uint8_t> linked, const ArtifactRequest &request);

/// The program's name and version, as --version prints it and manifests hold it.
std::string producer();

} // namespace whit
