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
  ++fake.clock;
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

#ifndef WHIT_FAKE_WITHOUT_GRAPHS
/* ---- Graphs ---- */

/* hipKernelNodeParams of hip_runtime_api.h 6 */
typedef struct KernelNode {
  unsigned blockX, blockY, blockZ;
  void **extra;
  void *function;
  unsigned gridX, gridY, gridZ;
  void **arguments;
  unsigned sharedBytes;
} KernelNode;

static void fill(FakeNode *node, const KernelNode *from) {
  unsigned shape[7] = {from->gridX,  from->gridY,  from->gridZ,      from->blockX,
                       from->blockY, from->blockZ, from->sharedBytes};
  node->function = from->function;
  memcpy(node->shape, shape, sizeof shape);
  for (int i = 0; i < 3; ++i) /* `add` has three */
    memcpy(&node->words[i], from->arguments[i], 8);
}
int hipGraphCreate(void **graph, unsigned flags) {
  CALL("hipGraphCreate");
  *graph = calloc(1, sizeof(FakeGraph));
  ++fake.graphs;
  return (int)flags;
}
int hipGraphAddKernelNode(void **node, void *to, void *const *before, size_t count, const KernelNode *parameters) {
  CALL("hipGraphAddKernelNode");
  FakeGraph *graph = to;
  /* a chain: the first has nothing before it, the others have the last one */
  if (count != (graph->count != 0) || (count && before[0] != &graph->nodes[graph->count - 1]) ||
      graph->count == kFakeNodes || parameters->extra)
    return 1;
  *node = &graph->nodes[graph->count++];
  fill(*node, parameters);
  return 0;
}
int hipGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  CALL("hipGraphInstantiateWithFlags");
  FakeGraph **made = malloc(2 * sizeof(FakeGraph *)); /* what it was made of, and its own copy */
  made[0] = graph;
  made[1] = malloc(sizeof(FakeGraph));
  memcpy(made[1], graph, sizeof(FakeGraph));
  *executable = made;
  ++fake.executables;
  return (int)flags;
}
int hipGraphExecKernelNodeSetParams(void *executable, void *node, const KernelNode *parameters) {
  CALL("hipGraphExecKernelNodeSetParams");
  FakeGraph **made = executable;
  fill(&made[1]->nodes[(FakeNode *)node - made[0]->nodes], parameters);
  ++fake.updates;
  return 0;
}
int hipGraphLaunch(void *executable, void *stream) {
  CALL("hipGraphLaunch");
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
int hipGraphExecDestroy(void *executable) {
  FakeGraph **made = executable;
  free(made[1]);
  free(made);
  --fake.executables;
  return 0;
}
int hipGraphDestroy(void *graph) {
  free(graph);
  --fake.graphs;
  return 0;
}
#endif

/* ---- Events ---- */

int hipEventCreate(void **event) {
  *event = calloc(1, sizeof(int));
  ++fake.events;
  return 0;
}
int hipEventDestroy(void *event) {
  free(event);
  --fake.events;
  return 0;
}
int hipEventRecord(void *event, void *stream) {
  *(int *)event = ++fake.clock;
  return stream != NULL;
}
int hipEventSynchronize(void *event) {
  CALL("hipEventSynchronize");
  return *(int *)event == 0;
}
int hipEventElapsedTime(float *milliseconds, void *start, void *end) {
  *milliseconds = (float)(*(int *)end - *(int *)start);
  return 0;
}
