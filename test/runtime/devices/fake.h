// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a test tells a false driver, and reads from it: the symbol `fake` of each of them.
#ifndef WHIT_TEST_RUNTIME_DEVICES_FAKE_H
#define WHIT_TEST_RUNTIME_DEVICES_FAKE_H

#include <stddef.h>

typedef struct FakeDriver {
  int devices, version, major, minor;
  size_t memory;       /* bytes that can be allocated */
  const char *failing; /* a function that fails from now on */
  int error;           /* what it returns */
  const char *product, *architecture;
  const char *log; /* what a failing load says */
  /* What was seen. */
  size_t allocated;
  int loaded, unloaded, contexts, launches;
  unsigned shape[7]; /* of the last launch */
  int sharedAllowed; /* by an attribute of a function */
  char image[64];    /* the text of the last image, up to its NUL */
} FakeDriver;

#endif /* WHIT_TEST_RUNTIME_DEVICES_FAKE_H */
