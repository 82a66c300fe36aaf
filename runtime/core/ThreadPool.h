// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Parallel loops for compiled code. The iterations of a loop are dealt out to threads, the caller first among them, as ranges next to each
// other; a thread claims its range in a few chunks and then what is left of others' ranges, until nothing is left.
//
// What this is built for is a machine whose other core is busy half of the time, and whose cores take 300 ns to see what another one wrote.
// Four rules follow:
//   - a thread that holds nothing delays nobody: the caller waits for claimed iterations, not for threads; a worker
//     that the system has put aside before it claims costs nothing
//   - as long as a thread claims of its own range, it touches no memory that others write; and what it reads is one stream
//   - idle workers spin for some microseconds, then sleep, so that they keep their credit with the scheduler and wake
//     at once
//   - where working together does not pay, the caller works alone (ThreadChoice.h)
//
// A range is one cache line that is never locked, so that its worker, who waits for it to change, has all of it at once. `ticket` packs the
// loop's number with the next free iteration; claiming is a compare-and-swap on it, so it fails if the loop has ended, and success proves that
// body and bounds, read before, are this loop's.
#ifndef WHIT_RUNTIME_CORE_THREADPOOL_H
#define WHIT_RUNTIME_CORE_THREADPOOL_H

#include "runtime/core/ThreadChoice.h"
#include "whit/Kernel.h"

#include <atomic>
#include <cstdint>
#include <sched.h>
#include <thread>
#include <vector>

namespace whit {

class ThreadPool {
public:
  /// `threads` counts the caller; 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;

  int threads() const { return int(workers.size()) + 1; }

  /// Runs body over [0, count). One caller at a time. Allocates nothing.
  void parallel(WhitBody body, void *captured, int64_t count);

  /// To be called before the loops of a run. `size` tells runs of different sizes apart, since their loops take
  /// different times. In a forked child, which inherits no threads, the caller works alone from here on.
  void beginRun(uint64_t size);

private:
  /// The iterations of a loop that a thread claims before those of others. All but the ticket is written by the caller while none is claimable.
  struct alignas(64) Range {
    std::atomic<uint64_t> ticket{0}; ///< loop number << 32 | next iteration
    std::atomic<WhitBody> body{nullptr};
    std::atomic<void *> captured{nullptr};
    std::atomic<int64_t> base{0};
    std::atomic<uint32_t> end{0};
  };

  void workerMain(Range &own);
  uint32_t work(Range &range, uint32_t loop, uint32_t shares);
  uint32_t help(const Range &own, uint32_t loop, bool isWorker);
  void report(uint32_t iterations);
  void runLoop(WhitBody body, void *captured, int64_t offset, uint32_t count, uint64_t key);
  void waitForOthers(uint32_t iterations);
  void leaveCallersCore();

  std::vector<Range> ranges;                     ///< of the caller and of each worker
  alignas(64) std::atomic<uint32_t> finished{0}; ///< iterations of this loop that workers have done
  alignas(64) std::atomic<uint32_t> sleeping{0}; ///< workers; they wait for another loop's number
  std::atomic<uint32_t> callerSleeps{0};
  std::atomic<bool> stopping{false};
  std::atomic<int> callersCore{-1};
  cpu_set_t allowed; ///< cores this process may use
  int allowedCount = 0;

  ThreadChoice choice; ///< used by the caller only
  uint64_t phase = 0;
  int process;
  bool orphan = false;
  std::vector<std::thread> workers;
};

/// Cores that this process may run on.
int availableCores();

} // namespace whit

#endif // WHIT_RUNTIME_CORE_THREADPOOL_H
