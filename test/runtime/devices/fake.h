// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a test tells a false driver, and reads from it: the symbol `fake` of each of them.
#ifndef WHIT_TEST_RUNTIME_DEVICES_FAKE_H
#define WHIT_TEST_RUNTIME_DEVICES_FAKE_H

#include <stddef.h>
#include <stdint.h>

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
  unsigned shape[7];       /* of the last launch */
  int sharedAllowed;       /* by an attribute of a function */
  char image[64];          /* the text of the last image, up to its NUL */
  int graphs, executables; /* that are alive */
  int replays, updates;
  int events; /* that are alive */
  int clock;  /* rises by one with each launch and each event; an event takes it */
} FakeDriver;

/* A graph is a chain of launches; what is launched has copies of the arguments, as drivers make them. */
enum { kFakeNodes = 8, kFakeArguments = 4 };
typedef struct FakeNode {
  void *function;
  unsigned shape[7];
  uint64_t words[kFakeArguments];
} FakeNode;
typedef struct FakeGraph {
  int count;
  FakeNode nodes[kFakeNodes];
} FakeGraph;

#endif /* WHIT_TEST_RUNTIME_DEVICES_FAKE_H */
