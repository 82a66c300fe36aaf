// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whether the next parallel loops run on all threads or on the caller alone. On an idle machine the answer is always
// "together". On a machine whose cores have other work it may not be: a worker is put aside in the middle of a chunk,
// for milliseconds, and the caller waits.
//
// Every loop has a cost: the least time it was ever seen to take on one undisturbed thread. Efficiency is cost done per
// time passed; one undisturbed thread has 1, two have nearly 2. As long as working together is clearly above 1 nothing
// else is tried. Below that the other way is tried for a short while, the better one kept for a longer while, and so
// on, longer while the answer stays. In doubt: alone, it is cheaper.
#ifndef WHIT_RUNTIME_CORE_THREADCHOICE_H
#define WHIT_RUNTIME_CORE_THREADCHOICE_H

#include <algorithm>
#include <array>
#include <cstdint>

namespace whit {

class ThreadChoice {
public:
  enum Mode { Together, Alone };

  Mode mode() const { return current; }

  /// A loop of kind `key` took `wall` nanoseconds in `how`; alone it would have taken about `estimate` (0: unknown).
  /// `now` is the time.
  void record(Mode how, uint64_t key, int64_t estimate, int64_t wall, int64_t now) {
    Entry &entry = table[key >> 55];
    if (entry.key != key)
      entry = {key, 0};
    if (estimate > 0) // the least, slowly forgotten
      entry.cost = entry.cost == 0 ? estimate : std::min(estimate, entry.cost + (entry.cost >> 9));
    cost += entry.cost;
    time += wall;
    if (time >= kWindow)
      decide(how, now);
  }

private:
  static constexpr int64_t kWindow = 40'000'000;
  static constexpr int64_t kShortest = 400'000'000, kLongest = 3'200'000'000;

  void decide(Mode how, int64_t now) {
    double measured = double(cost) / double(time); // noisy: one time slice of somebody else is half a window
    efficiency[how] = efficiency[how] > 0 ? (2 * efficiency[how] + measured) / 3 : measured;
    cost = time = 0;
    if (how == Together && measured >= 1.4) { // no doubt
      efficiency[Together] = measured;
      kept = Together;
      trying = false;
    } else if (trying) {
      trying = false;
      Mode better = efficiency[Together] > 1.25 * efficiency[Alone] ? Together : Alone;
      hold = better == Alone && kept == Alone ? std::min(2 * hold, kLongest) : kShortest;
      current = kept = better;
      nextTry = now + hold;
    } else if (now >= nextTry) {
      trying = true;
      current = how == Together ? Alone : Together;
    }
  }

  struct Entry {
    uint64_t key = 0;
    int64_t cost = 0;
  };
  std::array<Entry, 512> table{};
  Mode current = Together, kept = Together;
  bool trying = false;
  double efficiency[2] = {0, 0};
  int64_t cost = 0, time = 0, hold = kShortest, nextTry = 0;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_THREADCHOICE_H
