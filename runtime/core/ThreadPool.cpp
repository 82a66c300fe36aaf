// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ThreadPool.h for the idea. Times are in nanoseconds.
#include "runtime/core/ThreadPool.h"

#include <algorithm>
#include <bit>
#include <ctime>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace whit {
namespace {

constexpr int64_t kWorkerSpin = 30'000;
constexpr int64_t kCallerSpin = 50'000;
/// A chunk is what is left of a range, divided by this: of a thread's own, and of another one's.
constexpr uint32_t kOwnShares = 4, kOtherShares = 2;
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

/// Each word has one thread that may sleep on it.
void wake(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

uint32_t loopOf(uint64_t ticket) { return uint32_t(ticket >> 32); }

/// The half of a ticket that is the loop's number, for the system to compare.
std::atomic<uint32_t> &numberIn(std::atomic<uint64_t> &ticket) {
  static_assert(std::endian::native == std::endian::little && sizeof(std::atomic<uint64_t>) == 8);
  return reinterpret_cast<std::atomic<uint32_t> *>(&ticket)[1];
}

} // namespace

int availableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1, int(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) : ranges(std::max(1, threads)), process(getpid()) {
  CPU_ZERO(&allowed);
  allowedCount = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
  for (int i = 1; i < threads; ++i)
    workers.emplace_back([this, i] { workerMain(ranges[i]); });
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  for (Range &range : ranges) {
    range.ticket.store(uint64_t(loopOf(range.ticket.load()) + 1) << 32 | UINT32_MAX);
    wake(numberIn(range.ticket));
  }
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

/// Works on what is left of a range, as far as it is of this loop; returns how many iterations it did.
uint32_t ThreadPool::work(Range &range, uint32_t loop, uint32_t shares) {
  uint32_t done = 0;
  uint64_t seen = range.ticket.load(std::memory_order_acquire);
  for (;;) {
    WhitBody run = range.body.load(std::memory_order_acquire);
    void *data = range.captured.load(std::memory_order_acquire);
    int64_t offset = range.base.load(std::memory_order_acquire);
    uint32_t next = uint32_t(seen), end = range.end.load(std::memory_order_acquire);
    if (loopOf(seen) != loop || next >= end)
      return done;
    uint32_t last = next + std::max(1u, (end - next) / shares);
    if (!range.ticket.compare_exchange_weak(seen, uint64_t(loop) << 32 | last, std::memory_order_acq_rel,
                                            std::memory_order_acquire))
      continue;
    run(data, offset + next, offset + last);
    done += last - next;
    seen = range.ticket.load(std::memory_order_acquire);
  }
}

/// Works on the ranges of other threads, those behind its own first; returns how many iterations it did.
uint32_t ThreadPool::help(const Range &own, uint32_t loop, bool isWorker) {
  uint32_t all = 0;
  size_t place = &own - ranges.data();
  for (size_t i = 1; i < ranges.size(); ++i) {
    uint32_t done = work(ranges[(place + i) % ranges.size()], loop, kOtherShares);
    if (isWorker && done)
      report(done);
    all += done;
  }
  return all;
}

void ThreadPool::report(uint32_t iterations) {
  finished.fetch_add(iterations, std::memory_order_seq_cst);
  if (callerSleeps.load(std::memory_order_seq_cst))
    wake(finished);
}

void ThreadPool::workerMain(Range &own) {
  uint32_t seen = 0;
  while (!stopping.load(std::memory_order_relaxed)) {
    uint32_t current = loopOf(own.ticket.load(std::memory_order_acquire));
    if (current != seen) {
      seen = current;
      leaveCallersCore();
      if (uint32_t done = work(own, current, kOwnShares))
        report(done);
      help(own, current, /*isWorker=*/true);
      continue;
    }
    int64_t giveUp = now() + kWorkerSpin;
    bool fresh = false;
    while (!fresh && now() < giveUp) {
      for (int i = 0; i < 16 && !fresh; ++i) {
        pause();
        fresh = loopOf(own.ticket.load(std::memory_order_relaxed)) != seen;
      }
    }
    if (fresh)
      continue;
    // Who wakes takes this off again, not who is woken: a worker that has been woken may wait long for a core, and must
    // not be woken again for each loop meanwhile. A worker that does not sleep after all leaves one wake too many
    // behind.
    sleeping.fetch_add(1, std::memory_order_seq_cst);
    if (loopOf(own.ticket.load(std::memory_order_seq_cst)) == seen && !stopping.load())
      sleepOn(numberIn(own.ticket), seen);
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

/// The caller has claimed what it could; waits for what workers have claimed.
void ThreadPool::waitForOthers(uint32_t iterations) {
  if (finished.load(std::memory_order_acquire) == iterations)
    return;
  int64_t start = now();
  while (now() - start < kCallerSpin)
    for (int i = 0; i < 16; ++i) {
      if (finished.load(std::memory_order_acquire) == iterations)
        return;
      pause();
    }
  callerSleeps.store(1, std::memory_order_seq_cst);
  for (uint32_t done; (done = finished.load(std::memory_order_seq_cst)) != iterations;)
    sleepOn(finished, done);
  callerSleeps.store(0, std::memory_order_relaxed);
}

void ThreadPool::runLoop(WhitBody run, void *data, int64_t offset, uint32_t total, uint64_t key) {
  int64_t started = now();
  uint32_t last = loopOf(ranges.front().ticket.load(std::memory_order_relaxed)), loop = last + 1;
  // Closed first, all of them: who then reads a field of the new loop cannot claim by the ticket of the old one.
  for (Range &range : ranges)
    range.ticket.store(uint64_t(last) << 32 | UINT32_MAX, std::memory_order_relaxed);
  finished.store(0, std::memory_order_relaxed);
  uint64_t count = ranges.size();
  auto begin = [&](uint64_t i) { return (i * total + count - 1) / count; }; // who begins earlier gets the rest
  // The caller's own at last: others are on their way to their threads meanwhile.
  for (uint64_t i = count; i-- > 0;) {
    Range &range = ranges[i];
    range.body.store(run, std::memory_order_release);
    range.captured.store(data, std::memory_order_release);
    range.base.store(offset, std::memory_order_release);
    range.end.store(uint32_t(begin(i + 1)), std::memory_order_release);
    range.ticket.store(uint64_t(loop) << 32 | begin(i), std::memory_order_release);
  }
  std::atomic_thread_fence(
      std::memory_order_seq_cst); // either the caller sees that a worker sleeps, or the worker sees the loop
  if (sleeping.load(std::memory_order_seq_cst) && sleeping.exchange(0, std::memory_order_seq_cst))
    for (Range &range : ranges)
      wake(numberIn(range.ticket));
  int64_t published = now();
  uint32_t own = work(ranges.front(), loop, kOwnShares);
  own += help(ranges.front(), loop, /*isWorker=*/false);
  int64_t worked = now();
  waitForOthers(total - own);
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
  if (int core = sched_getcpu(); core != callersCore.load(std::memory_order_relaxed))
    callersCore.store(core, std::memory_order_relaxed); // else the line stays with all that read it
  for (int64_t offset = 0; offset < total; offset += kLargestLoop)
    runLoop(run, data, offset, uint32_t(std::min<int64_t>(kLargestLoop, total - offset)), key);
}

} // namespace whit
