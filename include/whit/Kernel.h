/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * The calls between the runtime and compiled code, in C. The compiler emits functions of these types, the runtime fills
 * WhitContext and calls them; nothing else passes between the two.
 *
 * Each variant of a model (one per instruction set) exports two symbols, whose names the manifest gives:
 *
 *   WhitSizesFunction   from the model's symbolic dimensions to the workspace size and the dimensions of every argument
 *   WhitFunction        runs the model once
 *
 * Arguments are passed as an array of pointers to MLIR strided memref descriptors, in this order: inputs, states
 * (caches, updated in place), constants (packed weights, read only), outputs, and last the workspace, a one-dimensional
 * memref of bytes. A descriptor of rank r is
 *
 *   struct { void *allocated; void *aligned; int64_t offset; int64_t sizes[r]; int64_t strides[r]; }
 *
 * with strides in elements. The runtime always passes contiguous row-major buffers with offset 0, `aligned` at least
 * 64-byte aligned for everything but inputs (inputs: the alignment of their element type).
 *
 * In a variant for a GPU the two functions run on the CPU, every pointer in a descriptor is one of device memory, and the code
 * only computes sizes and launches kernels.
 *
 * Compiled code allocates nothing, keeps no state of its own, calls nothing but the context's functions and libm/libc
 * string functions, and may run in several sessions at once.
 */
#ifndef WHIT_KERNEL_H
#define WHIT_KERNEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WhitContext WhitContext;

/* One chunk of a parallel loop: the iterations [begin, end). Runs on any thread; chunks of one loop run at the same
 * time. */
typedef void (*WhitBody)(void *captured, int64_t begin, int64_t end);

struct WhitContext {
  /* Runs `body` over [0, count), in chunks that threads claim as they become free, and returns when all are done. The
   * caller works too. Which thread gets which chunk, and how large chunks are, is not fixed: a body must write what
   * depends on `begin` and `end` only. Not to be called from inside a body. count <= 0 does nothing. */
  void (*parallel)(WhitContext *context, WhitBody body, void *captured, int64_t count);

  /* NULL unless somebody watches (profile, replay of regions). Compiled code that is built with region marks calls it
   * before (when = 0) and after (when = 1) each region of the manifest, on the calling thread, with the region's memref
   * descriptors: operands first, then results, scalars left out. The contents may be read, not kept. */
  void (*observe)(WhitContext *context, int32_t region, int32_t when, void **arguments, int32_t count);

  /* The session; compiled code passes the context along and never looks at this. */
  void *runtime;

  /* NULL for variants of the CPU. Queues kernel number `kernel` of the variant's table in the manifest on the session's device, behind all
   * that were queued before. shape: blocks in the grid x, y, z; threads in a block x, y, z; bytes of shared memory beyond what the kernel
   * declares. A grid with a 0 does nothing. arguments: `count` words, device pointers and integers extended to 64 bits. A failure is kept
   * by the runtime; what follows is dropped. */
  void (*launch)(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *arguments, int32_t count);

  /* NULL for variants of the CPU. A 32-bit word of device memory, 0 before the run, in which kernels leave a WhitCheck. */
  void *status;
};

/* Runs the model. Returns 0, or a positive number: the 1-based index of the run-time check that failed (see WhitCheck).
 */
typedef int32_t (*WhitFunction)(WhitContext *context, void **arguments);

/* symbols: values in the manifest's order. sizes: [0] = bytes of workspace, then all dimensions of all arguments but
 * the workspace in argument order, ranks concatenated. Pure; safe for any non-negative symbols. */
typedef void (*WhitSizesFunction)(const int64_t *symbols, int64_t *sizes);

/* Positive statuses of a WhitFunction. */
enum WhitCheck {
  WHIT_CHECK_INDEX = 1, /* an index tensor held a value outside its table: gather, embedding */
  WHIT_CHECK_LENGTH = 2 /* a mask or length tensor does not fit the cache */
};

#ifdef __cplusplus
}
#endif

#endif /* WHIT_KERNEL_H */
