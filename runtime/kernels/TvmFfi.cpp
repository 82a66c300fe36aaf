// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The calling convention of tvm-ffi (its c_api.h, 0.1): functions __tvm_ffi_NAME of tensors, outputs included, and numbers. Declared here as
// far as it is used, so that no header of it is needed. What raises errors is looked up when there is one: a library that loads without
// libtvm_ffi can be called by programs that have none.
#include "runtime/kernels/Tensors.h"

#include <dlfcn.h>

using namespace whit;

namespace {

/// DLPack.
struct DLTensor {
  void *data;
  struct {
    int32_t type, id;
  } device;
  int32_t rank;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } type;
  int64_t *shape, *strides;
  uint64_t offset;
};
constexpr int32_t kCpu = 1, kPinned = 3; // kDLCPU, kDLCUDAHost

struct Any {
  int32_t index;
  uint32_t padding;
  union {
    int64_t number;
    void *pointer;
  };
};
constexpr int32_t kNone = 0, kInt = 1, kTensorPointer = 7, kTensor = 70;
/// In front of a tensor that is an object: counts, type and deleter.
constexpr size_t kObjectHeader = 24;

int32_t typeOf(uint8_t code, uint8_t bits, uint16_t lanes) {
  static constexpr struct {
    uint8_t code, bits;
    int32_t type;
  } kTypes[] = {{2, 32, 1}, {2, 16, 2}, {4, 16, 3}, {2, 64, 4},  {0, 64, 5},  {0, 32, 6},
                {0, 8, 7},  {1, 8, 8},  {6, 8, 9},  {0, 16, 10}, {1, 32, 11}, {1, 64, 12}};
  if (lanes == 1)
    for (auto known : kTypes)
      if (known.code == code && known.bits == bits)
        return known.type;
  return 0;
}

bool readTensor(const char *function, int32_t place, const Any &any, GivenTensor &tensor, Problem &problem) {
  if (any.index != kTensorPointer && any.index != kTensor)
    return problem.set(kKernelValue, "%s: argument %d is no tensor", function, place);
  auto *given = static_cast<DLTensor *>(any.pointer);
  if (given && any.index == kTensor)
    given = reinterpret_cast<DLTensor *>(static_cast<char *>(any.pointer) + kObjectHeader);
  if (!given)
    return problem.set(kKernelNull, "%s: argument %d is null", function, place);
  if (given->device.type != kCpu && given->device.type != kPinned)
    return problem.set(kKernelValue, "%s: argument %d is on device type %d; this kernel runs on CPUs", function, place,
                       given->device.type);
  tensor = {given->data ? static_cast<char *>(given->data) + given->offset : nullptr, given->shape, given->rank,
            typeOf(given->type.code, given->type.bits, given->type.lanes), given->strides};
  return true;
}

int raise(const Problem &problem) {
  const char *kind = problem.status == kKernelValue ? "TypeError" : problem.status == 1 ? "IndexError" : "ValueError";
  using Setter = void(const char *, const char *);
  if (auto *setter = reinterpret_cast<Setter *>(dlsym(RTLD_DEFAULT, "TVMFFIErrorSetRaisedFromCStr")))
    setter(kind, problem.text);
  return -1;
}

} // namespace

extern "C" int32_t whit_kernels_tvm_ffi(const KernelTable *kernel, const Any *arguments, int32_t count, Any *result) {
  Problem problem;
  int64_t tensors = tensorCount(*kernel), numbers = explicitCount(*kernel);
  if (count != tensors + numbers) {
    problem.set(kKernelValue, "%s takes %lld tensors and %lld numbers; found %d arguments", kernel->name,
                static_cast<long long>(tensors), static_cast<long long>(numbers), count);
    return raise(problem);
  }
  GivenTensor given[kMaxKernelArguments];
  int64_t sizes[kMaxKernelSymbols];
  for (int32_t i = 0; i < count; ++i)
    if (i < tensors) {
      if (!readTensor(kernel->name, i, arguments[i], given[i], problem))
        return raise(problem);
    } else if (arguments[i].index != kInt) {
      problem.set(kKernelValue, "%s: argument %d is no integer", kernel->name, i);
      return raise(problem);
    } else {
      sizes[i - tensors] = arguments[i].number;
    }
  if (!callTensors(*kernel, given, sizes, nullptr, problem))
    return raise(problem);
  *result = {kNone, 0, {0}};
  return 0;
}

extern "C" int32_t whit_kernels_tvm_ffi_pack(const KernelArgument *argument, const Any *arguments, int32_t count,
                                             Any *result) {
  Problem problem;
  GivenTensor values, packed;
  if (count != 2)
    problem.set(kKernelValue, "pack takes values and memory for packed weights; found %d arguments", count);
  else if (readTensor("pack", 0, arguments[0], values, problem) && readTensor("pack", 1, arguments[1], packed, problem))
    packTensors(*argument, values, packed, problem);
  if (problem.status)
    return raise(problem);
  *result = {kNone, 0, {0}};
  return 0;
}
