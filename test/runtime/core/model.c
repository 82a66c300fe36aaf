// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A compiled model written by hand: the calls of include/whit/Kernel.h with a cache, two constants, a parallel loop and
// a region mark.
//
// For each new token t:    key[t] = embed[id], value[t] = embed[id] + t
// For the last rows p:     logits[p][v] = first packed byte
//                              + sum over t <= p with mask[t] of key[t][v % D] * (v + 1) + value[t][v % D]
#include "whit/Kernel.h"

#define VOCABULARY 24
#define HEADS 2
#define DEPTH 4
#define CONTEXT 40
#define BLOCKS ((CONTEXT + 15) / 16)
#define PANELS 2
#define PANEL_BYTES 576

static int64_t dim(void *descriptor, int i) { return ((int64_t *)descriptor)[3 + i]; }
static void *data(void *descriptor) { return ((void **)descriptor)[1]; }

typedef struct {
  void **arguments;
  int64_t past, sequence, total, rows, batch;
} Call;

static float *key(const Call *call, int64_t b, int64_t h, int64_t t, int64_t d) {
  return (float *)data(call->arguments[2]) + (((b * HEADS + h) * BLOCKS + t / 16) * DEPTH + d) * 16 + t % 16;
}

static float *value(const Call *call, int64_t b, int64_t h, int64_t t, int64_t d) {
  return (float *)data(call->arguments[3]) + ((b * HEADS + h) * CONTEXT + t) * DEPTH + d;
}

static void logits(void *captured, int64_t begin, int64_t end) {
  const Call *call = captured;
  const int64_t *mask = data(call->arguments[1]);
  float *out = data(call->arguments[6]);
  float first = (float)*(const unsigned char *)data(call->arguments[5]);
  for (int64_t i = begin; i < end; ++i) {
    int64_t b = i / (call->rows * VOCABULARY), r = i / VOCABULARY % call->rows, v = i % VOCABULARY, d = v % DEPTH;
    int64_t position = call->total - call->rows + r;
    float sum = first;
    for (int64_t t = 0; t <= position; ++t)
      for (int64_t h = 0; h < HEADS; ++h)
        if (mask[b * call->total + t])
          sum += *key(call, b, h, t, d) * (float)(v + 1) + *value(call, b, h, t, d);
    out[i] = sum;
  }
}

static int32_t run(WhitContext *context, void **arguments) {
  Call call = {arguments, 0, dim(arguments[0], 1), dim(arguments[1], 1), dim(arguments[6], 1), dim(arguments[0], 0)};
  call.past = call.total - call.sequence;
  const int64_t *ids = data(arguments[0]);
  const float *embed = data(arguments[4]);
  if (context->observe) {
    void *operands[] = {arguments[0], arguments[4]};
    context->observe(context, 0, 0, operands, 2);
  }
  for (int64_t b = 0; b < call.batch; ++b)
    for (int64_t t = 0; t < call.sequence; ++t) {
      int64_t id = ids[b * call.sequence + t];
      if (id < 0 || id >= VOCABULARY)
        return WHIT_CHECK_INDEX;
      for (int64_t h = 0; h < HEADS; ++h)
        for (int64_t d = 0; d < DEPTH; ++d) {
          *key(&call, b, h, call.past + t, d) = embed[id * DEPTH + d];
          *value(&call, b, h, call.past + t, d) = embed[id * DEPTH + d] + (float)(call.past + t);
        }
    }
  if (context->observe) {
    void *results[] = {arguments[2], arguments[3]};
    context->observe(context, 0, 1, results, 2);
    context->observe(context, 1, 0, arguments, 7);
  }
  ((char *)data(arguments[7]))[dim(arguments[7], 0) - 1] = 1;
  context->parallel(context, logits, &call, call.batch * call.rows * VOCABULARY);
  if (context->observe)
    context->observe(context, 1, 1, arguments, 7);
  return 0;
}

__attribute__((visibility("default"))) int32_t main__v0(WhitContext *context, void **arguments) {
  return run(context, arguments);
}

/* The same on a device: two kernels, which DeviceSessionTest.cpp defines. Reads sizes alone. */
__attribute__((visibility("default"))) int32_t main__gpu(WhitContext *context, void **arguments) {
  int64_t batch = dim(arguments[0], 0), sequence = dim(arguments[0], 1), total = dim(arguments[1], 1),
          rows = dim(arguments[6], 1);
  int64_t tokens[7] = {sequence, batch, 1, 32, 2, 1, 0}, out[7] = {rows, batch, 1, VOCABULARY, 1, 1, 128};
  uint64_t append[] = {(uint64_t)data(arguments[0]), (uint64_t)data(arguments[4]), (uint64_t)data(arguments[2]),
                       (uint64_t)data(arguments[3]), (uint64_t)context->status,    (uint64_t)(total - sequence)};
  uint64_t head[] = {(uint64_t)data(arguments[1]),
                     (uint64_t)data(arguments[2]),
                     (uint64_t)data(arguments[3]),
                     (uint64_t)data(arguments[5]),
                     (uint64_t)data(arguments[6]),
                     (uint64_t)data(arguments[7]),
                     (uint64_t)total};
  if (context->observe)
    context->observe(context, 0, 0, arguments, 1);
  context->launch(context, 0, tokens, append, 6);
  if (context->observe)
    context->observe(context, 0, 1, arguments, 1);
  context->launch(context, 1, out, head, 7);
  return 0;
}

__attribute__((visibility("default"))) void main_sizes__v0(const int64_t *symbols, int64_t *sizes) {
  int64_t batch = symbols[0], sequence = symbols[1], total = symbols[2], rows = symbols[3];
  int64_t all[] = {64 + batch * sequence * 8,
                   batch,
                   sequence,
                   batch,
                   total,
                   batch,
                   HEADS,
                   BLOCKS,
                   DEPTH,
                   16,
                   batch,
                   HEADS,
                   CONTEXT,
                   DEPTH,
                   VOCABULARY,
                   DEPTH,
                   PANELS,
                   PANEL_BYTES,
                   batch,
                   rows,
                   VOCABULARY};
  for (unsigned i = 0; i < sizeof all / sizeof *all; ++i)
    sizes[i] = all[i];
}
