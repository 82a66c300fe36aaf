// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls of the C ABI in any order with any arguments that C lets a caller write down: the input is read as a list of calls.
// The model is the one that is written by hand (test/runtime/core/model.c), so the runtime is all there is to break.

#include "../../runtime/core/TestArtifact.h"

#include "whit/Runtime.h"

#include <fuzzer/FuzzedDataProvider.h>

using namespace whit::testing;

namespace {

whit_module *loadOnce() {
  static TestFolder *folder = new TestFolder; // lives as long as the process
  writeArtifact(*folder);
  whit_module *module = nullptr;
  if (whit_module_load((*folder / "model.so").c_str(), nullptr, &module) != WHIT_OK) {
    std::fprintf(stderr, "%s\n", whit_message());
    std::abort();
  }
  return module;
}

/// Names of the model's signature, and some that are not.
const char *nameFrom(FuzzedDataProvider &input) {
  static const char *const names[] = {
      "input_ids",     "attention_mask",       "past.0.key",      "past.0.value",   "logits",
      "present.0.key", "batch_size",           "sequence_length", "whit.last_rows", "",
      "no such name",  "total_sequence_length"};
  return names[input.ConsumeIntegralInRange<size_t>(0, std::size(names) - 1)];
}

/// A tensor over memory that is exactly as large as its dimensions say, so that every read behind it is seen.
struct Argument {
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;
  whit_tensor tensor{};

  explicit Argument(FuzzedDataProvider &input) {
    static const whit_dtype types[] = {WHIT_F32, WHIT_I64, WHIT_I32, WHIT_I8, whit_dtype(77)};
    tensor.name = nameFrom(input);
    tensor.dtype = input.PickValueInArray(types);
    tensor.rank = input.ConsumeIntegralInRange<int32_t>(-1, 5);
    uint64_t count = 1;
    for (int32_t i = 0; i < tensor.rank; ++i) {
      dims.push_back(input.ConsumeBool() ? input.ConsumeIntegralInRange<int64_t>(0, 6)
                                         : input.ConsumeIntegral<int64_t>());
      count = dims.back() < 0 || dims.back() > 64 ? 0 : count * uint64_t(dims.back());
    }
    bool known = count && count < 4096;
    bytes.resize(known ? size_t(count) * whit_dtype_bytes(tensor.dtype) : 0);
    for (uint8_t &byte : bytes)
      byte = input.ConsumeIntegral<uint8_t>();
    tensor.dims = dims.data();
    tensor.data = known ? bytes.data() : nullptr;
  }
};

void call(FuzzedDataProvider &input, whit_module *module, whit_session *session) {
  switch (input.ConsumeIntegralInRange(0, 9)) {
  case 0:
  case 1: {
    std::vector<Argument> arguments;
    arguments.reserve(4);
    for (size_t n = input.ConsumeIntegralInRange<size_t>(0, 4); n; --n)
      arguments.emplace_back(input);
    std::vector<whit_tensor> tensors;
    for (const Argument &argument : arguments)
      tensors.push_back(argument.tensor);
    auto function = input.ConsumeBool() ? whit_session_run : whit_session_execute;
    if (input.ConsumeBool())
      function = whit_session_import;
    (void)function(session, tensors.data(), int32_t(tensors.size()));
    break;
  }
  case 2: {
    std::vector<int64_t> tokens(input.ConsumeIntegralInRange<size_t>(0, 45));
    for (int64_t &token : tokens)
      token = input.ConsumeIntegralInRange<int64_t>(-3, kVocabulary + 3);
    const float *logits = nullptr;
    int64_t size = 0;
    if (whit_session_append(session, tokens.data(), int64_t(tokens.size()), &logits, &size) == WHIT_OK)
      for (int64_t i = 0; i < size; ++i) {
        volatile float value = logits[i];
        (void)value;
      }
    break;
  }
  case 3: {
    whit_dim dims[] = {{nameFrom(input), input.ConsumeIntegralInRange<int64_t>(-2, 50)},
                       {nameFrom(input), input.ConsumeIntegral<int64_t>()}};
    (void)whit_session_reserve(session, dims, input.ConsumeIntegralInRange(0, 2));
    break;
  }
  case 4:
    (void)whit_session_set_dim(session, nameFrom(input), input.ConsumeIntegralInRange<int64_t>(-2, 50));
    break;
  case 5: {
    whit_tensor tensor{};
    if (whit_session_output(session, nameFrom(input), &tensor) == WHIT_OK && tensor.data) {
      size_t bytes = whit_dtype_bytes(tensor.dtype);
      for (int32_t i = 0; i < tensor.rank; ++i)
        bytes *= size_t(tensor.dims[i]);
      for (size_t i = 0; i < bytes; ++i) {
        volatile uint8_t value = static_cast<const uint8_t *>(tensor.data)[i];
        (void)value;
      }
    }
    break;
  }
  case 6:
    (void)whit_session_truncate(session, input.ConsumeIntegralInRange<int64_t>(-2, 50));
    break;
  case 7: {
    whit_value value;
    (void)whit_module_input(module, input.ConsumeIntegralInRange(-1, 9), &value);
    (void)whit_module_output(module, input.ConsumeIntegralInRange(-1, 9), &value);
    break;
  }
  case 8: {
    whit_region region;
    (void)whit_module_region(module, input.ConsumeIntegralInRange(-1, 3), &region);
    break;
  }
  case 9:
    (void)whit_session_length(session);
    break;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static whit_module *module = loadOnce();
  FuzzedDataProvider input(data, size);
  whit_session_options options{sizeof options, 1};
  whit_session *session = nullptr;
  if (whit_session_create(module, &options, &session) != WHIT_OK)
    std::abort();
  for (int calls = 0; calls < 32 && input.remaining_bytes(); ++calls)
    call(input, module, session);
  whit_session_destroy(session);
  return 0;
}
