/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Compiling models, in C: the shared library libwhit_compiler.so. Running what it writes needs include/whit/Runtime.h and another library.
 *
 *   const char *options[] = {"--target=x86-64-v3", "--context=4096"};
 *   whit_compiler_result *result;
 *   whit_compiler_status status = whit_compile("model.onnx", "model.so", options, 2, &result);
 *   fputs(whit_compiler_result_messages(result), stderr);
 *   whit_compiler_result_destroy(result);
 *
 * Options are those of whit-compile's command line, one per string. The library never prints, exits, aborts on purpose or throws; a fault in
 * it may still abort, as any native code may. Files appear whole or not at all.
 *
 * Thread rule: any thread may compile at any time. Linking is serialized inside.
 */
#ifndef WHIT_COMPILER_H
#define WHIT_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WHIT_COMPILER_API __attribute__((visibility("default")))

/* Numbers are the exit codes of the tools. */
typedef enum whit_compiler_status {
  WHIT_COMPILER_OK = 0,
  WHIT_COMPILER_INVALID = 1,     /* the model breaks a rule */
  WHIT_COMPILER_USAGE = 2,       /* an option or a NULL breaks a rule of this header */
  WHIT_COMPILER_UNSUPPORTED = 3, /* valid, but not supported; the messages list all such nodes */
  WHIT_COMPILER_IO = 4,          /* cannot read or write */
  WHIT_COMPILER_LIMIT = 5,       /* a limit or memory ran out */
  WHIT_COMPILER_BUG = 70         /* a bug in Whit */
} whit_compiler_status;

/* What one compilation had to say. */
typedef struct whit_compiler_result whit_compiler_result;

/* Compiles the file `model` to the file `output`. options: `count` strings, may be NULL if count is 0. *result, if `result` is not NULL, is set
 * whatever the status is, and destroyed by the caller. All strings are copied. */
WHIT_COMPILER_API whit_compiler_status whit_compile(const char *model, const char *output, const char *const *options,
                                                    size_t count, whit_compiler_result **result);

/* Errors, warnings and progress lines (the latter unless --quiet), as the tool prints them. Never NULL; owned by the result. "" for NULL. */
WHIT_COMPILER_API const char *whit_compiler_result_messages(const whit_compiler_result *result);

/* Destroying NULL does nothing. */
WHIT_COMPILER_API void whit_compiler_result_destroy(whit_compiler_result *result);

/* "whit 0.1"; static. */
WHIT_COMPILER_API const char *whit_compiler_version(void);

#ifdef __cplusplus
}
#endif

#endif /* WHIT_COMPILER_H */
