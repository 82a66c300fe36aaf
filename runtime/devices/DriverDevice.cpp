// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything is queued on the default stream, which copies wait for: the order of the calls is the order of the work.
#include "runtime/devices/DriverDevice.h"

#include <memory>

namespace whit {

void DriverDevice::releaseAll() {
  if ((modules.empty() && !start) || makeCurrent() != 0)
    return;
  for (void *event : {start, end})
    if (event)
      calls.eventDestroy(event);
  for (void *module : modules)
    calls.moduleUnload(module);
  modules.clear();
  start = end = nullptr;
}

whit_status DriverDevice::check(int error, const std::string &what) {
  if (error == 0)
    return WHIT_OK;
  text = what + " on " + product + " fails: " + describe(error);
  return isOutOfMemory(error) ? WHIT_LIMIT : WHIT_DEVICE;
}

whit_status DriverDevice::load(ImageKind kind, const void *bytes, size_t size, DeviceImage *image) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  std::string log, source;
  if (kind == ImageKind::Ptx) { // the driver reads it up to its NUL
    source.assign(static_cast<const char *>(bytes), size);
    bytes = source.c_str();
  }
  int error = loadModule(bytes, log, image);
  if (error == 0) {
    modules.push_back(*image);
    return WHIT_OK;
  }
  whit_status status = check(error, "loading the kernels");
  if (!log.empty())
    text += "; it says: " + log;
  return status == WHIT_LIMIT ? status : WHIT_REFUSED;
}

whit_status DriverDevice::find(DeviceImage image, const char *name, DeviceKernel *kernel) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(calls.moduleGetFunction(kernel, image, name), std::string("finding kernel ") + name);
}

whit_status DriverDevice::allocate(size_t bytes, DevicePointer *pointer) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(memoryAllocate(pointer, bytes), "allocating " + std::to_string(bytes) + " bytes");
}

void DriverDevice::free(DevicePointer pointer) {
  if (pointer && makeCurrent() == 0)
    memoryFree(pointer);
}

whit_status DriverDevice::copyIn(DevicePointer to, const void *from, size_t bytes) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(copyToDevice(to, from, bytes), "copying " + std::to_string(bytes) + " bytes to the device");
}

whit_status DriverDevice::copyOut(void *to, DevicePointer from, size_t bytes) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(copyToHost(to, from, bytes), "copying " + std::to_string(bytes) + " bytes from the device");
}

whit_status DriverDevice::prepare(const DeviceLaunch &launch) {
  const LaunchShape &shape = launch.shape;
  parameters.clear(); // keeps its memory: calls behind the first take none
  for (int32_t i = 0; i < launch.count; ++i)
    parameters.push_back(const_cast<uint64_t *>(launch.arguments + i));
  if (!shape.sharedBytes)
    return WHIT_OK;
  return check(allowShared(launch.kernel, shape.sharedBytes),
               "allowing " + std::to_string(shape.sharedBytes) + " bytes of shared memory");
}

whit_status DriverDevice::launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments,
                                 int32_t count) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  if (whit_status status = prepare({kernel, shape, arguments, count}))
    return status;
  return check(calls.launchKernel(kernel, shape.grid[0], shape.grid[1], shape.grid[2], shape.block[0], shape.block[1],
                                  shape.block[2], shape.sharedBytes, nullptr, parameters.data(), nullptr),
               "launching a kernel");
}

whit_status DriverDevice::synchronize() {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(calls.synchronize(), "waiting for the kernels");
}

// ---- Graphs ----

whit_status DriverDevice::makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *result) {
  if (!calls.graphCreate) {
    text = "the driver of " + product + " has no graphs; install a newer one";
    return WHIT_UNSUPPORTED;
  }
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  Graph graph;
  whit_status status = check(calls.graphCreate(&graph.description, 0), "making a graph");
  for (const DeviceLaunch &launch : launches) {
    if (status || (status = prepare(launch)))
      break;
    void *node = nullptr, *before = graph.nodes.empty() ? nullptr : graph.nodes.back();
    status = check(addNode(&node, graph.description, before, launch, parameters.data()), "adding a kernel to a graph");
    graph.nodes.push_back(node);
  }
  if (!status)
    status = check(calls.graphInstantiate(&graph.executable, graph.description, 0), "making a graph executable");
  if (status) {
    if (graph.description)
      calls.graphDestroy(graph.description);
    return status;
  }
  *result = new Graph(std::move(graph));
  return WHIT_OK;
}

whit_status DriverDevice::updateGraph(DeviceGraph handle, size_t index, const DeviceLaunch &launch) {
  const auto &graph = *static_cast<const Graph *>(handle);
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  if (whit_status status = prepare(launch))
    return status;
  return check(setNode(graph.executable, graph.nodes[index], launch, parameters.data()), "changing a graph");
}

whit_status DriverDevice::replay(DeviceGraph graph) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(calls.graphLaunch(static_cast<const Graph *>(graph)->executable, nullptr), "launching a graph");
}

void DriverDevice::freeGraph(DeviceGraph handle) {
  std::unique_ptr<Graph> graph(static_cast<Graph *>(handle));
  if (graph && makeCurrent() == 0) {
    calls.executableDestroy(graph->executable);
    calls.graphDestroy(graph->description);
  }
}

// ---- Times ----

whit_status DriverDevice::startTimer() {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  for (void **event : {&start, &end})
    if (!*event)
      if (whit_status status = check(eventCreate(event), "making an event"))
        return status;
  return check(calls.eventRecord(start, nullptr), "starting a timer");
}

whit_status DriverDevice::stopTimer(double *microseconds) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  if (whit_status status = check(calls.eventRecord(end, nullptr), "stopping a timer"))
    return status;
  if (whit_status status = check(calls.eventSynchronize(end), "waiting for the kernels"))
    return status;
  float milliseconds = 0;
  whit_status status = check(calls.eventElapsedTime(&milliseconds, start, end), "reading a timer");
  *microseconds = double(milliseconds) * 1e3;
  return status;
}

} // namespace whit
