// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inputs from files, and made-up ones: the shape from --dim, from other inputs, or the smallest allowed.
#include "runtime/tool/RunCommand.h"

#include "runtime/core/Elements.h"
#include "runtime/trust/Manifest.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

namespace whit {
namespace {

/// splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): the same numbers
/// everywhere.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// About normal: mean 0, variance 1.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += double(next() >> 11) * 0x1p-53;
    return sum;
  }
};

bool isFloat(ElementType type) {
  return type == ElementType::F32 || type == ElementType::F16 || type == ElementType::BF16 || type == ElementType::F64;
}

struct Maker {
  const Running &running;
  std::map<std::string, int64_t> dims; ///< known dimensions

  whit_status readDims() {
    for (const auto &[name, value] : running.options.dims) {
      bool known = false;
      for (const Symbol &symbol : running.manifest.symbols)
        known |= symbol.name == name;
      if (!known && name != "past_sequence_length")
        return fail(WHIT_INVALID, "--dim: the model has no dimension '%.*s'", WHIT_NAME(name));
      if (value < 0 || value > kMaxDimension)
        return fail(WHIT_INVALID, "--dim: '%.*s' is %lld; it must be from 0 to 2^40", WHIT_NAME(name),
                    (long long)value);
      dims[name] = value;
    }
    return WHIT_OK;
  }

  /// The signature's name of the input that `name` or its alias means; `name` itself if none.
  std::string ownName(const std::string &name) const {
    for (const Argument &argument : running.manifest.arguments)
      if (argument.kind == ArgumentKind::Input && argument.alias == name && !name.empty())
        return argument.name;
    return name;
  }

  bool find(const std::string &name, whit_value &value) const {
    for (int32_t i = 0; i < whit_module_input_count(running.module); ++i)
      if (whit_module_input(running.module, i, &value) == WHIT_OK && name == value.name)
        return true;
    return false;
  }

  /// Learns dimensions from an array that is given.
  void learn(const Array &array) {
    whit_value value;
    if (!find(array.name, value) || size_t(value.rank) != array.dims.size())
      return;
    for (int32_t i = 0; i < value.rank; ++i)
      if (value.symbols[i])
        dims.emplace(value.symbols[i], array.dims[i]);
  }

  /// A dimension that nothing fixes: no past; the states' length is past and sequence; else the smallest that is not
  /// empty.
  int64_t dimension(const std::string &name) const {
    auto known = dims.find(name);
    if (known != dims.end())
      return known->second;
    if (name == "past_sequence_length")
      return 0;
    for (const Argument &argument : running.manifest.arguments)
      if (argument.kind == ArgumentKind::State && argument.length == name)
        for (const Symbol &symbol : running.manifest.symbols)
          if (symbol.name == kLastRowsSymbol)
            return dimension("past_sequence_length") + dimension(symbol.defaultSymbol);
    for (const Symbol &symbol : running.manifest.symbols)
      if (symbol.name == name)
        return symbol.defaultSymbol.empty() ? std::max<int64_t>(1, symbol.min) : dimension(symbol.defaultSymbol);
    return 1;
  }

  /// Integers of made-up token inputs stay below the vocabulary, the last dimension of the logits.
  int64_t integerLimit(const std::string &name) const {
    if (name == running.manifest.roles.tokens)
      for (const Argument &argument : running.manifest.arguments)
        if (argument.name == running.manifest.roles.logits && !argument.shape.empty() &&
            argument.shape.back().symbol.empty())
          return std::max<int64_t>(1, argument.shape.back().size);
    return 2;
  }

  whit_status make(const std::string &name, const std::string &how, Array &array) const {
    whit_value value;
    if (!find(name, value))
      return fail(WHIT_INVALID, "--input: the model has no input '%.*s'", WHIT_NAME(name));
    array.name = name;
    array.type = ElementType(value.dtype);
    __int128 bytes = elementBytes(array.type);
    for (int32_t i = 0; i < value.rank; ++i) {
      array.dims.push_back(value.symbols[i] ? dimension(value.symbols[i]) : value.dims[i]);
      if ((bytes *= array.dims.back()) > (int64_t(1) << 40))
        return fail(WHIT_LIMIT, "input '%.*s' would have over 2^40 bytes; choose smaller --dim values",
                    WHIT_NAME(name));
    }
    array.data.resize(size_t(bytes));
    Random random{0};
    bool ones = how == "ones", zeros = how == "zeros";
    if (!ones && !zeros) {
      std::string_view seed = std::string_view(how).substr(std::min(how.size(), size_t(7)));
      auto [end, error] = std::from_chars(seed.data(), seed.data() + seed.size(), random.state);
      if (!how.starts_with("random:") || error != std::errc() || end != seed.data() + seed.size())
        return fail(WHIT_USAGE, "--input %.*s=%.*s: random:SEED with a number is required", WHIT_NAME(name),
                    WHIT_NAME(how));
    }
    int64_t limit = integerLimit(name);
    for (int64_t i = 0, count = array.count(); i < count; ++i)
      setElement(array.type, array.data.data(), i,
                 ones                  ? 1
                 : zeros               ? 0
                 : isFloat(array.type) ? random.normal()
                                       : double(random.next() % uint64_t(limit)));
    return WHIT_OK;
  }
};

} // namespace

whit_status collectInputs(const Running &running, bool makeUp, std::vector<Array> &arrays) {
  Maker maker{running, {}};
  if (whit_status status = maker.readDims())
    return status;
  if (!running.options.inputs.empty())
    if (whit_status status = readNpz(running.options.inputs, arrays))
      return status;
  for (const auto &[name, how] : running.options.input) {
    if (how == "ones" || how == "zeros" || how.starts_with("random"))
      continue;
    Array array;
    if (whit_status status = readNpy(how, array))
      return status;
    array.name = name;
    arrays.push_back(std::move(array));
  }
  for (Array &array : arrays) {
    array.name = maker.ownName(array.name);
    whit_value value; // numpy writes bf16 and 16-bit integers without a sign alike
    for (int32_t i = 0; array.type == ElementType::BF16 && i < whit_module_input_count(running.module); ++i)
      if (!whit_module_input(running.module, i, &value) && array.name == value.name && value.dtype == WHIT_U16)
        array.type = ElementType::U16;
    maker.learn(array);
  }
  for (const auto &[name, how] : running.options.input) {
    if (how != "ones" && how != "zeros" && !how.starts_with("random"))
      continue;
    Array array;
    if (whit_status status = maker.make(maker.ownName(name), how, array))
      return status;
    arrays.push_back(std::move(array));
  }
  for (int32_t i = 0; makeUp && i < whit_module_input_count(running.module); ++i) {
    whit_value value;
    whit_module_input(running.module, i, &value);
    bool given =
        std::any_of(arrays.begin(), arrays.end(), [&](const Array &array) { return array.name == value.name; });
    if (given || value.is_state || running.manifest.roles.mask == value.name ||
        running.manifest.roles.positions == value.name)
      continue;
    Array array;
    if (whit_status status = maker.make(value.name, "random:" + std::to_string(i + 1), array))
      return status;
    maker.learn(array);
    arrays.push_back(std::move(array));
  }
  return WHIT_OK;
}

std::vector<whit_tensor> viewsOf(const std::vector<Array> &arrays) {
  std::vector<whit_tensor> views;
  for (const Array &array : arrays)
    views.push_back({array.name.c_str(), whit_dtype(array.type), int32_t(array.dims.size()), array.dims.data(),
                     const_cast<uint8_t *>(array.data.data())});
  return views;
}

} // namespace whit
