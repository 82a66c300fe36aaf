// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Faults as they are made, one at a time, in the LLVM IR of a matmul kernel: what tests of kernels must find.

#pragma once

#include <cstddef>
#include <cstdint>

namespace llvm {
class Module;
} // namespace llvm

namespace whit::test {

enum class Fault {
  WrongLane,       ///< the index of an operand is that of a neighbour
  WrongRow,        ///< a value goes to the next row of shared memory
  WrongSwizzle,    ///< neighbours write each other's place in shared memory
  MissingBarrier,  ///< threads do not wait for each other
  SwappedNibble,   ///< the other code of a byte
  WrongScaleGroup, ///< the scales of the next group
  OneMoreRow,      ///< sizes that are one too large
  OneMoreColumn,
  OneMoreElement,
  // Of products of warpgroups, which run beside their warps:
  WrongStride,  ///< of their operand in shared memory
  NotPublished, ///< what was stored there is not handed over
  NotBegun,     ///< registers are not handed over
  NotCommitted, ///< the last product before a wait is not part of a group
  NotWaited,    ///< sums are used while they are formed
};

struct FaultyMatmul {
  int64_t n, k, groupBytes; ///< from the scales of one group to those of the next
};

/// Products of warpgroups in the text of a module.
size_t countWarpgroupProducts(const llvm::Module &module);

/// Where the fault can be made; makes it at place `site`, if there is one.
size_t seedFault(llvm::Module &module, Fault fault, const FaultyMatmul &matmul, size_t site);

} // namespace whit::test
