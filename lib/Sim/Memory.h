// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The memories of the simulated machine, each with a shadow that knows which bytes were written. Device addresses are made up (no host
// pointer), never used again after `free`, and lie apart, so that an access outside an allocation is always found.
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include "Sim/Program.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace whit::sim {

/// Where generic pointers find shared and private memory; all other addresses are global.
inline constexpr uint64_t SHARED_WINDOW = uint64_t(1) << 56, PRIVATE_WINDOW = uint64_t(2) << 56,
                          WINDOW_MASK = uint64_t(0xff) << 56;

/// What went wrong in a kernel; thrown by handlers and caught by the launch, which adds kernel, block and instruction.
struct Fault {
  uint32_t lane;
  std::string what;
};

/// Shadow of a byte.
enum Written : uint8_t { NotWritten = 0, IsWritten = 1, InFlight = 2, IsBarrier = 3 };

struct FreeMemory {
  void operator()(void *memory) const { std::free(memory); }
};
template <class T> using Pages = std::unique_ptr<T[], FreeMemory>;
/// Zeroed; pages that are never touched cost nothing.
template <class T> Pages<T> pages(size_t count) {
  return Pages<T>(static_cast<T *>(std::calloc(count ? count : 1, sizeof(T))));
}

/// One allocation of device memory.
struct Region {
  uint64_t base = 0, size = 0;
  Pages<uint8_t> data, written;
  Pages<uint64_t> writers; ///< of each 4-byte word: launch << 32 | block + 1
  Pages<uint64_t> moments; ///< and when in its block (BlockOrder.h); none until a kernel that orders its blocks writes
  uint64_t unwritten = 0;  ///< bytes; 0: the shadow need not be read
  uint32_t launch = 0;     ///< the last that wrote
  bool readOnly = false;
  bool live = true;

  void markWritten(uint64_t offset, uint64_t bytes);
};

class GlobalMemory {
public:
  /// Null: no memory. `size` 0 gives an address that cannot be read.
  Region *allocate(uint64_t size);
  bool free(uint64_t base);
  /// The region that holds `address`; null if there is none.
  Region *find(uint64_t address);
  /// What lies at `address`, for messages.
  std::string describe(uint64_t address) const;
  uint64_t total() const { return bytes; }

private:
  std::vector<std::unique_ptr<Region>> regions; ///< by address; freed ones stay, without their bytes
  uint64_t next = uint64_t(1) << 40, bytes = 0;
};

/// When what others did is known to have happened: by warp, then by mbarrier (whose copies write like a warp of their own).
using Clock = std::vector<uint32_t>;

/// Memory of a block. Races are found by time stamps: `time` counts barriers, and what a warp did before a barrier happened before
/// everything that those who waited there do after it. Where the lanes of a warp are no longer in lock step (NVIDIA, since sm_70), what a
/// lane did happened before what other lanes of its warp do only if they have met since (bar.warp.sync).
class SharedMemory {
public:
  void reset(uint32_t size, uint32_t warps, bool lanesPart);
  uint32_t size() const { return uint32_t(data.size()); }

  /// Checks and notes an access by `warp` of `bytes` at `offset` (inside bounds). `stamp` is another number for each instruction that a
  /// warp runs; `value` are the bytes that are written (null: read). Atomics may meet atomics. `forWarp`: what `lane` reads goes to
  /// other lanes.
  void read(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, bool atomic = false, bool forWarp = false);
  void write(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const uint8_t *value, uint32_t stamp,
             bool atomic = false);
  /// An asynchronous copy will write there some time before it is waited for. `agent`: who writes then, a warp or an mbarrier.
  void beginCopy(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes);
  void endCopy(uint32_t lane, uint32_t agent, uint32_t offset, uint32_t bytes, const uint8_t *value);

