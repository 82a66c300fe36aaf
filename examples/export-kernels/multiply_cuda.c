// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The layer on an NVIDIA GPU, through its driver alone: multiply_cuda FOLDER. Weights are packed on the CPU and copied; the functions of
// kernels.h compute the shapes of launches and hand them to `launch` below. Nothing is linked to CUDA: what is missing is said at run time.
#include "kernels.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { kRows = 7, kColumns = 256, kOutputs = 384 };

// Of cuda.h, as far as it is used.
typedef int CUresult;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef unsigned long long CUdeviceptr;
enum { kMaxDynamicShared = 8 };

static CUresult (*cuInit)(unsigned);
static CUresult (*cuDeviceGet)(int *, int);
static CUresult (*cuDevicePrimaryCtxRetain)(CUcontext *, int);
static CUresult (*cuCtxSetCurrent)(CUcontext);
static CUresult (*cuModuleLoad)(CUmodule *, const char *);
static CUresult (*cuModuleGetFunction)(CUfunction *, CUmodule, const char *);
static CUresult (*cuFuncSetAttribute)(CUfunction, int, int);
static CUresult (*cuMemAlloc)(CUdeviceptr *, size_t);
static CUresult (*cuMemcpyHtoD)(CUdeviceptr, const void *, size_t);
static CUresult (*cuMemcpyDtoH)(void *, CUdeviceptr, size_t);
static CUresult (*cuLaunchKernel)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                                  void **);
static CUresult (*cuCtxSynchronize)(void);
static CUresult (*cuGetErrorString)(CUresult, const char **);

static void fail(const char *what, CUresult result) {
  const char *why = "";
  if (result && cuGetErrorString)
    cuGetErrorString(result, &why);
  fprintf(stderr, "%s: %s\n", what, why ? why : "");
  exit(1);
}
static void check(const char *what, CUresult result) {
  if (result)
    fail(what, result);
}

static void openDriver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    fprintf(stderr, "no NVIDIA driver: %s\n", dlerror());
    exit(3);
  }
  struct {
    void **function;
    const char *name;
  } needed[] = {{(void **)&cuInit, "cuInit"},
                {(void **)&cuDeviceGet, "cuDeviceGet"},
                {(void **)&cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain"},
                {(void **)&cuCtxSetCurrent, "cuCtxSetCurrent"},
                {(void **)&cuModuleLoad, "cuModuleLoad"},
                {(void **)&cuModuleGetFunction, "cuModuleGetFunction"},
                {(void **)&cuFuncSetAttribute, "cuFuncSetAttribute"},
                {(void **)&cuMemAlloc, "cuMemAlloc_v2"},
                {(void **)&cuMemcpyHtoD, "cuMemcpyHtoD_v2"},
                {(void **)&cuMemcpyDtoH, "cuMemcpyDtoH_v2"},
                {(void **)&cuLaunchKernel, "cuLaunchKernel"},
                {(void **)&cuCtxSynchronize, "cuCtxSynchronize"},
                {(void **)&cuGetErrorString, "cuGetErrorString"}};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; ++i)
    if (!(*needed[i].function = dlsym(library, needed[i].name)))
      fail(needed[i].name, 0);
  int device;
  CUcontext context;
  check("cuInit", cuInit(0));
  check("cuDeviceGet", cuDeviceGet(&device, 0));
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
}

// WhitContext.launch: `runtime` points to the functions of the kernel's image.
static void launch(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *words, int32_t count) {
  CUfunction function = ((CUfunction *)context->runtime)[kernel];
  void *arguments[256];
  for (int i = 0; i < 3; ++i)
    if (shape[i] == 0)
      return;
  if (count > 256)
    fail("launch has too many arguments", 0);
  for (int32_t i = 0; i < count; ++i)
    arguments[i] = (void *)&words[i];
  if (shape[6] > 48 << 10)
    check("cuFuncSetAttribute", cuFuncSetAttribute(function, kMaxDynamicShared, (int)shape[6]));
  check("cuLaunchKernel", cuLaunchKernel(function, (unsigned)shape[0], (unsigned)shape[1], (unsigned)shape[2], (unsigned)shape[3],
                                         (unsigned)shape[4], (unsigned)shape[5], (unsigned)shape[6], NULL, arguments, NULL));
}

static CUdeviceptr onDevice(const void *bytes, size_t size) {
  CUdeviceptr memory;
  check("cuMemAlloc", cuMemAlloc(&memory, size));
  if (bytes)
    check("cuMemcpyHtoD", cuMemcpyHtoD(memory, bytes, size));
  return memory;
}

static float noise(void) { return (float)rand() / (float)RAND_MAX - 0.5f; }

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "multiply_cuda FOLDER\n");
    return 2;
  }
  static float x[kRows][kColumns], w[kOutputs][kColumns], y[kRows][kOutputs];
  for (int i = 0; i < kRows * kColumns; ++i)
    x[0][i] = noise();
  for (int i = 0; i < kOutputs * kColumns; ++i)
    w[0][i] = noise();
  static char packed[layer_w_bytes];
  char why[256] = "";
  if (layer_pack_w(&w[0][0], packed, why, sizeof why)) {
    fprintf(stderr, "cannot pack: %s\n", why);
    return 1;
  }
  printf("%d bytes of weights became %d\n", (int)sizeof w, layer_w_bytes);

  openDriver();
  char path[4096];
  snprintf(path, sizeof path, "%s/layer.ptx", argv[1]); // compiled for the card that is there
  CUmodule module;
  check(path, cuModuleLoad(&module, path));
  static const char *const names[] = layer_functions;
  CUfunction functions[sizeof names / sizeof *names];
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
    check(names[i], cuModuleGetFunction(&functions[i], module, names[i]));

  int32_t nothing = 0, found;
  CUdeviceptr status = onDevice(&nothing, sizeof nothing);
  WhitContext context = {.runtime = functions, .launch = launch, .status = (void *)status};
  CUdeviceptr yDevice = onDevice(NULL, sizeof y);
  int64_t workspace = layer_workspace(kRows);
  int32_t result = layer(kRows, (void *)onDevice(x, sizeof x), (void *)onDevice(packed, sizeof packed), (void *)yDevice,
                         workspace ? (void *)onDevice(NULL, (size_t)workspace) : NULL, &context);
  check("cuCtxSynchronize", cuCtxSynchronize());
  check("cuMemcpyDtoH", cuMemcpyDtoH(&found, status, sizeof found));
  check("cuMemcpyDtoH", cuMemcpyDtoH(y, yDevice, sizeof y));
  if (result || found) {
    fprintf(stderr, "the kernel returned %d, and left %d\n", result, found);
    return 1;
  }

  double error = 0, size = 0;
  for (int row = 0; row < kRows; ++row)
    for (int n = 0; n < kOutputs; ++n) {
      double exact = 0;
      for (int k = 0; k < kColumns; ++k)
        exact += (double)x[row][k] * w[n][k];
      error += (y[row][n] - exact) * (y[row][n] - exact);
      size += exact * exact;
    }
  printf("relative error %.3f\n", sqrt(error / size));
  return sqrt(error / size) < 0.15 ? 0 : 1;
}
