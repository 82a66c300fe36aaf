// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Handlers in which lanes see one another's numbers.
#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include "Sim/Machine.h"

namespace whit::sim {

/// The number of `bytes` that `lane` has in `slot`.
inline uint64_t numberAt(const Warp &warp, Slot slot, uint32_t bytes, uint32_t lane) {
  uint64_t value = 0;
  std::memcpy(&value, warp.frame + slot + lane * bytes, bytes);
  return value;
}
/// The same for the first lane that runs: of numbers that are the same in all lanes.
inline uint64_t uniformNumber(const Warp &warp, Slot slot, uint32_t bytes) {
  return numberAt(warp, slot, bytes, uint32_t(std::countr_zero(warp.mask)));
}

/// Throws unless all lanes of the warp run: instructions that exist only for whole warps.
inline void needWholeWarp(const Warp &warp, const char *what) {
  if (warp.mask != warp.existing || (warp.existing != ~uint64_t(0) >> (64 - warp.width)))
    throw Fault{uint32_t(std::countr_zero(warp.mask)), std::string(what) + " is run by " +
                                                           std::to_string(std::popcount(warp.mask)) + " of " +
                                                           std::to_string(warp.width) + " lanes of warp " +
                                                           std::to_string(warp.index) + "; all must be there"};
}
/// `members`: the lanes that an instruction with a mask names. Throws unless those, and only those, that have threads run it.
void needMembers(const Warp &warp, uint64_t members, const char *what);

} // namespace whit::sim

#endif // SIM_EXCHANGE_H
