/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Runs any model once, on inputs of ones, and prints what comes out:
 *
 *   run_once MODEL.so [DIMENSION=N...]      dimensions that are not given are 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "whit/Runtime.h"

enum { MAX_INPUTS = 64, MAX_RANK = 16 };

static int fail(const char *what, whit_status status) {
  fprintf(stderr, "run_once: error: %s: %s\n", what, whit_message());
  return status;
}

static int64_t chosen(const char *symbol, int argc, char **argv) {
  size_t length = strlen(symbol);
  for (int i = 2; i < argc; ++i)
    if (strncmp(argv[i], symbol, length) == 0 && argv[i][length] == '=')
      return atoll(argv[i] + length + 1);
  return 1;
}

/* An input of ones; the caller frees data. States (caches) are left out: the session keeps them. */
static whit_tensor ones(const whit_value *value, int64_t *dims, int argc, char **argv) {
  whit_tensor tensor = {value->name, value->dtype, value->rank, dims, NULL};
  int64_t count = 1;
  for (int32_t d = 0; d < value->rank; ++d) {
    dims[d] = value->dims[d] < 0 ? chosen(value->symbols[d], argc, argv) : value->dims[d];
    count *= dims[d];
  }
  tensor.data = calloc((size_t)count, whit_dtype_bytes(value->dtype));
  for (int64_t i = 0; tensor.data && i < count; ++i) {
    if (value->dtype == WHIT_F32)
      ((float *)tensor.data)[i] = 1;
    else if (value->dtype == WHIT_I64)
      ((int64_t *)tensor.data)[i] = 1;
    else if (value->dtype == WHIT_I32)
      ((int32_t *)tensor.data)[i] = 1;
  }
  return tensor;
}

static void print(const whit_tensor *tensor) {
  int64_t count = 1;
  printf("%s [", tensor->name);
  for (int32_t d = 0; d < tensor->rank; ++d) {
    printf(d ? ", %lld" : "%lld", (long long)tensor->dims[d]);
    count *= tensor->dims[d];
  }
  printf("] =");
  for (int64_t i = 0; i < count && i < 8 && tensor->dtype == WHIT_F32; ++i)
    printf(" %g", ((const float *)tensor->data)[i]);
  printf(count > 8 ? " ...\n" : "\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: run_once MODEL.so [DIMENSION=N...]\n");
    return WHIT_USAGE;
  }
  whit_module *module = NULL;
  whit_session *session = NULL;
  whit_tensor inputs[MAX_INPUTS];
  int64_t dims[MAX_INPUTS][MAX_RANK];
  int32_t count = 0;
  whit_status status = whit_module_load(argv[1], NULL, &module);
  if (status == WHIT_OK)
    status = whit_session_create(module, NULL, &session);
  for (int32_t i = 0; status == WHIT_OK && i < whit_module_input_count(module) && count < MAX_INPUTS; ++i) {
    whit_value value;
    status = whit_module_input(module, i, &value);
    if (status == WHIT_OK && !value.is_state && value.rank <= MAX_RANK) {
      inputs[count] = ones(&value, dims[count], argc, argv);
      ++count;
    }
  }
  if (status == WHIT_OK)
    status = whit_session_run(session, inputs, count);
  for (int32_t i = 0; status == WHIT_OK && i < whit_module_output_count(module); ++i) {
    whit_value value;
    whit_tensor output;
    status = whit_module_output(module, i, &value);
    if (status == WHIT_OK && !value.is_state && (status = whit_session_output(session, value.name, &output)) == WHIT_OK)
      print(&output);
  }
  if (status != WHIT_OK)
    fail(argv[1], status);
  for (int32_t i = 0; i < count; ++i)
    free(inputs[i].data);
  whit_session_destroy(session);
  whit_module_destroy(module);
  return status;
}
