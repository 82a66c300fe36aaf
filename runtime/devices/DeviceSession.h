// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a session has on a device: a buffer for every argument but the constants, and the word in which kernels leave what they find wrong.
#ifndef WHIT_RUNTIME_DEVICES_DEVICESESSION_H
#define WHIT_RUNTIME_DEVICES_DEVICESESSION_H

#include "runtime/devices/DeviceModule.h"
#include "whit/Kernel.h"

namespace whit {

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
  /// Waits for the kernels launched so far; only while compiled code runs.
  whit_status synchronize();

private:
  struct Piece {
    DevicePointer pointer = nullptr;
    int64_t capacity = 0;
  };
  struct Run;

  whit_status grow(Piece &piece, int64_t bytes, bool cleared);
  whit_status launch(int32_t kernel, const int64_t *shape, const uint64_t *arguments, int32_t count);
  static void launchThunk(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *arguments,
                          int32_t count);

  DeviceModule &module;
  std::vector<Piece> buffers;
  Piece status;
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_DEVICESESSION_H
