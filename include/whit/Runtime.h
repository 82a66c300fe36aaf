/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Running compiled models, in C. The library needs neither the compiler nor LLVM.
 *
 *   whit_module *module;
 *   whit_session *session;
 *   if (whit_module_load("model.so", NULL, &module) != WHIT_OK) { puts(whit_message()); return; }
 *   whit_session_create(module, NULL, &session);
 *   int64_t dims[2] = {1, 3}, ids[3] = {504, 3575, 282};
 *   whit_tensor input = {"input_ids", WHIT_I64, 2, dims, ids};
 *   whit_tensor logits;
 *   if (whit_session_run(session, &input, 1) == WHIT_OK && whit_session_output(session, "logits", &logits) == WHIT_OK)
 *     use((const float *)logits.data);
 *   whit_session_destroy(session);
 *   whit_module_destroy(module);
 *
 * Modules are immutable: any number of sessions and threads may use one. A session belongs to one thread at a time; a
 * call that finds another thread inside returns WHIT_USAGE. A module must outlive its sessions.
 *
 * Errors are returned by value. A function that fails leaves its out-parameters alone and sets the calling thread's
 * message. The library never prints, exits, aborts or throws. NULL handles and NULL out-parameters give WHIT_USAGE;
 * destroying NULL does nothing.
 *
 * Code has the trust of an executable: loading maps code only if its hash is in the user's trust store or the caller
 * vouches for it.
 */
#ifndef WHIT_RUNTIME_H
#define WHIT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WHIT_API __attribute__((visibility("default")))

/* Numbers are the exit codes of the tools. */
typedef enum whit_status {
  WHIT_OK = 0,
  WHIT_INVALID = 1,       /* the input (file, tensor, shape) breaks a rule */
  WHIT_USAGE = 2,         /* the call breaks a rule of this header */
  WHIT_UNSUPPORTED = 3,   /* valid, but not supported */
  WHIT_IO = 4,            /* cannot read or write */
  WHIT_LIMIT = 5,         /* a limit or memory ran out; the message says which limit and how to raise it */
  WHIT_REFUSED = 6,       /* artifact refused: damaged, not trusted, or not for this machine */
  WHIT_DEVICE = 7,        /* device or driver */
  WHIT_MISMATCH = 8,      /* a comparison failed */
  WHIT_NEEDS_RESERVE = 9, /* execute found a buffer too small; reserve these dimensions first */
  WHIT_BUG = 70           /* a bug in Whit */
} whit_status;

/* One sentence about the last failure on this thread: what was found, what is allowed, which tensor or byte, what to
 * do. Never NULL; valid until the next call on this thread. */
WHIT_API const char *whit_message(void);

/* "whit 0.1"; static. */
WHIT_API const char *whit_version(void);

typedef enum whit_dtype {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors) WHIT_##NAME = number,
#include "whit/ElementTypes.def"
  WHIT_DTYPE_FORCE_INT = 0x7fffffff
} whit_dtype;

/* Size in bytes of one element; 0 for an unknown type. */
WHIT_API size_t whit_dtype_bytes(whit_dtype dtype);

/* A named, contiguous, row-major tensor. Who owns `name`, `dims` and `data` is said by each function; never freed
 * through this struct. */
typedef struct whit_tensor {
  const char *name;
  whit_dtype dtype;
  int32_t rank;
  const int64_t *dims; /* rank of them; may be NULL for rank 0 */
  void *data;          /* aligned to the element's size; may be NULL if a dimension is 0 */
} whit_tensor;

/* A symbolic dimension and its value. */
typedef struct whit_dim {
  const char *name;
  int64_t value;
} whit_dim;

/* ---- Modules ---- */

typedef struct whit_module whit_module;

typedef enum whit_trust {
  WHIT_TRUST_STORE =
      0,               /* the identity hash must be in $XDG_CONFIG_HOME/whit/trusted (default ~/.config/whit/trusted) */
  WHIT_TRUST_GIVEN = 1 /* the caller vouches for this file: as if he ran an executable of that name */
} whit_trust;

typedef enum whit_verify {
  WHIT_VERIFY_LAZY = 0, /* weights are hashed in 4 MiB chunks before the first run that can read them */
  WHIT_VERIFY_FULL = 1  /* all at load */
} whit_verify;

