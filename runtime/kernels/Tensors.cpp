// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A size that several tensors have is bound by the first and checked by the others.
#include "runtime/kernels/Tensors.h"

#include "runtime/kernels/Call.h"
#include "runtime/kernels/Pack.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace whit {
namespace {

const char *nameOfType(int32_t type) {
  switch (type) {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors)                                           \
  case number:                                                                                                         \
    return name;
#include "whit/ElementTypes.def"
  default:
    return "a type that kernels do not know";
  }
}

bool isContiguous(const GivenTensor &tensor) {
  int64_t stride = 1;
  if (tensor.strides)
    for (int64_t i = tensor.rank - 1; i >= 0; --i) {
      if (tensor.shape[i] == 0)
        return true;
      if (tensor.shape[i] != 1 && tensor.strides[i] != stride)
        return false;
      stride *= tensor.shape[i];
    }
  return true;
}

/// Type and rank; sizes come later.
bool check(const char *kernel, const KernelArgument &argument, const GivenTensor &tensor, Problem &problem) {
  if (tensor.type != argument.type)
    return problem.set(kKernelValue, "%s: '%s' is %s, needs %s", kernel, argument.name, nameOfType(tensor.type),
                       nameOfType(argument.type));
  if (tensor.rank != argument.rank)
    return problem.set(kKernelSize, "%s: '%s' has %lld dimensions, needs %d", kernel, argument.name,
                       static_cast<long long>(tensor.rank), argument.rank);
  return isContiguous(tensor) || problem.set(kKernelValue, "%s: '%s' must be contiguous", kernel, argument.name);
}

const char *textOf(int32_t status) {
  switch (status) {
  case 1:
    return "an index is outside of its table";
  case 2:
    return "a position does not fit the cache";
  case kKernelNull:
    return "a tensor has no memory";
  case kKernelSize:
    return "a size is negative or too large";
  case kKernelMisaligned:
    return "a tensor is not aligned to its element type";
  case kKernelMemory:
    return "out of memory";
  default:
    return "the kernel failed";
  }
}

} // namespace

bool Problem::set(int32_t newStatus, const char *format, ...) {
  status = newStatus;
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return false;
}

int64_t tensorCount(const KernelTable &kernel) {
  int64_t count = 0;
  for (int64_t i = 0; i < kernel.argumentCount; ++i)
    count += kernel.arguments[i].role != KernelRole::Size;
  return count;
}

bool isExplicit(const KernelTable &kernel, int64_t symbol) {
  for (int64_t i = 0; i < kernel.argumentCount; ++i)
    for (int64_t d = 0; kernel.arguments[i].role != KernelRole::Size && d < kernel.arguments[i].rank; ++d)
      if (kernel.arguments[i].shape[d] == ~symbol)
        return false;
  return true;
}

int64_t explicitCount(const KernelTable &kernel) {
  int64_t count = 0;
  for (int64_t i = 0; i < kernel.parameterCount; ++i)
    count += isExplicit(kernel, i);
  return count;
}

