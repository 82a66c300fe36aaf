// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A running kernel: blocks one after another, their warps in turns from barrier to barrier, a warp's lanes in lock step. Where lanes part,
// one side runs until the immediate post-dominator and waits there for the other.
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "Sim/Architecture.h"
#include "Sim/BlockOrder.h"
#include "Sim/Memory.h"
#include "Sim/Program.h"
#include "whit/Device.h"

#include <bit>
#include <cstring>
#include <map>
#include <string>

namespace whit::sim {

class Machine;

/// What the hardware would have had to do beside running instructions.
struct Counters {
  uint64_t warpInstructions[size_t(Kind::Count)] = {}, laneInstructions[size_t(Kind::Count)] = {};
  uint64_t globalSectors = 0; ///< of 32 bytes
  uint64_t globalBytes = 0;   ///< asked for by lanes
  uint64_t sharedPasses = 0;  ///< of 128 bytes, had there been no conflict
  uint64_t bankConflicts = 0; ///< passes beyond
  uint64_t divergentBranches = 0, blocks = 0, launches = 0;
};

struct StackEntry {
  uint64_t mask;
  uint32_t block, reconvergence;
};

/// A copy from global into shared memory that was started and not yet waited for.
struct AsyncCopy {
  uint32_t lane, group, offset, bytes;
  uint8_t value[16];
};

/// A product of a warpgroup that runs beside its warps.
struct GroupProduct {
  uint32_t group, begun;
  Slot firstSum;                ///< of what it computes
  std::vector<uint32_t> pieces; ///< of 16 bytes of shared memory, which it reads
};

/// An object in shared memory that counts arrivals and bytes of copies, phase by phase.
struct Mbarrier {
  uint32_t count = 0;   ///< arrivals of a phase
  uint32_t pending = 0; ///< of this phase
  int64_t bytes = 0;    ///< that copies still have to bring
  uint64_t phase = 0;
  uint32_t warp = 0;     ///< that initialised it
  uint32_t agent = 0;    ///< whose copies are known as in SharedMemory
  bool fenced = false;   ///< since then the warp has fenced
  Clock gathered, known; ///< what those who arrived did: of this phase, of all that are complete
  struct Bulk {
    uint32_t lane, offset;
    std::vector<uint8_t> value;
  };
  std::vector<Bulk> copies;
};

class Warp {
public:
  uint8_t *frame = nullptr;
  uint64_t mask = 0;     ///< lanes that run
  uint64_t live = 0;     ///< lanes that have not returned
  uint64_t existing = 0; ///< lanes that have a thread
  bool direct = false;   ///< no other live lane: results may overwrite all lanes
  uint32_t width = 32, index = 0;
  const Inst *pc = nullptr;
  Machine *machine = nullptr;
  const Program *program = nullptr;
  uint8_t *privateData = nullptr, *privateWritten = nullptr;
  std::vector<StackEntry> stack;
  std::vector<AsyncCopy> copies;
  uint32_t committed[64] = {};
  std::vector<GroupProduct> products;
  uint32_t committedProducts = 0;
  uint64_t steps = 0; ///< blocks run
  // A barrier that the warp waits at.
  bool waiting = false;
  uint32_t barrierId = 0, barrierThreads = 0, barrierAt = 0;
  /// A phase that was asked for is not complete: the other warps have their turn first. `polledAt`: the mbarrier.
  bool polling = false;
  uint32_t polledAt = 0;
  /// What the warpgroup has to do alike, folded to a number; and the registers it was given (setmaxnreg).
  uint64_t together = 0;
  uint32_t registers = 0;

  template <class T> T *at(Slot slot) const { return reinterpret_cast<T *>(frame + slot); }
  /// Where an instruction may write all lanes; `commit` then keeps those that run.
  template <class T> T *target(Slot slot) { return direct ? at<T>(slot) : reinterpret_cast<T *>(scratch); }
  template <class T> void commit(Slot slot) {
    if (direct)
      return;
    T *to = at<T>(slot);
    const T *from = reinterpret_cast<const T *>(scratch);
    for (uint64_t rest = mask; rest; rest &= rest - 1) {
      int lane = std::countr_zero(rest);
      to[lane] = from[lane];
    }
  }
  template <class F> void eachLane(const F &visit) const {
    for (uint64_t rest = mask; rest; rest &= rest - 1)
      visit(uint32_t(std::countr_zero(rest)));
  }
  void setMask(uint64_t lanes) {
    mask = lanes;
    direct = mask == live;
  }
  void noteTogether(uint64_t number) { together = (together ^ number) * 0x9e3779b97f4a7c15u + 1; }
  uint32_t thread(uint32_t lane) const { return index * width + lane; }
  bool finished() const { return stack.empty(); }

private:
  alignas(64) uint8_t scratch[64 * 8];
};

/// Counters of one kernel, over all launches.
struct KernelCounts {
  const Program *program = nullptr;
  std::vector<uint64_t> warps, lanes; ///< of each block of code: times it was run, and lanes that ran it
};

class Machine {
public:
  explicit Machine(const Architecture &architecture) : architecture(architecture) {}

  /// Empty: it went well; else what went wrong.
  std::string run(const Program &program, const LaunchShape &shape, const uint64_t *arguments);

  const Architecture &architecture;
  GlobalMemory global;
  SharedMemory shared;
  Counters counters;
  LaunchShape shape;
  uint32_t blockIndex[3] = {}, linearBlock = 0, launchNumber = 0, threads = 0;
  Region *lastRegion = nullptr; ///< found by the last access: mostly the next one's too
  bool ordersBlocks = false;    ///< the kernel has fences or atomics by which blocks may know of each other
  BlockOrder blockOrder{shared};
  uint32_t stamp = 0;                     ///< another number for each memory instruction that is run
  std::map<uint32_t, Mbarrier> mbarriers; ///< by their offsets in shared memory
  uint64_t events = 0;                    ///< grows whenever something happens that a warp may wait for

  Region *region(uint64_t address) {
    if (lastRegion && address - lastRegion->base < lastRegion->size)
      return lastRegion;
    return lastRegion = global.find(address);
  }
  /// What setmaxnreg has given to warps is there.
  void checkRegisters();
  std::string report() const;
  KernelCounts &countsOf(const Program &program);

private:
  void startBlock(const Program &program, const uint64_t *arguments);
  void runBlock(const Program &program);
  void runWarp(Warp &warp, KernelCounts &counts);
  void takeEdge(Warp &warp, const Edge &edge, uint64_t lanes);
  void branch(Warp &warp, const BlockCode &code);
  bool releaseBarriers();
  void finishBlock();
  [[noreturn]] void stuck();
  std::string describe(const Program &program, const Warp &warp, const Fault &fault) const;

  std::vector<Warp> warps;
  std::vector<uint8_t> frames, privateMemory;
  std::vector<uint8_t> copyBuffer;
  const Program *loaded = nullptr; ///< whose constants the frames hold
  Warp *running = nullptr;
  std::map<const Program *, KernelCounts> counts; ///< looked at once a launch
};

/// A warp may run this many blocks of code before it is taken to run for ever.
inline constexpr uint64_t MAXIMUM_STEPS = uint64_t(1) << 24;
/// Rounds of all warps in which nothing happens, after which nothing will.
inline constexpr uint32_t MAXIMUM_IDLE_ROUNDS = 1000;

} // namespace whit::sim

#endif // SIM_MACHINE_H
