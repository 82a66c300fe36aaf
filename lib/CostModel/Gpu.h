// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The analytic model of a GPU: what a kernel costs follows from a row of GpuMachines.def, the work, and how it is cut into blocks.
//
// A kernel's blocks run in waves: so many at a time as fit on the machine, by threads, registers and shared memory. A last wave that is not
// full takes as long as a full one, as long as anything but the memory limits it. Within a wave these run beside each other, and the slowest
// counts: reading weights and activations from memory (at a rate that needs enough bytes in flight), reading them again from the
// second-level cache, reading operands from shared memory, and decoding codes on the integer units while the matrix or vector units multiply.
// To that come the launch, filling and draining the pipeline of each block, and adding up parts if the contraction is split.
//
// Worked example: int4_g128, 4096 x 4096 on an H200 at M = 1. 8.7 MB of weights in 1.8 us at 4.8 TB/s; 32 tiles of 128 columns use 32 of 132
// SMs, which have a quarter of the bytes in flight that the memory needs: a split into 4 makes 128 blocks and costs a reduction of 4 x 4096
// sums, less than it gains.

#pragma once

#include "whit/CostModel.h"
#include "whit/Gpu.h"

namespace whit {

class GpuCostModel final : public CostModel {
public:
  GpuCostModel(const GpuArchitecture &gpu, const GpuMachine &machine) : gpu(gpu), machine(machine) {}

  double regionSeconds(const RegionWork &work) const override;
  double edgeSeconds(double bytes) const override;
  /// The tile as a block of 4 warps, its tileColumns across and all rows up to 128.
  double matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const override;
  double kernelSeconds(const MatmulWork &work, const GpuTile &tile) const override;

private:
  double launchSeconds() const { return machine.launchMicroseconds * 1e-6; }
  double bytesPerSecond() const { return machine.gigabytesPerSecond * 1e9; }
  double l2BytesPerSecond() const { return machine.l2BytesPerClock * machine.units * hertz(); }
  double hertz() const { return machine.megahertz * 1e6; }
  /// Multiply-adds a second of the whole machine.
  double multiplyAdds(Products products, bool usesMatrixUnits, bool usesWarpgroups = false) const;
  /// 32-bit integer or packed-half operations a second.
  double laneOps() const { return 64.0 * machine.units * hertz(); }

  const GpuArchitecture &gpu;
  const GpuMachine &machine;
};

} // namespace whit