  /// The warps of `mask` have met; the lanes of a warp have.
  void synchronize(uint64_t mask);
  void synchronizeLanes(uint32_t warp);
  /// What `lanes` did so far becomes part of what `clock` knows; and they know what it knows.
  void release(uint32_t warp, uint64_t lanes, Clock &clock);
  void acquire(uint32_t warp, uint64_t lanes, bool isWholeWarp, const Clock &clock);
  /// What a lane of the warp may rely on: what the warp knows, and of itself what its lanes did before they met.
  Clock pastOf(uint32_t warp) const;
  /// Whether all lanes of `warp` know what `other` did at `when`.
  bool hasMet(uint32_t warp, uint32_t other, uint32_t when) const {
    return warp == other ? !lanesPart || meetings[warp] > when : known[warp][other] > when;
  }
  /// Someone beside the warps who writes; and he has written all that he will until now.
  uint32_t newAgent();
  void release(uint32_t agent, Clock &clock);

  /// Eight bytes become an mbarrier, are used as one (by those who know of it), and become bytes again.
  void beginBarrier(uint32_t lane, uint32_t warp, uint32_t offset);
  void useBarrier(uint32_t lane, uint32_t warp, uint32_t offset);
  void endBarrier(uint32_t lane, uint32_t warp, uint32_t offset);

  /// fence.proxy.async: what the warp wrote or read so far is in order with asynchronous accesses behind it.
  void fenceProxy(uint32_t warp) { fences[warp] = ++time; }
  /// Throws unless writes of warps to these bytes were followed by such a fence, of the writer or of `warp`.
  void needFence(uint32_t lane, uint32_t warp, uint32_t offset, uint32_t bytes, const char *what);

  /// Now, later than all that was so far; and whether bytes were written, or begun to be, since then.
  uint32_t now() { return ++time; }
  uint32_t moment() const { return time; }
  bool changedSince(uint32_t offset, uint32_t bytes, uint32_t when);

  std::vector<uint8_t> data, written;

private:
  struct Cell {
    uint32_t writeTime, writer; ///< writer: agent + 1; bit 31: atomic
    uint32_t stamp;
    uint32_t readTime;
    uint32_t readers;   ///< warps
    uint32_t readLanes; ///< of the last warp that read
    uint8_t writeLane;
    bool atomicRead;
  };
  static constexpr uint8_t SEVERAL = 0xff; ///< lanes wrote the same value in one instruction
  bool ordered(uint32_t lane, uint32_t after, uint32_t before, uint32_t when) const {
    return after == before || known[after][before] > when ||
           (!laneClocks.empty() && laneKnows(lane, after, before, when));
  }
  bool laneKnows(uint32_t lane, uint32_t warp, uint32_t before, uint32_t when) const;
  /// Another lane of the warp has written the cell, and they have not met since.
  bool lanesRace(const Cell &cell, uint32_t lane, uint32_t warp) const {
    return lanesPart && (cell.writer & 0x7fffffff) == warp + 1 && cell.writeLane != lane && cell.writeLane != SEVERAL &&
           cell.writeTime >= meetings[warp];
  }
  void meet(uint32_t warp);
  std::string nameOf(uint32_t agent) const;
  void noteRead(Cell &cell, uint32_t lane, uint32_t warp, uint32_t offset, bool atomic, bool forWarp);
  void noteWrite(Cell &cell, uint32_t lane, uint32_t agent, uint32_t offset, bool atomic);
  Cell *split(uint32_t word);
  template <class F> void cells(uint32_t offset, uint32_t bytes, const F &visit);

  std::vector<Cell> words, bytesOf; ///< a word whose bytes are used one by one has four cells of its own
  std::vector<uint8_t> isSplit;
  std::vector<Clock> known;             ///< [a][b]: what b did before this time happened before what a does now
  std::map<uint32_t, Clock> laneClocks; ///< [warp * 64 + lane]: what a lane knows beside its warp
  std::vector<uint32_t> meetings;       ///< by warp: when its lanes met
  std::vector<uint32_t> fences;         ///< by warp: when it fenced the proxy
  std::vector<uint64_t> touched;        ///< by warp: lanes that have used the memory since they met
  uint32_t warps = 0, agents = 0, time = 0;
  bool lanesPart = false;
};

} // namespace whit::sim

#endif // SIM_MEMORY_H
