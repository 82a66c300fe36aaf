// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One user of a module: buffers, caches, threads. See include/whit/Runtime.h for what each call promises.
#ifndef WHIT_RUNTIME_CORE_SESSION_H
#define WHIT_RUNTIME_CORE_SESSION_H

#include "runtime/core/Binding.h"
#include "runtime/core/Memory.h"
#include "runtime/core/Profile.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/devices/DeviceSession.h"

#include <atomic>
#include <memory>

namespace whit {

class Session {
public:
  Session(Module &module, int threads);

  whit_status reserve(const whit_dim *dims, int32_t count);
  whit_status setDim(const char *name, int64_t value) { return binding.setDim(name, value); }
  whit_status execute(const whit_tensor *inputs, int32_t count);
  whit_status run(const whit_tensor *inputs, int32_t count);
  whit_status output(const char *name, whit_tensor *tensor);

  int64_t length() const { return cachedTokens; }
  whit_status truncate(int64_t length);
  whit_status importPasts(const whit_tensor *pasts, int32_t count);
  whit_status append(const int64_t *tokens, int64_t count, const float **logits, int64_t *size);

  whit_status observe(whit_observer observer, void *user);
  whit_status startProfile();
  whit_status stopProfile(const char *path);
  whit_status timeDevice(int32_t repeat, int64_t rotateBytes);
  whit_status deviceRun(whit_device_run &run) const;

  /// Held during a call; false if another thread is inside.
  bool enter() { return !busy.test_and_set(std::memory_order_acquire); }
  void leave() { busy.clear(std::memory_order_release); }

private:
  /// What a call needs to know about one argument.
  struct Slot {
    const Argument *argument;
    int32_t rank;
    int64_t *dims;       ///< in `sizes`: of the call in preparation
    int64_t *descriptor; ///< in `descriptors`: 3 + 2 * rank numbers
    int64_t bytes = 0, lastBytes = 0;
    std::vector<int64_t> lastDims; ///< of the last run, for outputs; of the tensor handed out, for present tensors
    Buffer buffer;   ///< outputs, states, workspace, and inputs that the session fills in; on a device the host's side
    Buffer exported; ///< present tensors
    bool onDevice = false; ///< of the last run's output: not copied to `buffer` yet
  };

  whit_status layOut();
  whit_status layOutSlot(Slot &slot, int32_t index);
  bool fits() const;
  whit_status allocate();
  whit_status launch();
  whit_status checkBatch() const;
  /// Binds, lays out and checks a call: what `execute` and `run` do before they differ.
  whit_status prepare(const whit_tensor *inputs, int32_t count);
  whit_status importCaches();
  void fillMask(Slot &slot);
  void fillPositions(Slot &slot);
  void describe(Slot &slot, int32_t index);
  whit_status exportPresent(Slot &slot, const Value &value, whit_tensor *tensor);
  whit_status appendInput(const int64_t *tokens, int64_t count, whit_tensor &input);
  bool ownsBuffer(const Slot &slot, int32_t index) const;
  bool ownsDeviceBuffer(const Slot &slot) const;
  whit_status prepareConstants();
  whit_status sendInputs();
  whit_status fetch(Slot &slot);
  whit_status stage(Slot &slot, int64_t bytes);
  int32_t indexOf(const Slot &slot) const { return int32_t(&slot - slots.data()); }
  int64_t batchOfCall() const;

  static void parallelThunk(WhitContext *context, WhitBody body, void *captured, int64_t count);
  static void observeThunk(WhitContext *context, int32_t region, int32_t when, void **arguments, int32_t count);

  Module &module;
  Binding binding;
  ThreadPool pool;
  std::unique_ptr<DeviceSession> device; ///< null: the CPU
  std::vector<Slot> slots;
  std::vector<int64_t> sizes, descriptors;
  std::vector<void *> arguments;
  Buffer tokenBuffer;
  int64_t tokenDims[2] = {1, 0};
  int64_t cachedTokens = 0, cachedBatch = -1;
  bool hasRun = false;
  whit_observer observer = nullptr;
  void *observerData = nullptr;
  std::unique_ptr<Profile> profile;
  std::atomic_flag busy;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_SESSION_H
