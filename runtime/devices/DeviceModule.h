// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a module has on a device, for all of its sessions: the kernels, and the constants once somebody runs it. A device belongs to one
// thread at a time; whoever uses it holds `mutex`.
#ifndef WHIT_RUNTIME_DEVICES_DEVICEMODULE_H
#define WHIT_RUNTIME_DEVICES_DEVICEMODULE_H

#include "runtime/core/Code.h"
#include "runtime/devices/LaunchList.h"
#include "whit/Device.h"

#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace whit {

class DeviceModule {
public:
  /// `name` as the user called the device, for messages.
  DeviceModule(std::unique_ptr<Device> device, std::string name);
  ~DeviceModule();

  /// The first variant (of this target, unless it is null) with an image that the device takes; its kernels are then loaded. WHIT_DEVICE says
  /// what the device is and what the artifact has.
  whit_status choose(const CodeImage &image, const char *target, const Variant *&variant);

  /// Copies constants to the device, the first time; `bytes` says how long each is, null pointers are left out. The host's bytes must have
  /// been verified.
  whit_status upload(std::span<const uint8_t *const> constants, std::span<const int64_t> bytes);
  DevicePointer constant(int32_t argument) const { return constants[size_t(argument)]; }

  /// For measurements that the device's caches must not help: more copies of the constants, until all together have `bytes`.
  whit_status copyConstants(int64_t bytes);
  /// How often the constants are there.
  size_t copyCount() const { return 1 + copies.size(); }
  /// Makes the constants that the list's launches from `first` on take those of copy `number`.
  void takeCopy(LaunchList &list, size_t first, size_t number) const;

  /// The device's last message as this thread's, with the name of the device.
  whit_status report(whit_status status, const std::string &what) const;

  Device &device() { return *opened; }
  const std::string &deviceName() const { return name; }
  const std::vector<DeviceKernel> &kernels() const { return found; }
  const std::string &kernelName(size_t number) const { return chosen->kernels[number].name; }

  std::mutex mutex;

private:
  using Pointers = std::vector<DevicePointer>;

  whit_status load(const CodeImage &image, const Variant &variant, std::string &why);
  /// Allocates what is not there yet, and copies it.
  whit_status fill(Pointers &pointers);

  std::unique_ptr<Device> opened;
  std::string name;
  const Variant *chosen = nullptr;
  std::vector<DeviceKernel> found;
  std::vector<const uint8_t *> sources; ///< of the constants, on the host; null: no constant
  std::vector<int64_t> sizes;
  Pointers constants;
  std::vector<Pointers> copies;
  bool uploaded = false;
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_DEVICEMODULE_H
