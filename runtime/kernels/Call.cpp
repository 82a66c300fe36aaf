// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// No memory is taken but the stack's: limits of include/whit/KernelTable.h bound what a call needs.
#include "runtime/kernels/Call.h"

namespace whit {
namespace {

/// A memref descriptor (include/whit/Kernel.h) of any rank.
struct Descriptor {
  void *allocated, *aligned;
  int64_t offset;
  int64_t sizesAndStrides[2 * kMaxKernelRank];
};

bool isSize(int64_t size) { return size >= 0 && size <= kMaxKernelSize; }

/// Bytes of an argument, or -1.
int64_t bytesOf(const KernelArgument &argument, const int64_t *symbols) {
  int64_t bytes = elementBytes(argument.type);
  for (int64_t i = 0; i < argument.rank; ++i)
    if (__builtin_mul_overflow(bytes, dimensionOf(argument, i, symbols), &bytes) || bytes > (int64_t(1) << 56))
      return -1;
  return bytes;
}

void describe(const KernelArgument &argument, void *memory, const int64_t *symbols, Descriptor &descriptor) {
  descriptor.allocated = descriptor.aligned = memory;
  descriptor.offset = 0;
  int64_t stride = 1;
  for (int64_t i = argument.rank - 1; i >= 0; --i) {
    int64_t size = dimensionOf(argument, i, symbols);
    descriptor.sizesAndStrides[i] = size;
    descriptor.sizesAndStrides[argument.rank + i] = stride;
    stride *= size;
  }
}

int32_t check(const KernelArgument &argument, const void *memory, const int64_t *symbols) {
  int64_t bytes = bytesOf(argument, symbols);
  if (bytes < 0)
    return kKernelSize;
  if (!memory)
    return bytes ? kKernelNull : kKernelDone;
  return reinterpret_cast<uintptr_t>(memory) % uintptr_t(elementBytes(argument.type)) ? kKernelMisaligned : kKernelDone;
}

void runHere(WhitContext *, WhitBody body, void *captured, int64_t count) {
  if (count > 0)
    body(captured, 0, count);
}

int64_t workspaceBytes(const KernelTable &kernel, const int64_t *symbols) {
  int64_t sizes[1 + kMaxKernelArguments * kMaxKernelRank];
  kernel.sizes(symbols, sizes);
  return sizes[0];
}

} // namespace

int64_t elementBytes(int32_t type) {
  switch (type) {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors)                                           \
  case number:                                                                                                         \
    return bytes;
#include "whit/ElementTypes.def"
  default:
    return 0;
  }
}

bool computeSymbols(const KernelTable &kernel, const int64_t *given, int64_t *symbols) {
  for (int64_t i = 0; i < kernel.symbolCount; ++i) {
    const KernelSymbol &symbol = kernel.symbols[i];
    if (!symbol.stepCount) {
      symbols[i] = given[i];
    } else {
      int64_t stack[kMaxKernelSteps], depth = 0;
      for (int64_t step = 0; step < symbol.stepCount; ++step) {
        auto kind = KernelStep(symbol.steps[2 * step]);
        int64_t value = symbol.steps[2 * step + 1];
        if (kind == KernelStep::Number || kind == KernelStep::Symbol) {
          stack[depth++] = kind == KernelStep::Number ? value : symbols[value];
          continue;
        }
        int64_t right = stack[--depth], &left = stack[depth - 1];
        bool isDivision = kind != KernelStep::Add && kind != KernelStep::Multiply;
        if (isDivision && right <= 0)
          return false;
        int64_t quotient = isDivision ? left / right - (left % right < 0) : 0;
        if (kind == KernelStep::FloorDivide)
          left = quotient;
        else if (kind == KernelStep::CeilDivide)
          left = quotient + (left != quotient * right);
        else if (kind == KernelStep::Modulo)
          left -= quotient * right;
        else if (kind == KernelStep::Add ? __builtin_add_overflow(left, right, &left)
                                         : __builtin_mul_overflow(left, right, &left))
          return false;
      }
      symbols[i] = stack[0];
    }
    if (!isSize(symbols[i]))
      return false;
  }
  return true;
}

} // namespace whit

using namespace whit;

int64_t whit_kernels_workspace(const KernelTable *kernel, const int64_t *sizes) {
  int64_t symbols[kMaxKernelSymbols];
  return computeSymbols(*kernel, sizes, symbols) ? workspaceBytes(*kernel, symbols) : int64_t(kKernelSize);
}

int32_t whit_kernels_call(const KernelTable *kernel, WhitContext *context, const int64_t *sizes, void *const *pointers,
                          void *workspace) {
  int64_t symbols[kMaxKernelSymbols];
  if (!computeSymbols(*kernel, sizes, symbols))
    return kKernelSize;
  if (kernel->isDevice && (!context || !context->launch))
    return kKernelContext;
  Descriptor descriptors[kMaxKernelArguments + 1];
  void *arguments[kMaxKernelArguments + 1];
  for (int64_t i = 0; i < kernel->argumentCount; ++i) {
    const KernelArgument &argument = kernel->arguments[i];
    void *memory = argument.role == KernelRole::Size ? nullptr : *pointers++;
    if (argument.role != KernelRole::Size)
      if (int32_t status = check(argument, memory, symbols))
        return status;
    describe(argument, memory, symbols, descriptors[i]);
    arguments[i] = &descriptors[i];
  }
  int64_t bytes = workspaceBytes(*kernel, symbols);
  if (bytes > 0 && !workspace)
    return kKernelNull;
  if (bytes > 0 && reinterpret_cast<uintptr_t>(workspace) % kKernelAlignment)
    return kKernelMisaligned;
  Descriptor &last = descriptors[kernel->argumentCount];
  last = {workspace, workspace, 0, {bytes, 1}};
  arguments[kernel->argumentCount] = &last;
  WhitContext alone = {};
  alone.parallel = runHere;
  return kernel->execute(context ? context : &alone, arguments);
}
