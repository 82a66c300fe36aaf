// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The calling convention of XLA's custom calls (xla/ffi/api/c_api.h, 0.x), which jax.ffi uses: a handler NAME_xla. Declared here as far as it
// is used; those parts have not changed since 0.0, so that the version that a runtime speaks is the one that is answered.
#include "runtime/kernels/Tensors.h"

#include <cstring>

using namespace whit;

namespace {

struct Extension {
  size_t size;
  int32_t type;
  Extension *next;
};
constexpr int32_t kMetadataExtension = 1;

struct ApiVersion {
  size_t size;
  Extension *extension;
  int32_t major, minor;
};
struct Metadata {
  size_t size;
  ApiVersion version;
  uint32_t traits;
  int64_t stateType; ///< not in the first versions
};
struct MetadataExtension {
  Extension base;
  Metadata *metadata;
};

struct Error;
struct ErrorArguments {
  size_t size;
  Extension *extension;
  const char *message;
  int32_t code;
};
constexpr int32_t kInvalidArgument = 3, kOutOfRange = 11, kResourceExhausted = 8;
struct Api {
  size_t size;
  Extension *extension;
  ApiVersion version;
  const void *internal;
  Error *(*createError)(ErrorArguments *arguments);
};

struct Buffer {
  size_t size;
  Extension *extension;
  int32_t type;
  void *data;
  int64_t rank;
  int64_t *dims;
};
struct Buffers {
  size_t size;
  Extension *extension;
  int64_t count;
  int32_t *kinds;
  Buffer **buffers;
};
struct Span {
  const char *begin;
  size_t length;
};
struct Scalar {
  int32_t type;
  void *value;
};
struct Attributes {
  size_t size;
  Extension *extension;
  int64_t count;
  int32_t *kinds;
  Span **names;
  void **values;
};
constexpr int32_t kScalar = 3, kS32 = 4, kS64 = 5;

struct CallFrame {
  size_t size;
  Extension *extension;
  const Api *api;
  void *context;
  int32_t stage;
  Buffers arguments, results;
  Attributes attributes;
};
constexpr int32_t kExecute = 3;

int32_t typeOf(int32_t type) {
  static constexpr int32_t kTypes[][2] = {{11, 1}, {10, 2}, {16, 3}, {12, 4}, {5, 5},  {4, 6},
                                          {2, 7},  {6, 8},  {1, 9},  {3, 10}, {8, 11}, {9, 12}};
  for (auto [theirs, ours] : kTypes)
    if (theirs == type)
      return ours;
  return 0;
}

Error *fail(const CallFrame &frame, const Problem &problem) {
  int32_t code = problem.status == 1 || problem.status == 2 ? kOutOfRange
                 : problem.status == kKernelMemory          ? kResourceExhausted
                                                            : kInvalidArgument;
  ErrorArguments arguments = {sizeof arguments, nullptr, problem.text, code};
  return frame.api->createError(&arguments);
}

GivenTensor tensorOf(const Buffer &buffer) { return {buffer.data, buffer.dims, buffer.rank, typeOf(buffer.type)}; }

bool readNumber(const Attributes &attributes, const char *name, int64_t &number) {
  for (int64_t i = 0; i < attributes.count; ++i) {
    const Span &found = *attributes.names[i];
    if (attributes.kinds[i] != kScalar || found.length != std::strlen(name) ||
        std::memcmp(found.begin, name, found.length))
      continue;
    const auto &scalar = *static_cast<const Scalar *>(attributes.values[i]);
    if (scalar.type == kS64 || scalar.type == kS32) {
      number = scalar.type == kS64 ? *static_cast<const int64_t *>(scalar.value)
                                   : *static_cast<const int32_t *>(scalar.value);
      return true;
    }
  }
  return false;
}

bool call(const KernelTable &kernel, const CallFrame &frame, Problem &problem) {
  if (frame.arguments.count != givenCount(kernel) || frame.results.count != resultCount(kernel))
    return problem.set(kKernelValue, "%s takes %lld arrays and gives %lld; found %lld and %lld", kernel.name,
                       static_cast<long long>(givenCount(kernel)), static_cast<long long>(resultCount(kernel)),
                       static_cast<long long>(frame.arguments.count), static_cast<long long>(frame.results.count));
  GivenTensor given[kMaxKernelArguments], results[kMaxKernelArguments], tensors[kMaxKernelArguments];
  for (int64_t i = 0; i < frame.arguments.count; ++i)
    given[i] = tensorOf(*frame.arguments.buffers[i]);
  for (int64_t i = 0; i < frame.results.count; ++i)
    results[i] = tensorOf(*frame.results.buffers[i]);
  int64_t numbers[kMaxKernelSymbols], next = 0;
  for (int64_t i = 0; i < kernel.parameterCount; ++i)
    if (isExplicit(kernel, i) && !readNumber(frame.attributes, kernel.symbols[i].name, numbers[next++]))
      return problem.set(kKernelValue, "%s: the attribute '%s' is missing or no integer", kernel.name,
                         kernel.symbols[i].name);
  return joinTensors(kernel, given, results, tensors, problem) &&
         callTensors(kernel, tensors, numbers, nullptr, problem);
}

} // namespace

extern "C" Error *whit_kernels_xla(const KernelTable *kernel, CallFrame *frame) {
  if (frame->extension && frame->extension->type == kMetadataExtension) {
    Metadata &metadata = *reinterpret_cast<MetadataExtension *>(frame->extension)->metadata;
    metadata.version.major = frame->api ? frame->api->version.major : 0;
    metadata.version.minor = frame->api ? frame->api->version.minor : 3;
    metadata.traits = 0;
    if (metadata.size >= sizeof(Metadata))
      metadata.stateType = 0;
    return nullptr;
  }
  if (frame->stage != kExecute)
    return nullptr;
  Problem problem;
  return call(*kernel, *frame, problem) ? nullptr : fail(*frame, problem);
}
