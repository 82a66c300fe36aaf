// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every iteration once, whatever the number of threads, loops and cores; and no loop of another lifetime.
#include "runtime/core/ThreadPool.h"

#include <gtest/gtest.h>

#include <random>
#include <sys/wait.h>
#include <unistd.h>

using namespace whit;

namespace {

struct Counts {
  std::vector<std::atomic<uint32_t>> seen;
  explicit Counts(size_t size) : seen(size) {}
};

void countOnce(void *captured, int64_t begin, int64_t end) {
  Counts &counts = *static_cast<Counts *>(captured);
  for (int64_t i = begin; i < end; ++i)
    counts.seen[size_t(i)].fetch_add(1, std::memory_order_relaxed);
}

TEST(ThreadPool, EveryIterationOnce) {
  std::mt19937 random(1);
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int loop = 0; loop < 3000; ++loop) {
      size_t count = random() % 3 ? random() % 40 : random() % 3000;
      Counts counts(count);
      pool.parallel(countOnce, &counts, int64_t(count));
      for (size_t i = 0; i < count; ++i)
        ASSERT_EQ(counts.seen[i].load(), 1u)
            << threads << " threads, loop " << loop << ", iteration " << i << " of " << count;
      if (loop % 500 == 0)
        usleep(300); // workers fall asleep
    }
    pool.parallel(countOnce, nullptr, 0);
    pool.parallel(countOnce, nullptr, -5);
  }
}

TEST(ThreadPool, SlowChunksAreWaitedFor) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 5; ++loop) {
    std::atomic<int> done{0};
    pool.parallel(
        [](void *captured, int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            usleep(2000);
          static_cast<std::atomic<int> *>(captured)->fetch_add(int(end - begin));
        },
        &done, 9);
    EXPECT_EQ(done.load(), 9);
  }
}

TEST(ThreadPool, MoreThanTwoToTheThirtyIterations) {
  ThreadPool pool(2);
  int64_t count = (int64_t(1) << 31) + 12345;
  std::atomic<int64_t> total{0};
  pool.parallel([](void *captured, int64_t begin,
                   int64_t end) { static_cast<std::atomic<int64_t> *>(captured)->fetch_add(end - begin); },
                &total, count);
  EXPECT_EQ(total.load(), count);
}

TEST(ThreadPool, ForkedChildrenWorkAlone) {
  ThreadPool pool(3);
  Counts before(100);
  pool.parallel(countOnce, &before, 100);
  pid_t child = fork();
  if (child == 0) {
    pool.beginRun(0);
    Counts counts(100);
    pool.parallel(countOnce, &counts, 100);
    bool right = true;
    for (auto &seen : counts.seen)
      right &= seen.load() == 1;
    _exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

} // namespace
