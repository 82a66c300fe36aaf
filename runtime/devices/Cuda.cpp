// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's driver, libcuda.so.1. Names with _v2 are those that have been current since CUDA 3.2 and 4.0.
#include "runtime/core/Status.h"
#include "runtime/devices/DriverDevice.h"
#include "runtime/devices/OpenDevice.h"

#include <cstdlib>
#include <dlfcn.h>
#include <string_view>
#include <type_traits>

namespace whit {
namespace {

constexpr int kComputeMajor = 75, kComputeMinor = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
constexpr int kErrorLog = 5, kErrorLogBytes = 6;      // CU_JIT_ERROR_LOG_BUFFER*
constexpr int kMaxDynamicShared = 8;                  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kOutOfMemory = 2;
/// What a launch may add without being allowed to.
constexpr uint32_t kFreeShared = 48 << 10;
/// The driver of CUDA 12.0, whose PTX 8.0 has all instructions of the kernels for sm_80; newer architectures need newer drivers anyway.
constexpr int kLeastDriver = 12000;

/// CUDA_KERNEL_NODE_PARAMS_v2
struct KernelNode {
  void *function;
  unsigned grid[3], block[3], sharedBytes;
  void **arguments, **extra;
  void *kernel, *context; // in place of `function`
};

struct CudaCalls {
  int (*init)(unsigned);
  int (*driverGetVersion)(int *);
  int (*deviceGetCount)(int *);
  int (*deviceGet)(int *, int);
  int (*deviceGetName)(char *, int, int);
  int (*deviceGetAttribute)(int *, int, int);
  int (*primaryContextRetain)(void **, int);
  int (*primaryContextRelease)(int);
  int (*contextSetCurrent)(void *);
  int (*moduleLoadData)(void **, const void *, unsigned, int *, void **);
  int (*functionSetAttribute)(void *, int, int);
  int (*memoryAllocate)(uint64_t *, size_t);
  int (*memoryFree)(uint64_t);
  int (*copyToDevice)(uint64_t, const void *, size_t);
  int (*copyToHost)(void *, uint64_t, size_t);
  int (*eventCreate)(void **, unsigned);
  int (*graphAddKernelNode)(void **, void *, void *const *, size_t, const KernelNode *);
  int (*graphSetKernelNode)(void *, void *, const KernelNode *);
  int (*errorName)(int, const char **);
  int (*errorString)(int, const char **);
};

class CudaDevice : public DriverDevice {
public:
  ~CudaDevice() override {
    releaseAll();
    if (context)
      cuda.primaryContextRelease(device);
  }

  whit_status open(void *library, int number);

  bool runs(ImageKind kind, const std::string &image) const override {
    if (image.compare(0, 3, "sm_") != 0 || (kind != ImageKind::Ptx && kind != ImageKind::Cubin))
      return false;
    char *end;
    long wanted = std::strtol(image.c_str() + 3, &end, 10);
    std::string_view suffix(end);
    if (wanted == 0 || suffix.size() > 1 || (suffix.size() == 1 && suffix != "a" && suffix != "f"))
      return false;
    if (suffix == "a") // instructions of this architecture alone
      return wanted == capability;
    if (suffix == "f") // of this one and its younger sisters
      return wanted / 10 == capability / 10 && wanted <= capability;
    return kind == ImageKind::Ptx ? wanted <= capability : wanted / 10 == capability / 10 && wanted <= capability;
  }

private:
  int makeCurrent() override { return cuda.contextSetCurrent(context); }
  int memoryAllocate(void **pointer, size_t bytes) override {
    uint64_t address = 0;
    int error = cuda.memoryAllocate(&address, bytes);
    *pointer = reinterpret_cast<void *>(address);
    return error;
  }
  int memoryFree(void *pointer) override { return cuda.memoryFree(reinterpret_cast<uint64_t>(pointer)); }
  int copyToDevice(void *to, const void *from, size_t bytes) override {
    return cuda.copyToDevice(reinterpret_cast<uint64_t>(to), from, bytes);
  }
  int copyToHost(void *to, void *from, size_t bytes) override {
    return cuda.copyToHost(to, reinterpret_cast<uint64_t>(from), bytes);
  }
  int eventCreate(void **event) override { return cuda.eventCreate(event, 0); }
  static KernelNode nodeOf(const DeviceLaunch &launch, void **arguments) {
    const auto &[grid, block, sharedBytes] = launch.shape;
    return {launch.kernel,
            {grid[0], grid[1], grid[2]},
            {block[0], block[1], block[2]},
            sharedBytes,
            arguments,
            nullptr,
            nullptr,
            nullptr};
  }
  int addNode(void **node, void *graph, void *before, const DeviceLaunch &launch, void **arguments) override {
    KernelNode added = nodeOf(launch, arguments);
    return cuda.graphAddKernelNode(node, graph, &before, before ? 1 : 0, &added);
  }
  int setNode(void *executable, void *node, const DeviceLaunch &launch, void **arguments) override {
    KernelNode changed = nodeOf(launch, arguments);
    return cuda.graphSetKernelNode(executable, node, &changed);
  }
  int loadModule(const void *bytes, std::string &log, void **module) override {
    log.assign(4096, '\0');
    int options[] = {kErrorLog, kErrorLogBytes};
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
    int error = cuda.moduleLoadData(module, bytes, 2, options, values);
    log.resize(log.find('\0') == std::string::npos ? log.size() : log.find('\0'));
    return error;
  }
  int allowShared(void *kernel, uint32_t bytes) override {
    return bytes <= kFreeShared ? 0 : cuda.functionSetAttribute(kernel, kMaxDynamicShared, int(bytes));
  }
  std::string describe(int error) const override {
    const char *name = nullptr, *meaning = nullptr;
    cuda.errorName(error, &name);
    cuda.errorString(error, &meaning);
    return std::string(name ? name : "error") + " (" + std::to_string(error) + "): " + (meaning ? meaning : "unknown");
  }
  bool isOutOfMemory(int error) const override { return error == kOutOfMemory; }

