// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calling an exported kernel with tensors that say their type and shape, which is what other runtimes pass: the sizes that the kernel needs
// are taken from the shapes, and everything is checked.
#ifndef WHIT_RUNTIME_KERNELS_TENSORS_H
#define WHIT_RUNTIME_KERNELS_TENSORS_H

#include "whit/KernelTable.h"

#include <cstddef>

namespace whit {

struct GivenTensor {
  void *data;
  const int64_t *shape;
  int64_t rank;
  int32_t type;                     ///< ElementType, or 0 for one that kernels do not know
  const int64_t *strides = nullptr; ///< in elements; null: contiguous
};

/// A message of a fixed size: no memory is taken while an error is told.
struct Problem {
  char text[512] = "";
  int32_t status = kKernelDone;

  /// As printf.
  __attribute__((format(printf, 3, 4))) bool set(int32_t status, const char *format, ...);
};

/// Arguments that callers see.
int64_t tensorCount(const KernelTable &kernel);
/// Whether parameter `i` is no dimension of any tensor, so that callers give it as a number.
bool isExplicit(const KernelTable &kernel, int64_t i);
int64_t explicitCount(const KernelTable &kernel);

/// One tensor for each argument that callers see, and a number for each explicit parameter, in order. False with `problem`.
bool callTensors(const KernelTable &kernel, const GivenTensor *tensors, const int64_t *numbers, WhitContext *context,
                 Problem &problem);

/// For callers that update nothing in place: `given` are the inputs, weights and what is updated, `results` what is updated, which gets a
/// copy, and the outputs. Gives the tensors of a call.
bool joinTensors(const KernelTable &kernel, const GivenTensor *given, const GivenTensor *results, GivenTensor *tensors,
                 Problem &problem);
/// How many tensors those are.
int64_t givenCount(const KernelTable &kernel);
int64_t resultCount(const KernelTable &kernel);

/// Packs values[n][k] of f32.
bool packTensors(const KernelArgument &argument, const GivenTensor &values, const GivenTensor &packed,
                 Problem &problem);

} // namespace whit

#endif // WHIT_RUNTIME_KERNELS_TENSORS_H
