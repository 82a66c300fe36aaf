// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a pass knows of the machine it generates code for, read from the module attribute
// `whit.target = {cpu = "...", features = "+avx2,+fma,..."}`. Without the attribute: any x86-64. A GPU's attribute has also
// `kind = "nvptx"` or `"amdgpu"` and the `machine`; what its architecture and product can do stands in whit/Gpu.h.

#pragma once

#include "mlir/IR/Operation.h"
#include "whit/Gpu.h"
#include "llvm/ADT/StringSet.h"

namespace mlir::whit {

class TargetFacts {
public:
  static TargetFacts of(Operation *op);

  bool has(StringRef feature) const { return features.contains(feature); }
  bool isGpu() const { return gpu != nullptr; }
  bool isNvidia() const { return gpu && gpu->kind == ::whit::TargetKind::Nvptx; }
  /// Threads of a GPU that run in step.
  int64_t warpSize() const { return gpu ? gpu->warpSize : 1; }
  bool isAmd() const { return gpu && gpu->kind == ::whit::TargetKind::Amdgpu; }
  /// Architecture and product; only of GPUs.
  const ::whit::GpuArchitecture &getGpu() const { return *gpu; }
  const ::whit::GpuMachine &getMachine() const { return *machine; }

  bool hasFma() const { return has("fma") || has("avx512f") || isGpu(); }
  /// Half precision to single in one instruction; otherwise it would be a library call.
  bool hasHalf() const { return has("f16c") || has("avx512f") || isGpu(); }
  /// Vectors of 16 x 32 bits that fit in the register file, three quarters of it: the rest holds operands.
  int64_t accumulators() const { return has("avx512f") ? 24 : has("avx") ? 6 : 4; }

private:
  llvm::StringSet<> features;
  const ::whit::GpuArchitecture *gpu = nullptr; ///< a row of the tables
  const ::whit::GpuMachine *machine = nullptr;
};

} // namespace mlir::whit