  CudaCalls cuda{};
  void *context = nullptr;
  int device = 0, capability = 0;
};

whit_status CudaDevice::open(void *library, int number) {
  std::string missing;
  auto find = [&](auto &entry, const char *name) {
    entry = reinterpret_cast<std::remove_reference_t<decltype(entry)>>(dlsym(library, name));
    if (!entry)
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  find(cuda.init, "cuInit");
  find(cuda.driverGetVersion, "cuDriverGetVersion");
  find(cuda.deviceGetCount, "cuDeviceGetCount");
  find(cuda.deviceGet, "cuDeviceGet");
  find(cuda.deviceGetName, "cuDeviceGetName");
  find(cuda.deviceGetAttribute, "cuDeviceGetAttribute");
  find(cuda.primaryContextRetain, "cuDevicePrimaryCtxRetain");
  find(cuda.primaryContextRelease, "cuDevicePrimaryCtxRelease_v2");
  find(cuda.contextSetCurrent, "cuCtxSetCurrent");
  find(cuda.moduleLoadData, "cuModuleLoadDataEx");
  find(cuda.functionSetAttribute, "cuFuncSetAttribute");
  find(cuda.memoryAllocate, "cuMemAlloc_v2");
  find(cuda.memoryFree, "cuMemFree_v2");
  find(cuda.copyToDevice, "cuMemcpyHtoD_v2");
  find(cuda.copyToHost, "cuMemcpyDtoH_v2");
  find(cuda.eventCreate, "cuEventCreate");
  find(calls.eventDestroy, "cuEventDestroy_v2");
  find(calls.eventRecord, "cuEventRecord");
  find(calls.eventSynchronize, "cuEventSynchronize");
  find(calls.eventElapsedTime, "cuEventElapsedTime");
  find(cuda.errorName, "cuGetErrorName");
  find(cuda.errorString, "cuGetErrorString");
  find(calls.launchKernel, "cuLaunchKernel");
  find(calls.moduleGetFunction, "cuModuleGetFunction");
  find(calls.moduleUnload, "cuModuleUnload");
  find(calls.synchronize, "cuCtxSynchronize");
  if (!missing.empty())
    return fail(WHIT_DEVICE, "the NVIDIA driver has no %.300s; install one of CUDA 12 or newer", missing.c_str());
  find(cuda.graphAddKernelNode, "cuGraphAddKernelNode_v2");
  find(cuda.graphSetKernelNode, "cuGraphExecKernelNodeSetParams_v2");
  find(calls.graphCreate, "cuGraphCreate");
  find(calls.graphInstantiate, "cuGraphInstantiateWithFlags");
  find(calls.graphLaunch, "cuGraphLaunch");
  find(calls.graphDestroy, "cuGraphDestroy");
  find(calls.executableDestroy, "cuGraphExecDestroy");
  if (!missing.empty()) // an old one: kernels are launched one by one
    calls.graphCreate = nullptr;

  auto report = [&](int error, const char *what) {
    return fail(WHIT_DEVICE, "%s: %.300s", what, describe(error).c_str());
  };
  int version = 0, count = 0, major = 0, minor = 0;
  if (int error = cuda.init(0))
    return report(error, "the NVIDIA driver does not start");
  if (int error = cuda.driverGetVersion(&version))
    return report(error, "the NVIDIA driver does not tell its version");
  if (version < kLeastDriver)
    return fail(WHIT_DEVICE, "the NVIDIA driver is for CUDA %d.%d; one for %d.%d or newer is required", version / 1000,
                version % 1000 / 10, kLeastDriver / 1000, kLeastDriver % 1000 / 10);
  if (int error = cuda.deviceGetCount(&count))
    return report(error, "the NVIDIA driver does not count its devices");
  if (number >= count)
    return fail(WHIT_DEVICE, "there is no device cuda:%d; the NVIDIA driver finds %d", number, count);
  char name[256] = "";
  if (int error = cuda.deviceGet(&device, number))
    return report(error, "the device cannot be opened");
  cuda.deviceGetName(name, sizeof name - 1, device);
  cuda.deviceGetAttribute(&major, kComputeMajor, device);
  cuda.deviceGetAttribute(&minor, kComputeMinor, device);
  product = name;
  capability = 10 * major + minor;
  target = "sm_" + std::to_string(capability);
  if (int error = cuda.primaryContextRetain(&context, device))
    return report(error, "the device has no context for this process");
  return WHIT_OK;
}

} // namespace

whit_status openCuda(int number, std::unique_ptr<Device> &device, std::span<const std::string> libraries) {
  static const std::string usual[] = {"libcuda.so.1"};
  void *library;
  if (whit_status status = openLibrary(libraries.empty() ? usual : libraries,
                                       "install NVIDIA's driver, or run with --device=sim:sm_80", library))
    return status;
  auto opened = std::make_unique<CudaDevice>();
  if (whit_status status = opened->open(library, number))
    return status;
  device = std::move(opened);
  return WHIT_OK;
}

} // namespace whit
