// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calling an exported kernel with pointers and sizes that are checked first.
#ifndef WHIT_RUNTIME_KERNELS_CALL_H
#define WHIT_RUNTIME_KERNELS_CALL_H

#include "whit/KernelTable.h"

namespace whit {

/// Symbols in front of those that follow from them; the rest is computed. False if one is out of range.
bool computeSymbols(const KernelTable &kernel, const int64_t *given, int64_t *symbols);

/// Dimension `i` of an argument.
inline int64_t dimensionOf(const KernelArgument &argument, int64_t i, const int64_t *symbols) {
  int64_t size = argument.shape[i];
  return size < 0 ? symbols[~size] : size;
}

/// Bytes of an element; 0 for a type that there is not.
int64_t elementBytes(int32_t type);

} // namespace whit

/// What the compiler's exported functions call. `pointers`: one for each argument that callers see, in order. A null context: the
/// kernel runs in this thread.
extern "C" {
int32_t whit_kernels_call(const whit::KernelTable *kernel, WhitContext *context, const int64_t *sizes,
                          void *const *pointers, void *workspace);
int64_t whit_kernels_workspace(const whit::KernelTable *kernel, const int64_t *sizes);
}

#endif // WHIT_RUNTIME_KERNELS_CALL_H