bool callTensors(const KernelTable &kernel, const GivenTensor *tensors, const int64_t *numbers, WhitContext *context,
                 Problem &problem) {
  int64_t symbols[kMaxKernelSymbols];
  bool isBound[kMaxKernelSymbols] = {};
  for (int64_t i = 0; i < kernel.parameterCount; ++i)
    if (isExplicit(kernel, i)) {
      symbols[i] = *numbers++;
      isBound[i] = true;
    }
  void *pointers[kMaxKernelArguments];
  const GivenTensor *next = tensors;
  for (int64_t i = 0; i < kernel.argumentCount; ++i) {
    const KernelArgument &argument = kernel.arguments[i];
    if (argument.role == KernelRole::Size)
      continue;
    const GivenTensor &tensor = *next++;
    if (!check(kernel.name, argument, tensor, problem))
      return false;
    pointers[next - tensors - 1] = tensor.data;
    for (int64_t d = 0; d < argument.rank; ++d)
      if (int64_t symbol = ~argument.shape[d]; symbol >= 0 && symbol < kernel.parameterCount && !isBound[symbol]) {
        symbols[symbol] = tensor.shape[d];
        isBound[symbol] = true;
      }
  }
  int64_t sizes[kMaxKernelSymbols];
  if (!computeSymbols(kernel, symbols, sizes))
    return problem.set(kKernelSize, "%s: %s", kernel.name, textOf(kKernelSize));
  next = tensors;
  for (int64_t i = 0; i < kernel.argumentCount; ++i) {
    const KernelArgument &argument = kernel.arguments[i];
    if (argument.role == KernelRole::Size)
      continue;
    const GivenTensor &tensor = *next++;
    for (int64_t d = 0; d < argument.rank; ++d)
      if (int64_t wanted = dimensionOf(argument, d, sizes); tensor.shape[d] != wanted)
        return problem.set(kKernelSize, "%s: dimension %lld of '%s' is %lld, needs %lld", kernel.name,
                           static_cast<long long>(d), argument.name, static_cast<long long>(tensor.shape[d]),
                           static_cast<long long>(wanted));
  }
  int64_t bytes = whit_kernels_workspace(&kernel, symbols);
  int64_t rounded = (bytes + kKernelAlignment - 1) / kKernelAlignment * kKernelAlignment;
  void *workspace = bytes > 0 ? std::aligned_alloc(kKernelAlignment, rounded) : nullptr;
  if (bytes > 0 && !workspace)
    return problem.set(kKernelMemory, "%s: no memory for a workspace of %lld bytes", kernel.name,
                       static_cast<long long>(bytes));
  int32_t status = whit_kernels_call(&kernel, context, symbols, pointers, workspace);
  std::free(workspace);
  return !status || problem.set(status, "%s: %s", kernel.name, textOf(status));
}

int64_t givenCount(const KernelTable &kernel) {
  int64_t count = 0;
  for (int64_t i = 0; i < kernel.argumentCount; ++i)
    count += kernel.arguments[i].role != KernelRole::Size && kernel.arguments[i].role != KernelRole::Output;
  return count;
}

int64_t resultCount(const KernelTable &kernel) {
  int64_t count = 0;
  for (int64_t i = 0; i < kernel.argumentCount; ++i)
    count += kernel.arguments[i].role == KernelRole::InOut || kernel.arguments[i].role == KernelRole::Output;
  return count;
}

bool joinTensors(const KernelTable &kernel, const GivenTensor *given, const GivenTensor *results, GivenTensor *tensors,
                 Problem &problem) {
  for (int64_t i = 0; i < kernel.argumentCount; ++i) {
    const KernelArgument &argument = kernel.arguments[i];
    if (argument.role == KernelRole::Size)
      continue;
    GivenTensor &tensor = *tensors++;
    if (argument.role == KernelRole::Output) {
      tensor = *results++;
      continue;
    }
    tensor = *given++;
    if (argument.role != KernelRole::InOut)
      continue;
    const GivenTensor &updated = *results++;
    bool isSame = tensor.type == updated.type && tensor.rank == updated.rank;
    int64_t bytes = elementBytes(tensor.type);
    for (int64_t d = 0; isSame && d < tensor.rank; ++d) {
      isSame = tensor.shape[d] == updated.shape[d];
      bytes *= tensor.shape[d];
    }
    if (!isSame)
      return problem.set(kKernelValue, "%s: the result for '%s' has another type or shape", kernel.name, argument.name);
    if (updated.data != tensor.data)
      std::memcpy(updated.data, tensor.data, size_t(bytes));
    tensor = updated;
  }
  return true;
}

bool packTensors(const KernelArgument &argument, const GivenTensor &values, const GivenTensor &packed,
                 Problem &problem) {
  const int64_t shape[] = {argument.n, argument.k};
  KernelArgument source = argument;
  source.name = "values";
  source.type = 1; // f32
  source.rank = 2;
  source.shape = shape;
  for (auto [wanted, tensor] :
       {std::pair<const KernelArgument *, const GivenTensor *>{&source, &values}, {&argument, &packed}}) {
    if (!check("pack", *wanted, *tensor, problem))
      return false;
    for (int64_t d = 0; d < wanted->rank; ++d)
      if (tensor->shape[d] != wanted->shape[d])
        return problem.set(kKernelSize, "pack: dimension %lld of '%s' is %lld, needs %lld", static_cast<long long>(d),
                           wanted->name, static_cast<long long>(tensor->shape[d]),
                           static_cast<long long>(wanted->shape[d]));
  }
  problem.status = whit_kernels_pack(&argument, static_cast<const float *>(values.data), packed.data, problem.text,
                                     sizeof problem.text);
  return !problem.status;
}

} // namespace whit
