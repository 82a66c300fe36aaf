/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Continues a list of tokens with a compiled language model, always taking the most probable one:
 *
 *   generate MODEL.so COUNT TOKEN...
 *
 * The model's weights are mapped from MODEL.safetensors beside it, and its caches live in the session, so the loop below is all
 * there is to do. Programs that must not allocate while they run would call whit_session_reserve first. */
#include <stdio.h>
#include <stdlib.h>

#include "whit/Runtime.h"

static int fail(const char *what, whit_status status) {
  fprintf(stderr, "generate: error: %s: %s\n", what, whit_message());
  return status;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: generate MODEL.so COUNT TOKEN...\n");
    return WHIT_USAGE;
  }

  /* NULL options: the code must be in the user's trust store, where whit-compile puts what it makes. */
  whit_module *module = NULL;
  whit_status status = whit_module_load(argv[1], NULL, &module);
  if (status != WHIT_OK)
    return fail(argv[1], status);

  whit_session *session = NULL;
  status = whit_session_create(module, NULL, &session);
  if (status != WHIT_OK) {
    whit_module_destroy(module);
    return fail("session", status);
  }

  int64_t count = atoll(argv[2]), length = argc - 3;
  int64_t *step = malloc(sizeof(int64_t) * (size_t)length);
  for (int64_t i = 0; i < length; ++i)
    step[i] = atoll(argv[3 + i]);

  /* The first call reads the whole prompt, each later one the token that was just chosen. */
  while (count-- > 0) {
    const float *logits = NULL; /* owned by the session, valid until its next call */
    int64_t size = 0, best = 0;
    status = whit_session_append(session, step, length, &logits, &size);
    if (status != WHIT_OK) {
      fail("append", status);
      break;
    }
    for (int64_t i = 1; i < size; ++i)
      if (logits[i] > logits[best])
        best = i;
    printf("%lld\n", (long long)best);
    step[0] = best;
    length = 1;
  }

  free(step);
  whit_session_destroy(session);
  whit_module_destroy(module);
  return status;
}
