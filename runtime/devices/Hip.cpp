// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMD's runtime, libamdhip64.so: the module calls of HIP, which are those of CUDA's driver under other names.
#include "runtime/core/Status.h"
#include "runtime/devices/DriverDevice.h"
#include "runtime/devices/OpenDevice.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <type_traits>

namespace whit {
namespace {

constexpr int kOutOfMemory = 2;
/// ROCm 6.0, the first with hipDeviceProp_tR0600.
constexpr int kLeastVersion = 60000000;
/// More than any version's hipDeviceProp_t takes.
constexpr size_t kPropertyBytes = 16384;

/// hipKernelNodeParams. `function` may be what hipModuleGetFunction found: captured launches of modules are described so as well.
struct KernelNode {
  unsigned block[3];
  void **extra;
  void *function;
  unsigned grid[3];
  void **arguments;
  unsigned sharedBytes;
};

struct HipCalls {
  int (*init)(unsigned);
  int (*version)(int *);
  int (*deviceCount)(int *);
  int (*setDevice)(int);
  int (*properties)(void *, int);
  int (*moduleLoadData)(void **, const void *);
  int (*memoryAllocate)(void **, size_t);
  int (*memoryFree)(void *);
  int (*copyToDevice)(void *, void *, size_t);
  int (*copyToHost)(void *, void *, size_t);
  int (*eventCreate)(void **);
  int (*graphAddKernelNode)(void **, void *, void *const *, size_t, const KernelNode *);
  int (*graphSetKernelNode)(void *, void *, const KernelNode *);
  const char *(*errorName)(int);
  const char *(*errorString)(int);
};

class HipDevice : public DriverDevice {
public:
  ~HipDevice() override { releaseAll(); }

  whit_status open(void *library, int number);

  bool runs(ImageKind kind, const std::string &image) const override {
    return kind == ImageKind::Hsaco && image == target;
  }

private:
  int makeCurrent() override { return hip.setDevice(device); }
  int memoryAllocate(void **pointer, size_t bytes) override { return hip.memoryAllocate(pointer, bytes); }
  int memoryFree(void *pointer) override { return hip.memoryFree(pointer); }
  int copyToDevice(void *to, const void *from, size_t bytes) override {
    return hip.copyToDevice(to, const_cast<void *>(from), bytes);
  }
  int copyToHost(void *to, void *from, size_t bytes) override { return hip.copyToHost(to, from, bytes); }
  int eventCreate(void **event) override { return hip.eventCreate(event); }
  static KernelNode nodeOf(const DeviceLaunch &launch, void **arguments) {
    const auto &[grid, block, sharedBytes] = launch.shape;
    return {{block[0], block[1], block[2]}, nullptr,   launch.kernel,
            {grid[0], grid[1], grid[2]},    arguments, sharedBytes};
  }
  int addNode(void **node, void *graph, void *before, const DeviceLaunch &launch, void **arguments) override {
    KernelNode added = nodeOf(launch, arguments);
    return hip.graphAddKernelNode(node, graph, &before, before ? 1 : 0, &added);
  }
  int setNode(void *executable, void *node, const DeviceLaunch &launch, void **arguments) override {
    KernelNode changed = nodeOf(launch, arguments);
    return hip.graphSetKernelNode(executable, node, &changed);
  }
  int loadModule(const void *bytes, std::string &, void **module) override { return hip.moduleLoadData(module, bytes); }
  int allowShared(void *, uint32_t) override { return 0; }
  std::string describe(int error) const override {
    const char *name = hip.errorName(error), *meaning = hip.errorString(error);
    return std::string(name ? name : "error") + " (" + std::to_string(error) + "): " + (meaning ? meaning : "unknown");
  }
  bool isOutOfMemory(int error) const override { return error == kOutOfMemory; }

