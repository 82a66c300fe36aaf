// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A GPU behind a driver. CUDA's driver API and HIP are the same calls under two sets of names; what differs is filled in by Cuda.cpp and
// Hip.cpp. Signatures are those of "CUDA Driver API" 12 and "HIP Runtime API" 6, in plain types: handles are pointers, results ints.
#ifndef WHIT_RUNTIME_DEVICES_DRIVERDEVICE_H
#define WHIT_RUNTIME_DEVICES_DRIVERDEVICE_H

#include "whit/Device.h"

#include <vector>

namespace whit {

/// The entries of a driver that both have. 0 is success.
struct DriverCalls {
  int (*launchKernel)(void *kernel, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                      unsigned blockZ, unsigned sharedBytes, void *stream, void **arguments, void **extra);
  int (*moduleGetFunction)(void **kernel, void *module, const char *name);
  int (*moduleUnload)(void *module);
  int (*synchronize)();
  int (*eventDestroy)(void *event);
  int (*eventRecord)(void *event, void *stream);
  int (*eventSynchronize)(void *event);
  int (*eventElapsedTime)(float *milliseconds, void *start, void *end);
  // Graphs; graphCreate is null where the driver lacks one of their functions.
  int (*graphCreate)(void **graph, unsigned flags);
  int (*graphInstantiate)(void **executable, void *graph, unsigned long long flags);
  int (*graphLaunch)(void *executable, void *stream);
  int (*graphDestroy)(void *graph);
  int (*executableDestroy)(void *executable);
};

class DriverDevice : public Device {
public:
  const std::string &message() const override { return text; }
  const std::string &name() const override { return product; }
  const std::string &architecture() const override { return target; }
  whit_status load(ImageKind kind, const void *bytes, size_t size, DeviceImage *image) override;
  whit_status find(DeviceImage image, const char *name, DeviceKernel *kernel) override;
  whit_status allocate(size_t bytes, DevicePointer *pointer) override;
  void free(DevicePointer pointer) override;
  whit_status copyIn(DevicePointer to, const void *from, size_t bytes) override;
  whit_status copyOut(void *to, DevicePointer from, size_t bytes) override;
  whit_status launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments, int32_t count) override;
  whit_status synchronize() override;
  whit_status makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *graph) override;
  whit_status updateGraph(DeviceGraph graph, size_t index, const DeviceLaunch &launch) override;
  whit_status replay(DeviceGraph graph) override;
  void freeGraph(DeviceGraph graph) override;
  whit_status startTimer() override;
  whit_status stopTimer(double *microseconds) override;

protected:
  /// Makes this the device of the calling thread.
  virtual int makeCurrent() = 0;
  /// `log`: what the driver says of an image that it compiles.
  virtual int loadModule(const void *bytes, std::string &log, void **module) = 0;
  /// Before a launch that adds `bytes` of shared memory.
  virtual int allowShared(void *kernel, uint32_t bytes) = 0;
  virtual int memoryAllocate(void **pointer, size_t bytes) = 0;
  virtual int memoryFree(void *pointer) = 0;
  virtual int copyToDevice(void *to, const void *from, size_t bytes) = 0;
  virtual int copyToHost(void *to, void *from, size_t bytes) = 0;
  virtual int eventCreate(void **event) = 0;
  /// Adds a launch behind node `before` (null: the first), and changes it. The structs that describe one are the drivers' own.
  virtual int addNode(void **node, void *graph, void *before, const DeviceLaunch &launch, void **arguments) = 0;
  virtual int setNode(void *executable, void *node, const DeviceLaunch &launch, void **arguments) = 0;
  /// "CUDA_ERROR_OUT_OF_MEMORY: out of memory"
  virtual std::string describe(int error) const = 0;
  virtual bool isOutOfMemory(int error) const = 0;

  /// For the destructors of derived classes.
  void releaseAll();

  /// WHIT_OK for 0; otherwise the message says what was tried and what the driver says of it.
  whit_status check(int error, const std::string &what);

  DriverCalls calls{};
  std::string product, target, text;

private:
  /// What can be launched, and what its nodes are found in.
  struct Graph {
    void *description = nullptr, *executable = nullptr;
    std::vector<void *> nodes;
  };

  /// Fills `parameters` and allows the kernel its shared memory.
  whit_status prepare(const DeviceLaunch &launch);

  std::vector<void *> modules, parameters;
  void *start = nullptr, *end = nullptr; ///< the events of the timer
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_DRIVERDEVICE_H
