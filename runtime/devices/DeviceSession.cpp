// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The first request of a buffer gets what it asks for, so that the simulator sees every access behind it.
#include "runtime/devices/DeviceSession.h"

#include "runtime/core/Status.h"

#include <algorithm>

namespace whit {

/// What compiled code gets as its context. The first failed launch is kept; those behind it are dropped.
struct DeviceSession::Run : WhitContext {
  DeviceSession *session = nullptr;
  whit_status failure = WHIT_OK;
};

DeviceSession::DeviceSession(DeviceModule &module, size_t arguments)
    : module(module), buffers(arguments), graphs(module) {}

DeviceSession::~DeviceSession() {
  std::lock_guard lock(module.mutex);
  graphs.freeAll();
  for (Piece &piece : buffers)
    module.device().free(piece.pointer);
  module.device().free(status.pointer);
}

DevicePointer DeviceSession::pointer(int32_t argument) const {
  const Piece &piece = buffers[size_t(argument)];
  return piece.pointer ? piece.pointer : module.constant(argument);
}

whit_status DeviceSession::grow(Piece &piece, int64_t bytes, bool cleared) {
  if (piece.pointer && piece.capacity >= bytes)
    return WHIT_OK;
  int64_t wanted = std::max<int64_t>({bytes, 1, piece.capacity + piece.capacity / 2}); // not for every token anew
  module.device().free(piece.pointer);
  piece = {};
  if (whit_status failure = module.device().allocate(size_t(wanted), &piece.pointer)) {
    piece.pointer = nullptr;
    return module.report(failure, "no memory for " + std::to_string(wanted) + " bytes: ");
  }
  piece.capacity = wanted;
  std::vector<uint8_t> zeros(cleared ? size_t(std::min<int64_t>(wanted, 1 << 20)) : 0);
  for (int64_t from = 0; cleared && from < wanted; from += int64_t(zeros.size()))
    if (whit_status failure = module.device().copyIn(static_cast<uint8_t *>(piece.pointer) + from, zeros.data(),
                                                     std::min(zeros.size(), size_t(wanted - from))))
      return module.report(failure, "");
  return WHIT_OK;
}

whit_status DeviceSession::reserve(int32_t argument, int64_t bytes, bool cleared) {
  std::lock_guard lock(module.mutex);
  if (whit_status failure = grow(status, sizeof(int32_t), true))
    return failure;
  return grow(buffers[size_t(argument)], bytes, cleared);
}

whit_status DeviceSession::copyIn(int32_t argument, const void *data, int64_t bytes) {
  std::lock_guard lock(module.mutex);
  if (bytes > 0)
    if (whit_status failure = module.device().copyIn(buffers[size_t(argument)].pointer, data, size_t(bytes)))
      return module.report(failure, "");
  return WHIT_OK;
}

whit_status DeviceSession::copyOut(int32_t argument, void *data, int64_t bytes) {
  std::lock_guard lock(module.mutex);
  if (bytes > 0)
    if (whit_status failure = module.device().copyOut(data, buffers[size_t(argument)].pointer, size_t(bytes)))
      return module.report(failure, "");
  return WHIT_OK;
}

whit_status DeviceSession::synchronize() {
  whit_status failure = module.device().synchronize();
  return failure ? module.report(failure, "") : WHIT_OK;
}

whit_status DeviceSession::run(WhitFunction execute, WhitContext context, void **arguments, int32_t &check) {
  std::lock_guard lock(module.mutex);
  Device &device = module.device();
  int32_t word = 0;
  if (whit_status failure = device.copyIn(status.pointer, &word, sizeof word))
    return module.report(failure, "");
  Run run;
  static_cast<WhitContext &>(run) = context;
  run.launch = launchThunk;
  run.status = status.pointer;
  run.session = this;
  list.clear();
  last = {};
  check = execute(&run, arguments);
  if (!run.failure)
    run.failure = queue();
  if (run.failure) { // the message is set; what was queued before must not run on into the next call
    device.synchronize();
    return run.failure;
  }
  if (whit_status failure = device.copyOut(&word, status.pointer, sizeof word)) // waits for the kernels
    return module.report(failure, "");
  if (check == 0)
    check = word;
  return WHIT_OK;
}

whit_status DeviceSession::queue() {
  last.kernels += int32_t(list.size());
  if (!timedRepeat || list.size() == 0) { // or its kernels ran while somebody observed them
    whit_status failure = graphs.run(list, false);
    last.isGraph = graphs.wasReplayed();
    return failure;
  }
  Device &device = module.device();
  if (whit_status failure = repeatList())
    return failure;
  if (device.startTimer())
    return module.report(WHIT_DEVICE, "");
  if (whit_status failure = graphs.run(list, true))
    return failure;
  last.isGraph = graphs.wasReplayed();
  if (whit_status failure = device.stopTimer(&last.microseconds))
    return module.report(failure, "");
  last.microseconds /= last.microseconds > 0 ? last.repeat : 1;
  return WHIT_OK;
}

whit_status DeviceSession::repeatList() {
  if (whit_status failure = module.copyConstants(timedBytes))
    return failure;
  last.copies = int32_t(module.copyCount());
  last.repeat = (timedRepeat + last.copies - 1) / last.copies * last.copies;
  size_t count = list.size();
  for (int32_t i = 1; i < last.repeat; ++i) {
    for (size_t k = 0; k < count; ++k)
      list.append(k);
    module.takeCopy(list, size_t(i) * count, size_t(i % last.copies));
  }
  return WHIT_OK;
}

void DeviceSession::time(int32_t repeat, int64_t rotateBytes) {
  timedRepeat = repeat;
  timedBytes = rotateBytes;
}

whit_status DeviceSession::launch(int32_t kernel, const int64_t *shape, const uint64_t *arguments, int32_t count,
                                  bool atOnce) {
  if (kernel < 0 || size_t(kernel) >= module.kernels().size())
    return fail(WHIT_BUG, "compiled code launches kernel %d; the artifact has %zu", int(kernel),
                module.kernels().size());
  LaunchShape launched;
  const std::string &name = module.kernelName(size_t(kernel));
  for (int i = 0; i < 7; ++i)
    if (shape[i] < 0 || shape[i] > INT32_MAX || (i >= 3 && i < 6 && shape[i] == 0))
      return fail(WHIT_LIMIT, "kernel '%.*s' would run with %lld %s; use shorter sequences or a smaller batch",
                  WHIT_NAME(name), (long long)shape[i],
                  i < 3   ? "blocks"
                  : i < 6 ? "threads in a block"
                          : "bytes of shared memory");
  if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0)
    return WHIT_OK;
  for (size_t i = 0; i < 3; ++i) {
    launched.grid[i] = uint32_t(shape[i]);
    launched.block[i] = uint32_t(shape[i + 3]);
  }
  launched.sharedBytes = uint32_t(shape[6]);
  DeviceKernel handle = module.kernels()[size_t(kernel)];
  if (!atOnce) {
    list.add(kernel, {handle, launched, arguments, count});
    return WHIT_OK;
  }
  ++last.kernels;
  whit_status failure = module.device().launch(handle, launched, arguments, count);
  return failure ? module.report(failure, "kernel '" + name.substr(0, 120) + "': ") : WHIT_OK;
}

void DeviceSession::launchThunk(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *arguments,
                                int32_t count) {
  Run &run = *static_cast<Run *>(context);
  if (!run.failure)
    run.failure = run.session->launch(kernel, shape, arguments, count, run.observe != nullptr);
}

} // namespace whit
