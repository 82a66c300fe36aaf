// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads, stores and atomics with all their checks: alignment, bounds, bytes never written, races; and what they cost.
#ifndef SIM_ACCESS_H
#define SIM_ACCESS_H

#include "Sim/Machine.h"

namespace whit::sim {

/// An address taken apart: which memory it is in, and where there.
struct Place {
  Space space;
  uint64_t offset; ///< global: the address; else an offset into the block's or the lane's memory
};

/// Where `address`, a pointer into `space`, points to.
Place placeOf(Space space, uint64_t address);

/// One lane's access, after all checks. `bytes` as many as `to` or `from` hold; `align` a power of two. `forWarp`: what is read from shared
/// memory goes to other lanes too.
void readMemory(Warp &warp, uint32_t lane, Place place, uint32_t bytes, uint32_t align, uint8_t *to,
                bool forWarp = false);
void writeMemory(Warp &warp, uint32_t lane, Place place, uint32_t bytes, uint32_t align, const uint8_t *from,
                 uint32_t stamp);
/// The bytes of shared memory at `offset` are inside it, and aligned; else throws.
void checkShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t bytes, uint32_t align, const char *verb);

/// The mbarrier at `offset` of shared memory, as this lane may use it.
Mbarrier &mbarrierAt(Warp &warp, uint32_t lane, uint64_t offset);

/// Counts what an access of all running lanes costs.
void countAccess(Warp &warp, Space space, const uint64_t *offsets, uint32_t bytes);

// Handlers. a: address slot of inst.imm & 0xff bytes; imm >> 8: alignment; size: bytes of a lane; list: components.
void loadLanes(Warp &warp, const Inst &inst);
void storeLanes(Warp &warp, const Inst &inst);
/// aux: AtomicRMWInst's operation | class of the number << 8; b: operand; d: old value.
void atomicLanes(Warp &warp, const Inst &inst);
/// b: expected, c: new; d: old, list: slot of the success.
void compareExchangeLanes(Warp &warp, const Inst &inst);
/// What this thread knows of other blocks, and they of it, counts from here on.
void fenceBlocks(Warp &warp, const Inst &inst);
/// a: to, b: from or value (1 byte), c: length in bytes of 8; aux: pointer bytes of a | b << 8; space; imm: space of b, 0xff: memset.
void copyLanes(Warp &warp, const Inst &inst);

} // namespace whit::sim

#endif // SIM_ACCESS_H
