// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A library with the entries of libamdhip64.so that Whit uses.
#include "fake.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FakeDriver fake;
static int current = -1;

#define CALL(name)                                                                                                     \
  if (fake.failing && !strcmp(fake.failing, name))                                                                     \
  return fake.error

int hipRuntimeGetVersion(int *version) {
  *version = fake.version;
  return 0;
}
int hipInit(unsigned flags) {
  CALL("hipInit");
  return (int)flags;
}
int hipGetDeviceCount(int *count) {
  *count = fake.devices;
  return 0;
}
int hipSetDevice(int device) {
  current = device;
  return 0;
}
/* The architecture stands far behind the name; where exactly is not the same in all versions. */
int hipGetDevicePropertiesR0600(void *properties, int device) {
  snprintf(properties, 256, "%s %d", fake.product, device);
  snprintf((char *)properties + 1160, 256, "%s", fake.architecture);
  return 0;
}
int hipModuleLoadData(void **module, const void *image) {
  CALL("hipModuleLoadData");
  snprintf(fake.image, sizeof fake.image, "%s", (const char *)image);
  *module = &fake;
  ++fake.loaded;
  return 0;
}
int hipModuleUnload(void *module) {
  fake.unloaded += module == &fake;
  return 0;
}
static void add(void **arguments) {
  int64_t *in = *(int64_t **)arguments[0], *out = *(int64_t **)arguments[1], n = *(int64_t *)arguments[2];
  for (int64_t i = 0; i < n; ++i)
    out[i] = in[i] + n;
}
int hipModuleGetFunction(void **function, void *module, const char *name) {
  if (module != &fake || strcmp(name, "add"))
    return 500;
  *function = (void *)add;
  return 0;
}
int hipModuleLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                          unsigned blockY, unsigned blockZ, unsigned shared, void *stream, void **arguments,
                          void **extra) {
  CALL("hipModuleLaunchKernel");
  if (stream || extra)
    return 1;
  unsigned shape[7] = {gridX, gridY, gridZ, blockX, blockY, blockZ, shared};
  memcpy(fake.shape, shape, sizeof shape);
  ++fake.launches;
  ((void (*)(void **))function)(arguments);
  return 0;
}
int hipDeviceSynchronize(void) {
  CALL("hipDeviceSynchronize");
  return current < 0;
}
int hipMalloc(void **pointer, size_t bytes) {
  if (bytes > fake.memory)
    return 2;
  *pointer = malloc(bytes);
  fake.allocated += bytes;
  return 0;
}
int hipFree(void *pointer) {
  free(pointer);
  return 0;
}
int hipMemcpyHtoD(void *to, void *from, size_t bytes) {
  memcpy(to, from, bytes);
  return 0;
}
int hipMemcpyDtoH(void *to, void *from, size_t bytes) {
  CALL("hipMemcpyDtoH");
  memcpy(to, from, bytes);
  return 0;
}
const char *hipGetErrorName(int error) { return error == 2 ? "hipErrorOutOfMemory" : "hipErrorUnknown"; }
const char *hipGetErrorString(int error) { return error == 2 ? "out of memory" : "unknown error"; }
