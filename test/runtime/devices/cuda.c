// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A library with the entries of libcuda.so.1 that Whit uses. Memory is the host's; "kernels" are the functions below.
#include "fake.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FakeDriver fake;

#define CALL(name)                                                                                                     \
  if (fake.failing && !strcmp(fake.failing, name))                                                                     \
  return fake.error

int cuInit(unsigned flags) {
  CALL("cuInit");
  return (int)flags;
}
int cuDriverGetVersion(int *version) {
  *version = fake.version;
  return 0;
}
int cuDeviceGetCount(int *count) {
  *count = fake.devices;
  return 0;
}
int cuDeviceGet(int *device, int number) {
  *device = number + 40; /* a handle is no number */
  return 0;
}
int cuDeviceGetName(char *name, int size, int device) {
  snprintf(name, (size_t)size, "%s %d", fake.product, device - 40);
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? fake.major : attribute == 76 ? fake.minor : -device;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  CALL("cuDevicePrimaryCtxRetain");
  *context = (void *)(uintptr_t)(device + 1000);
  ++fake.contexts;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  (void)device;
  --fake.contexts;
  return 0;
}
int cuCtxSetCurrent(void *context) {
  CALL("cuCtxSetCurrent");
  return context ? 0 : 201;
}
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  if (fake.failing && !strcmp(fake.failing, "cuModuleLoadDataEx")) {
    char *log = NULL;
    size_t size = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == 5)
        log = values[i];
      if (options[i] == 6)
        size = (uintptr_t)values[i];
    }
    if (log)
      snprintf(log, size, "%s", fake.log);
    return fake.error;
  }
  snprintf(fake.image, sizeof fake.image, "%s", (const char *)image);
  *module = &fake;
  ++fake.loaded;
  return 0;
}
int cuModuleUnload(void *module) {
  fake.unloaded += module == &fake;
  return 0;
}

/* kernel `add`: out[i] = in[i] + n for i < n */
static void add(void **arguments) {
  int64_t *in = *(int64_t **)arguments[0], *out = *(int64_t **)arguments[1], n = *(int64_t *)arguments[2];
  for (int64_t i = 0; i < n; ++i)
    out[i] = in[i] + n;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
  if (module != &fake || strcmp(name, "add"))
    return 500;
  *function = (void *)add;
  return 0;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  if (function == (void *)add && attribute == 8)
    fake.sharedAllowed = value;
  return 0;
}
int cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                   unsigned blockZ, unsigned shared, void *stream, void **arguments, void **extra) {
  CALL("cuLaunchKernel");
  if (stream || extra)
    return 1;
  unsigned shape[7] = {gridX, gridY, gridZ, blockX, blockY, blockZ, shared};
  memcpy(fake.shape, shape, sizeof shape);
  ++fake.launches;
  ((void (*)(void **))function)(arguments);
  return 0;
}
int cuCtxSynchronize(void) {
  CALL("cuCtxSynchronize");
  return 0;
}
int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  if (bytes > fake.memory)
    return 2;
  *pointer = (uint64_t)(uintptr_t)malloc(bytes);
  fake.allocated += bytes;
  return 0;
}
int cuMemFree_v2(uint64_t pointer) {
  free((void *)(uintptr_t)pointer);
  return 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  memcpy((void *)(uintptr_t)to, from, bytes);
  return 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  CALL("cuMemcpyDtoH_v2");
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return 0;
}
int cuGetErrorName(int error, const char **name) {
  *name = error == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == 218 ? "CUDA_ERROR_INVALID_PTX"
          : error == 500 ? "CUDA_ERROR_NOT_FOUND"
          : error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                         : NULL;
  return *name ? 0 : 1;
}
int cuGetErrorString(int error, const char **text) {
  *text = error == 2 ? "out of memory" : error == 700 ? "an illegal memory access was encountered" : NULL;
  return *text ? 0 : 1;
}
