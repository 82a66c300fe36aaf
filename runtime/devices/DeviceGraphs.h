// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs lists of launches, as graphs where they come again. A decode step launches the same kernels for every token, with another length and
// sometimes another buffer: the second time, the list becomes a graph of the device, and from then on only launches that differ are changed in
// it. A prompt is another list, with a graph of its own.
//
// Not handled: a list that is a part of another one, and launches that could run beside each other.
#ifndef WHIT_RUNTIME_DEVICES_DEVICEGRAPHS_H
#define WHIT_RUNTIME_DEVICES_DEVICEGRAPHS_H

#include "runtime/devices/DeviceModule.h"
#include "runtime/devices/LaunchList.h"

namespace whit {

class DeviceGraphs {
public:
  explicit DeviceGraphs(DeviceModule &module) : module(module) {}
  /// What was queued has run, and the caller holds the module's mutex.
  void freeAll();

  /// Queues the list. A failure is this thread's message. `isMeasured`: a graph is made at once.
  whit_status run(const LaunchList &list, bool isMeasured);

  /// Of the last list: whether it was a graph, and if not for want of the driver, what the driver says; else empty.
  bool wasReplayed() const { return replayed; }
  const std::string &reason() const { return why; }

private:
  struct Held {
    LaunchList list; ///< as the graph runs it
    DeviceGraph graph = nullptr;
    uint64_t used = 0; ///< when: the number of a run
  };

  whit_status runOneByOne(const LaunchList &list);
  /// The graph of this list, up to date; null if there is none, or the driver cannot have one.
  Held *graphOf(const LaunchList &list, bool isMeasured);
  Held *make(const LaunchList &list);
  bool update(Held &held, const LaunchList &list);
  void giveUp(const char *what);

  DeviceModule &module;
  std::vector<Held> held;
  LaunchList last; ///< that ran one by one
  uint64_t runs = 0;
  bool replayed = false;
  std::string why;
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_DEVICEGRAPHS_H
