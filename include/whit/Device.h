// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A machine that runs kernels beside the CPU: an NVIDIA or AMD GPU behind its driver, or the simulator of one. The runtime talks to all of
// them through this class, so that a program which runs in the simulator runs the same way on a card.
//
// Order: work is queued and runs in the order of the calls; copies out and `synchronize` wait for what was queued before. Thread rule: one
// thread at a time. Errors: a call that fails returns another status than WHIT_OK (mostly WHIT_DEVICE) and sets `message()`; faults of a
// running kernel may be found later, by the next call that waits.
#ifndef WHIT_DEVICE_H
#define WHIT_DEVICE_H

#include "whit/Runtime.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace whit {

/// What an artifact holds of its GPU kernels. Bitcode (of LLVM, before instructions are chosen) is what the simulator runs.
enum class ImageKind : uint8_t { Ptx, Cubin, Hsaco, Bitcode };

/// Blocks in the grid, threads in a block (x, y, z), and bytes of shared memory (LDS) beyond what the kernel declares.
struct LaunchShape {
  std::array<uint32_t, 3> grid = {1, 1, 1}, block = {1, 1, 1};
  uint32_t sharedBytes = 0;
};

/// Opaque; owned by the device and valid as long as it.
using DeviceImage = void *;
using DeviceKernel = void *;
using DevicePointer = void *;
using DeviceGraph = void *;

/// A kernel and what it is launched with: `count` arguments of 8 bytes each, device pointers, and integers extended to 64 bits.
struct DeviceLaunch {
  DeviceKernel kernel = nullptr;
  LaunchShape shape;
  const uint64_t *arguments = nullptr;
  int32_t count = 0;
};

class Device {
public:
  virtual ~Device() = default;

  /// What the last failed call has to say: one sentence, lower case.
  virtual const std::string &message() const = 0;
  /// The product ("NVIDIA H100 80GB HBM3") and what its code is compiled for ("sm_90", "gfx942").
  virtual const std::string &name() const = 0;
  virtual const std::string &architecture() const = 0;
  /// Whether an image compiled for `target` ("sm_80", "sm_90a", "gfx942") runs here.
  virtual bool runs(ImageKind kind, const std::string &target) const = 0;

  /// `bytes` are copied or no longer needed when the call returns. WHIT_REFUSED: not an image for this device.
  virtual whit_status load(ImageKind kind, const void *bytes, size_t size, DeviceImage *image) = 0;
  virtual whit_status find(DeviceImage image, const char *name, DeviceKernel *kernel) = 0;

  /// Device memory, at least 256-byte aligned, contents undefined. WHIT_LIMIT: not enough. Freeing null does nothing.
  virtual whit_status allocate(size_t bytes, DevicePointer *pointer) = 0;
  virtual void free(DevicePointer pointer) = 0;
  /// The host's bytes are read before `copyIn` returns, and written before `copyOut` returns.
  virtual whit_status copyIn(DevicePointer to, const void *from, size_t bytes) = 0;
  virtual whit_status copyOut(void *to, DevicePointer from, size_t bytes) = 0;

  /// Queues a kernel. Every kernel takes `count` arguments of 8 bytes each: device pointers, and integers extended to 64 bits.
  virtual whit_status launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments,
                             int32_t count) = 0;
  virtual whit_status synchronize() = 0;

  /// Makes one piece of work of launches that run one behind the other, so that queueing them costs the host a single call. The arguments are
  /// copied. WHIT_UNSUPPORTED: the driver has no such thing.
  virtual whit_status makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *graph) = 0;
  /// What launch number `index` of the graph is launched with from the next replay on; its kernel and number of arguments stay.
  virtual whit_status updateGraph(DeviceGraph graph, size_t index, const DeviceLaunch &launch) = 0;
  virtual whit_status replay(DeviceGraph graph) = 0;
  /// After what was queued of it has run. Freeing null does nothing.
  virtual void freeGraph(DeviceGraph graph) = 0;

  /// The device's own clock: from where `startTimer` was queued to where `stopTimer` was, which waits for it. Negative: it has no clock.
  virtual whit_status startTimer() = 0;
  virtual whit_status stopTimer(double *microseconds) = 0;
};

} // namespace whit

#endif // WHIT_DEVICE_H
