// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The choice between all threads and one, on made-up times: it stays together where that helps, and spends nearly all
// time alone where not.
#include "runtime/core/ThreadChoice.h"

#include <gtest/gtest.h>

using namespace whit;

namespace {

/// Runs loops of 100 microseconds (alone) for `seconds` of made-up time; together they take `together` nanoseconds.
/// Returns the share of time alone.
double shareAlone(ThreadChoice &choice, double seconds, int64_t together, int64_t &now) {
  constexpr int64_t alone = 100'000;
  int64_t end = now + int64_t(seconds * 1e9), inAlone = 0, start = now;
  for (uint64_t i = 0; now < end; ++i) {
    ThreadChoice::Mode mode = choice.mode();
    int64_t wall = mode == ThreadChoice::Alone ? alone : together;
    now += wall;
    inAlone += mode == ThreadChoice::Alone ? wall : 0;
    choice.record(mode, (i % 7 + 1) * 0x9e3779b97f4a7c15, alone, wall, now);
  }
  return double(inAlone) / double(now - start);
}

TEST(ThreadChoice, FollowsWhatPays) {
  ThreadChoice choice;
  int64_t now = 1'000'000'000;
  EXPECT_EQ(shareAlone(choice, 5, 55'000, now), 0);     // two undisturbed threads
  EXPECT_GT(shareAlone(choice, 10, 400'000, now), 0.9); // the other core is busy
  EXPECT_LT(shareAlone(choice, 10, 55'000, now), 0.4);  // and free again
  EXPECT_GT(shareAlone(choice, 10, 100'000, now), 0.8); // no help: one thread is cheaper
  EXPECT_LT(shareAlone(choice, 10, 70'000, now), 0.5);  // memory-bound: some help
}

} // namespace
