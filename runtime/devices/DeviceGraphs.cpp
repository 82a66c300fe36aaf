// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whatever a driver does not do with graphs, it does one by one, and the reason is kept for the user.
#include "runtime/devices/DeviceGraphs.h"

#include "runtime/core/Status.h"

#include <algorithm>

namespace whit {

/// A prompt, its last part, a decode step, and one more.
constexpr size_t kMostGraphs = 4;

void DeviceGraphs::freeAll() {
  for (Held &each : held)
    module.device().freeGraph(each.graph);
  held.clear();
}

whit_status DeviceGraphs::run(const LaunchList &list, bool isMeasured) {
  ++runs;
  replayed = false;
  Held *graph = graphOf(list, isMeasured);
  if (!graph)
    return runOneByOne(list);
  graph->used = runs;
  if (whit_status failure = module.device().replay(graph->graph))
    return module.report(failure, "a graph of " + std::to_string(list.size()) + " kernels: ");
  replayed = true;
  return WHIT_OK;
}

whit_status DeviceGraphs::runOneByOne(const LaunchList &list) {
  for (size_t i = 0; i < list.size(); ++i) {
    DeviceLaunch launch = list[i];
    if (whit_status failure = module.device().launch(launch.kernel, launch.shape, launch.arguments, launch.count))
      return module.report(failure, "kernel '" + module.kernelName(size_t(list.number(i))).substr(0, 120) + "': ");
  }
  last = list;
  return WHIT_OK;
}

DeviceGraphs::Held *DeviceGraphs::graphOf(const LaunchList &list, bool isMeasured) {
  if (list.size() < 2 || !why.empty())
    return nullptr;
  for (Held &each : held)
    if (each.list.resembles(list))
      return update(each, list) ? &each : nullptr;
  return isMeasured || last.resembles(list) ? make(list) : nullptr;
}

DeviceGraphs::Held *DeviceGraphs::make(const LaunchList &list) {
  std::vector<DeviceLaunch> launches;
  for (size_t i = 0; i < list.size(); ++i)
    launches.push_back(list[i]);
  DeviceGraph graph = nullptr;
  if (module.device().makeGraph(launches, &graph)) {
    giveUp("kernels are launched one by one");
    return nullptr;
  }
  if (held.size() == kMostGraphs) {
    auto oldest =
        std::min_element(held.begin(), held.end(), [](const Held &a, const Held &b) { return a.used < b.used; });
    module.device().freeGraph(oldest->graph);
    held.erase(oldest);
  }
  held.push_back({list, graph});
  return &held.back();
}

bool DeviceGraphs::update(Held &graph, const LaunchList &list) {
  for (size_t i = 0; i < list.size(); ++i)
    if (!graph.list.equals(list, i) && module.device().updateGraph(graph.graph, i, list[i])) {
      giveUp("a graph cannot be changed, so that kernels are launched one by one");
      freeAll(); // this one is half changed
      return false;
    }
  graph.list = list;
  return true;
}

void DeviceGraphs::giveUp(const char *what) {
  why =
      "device '" + module.deviceName().substr(0, 120) + "': " + what + ": " + module.device().message().substr(0, 600);
}

} // namespace whit