typedef struct whit_load_options {
  size_t struct_size; /* sizeof(whit_load_options) */
  whit_trust trust;
  whit_verify verify;
  const char *target; /* the variant to use, by its target name in the manifest; NULL: the best this CPU has */
  const char *
      device; /* where the module's sessions run: "cuda:0", "hip:0", "sim:sm_80" (the simulator of an architecture); NULL or "cpu":
                         on this CPU. Sessions of one module take turns on a device */
} whit_load_options;

/* Errors beside those below: WHIT_DEVICE (no driver, an old one, no such device, no kernels for its architecture).
 *
 * Loads `path` and maps its weights. What is hashed is what runs: the code is copied to sealed memory first and the
 * path is not opened again. options may be NULL. Errors: WHIT_IO, WHIT_REFUSED (6: damage, trust, instruction set),
 * WHIT_LIMIT. The caller destroys *module. */
WHIT_API whit_status whit_module_load(const char *path, const whit_load_options *options, whit_module **module);
WHIT_API void whit_module_destroy(whit_module *module);

/* Reads the manifest of `path` as JSON text and maps no code; the caller frees *json with whit_free. WHIT_REFUSED if it
 * is damaged. */
WHIT_API whit_status whit_inspect(const char *path, char **json);
WHIT_API void whit_free(void *memory);

/* Adds the identity hash of `path` to the user's trust store. */
WHIT_API whit_status whit_trust_file(const char *path);

/* Target name of the variant in use, e.g. "znver4". Owned by the module, like all text and arrays below. */
WHIT_API const char *whit_module_target(const whit_module *module);
WHIT_API const char *whit_module_manifest(const whit_module *module);

/* A named tensor of the model's own signature. dims[i] is -1 where symbols[i] names a dynamic dimension, else
 * symbols[i] is NULL. */
typedef struct whit_value {
  const char *name;
  whit_dtype dtype;
  int32_t rank;
  const int64_t *dims;
  const char *const *symbols;
  int32_t is_state; /* 1: a past or present tensor, which the session also keeps by itself */
} whit_value;

/* Inputs are the model's inputs and then its past tensors; outputs its outputs and then its present tensors. */
WHIT_API int32_t whit_module_input_count(const whit_module *module);
WHIT_API int32_t whit_module_output_count(const whit_module *module);
WHIT_API whit_status whit_module_input(const whit_module *module, int32_t index, whit_value *value);
WHIT_API whit_status whit_module_output(const whit_module *module, int32_t index, whit_value *value);

/* Largest number of tokens the session's caches hold; 0 if the model has none. */
WHIT_API int64_t whit_module_context(const whit_module *module);

typedef struct whit_region {
  const char *name;
  int32_t node_count;
  const char *const *nodes; /* names of the model's nodes that the region was fused from */
} whit_region;

/* The region with this id. WHIT_USAGE if there is none. */
WHIT_API whit_status whit_module_region(const whit_module *module, int32_t id, whit_region *region);

/* ---- Sessions ---- */

typedef struct whit_session whit_session;

typedef struct whit_session_options {
  size_t struct_size; /* sizeof(whit_session_options) */
  int32_t threads;    /* including the caller; 0: one per core this process may use. Results do not depend on it */
} whit_session_options;

/* options may be NULL. Starts the worker threads. The caller destroys *session. */
WHIT_API whit_status whit_session_create(whit_module *module, const whit_session_options *options,
                                         whit_session **session);
WHIT_API void whit_session_destroy(whit_session *session);

/* Makes room for calls with these dimensions, the only place where memory grows. Dimensions left out take their
 * minimum, those with a default follow it. A batch that differs from the caches' empties them. Errors: WHIT_INVALID
 * (out of the model's range), WHIT_LIMIT (memory). */
WHIT_API whit_status whit_session_reserve(whit_session *session, const whit_dim *dims, int32_t count);

/* Sets a dimension that has a default ("whit.last_rows") for the calls to come; value < 0 returns to the default. */
WHIT_API whit_status whit_session_set_dim(whit_session *session, const char *name, int64_t value);

/* Runs the model on `inputs` (names from the signature or their aliases in the manifest, any order; borrowed for the
 * call) and allocates nothing: WHIT_NEEDS_RESERVE if a buffer is too small. Either all past tensors are given, and replace what the caches hold, or
 * none, and the call continues after the tokens the caches hold. A mask or positions input may be left out: all ones,
 * and counted on from the cache's length. After a failure the caches hold what they held before, or the past tensors
 * given. Errors: WHIT_INVALID names the tensor and dimension, found and required. */