  HipCalls hip{};
  int device = 0;
};

whit_status HipDevice::open(void *library, int number) {
  std::string missing;
  auto find = [&](auto &entry, const char *name) {
    entry = reinterpret_cast<std::remove_reference_t<decltype(entry)>>(dlsym(library, name));
    if (!entry)
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  find(hip.version, "hipRuntimeGetVersion");
  if (int version = 0; hip.version && hip.version(&version) == 0 && version < kLeastVersion)
    return fail(WHIT_DEVICE, "AMD's runtime is of ROCm %d.%d; %d.%d or newer is required", version / 10000000,
                version / 100000 % 100, kLeastVersion / 10000000, kLeastVersion / 100000 % 100);
  find(hip.init, "hipInit");
  find(hip.deviceCount, "hipGetDeviceCount");
  find(hip.setDevice, "hipSetDevice");
  find(hip.properties, "hipGetDevicePropertiesR0600");
  find(hip.moduleLoadData, "hipModuleLoadData");
  find(hip.memoryAllocate, "hipMalloc");
  find(hip.memoryFree, "hipFree");
  find(hip.copyToDevice, "hipMemcpyHtoD");
  find(hip.copyToHost, "hipMemcpyDtoH");
  find(hip.eventCreate, "hipEventCreate");
  find(calls.eventDestroy, "hipEventDestroy");
  find(calls.eventRecord, "hipEventRecord");
  find(calls.eventSynchronize, "hipEventSynchronize");
  find(calls.eventElapsedTime, "hipEventElapsedTime");
  find(hip.errorName, "hipGetErrorName");
  find(hip.errorString, "hipGetErrorString");
  find(calls.launchKernel, "hipModuleLaunchKernel");
  find(calls.moduleGetFunction, "hipModuleGetFunction");
  find(calls.moduleUnload, "hipModuleUnload");
  find(calls.synchronize, "hipDeviceSynchronize");
  if (!missing.empty())
    return fail(WHIT_DEVICE, "AMD's runtime has no %.300s; install ROCm 6 or newer", missing.c_str());
  find(hip.graphAddKernelNode, "hipGraphAddKernelNode");
  find(hip.graphSetKernelNode, "hipGraphExecKernelNodeSetParams");
  find(calls.graphCreate, "hipGraphCreate");
  find(calls.graphInstantiate, "hipGraphInstantiateWithFlags");
  find(calls.graphLaunch, "hipGraphLaunch");
  find(calls.graphDestroy, "hipGraphDestroy");
  find(calls.executableDestroy, "hipGraphExecDestroy");
  if (!missing.empty()) // an old one: kernels are launched one by one
    calls.graphCreate = nullptr;

  auto report = [&](int error, const char *what) {
    return fail(WHIT_DEVICE, "%s: %.300s", what, describe(error).c_str());
  };
  int count = 0;
  if (int error = hip.init(0))
    return report(error, "AMD's runtime does not start");
  if (int error = hip.deviceCount(&count))
    return report(error, "AMD's runtime does not count its devices");
  if (number >= count)
    return fail(WHIT_DEVICE, "there is no device hip:%d; AMD's runtime finds %d", number, count);
  device = number;
  std::vector<char> properties(kPropertyBytes);
  if (int error = hip.properties(properties.data(), number))
    return report(error, "AMD's runtime does not describe the device");
  // The name comes first; the fields before the architecture ("gfx942:sramecc+:xnack-") are not the same in all versions.
  product = std::string(properties.data(), strnlen(properties.data(), 256));
  static constexpr char kMark[] = "gfx";
  auto from = std::search(properties.begin() + 256, properties.end(), kMark, kMark + 3);
  while (from != properties.end() && *from && *from != ':')
    target += *from++;
  if (target.empty())
    return fail(WHIT_DEVICE, "AMD's runtime does not say which architecture device hip:%d has", number);
  return WHIT_OK;
}

} // namespace

whit_status openHip(int number, std::unique_ptr<Device> &device, std::span<const std::string> libraries) {
  static const std::string usual[] = {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6"};
  void *library;
  if (whit_status status = openLibrary(libraries.empty() ? usual : libraries,
                                       "install AMD's ROCm, or run with --device=sim:gfx942", library))
    return status;
  auto opened = std::make_unique<HipDevice>();
  if (whit_status status = opened->open(library, number))
    return status;
  device = std::move(opened);
  return WHIT_OK;
}

} // namespace whit
