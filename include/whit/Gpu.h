// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GPU architectures and products as plain values: the rows of GpuTargets.def and GpuMachines.def, and how many blocks of a kernel fit on a
// unit at once.
#ifndef WHIT_GPU_H
#define WHIT_GPU_H

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

namespace whit {

enum class TargetKind : uint8_t { X86, Nvptx, Amdgpu };

/// A row of GpuTargets.def.
struct GpuArchitecture {
  TargetKind kind = TargetKind::X86; ///< X86: no GPU
  std::string_view name;
  int32_t capability = 0;
  std::string_view codegen;
  int32_t warpSize = 1, schedulers = 1, maxBlockThreads = 1, unitThreads = 1, unitBlocks = 1;
  int64_t blockShared = 0, unitShared = 0, reservedShared = 0;
  int32_t unitRegisters = 0, maxRegisters = 0, registerGranule = 1;
  std::string_view features; ///< with spaces between

  bool isGpu() const { return kind != TargetKind::X86; }
  bool operator==(const GpuArchitecture &) const = default;
};

/// A row of GpuMachines.def. Rates are in TFLOP/s or TOP/s.
struct GpuMachine {
  std::string_view name, product, architecture;
  int32_t units = 0, megahertz = 0;
  double gigabytesPerSecond = 0, l2Megabytes = 0, l2BytesPerClock = 0;
  double f16 = 0, s8 = 0, e4m3 = 0, scaled4 = 0, f32 = 0;
  double launchMicroseconds = 0;

  bool operator==(const GpuMachine &) const = default;
};

inline std::span<const GpuArchitecture> gpuArchitectures() {
  static constexpr GpuArchitecture rows[] = {
#define WHIT_GPU_TARGET(kind, ...) {TargetKind::kind, __VA_ARGS__},
#include "whit/GpuTargets.def"
  };
  return rows;
}

inline std::span<const GpuMachine> gpuMachines() {
  static constexpr GpuMachine rows[] = {
#define WHIT_GPU_MACHINE(...) {__VA_ARGS__},
#include "whit/GpuMachines.def"
  };
  return rows;
}

/// Null if there is none of this name.
inline const GpuArchitecture *findGpuArchitecture(std::string_view name) {
  for (const GpuArchitecture &row : gpuArchitectures())
    if (row.name == name)
      return &row;
  return nullptr;
}

/// The product of this name, or without a name the one that stands for the architecture. Null if it is not one of them.
inline const GpuMachine *findGpuMachine(std::string_view architecture, std::string_view name = {}) {
  for (const GpuMachine &row : gpuMachines())
    if (row.architecture == architecture && (name.empty() || row.name == name))
      return &row;
  return nullptr;
}

/// What decides how many blocks of a kernel share a unit.
struct GpuResources {
  int32_t blockThreads = 0;
  int32_t registers = 0; ///< of a thread; AMD: vector registers, accumulation registers included
  int64_t sharedBytes = 0;
};

/// Blocks that run on one unit at a time; 0 if not even one fits.
inline int32_t residentBlocks(const GpuArchitecture &gpu, const GpuResources &use) {
  if (use.blockThreads <= 0 || use.blockThreads > gpu.maxBlockThreads || use.registers > gpu.maxRegisters ||
      use.sharedBytes > gpu.blockShared)
    return 0;
  int32_t warps = (use.blockThreads + gpu.warpSize - 1) / gpu.warpSize;
  int32_t unitWarps = gpu.unitThreads / gpu.warpSize;
  int32_t registers = std::max(use.registers, 1);
  registers = (registers + gpu.registerGranule - 1) / gpu.registerGranule * gpu.registerGranule;
  // Each scheduler has its own share of the registers, and a warp stays with one scheduler.
  int32_t warpsByRegisters = gpu.unitRegisters / gpu.schedulers / (registers * gpu.warpSize) * gpu.schedulers;
  int32_t blocks = std::min(gpu.unitBlocks, std::min(unitWarps, warpsByRegisters) / warps);
  if (int64_t shared = use.sharedBytes + gpu.reservedShared; shared > 0)
    blocks = int32_t(std::min<int64_t>(blocks, gpu.unitShared / shared));
  return blocks;
}

/// Share of the unit's warps that run at a time, 0 to 1.
inline double occupancyOf(const GpuArchitecture &gpu, const GpuResources &use) {
  int32_t warps = (use.blockThreads + gpu.warpSize - 1) / gpu.warpSize;
  return double(residentBlocks(gpu, use) * warps) / (gpu.unitThreads / gpu.warpSize);
}

} // namespace whit

#endif // WHIT_GPU_H