WHIT_API whit_status whit_session_execute(whit_session *session, const whit_tensor *inputs, int32_t count);

/* reserve for what the inputs need, then execute. */
WHIT_API whit_status whit_session_run(whit_session *session, const whit_tensor *inputs, int32_t count);

/* A result of the last run by its name or alias. The session owns it; valid until the next call that runs, reserves or destroys.
 * Present tensors are copied out of the caches into the model's own [batch, heads, tokens, depth] form by this call. */
WHIT_API whit_status whit_session_output(whit_session *session, const char *name, whit_tensor *tensor);

/* ---- Caches ---- */

/* Tokens the caches hold. */
WHIT_API int64_t whit_session_length(const whit_session *session);
/* Forgets all tokens but the first `length` (0: all); WHIT_USAGE if the caches hold fewer. */
WHIT_API whit_status whit_session_truncate(whit_session *session, int64_t length);
/* Fills the caches from past tensors, all of them; may allocate. */
WHIT_API whit_status whit_session_import(whit_session *session, const whit_tensor *pasts, int32_t count);

/* ---- Language models ---- */

/* Appends tokens (batch 1) to the caches and gives the logits after the last one: *logits points at *size floats that
 * the session owns until the next call. The mask and positions are filled in. Allocates when it must; to keep that out
 * of a loop reserve once with the longest sequence. With logits and size NULL they stay where they are: a model compiled
 * with --choose-tokens has the output "whit.next_tokens" ([batch, rows] of i64, -1 where a logit is NaN), and a device
 * then sends that alone. WHIT_UNSUPPORTED if the model is not a language model with caches,
 * WHIT_LIMIT when the context is full. */
WHIT_API whit_status whit_session_append(whit_session *session, const int64_t *tokens, int64_t count,
                                         const float **logits, int64_t *size);

/* ---- Watching ---- */

/* Called on the running thread at the begin (when = 0) and end (when = 1) of each region with its memref descriptors
 * (whit/Kernel.h). */
typedef void (*whit_observer)(void *user, int32_t region, int32_t when, void **arguments, int32_t count);

/* observer NULL: stop watching. WHIT_UNSUPPORTED on a device: its tensors are not in the host's memory. */
WHIT_API whit_status whit_session_observe(whit_session *session, whit_observer observer, void *user);

/* Records the times of all regions from now on, replacing the observer (on a device each region then waits for its kernels); stop writes them to `path` in Chrome's trace
 * format with the names of the model's nodes. */
WHIT_API whit_status whit_session_profile_start(whit_session *session);
WHIT_API whit_status whit_session_profile_stop(whit_session *session, const char *path);

/* ---- Times of a device ---- */

typedef struct whit_device_timing {
  size_t struct_size; /* sizeof(whit_device_timing) */
  int32_t
      repeat; /* the kernels of a run are queued so often, as one graph where the device has them; 0: runs are not timed */
  int64_t
      rotate_bytes; /* weights are copied until all copies take so many bytes, and repetitions take turns with them, so that no cache of
                             the device holds what the next one reads. 0: one copy */
} whit_device_timing;

/* Times runs by the device's clock from now on; timing NULL: no longer. What a run leaves in caches is written by each repetition again. `repeat`
 * is rounded up so that each copy has as many turns. WHIT_USAGE on the CPU. */
WHIT_API whit_status whit_session_time_device(whit_session *session, const whit_device_timing *timing);

/* What the device did in the last run; text is owned by the session until its next call. */
typedef struct whit_device_run {
  size_t struct_size;       /* sizeof(whit_device_run), set by the caller */
  double microseconds;      /* of one repetition, on the device's clock; negative: not timed, or it has no clock */
  int32_t kernels;          /* of one repetition */
  int32_t repeat, copies;   /* of what was timed; 1 otherwise */
  int32_t is_graph;         /* 1: all kernels were queued as one graph */
  const char *note;         /* why not, if that is the driver's fault; else "" */
  const char *product;      /* "NVIDIA H100 80GB HBM3" */
  const char *architecture; /* "sm_90" */
} whit_device_run;

WHIT_API whit_status whit_session_device_run(whit_session *session, whit_device_run *run);

#ifdef __cplusplus
}
#endif

#endif /* WHIT_RUNTIME_H */
