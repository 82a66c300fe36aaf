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
  ++fake.clock;
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

/* ---- Graphs ---- */

/* CUDA_KERNEL_NODE_PARAMS_v2 of cuda.h 12 */
typedef struct KernelNode {
  void *function;
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  void **arguments, **extra;
  void *kernel, *context;
} KernelNode;

static void fill(FakeNode *node, const KernelNode *from) {
  unsigned shape[7] = {from->gridX,  from->gridY,  from->gridZ,      from->blockX,
                       from->blockY, from->blockZ, from->sharedBytes};
  node->function = from->function;
  memcpy(node->shape, shape, sizeof shape);
  for (int i = 0; i < 3; ++i) /* `add` has three */
    memcpy(&node->words[i], from->arguments[i], 8);
}
int cuGraphCreate(void **graph, unsigned flags) {
  CALL("cuGraphCreate");
  *graph = calloc(1, sizeof(FakeGraph));
  ++fake.graphs;
  return (int)flags;
}
int cuGraphAddKernelNode_v2(void **node, void *to, void *const *before, size_t count, const KernelNode *parameters) {
  CALL("cuGraphAddKernelNode_v2");
  FakeGraph *graph = to;
  /* a chain: the first has nothing before it, the others have the last one */
  if (count != (graph->count != 0) || (count && before[0] != &graph->nodes[graph->count - 1]) ||
      graph->count == kFakeNodes || parameters->extra)
    return 1;
  *node = &graph->nodes[graph->count++];
  fill(*node, parameters);
  return 0;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  CALL("cuGraphInstantiateWithFlags");
  FakeGraph **made = malloc(2 * sizeof(FakeGraph *)); /* what it was made of, and its own copy */
  made[0] = graph;
  made[1] = malloc(sizeof(FakeGraph));
  memcpy(made[1], graph, sizeof(FakeGraph));
  *executable = made;
  ++fake.executables;
  return (int)flags;
}
int cuGraphExecKernelNodeSetParams_v2(void *executable, void *node, const KernelNode *parameters) {
  CALL("cuGraphExecKernelNodeSetParams_v2");
  FakeGraph **made = executable;
  fill(&made[1]->nodes[(FakeNode *)node - made[0]->nodes], parameters);
  ++fake.updates;
  return 0;
}
int cuGraphLaunch(void *executable, void *stream) {
  CALL("cuGraphLaunch");
  FakeGraph **made = executable;
  for (int i = 0; i < made[1]->count; ++i) {
    FakeNode *node = &made[1]->nodes[i];
    void *arguments[kFakeArguments];
    for (int k = 0; k < kFakeArguments; ++k)
      arguments[k] = &node->words[k];
    memcpy(fake.shape, node->shape, sizeof fake.shape);
    ((void (*)(void **))node->function)(arguments);
    ++fake.clock;
  }
  ++fake.replays;
  return stream != NULL;
}
int cuGraphExecDestroy(void *executable) {
  FakeGraph **made = executable;
  free(made[1]);
  free(made);
  --fake.executables;
  return 0;
}
int cuGraphDestroy(void *graph) {
  free(graph);
  --fake.graphs;
  return 0;
}

/* ---- Events ---- */

int cuEventCreate(void **event, unsigned flags) {
  *event = calloc(1, sizeof(int));
  ++fake.events;
  return (int)flags;
}
int cuEventDestroy_v2(void *event) {
  free(event);
  --fake.events;
  return 0;
}
int cuEventRecord(void *event, void *stream) {
  *(int *)event = ++fake.clock;
  return stream != NULL;
}
int cuEventSynchronize(void *event) {
  CALL("cuEventSynchronize");
  return *(int *)event == 0;
}
int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
  *milliseconds = (float)(*(int *)end - *(int *)start);
  return 0;
}
