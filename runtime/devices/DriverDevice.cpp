// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything is queued on the default stream, which copies wait for: the order of the calls is the order of the work.
#include "runtime/devices/DriverDevice.h"

namespace whit {

void DriverDevice::unloadModules() {
  if (!modules.empty() && makeCurrent() == 0)
    for (void *module : modules)
      calls.moduleUnload(module);
  modules.clear();
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

whit_status DriverDevice::launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments,
                                 int32_t count) {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  if (shape.sharedBytes)
    if (whit_status status = check(allowShared(kernel, shape.sharedBytes),
                                   "allowing " + std::to_string(shape.sharedBytes) + " bytes of shared memory"))
      return status;
  parameters.clear(); // keeps its memory: calls behind the first take none
  for (int32_t i = 0; i < count; ++i)
    parameters.push_back(const_cast<uint64_t *>(arguments + i));
  return check(calls.launchKernel(kernel, shape.grid[0], shape.grid[1], shape.grid[2], shape.block[0], shape.block[1],
                                  shape.block[2], shape.sharedBytes, nullptr, parameters.data(), nullptr),
               "launching a kernel");
}

whit_status DriverDevice::synchronize() {
  if (whit_status status = check(makeCurrent(), "selecting the device"))
    return status;
  return check(calls.synchronize(), "waiting for the kernels");
}

} // namespace whit
