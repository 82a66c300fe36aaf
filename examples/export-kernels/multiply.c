// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packs the weights of a layer to 4 bits and multiplies with them, on as many threads as there are rows of work to share. Nothing of Whit is
// needed but the folder that whit-compile --export-kernels wrote.
#include "kernels.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { kRows = 7, kColumns = 256, kOutputs = 384, kThreads = 4 };

// What `parallel` gets, for a few threads of its own: each takes a share of [0, count).
struct Share {
  WhitBody body;
  void *captured;
  int64_t begin, end;
};

static void *runShare(void *argument) {
  struct Share *share = argument;
  share->body(share->captured, share->begin, share->end);
  return NULL;
}

static void parallel(WhitContext *context, WhitBody body, void *captured, int64_t count) {
  (void)context;
  pthread_t threads[kThreads];
  struct Share shares[kThreads];
  int started = 0;
  for (int64_t i = 0; i < kThreads; ++i) {
    shares[i] = (struct Share){body, captured, count * i / kThreads, count * (i + 1) / kThreads};
    if (shares[i].begin == shares[i].end)
      continue;
    if (pthread_create(&threads[started], NULL, runShare, &shares[i]))
      runShare(&shares[i]);
    else
      ++started;
  }
  while (started)
    pthread_join(threads[--started], NULL);
}

static float noise(void) { return (float)rand() / (float)RAND_MAX - 0.5f; }

int main(void) {
  static float x[kRows][kColumns], w[kOutputs][kColumns], y[kRows][kOutputs];
  for (int i = 0; i < kRows * kColumns; ++i)
    x[0][i] = noise();
  for (int i = 0; i < kOutputs * kColumns; ++i)
    w[0][i] = noise();

  char why[256] = "";
  void *packed = aligned_alloc(64, (layer_w_bytes + 63) / 64 * 64);
  if (!packed || layer_pack_w(&w[0][0], packed, why, sizeof why) != WHIT_KERNEL_DONE) {
    fprintf(stderr, "cannot pack: %s\n", why);
    return 1;
  }
  WhitContext context = {.parallel = parallel};
  int32_t status = layer(kRows, &x[0][0], packed, &y[0][0], NULL, &context);
  free(packed);
  if (status != WHIT_KERNEL_DONE) {
    fprintf(stderr, "the kernel returned %d\n", status);
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
  printf("%d bytes of weights became %d; relative error %.3f\n", (int)sizeof w, layer_w_bytes, sqrt(error / size));
  return sqrt(error / size) < 0.15 ? 0 : 1;
}
