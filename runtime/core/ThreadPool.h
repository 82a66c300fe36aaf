// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Parallel loops for compiled code. A loop is a counter; threads, the caller first among them, claim small chunks from
// it until none is left.
//
// What this is built for is a machine whose other core is busy half of the time. Three rules follow:
//   - a thread that holds nothing delays nobody: the caller waits for claimed iterations, not for threads; a worker
//     that the system has put aside before it claims costs nothing
//   - idle workers spin for some microseconds, then sleep, so that they keep their credit with the scheduler and wake
//     at once
//   - where working together does not pay, the caller works alone (ThreadChoice.h)
//
// A loop is described by two words that are never locked. `ticket` packs the loop's number with the next free
// iteration; claiming is a compare-and-swap on it, so it fails if the loop has ended, and success proves that body and
// bounds, read before, are this loop's.
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
  void workerMain();
  bool claim(uint32_t loop, int64_t &begin, int64_t &end);
  uint32_t work(uint32_t loop);
  void runLoop(WhitBody body, void *captured, int64_t offset, uint32_t count, uint64_t key);
  void waitForRest(uint32_t count);
  void leaveCallersCore();

  // The current loop. Written by the caller while no iteration is claimable.
  std::atomic<WhitBody> body{nullptr};
  std::atomic<void *> captured{nullptr};
  std::atomic<int64_t> base{0};
  std::atomic<uint32_t> count{0}, chunk{1};

  alignas(64) std::atomic<uint64_t> ticket{0};   ///< loop number << 32 | next iteration
  alignas(64) std::atomic<uint32_t> finished{0}; ///< iterations of this loop that are done
  alignas(64) std::atomic<uint32_t> signal{0};   ///< changes when a loop starts; sleeping workers wait for that
  std::atomic<uint32_t> sleeping{0};
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
