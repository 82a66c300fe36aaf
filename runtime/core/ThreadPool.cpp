// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ThreadPool.h for the idea. Times are in nanoseconds.
#include "runtime/core/ThreadPool.h"

#include <algorithm>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace whit {
namespace {

constexpr int64_t kWorkerSpin = 30'000;
constexpr int64_t kCallerSpin = 50'000;
constexpr uint32_t kChunksPerThread = 8;
constexpr uint32_t kLargestLoop = 1u << 30;

int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void sleepOn(std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void wake(std::atomic<uint32_t> &word, int threads) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

uint32_t loopOf(uint64_t ticket) { return uint32_t(ticket >> 32); }

} // namespace

int availableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1, int(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) : process(getpid()) {
  CPU_ZERO(&allowed);
  allowedCount = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
  for (int i = 1; i < threads; ++i)
    workers.emplace_back([this] { workerMain(); });
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  signal.fetch_add(1);
  wake(signal, INT_MAX);
  beginRun(0);
  for (std::thread &worker : workers) {
    if (orphan)
      worker.detach(); // a forked child has no such thread to wait for
    else
      worker.join();
  }
}

void ThreadPool::beginRun(uint64_t size) {
  phase = size;
  orphan = getpid() != process;
}

/// Takes the next chunk of this loop; false if it has none left or is over.
bool ThreadPool::claim(uint32_t loop, int64_t &begin, int64_t &end) {
  uint64_t seen = ticket.load(std::memory_order_acquire);
  for (;;) {
    uint32_t next = uint32_t(seen), total = count.load(std::memory_order_acquire),
             step = chunk.load(std::memory_order_acquire);
    if (loopOf(seen) != loop || next >= total)
      return false;
    uint32_t last = total - next < step ? total : next + step;
    if (ticket.compare_exchange_weak(seen, uint64_t(loop) << 32 | last, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      begin = next;
      end = last;
      return true;
    }
  }
}

/// Works on the loop until nothing is left to claim; returns how many iterations it did.
uint32_t ThreadPool::work(uint32_t loop) {
  uint32_t done = 0;
  for (;;) {
    WhitBody run = body.load(std::memory_order_acquire);
    void *data = captured.load(std::memory_order_acquire);
    int64_t offset = base.load(std::memory_order_acquire), begin, end;
    uint32_t total = count.load(std::memory_order_acquire);
    if (!claim(loop, begin, end))
      return done;
    run(data, offset + begin, offset + end);
    done += uint32_t(end - begin);
    // Each chunk is reported at once: the caller must not wait for a thread that has finished its chunk but not this
    // function.
    if (finished.fetch_add(uint32_t(end - begin), std::memory_order_seq_cst) + uint32_t(end - begin) == total &&
        callerSleeps.load(std::memory_order_seq_cst))
      wake(finished, 1);
  }
}

void ThreadPool::workerMain() {
  uint32_t seen = 0;
  while (!stopping.load(std::memory_order_relaxed)) {
    uint32_t current = signal.load(std::memory_order_acquire);
    if (current != seen) {
      seen = current;
      leaveCallersCore();
      work(loopOf(ticket.load(std::memory_order_acquire)));
      continue;
    }
    int64_t giveUp = now() + kWorkerSpin;
    bool fresh = false;
    while (!fresh && now() < giveUp) {
      for (int i = 0; i < 16 && !fresh; ++i) {
        pause();
        fresh = signal.load(std::memory_order_relaxed) != seen;
      }
    }
    if (fresh)
      continue;
    // Who wakes takes this off again, not who is woken: a worker that has been woken may wait long for a core, and must
    // not be woken again for each loop meanwhile. A worker that does not sleep after all leaves one wake too many
    // behind.
    sleeping.fetch_add(1, std::memory_order_seq_cst);
    if (signal.load(std::memory_order_seq_cst) == seen && !stopping.load())
      sleepOn(signal, seen);
  }
}

/// A worker that is put on the caller's core only takes time from it. The scheduler does that when it wakes one thread
/// from another, and does not undo it soon; so the worker leaves that core out of its own set.
void ThreadPool::leaveCallersCore() {
  int core = sched_getcpu();
  if (core < 0 || core != callersCore.load(std::memory_order_relaxed) || core >= CPU_SETSIZE || allowedCount < 2)
    return;
  cpu_set_t others = allowed;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0)
    sched_setaffinity(0, sizeof others, &others);
}

/// The caller has claimed what it could; waits for the chunks of others.
void ThreadPool::waitForRest(uint32_t total) {
  if (finished.load(std::memory_order_acquire) == total)
    return;
  int64_t start = now();
  while (now() - start < kCallerSpin)
    for (int i = 0; i < 16; ++i) {
      if (finished.load(std::memory_order_acquire) == total)
        return;
      pause();
    }
  callerSleeps.store(1, std::memory_order_seq_cst);
  for (uint32_t done; (done = finished.load(std::memory_order_seq_cst)) != total;)
    sleepOn(finished, done);
  callerSleeps.store(0, std::memory_order_relaxed);
}

void ThreadPool::runLoop(WhitBody run, void *data, int64_t offset, uint32_t total, uint64_t key) {
  int64_t started = now();
  uint32_t last = loopOf(ticket.load(std::memory_order_relaxed)), loop = last + 1;
  // Closed first: who then reads a field of the new loop cannot claim by the ticket of the old one.
  ticket.store(uint64_t(last) << 32 | UINT32_MAX, std::memory_order_relaxed);
  body.store(run, std::memory_order_release);
  captured.store(data, std::memory_order_release);
  base.store(offset, std::memory_order_release);
  count.store(total, std::memory_order_release);
  chunk.store(std::max(1u, total / (uint32_t(threads()) * kChunksPerThread)), std::memory_order_release);
  finished.store(0, std::memory_order_relaxed);
  ticket.store(uint64_t(loop) << 32, std::memory_order_release);
  signal.fetch_add(1, std::memory_order_seq_cst);
  if (sleeping.load(std::memory_order_seq_cst))
    wake(signal, int(sleeping.exchange(0, std::memory_order_seq_cst)));
  int64_t published = now();
  uint32_t own = work(loop);
  int64_t worked = now();
  waitForRest(total);
  // What the caller would have taken for all of it, from what it took for its share.
  choice.record(ThreadChoice::Together, key, own ? int64_t(double(worked - published) * total / own) : 0,
                now() - started, now());
}

void ThreadPool::parallel(WhitBody run, void *data, int64_t total) {
  if (total <= 0)
    return;
  if (workers.empty() || orphan || total == 1) {
    run(data, 0, total);
    return;
  }
  uint64_t key = (reinterpret_cast<uintptr_t>(run) ^ uint64_t(total) << 32 ^ phase << 48) * 0x9e3779b97f4a7c15;
  if (choice.mode() == ThreadChoice::Alone) {
    int64_t started = now();
    run(data, 0, total);
    int64_t ended = now();
    choice.record(ThreadChoice::Alone, key, ended - started, ended - started, ended);
    return;
  }
  callersCore.store(sched_getcpu(), std::memory_order_relaxed);
  for (int64_t offset = 0; offset < total; offset += kLargestLoop)
    runLoop(run, data, offset, uint32_t(std::min<int64_t>(kLargestLoop, total - offset)), key);
}

} // namespace whit
