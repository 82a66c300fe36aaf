// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a session has on a device: a buffer for every argument but the constants, and the word in which kernels leave what they find wrong.
#ifndef WHIT_RUNTIME_DEVICES_DEVICESESSION_H
#define WHIT_RUNTIME_DEVICES_DEVICESESSION_H

#include "runtime/devices/DeviceGraphs.h"
#include "runtime/devices/DeviceModule.h"
#include "whit/Kernel.h"

namespace whit {

/// What whit_device_run says of a run.
struct DeviceRun {
  double microseconds = -1;
  int32_t kernels = 0, repeat = 1, copies = 1;
  bool isGraph = false;
};

class DeviceSession {
public:
  DeviceSession(DeviceModule &module, size_t arguments);
  DeviceSession(const DeviceSession &) = delete;
  ~DeviceSession();

  /// The only call that takes device memory. Contents do not survive growing; what is new is zero if `cleared`. WHIT_LIMIT: not enough.
  whit_status reserve(int32_t argument, int64_t bytes, bool cleared);
  bool holds(int32_t argument, int64_t bytes) const {
    return buffers[size_t(argument)].pointer && buffers[size_t(argument)].capacity >= bytes;
  }
  DevicePointer pointer(int32_t argument) const;

  whit_status copyIn(int32_t argument, const void *data, int64_t bytes);
  whit_status copyOut(int32_t argument, void *data, int64_t bytes);

  /// Runs compiled code and waits for its kernels. `check`: what it returned, or what a kernel left (WhitCheck). `context` is completed.
  whit_status run(WhitFunction execute, WhitContext context, void **arguments, int32_t &check);
  /// Waits for the kernels launched so far; only while compiled code runs and somebody observes it.
  whit_status synchronize();

  /// Runs are timed from now on, and their kernels queued `repeat` times, each time with another copy of the constants, of which there are so
  /// many that they take `rotateBytes`. repeat 0: no longer.
  void time(int32_t repeat, int64_t rotateBytes);
  const DeviceRun &lastRun() const { return last; }
  /// Why it was no graph, if the driver is the reason.
  const std::string &reason() const { return graphs.reason(); }
  const Device &device() const { return module.device(); }

private:
  struct Piece {
    DevicePointer pointer = nullptr;
    int64_t capacity = 0;
  };
  struct Run;

  whit_status grow(Piece &piece, int64_t bytes, bool cleared);
  /// Into the list, or if `atOnce` to the device.
  whit_status launch(int32_t kernel, const int64_t *shape, const uint64_t *arguments, int32_t count, bool atOnce);
  /// Queues what is in the list.
  whit_status queue();
  /// The list as often as it is timed, with other constants each time.
  whit_status repeatList();
  static void launchThunk(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *arguments,
                          int32_t count);

  DeviceModule &module;
  std::vector<Piece> buffers;
  Piece status;
  LaunchList list;
  DeviceGraphs graphs;
  DeviceRun last;
  int32_t timedRepeat = 0;
  int64_t timedBytes = 0;
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_DEVICESESSION_H
