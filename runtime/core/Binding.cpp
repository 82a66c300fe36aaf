// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every refusal names the tensor and the dimension, what was found, what is required and why.
#include "runtime/core/Binding.h"

#include "runtime/trust/Manifest.h"

#include <algorithm>

namespace whit {
namespace {

using Long = long long;

const char *dtypeName(whit_dtype dtype) {
  std::string_view name = elementName(ElementType(dtype));
  return name.empty() ? "an unknown type" : name.data(); // rows are literals, so they end in NUL
}

} // namespace

Binding::Binding(const Module &module)
    : module(module), values(module.manifest->symbols.size(), -1), overrides(values.size(), -1), origins(values.size()),
      tensors(module.manifest->arguments.size()) {}

void Binding::clear(int64_t cached) {
  std::fill(values.begin(), values.end(), -1);
  std::fill(origins.begin(), origins.end(), Origin{});
  std::fill(tensors.begin(), tensors.end(), nullptr);
  firstPast = nullptr;
  pastCount = 0;
  pastLength = cached;
}

whit_status Binding::bind(const whit_tensor *inputs, int32_t count, int64_t cached, bool pastsOnly) {
  clear(cached);
  for (int32_t i = 0; i < count; ++i)
    if (whit_status status = bindTensor(inputs[i], pastsOnly))
      return status;
  if (whit_status status = checkPresence(pastsOnly))
    return status;
  if (pastsOnly && module.lengthSymbol >= 0) {
    values[module.lengthSymbol] = pastLength;
    if (module.sequenceSymbol >= 0)
      values[module.sequenceSymbol] = 0;
    if (pastLength > module.manifest->context)
      return fail(WHIT_LIMIT, "'%s' holds %lld tokens; the context is %lld; compile with a larger --context",
                  firstPast->name, Long(pastLength), Long(module.manifest->context));
    return resolveOthers(true);
  }
  if (whit_status status = resolveLength())
    return status;
  if (whit_status status = resolveOthers(false))
    return status;
  return checkRanges();
}

whit_status Binding::bindDims(const whit_dim *dims, int32_t count, int64_t cached) {
  clear(cached);
  for (int32_t i = 0; i < count; ++i) {
    if (!dims[i].name)
      return fail(WHIT_USAGE, "dimension %d has no name", int(i));
    int32_t symbol = module.symbolIndex(dims[i].name);
    if (symbol < 0)
      return fail(WHIT_INVALID, "the model has no dimension '%.120s'", dims[i].name);
    if (dims[i].value < 0 || dims[i].value > kMaxDimension)
      return fail(WHIT_INVALID, "dimension '%.120s' is %lld; it must be from 0 to 2^40", dims[i].name,
                  Long(dims[i].value));
    values[symbol] = dims[i].value;
  }
  if (module.stateCount) {
    const std::vector<Symbol> &known = module.manifest->symbols;
    int64_t &total = values[module.lengthSymbol];
    int64_t sequence = module.sequenceSymbol >= 0 ? values[module.sequenceSymbol] : 0;
    if (sequence < 0)
      sequence = total >= 0 ? std::min<int64_t>(1, total) : std::max<int64_t>(1, known[module.sequenceSymbol].min);
    if (total < 0)
      total = std::min(module.manifest->context, cached + sequence);
    if (module.sequenceSymbol >= 0)
      values[module.sequenceSymbol] = sequence;
    pastLength = std::max<int64_t>(0, total - sequence);
    if (total > module.manifest->context)
      return fail(WHIT_LIMIT, "dimension '%.*s' is %lld; the context is %lld; compile with a larger --context",
                  WHIT_NAME(known[module.lengthSymbol].name), Long(total), Long(module.manifest->context));
  }
  if (whit_status status = resolveOthers(true))
    return status;
  return checkRanges();
}

whit_status Binding::setDim(std::string_view name, int64_t value) {
  int32_t symbol = module.symbolIndex(name);
  if (symbol < 0)
    return fail(WHIT_INVALID, "the model has no dimension '%.*s'", WHIT_NAME(name));
  const Symbol &known = module.manifest->symbols[symbol];
  if (known.defaultSymbol.empty())
    return fail(WHIT_INVALID, "dimension '%.*s' follows from the shapes of the inputs and cannot be set",
                WHIT_NAME(name));
  if (value >= 0 && (value < known.min || value > known.max.value_or(kMaxDimension)))
    return fail(WHIT_INVALID, "dimension '%.*s' is %lld; it must be from %lld to %lld", WHIT_NAME(name), Long(value),
                Long(known.min), Long(known.max.value_or(kMaxDimension)));
  overrides[symbol] = std::max<int64_t>(value, -1);
  return WHIT_OK;
}

whit_status Binding::bindTensor(const whit_tensor &tensor, bool pastsOnly) {
  if (!tensor.name)
    return fail(WHIT_USAGE, "an input tensor has no name");
  const Value *value = module.findInput(tensor.name);
  if (!value || (pastsOnly && !value->state)) {
    size_t candidates = pastsOnly ? size_t(module.stateCount) : module.inputs.size();
    const char *kind = pastsOnly ? "past tensor" : "input";
    if (candidates == 0)
      return fail(WHIT_INVALID, "the model has no %s '%.120s', and no other", kind, tensor.name);
    const Value &first = module.inputs[pastsOnly ? module.inputs.size() - candidates : 0];
    return fail(WHIT_INVALID, "the model has no %s '%.120s'; it has %zu, the first is '%.*s'", kind, tensor.name,
                candidates, WHIT_NAME(first.name));
  }
  if (tensors[value->argument])
    return fail(WHIT_INVALID, "input '%.120s' is given twice", tensor.name);
  if (whit_status status = checkTensor(tensor, *value))
    return status;
  tensors[value->argument] = &tensor;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    if (value->state && i == 2)
      continue;
    const char *symbol = value->symbols[i];
    if (!symbol) {
      if (tensor.dims[i] != value->dims[i])
        return fail(WHIT_INVALID, "dimension %d of input '%.120s' is %lld; %lld is required", int(i), tensor.name,
                    Long(tensor.dims[i]), Long(value->dims[i]));
      continue;
    }
    if (whit_status status = bindDimension(module.symbolIndex(symbol), tensor.dims[i], tensor, i))
      return status;
  }
  return value->state ? bindPast(tensor, *value) : WHIT_OK;
}

whit_status Binding::checkTensor(const whit_tensor &tensor, const Value &value) {
  if (ElementType(tensor.dtype) != value.type)
    return fail(WHIT_INVALID, "input '%.120s' is of type %s; %s is required", tensor.name, dtypeName(tensor.dtype),
                dtypeName(whit_dtype(value.type)));
  if (size_t(tensor.rank) != value.dims.size())
    return fail(WHIT_INVALID, "input '%.120s' has rank %d; %zu is required", tensor.name, int(tensor.rank),
                value.dims.size());
  if (tensor.rank > 0 && !tensor.dims)
    return fail(WHIT_USAGE, "input '%.120s' has no dimensions", tensor.name);
  __int128 bytes = elementBytes(value.type);
  for (int32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.dims[i] < 0 || tensor.dims[i] > kMaxDimension)
      return fail(WHIT_INVALID, "dimension %d of input '%.120s' is %lld; it must be from 0 to 2^40", int(i),
                  tensor.name, Long(tensor.dims[i]));
    if ((bytes *= tensor.dims[i]) > INT64_MAX)
      return fail(WHIT_INVALID, "input '%.120s' has more than 2^63 bytes", tensor.name);
  }
  if (bytes > 0 && !tensor.data)
    return fail(WHIT_USAGE, "input '%.120s' has no data", tensor.name);
  if (bytes > 0 && reinterpret_cast<uintptr_t>(tensor.data) % uintptr_t(elementBytes(value.type)) != 0)
    return fail(WHIT_USAGE,
                "the data of input '%.120s' is not aligned to its elements of %lld bytes; copy it to an aligned buffer",
                tensor.name, Long(elementBytes(value.type)));
  return WHIT_OK;
}

whit_status Binding::bindDimension(int32_t symbol, int64_t found, const whit_tensor &tensor, int32_t dimension) {
  const std::string &name = module.manifest->symbols[symbol].name;
  Origin &origin = origins[symbol];
  if (values[symbol] >= 0 && values[symbol] != found)
    return fail(WHIT_INVALID,
                "dimension %d (%.*s) of input '%.120s' is %lld; dimension %d of input '%.120s' says it is %lld",
                int(dimension), WHIT_NAME(name), tensor.name, Long(found), int(origin.dimension), origin.tensor->name,
                Long(values[symbol]));
  if (!origin.tensor)
    origin = {&tensor, dimension};
  values[symbol] = found;
  return WHIT_OK;
}

whit_status Binding::bindPast(const whit_tensor &tensor, const Value &) {
  int64_t tokens = tensor.dims[2];
  if (pastCount++ == 0) {
    firstPast = &tensor;
    pastLength = tokens;
  } else if (tokens != pastLength) {
    return fail(WHIT_INVALID,
                "dimension 2 (%s) of input '%.120s' is %lld; dimension 2 of input '%.120s' says it is %lld",
                kPastSymbol, tensor.name, Long(tokens), firstPast->name, Long(pastLength));
  }
  return WHIT_OK;
}

whit_status Binding::checkPresence(bool pastsOnly) {
  for (const Value &value : module.inputs) {
    if (tensors[value.argument])
      continue;
    if (value.state ? pastCount == 0 && !pastsOnly
                    : pastsOnly || value.argument == module.mask || value.argument == module.positions)
      continue;
    if (value.state && pastCount > 0)
      return fail(WHIT_INVALID, "input '%.*s' is missing; '%.120s' is given, and past tensors are given all or none",
                  WHIT_NAME(value.name), firstPast->name);
    return fail(WHIT_INVALID, "input '%.*s' is missing", WHIT_NAME(value.name));
  }
  return WHIT_OK;
}

/// The states' length after the call is the length before it and the new tokens.
whit_status Binding::resolveLength() {
  if (!module.stateCount)
    return WHIT_OK;
  int64_t &total = values[module.lengthSymbol];
  const std::string &name = module.manifest->symbols[module.lengthSymbol].name;
  int64_t sequence = module.sequenceSymbol >= 0 ? values[module.sequenceSymbol] : -1;
  if (total < 0 && sequence < 0)
    return fail(WHIT_INVALID, "dimension '%.*s' does not follow from the inputs given", WHIT_NAME(name));
  if (total < 0)
    total = pastLength + sequence;
  if (sequence < 0)
    sequence = total - pastLength;
  if (module.sequenceSymbol >= 0)
    values[module.sequenceSymbol] = std::max<int64_t>(sequence, 0);
  if (sequence < 0 || total != pastLength + sequence) {
    const Origin &origin = origins[module.lengthSymbol];
    return fail(WHIT_INVALID, "dimension %d (%.*s) of input '%.120s' is %lld; %lld past and %lld new tokens make %lld",
                int(origin.dimension), WHIT_NAME(name), origin.tensor ? origin.tensor->name : "", Long(total),
                Long(pastLength), Long(std::max<int64_t>(sequence, 0)),
                Long(pastLength + std::max<int64_t>(sequence, 0)));
  }
  if (total > module.manifest->context)
    return fail(WHIT_LIMIT,
                "%lld past and %lld new tokens make %lld; the context is %lld; compile with a larger --context",
                Long(pastLength), Long(sequence), Long(total), Long(module.manifest->context));
  return WHIT_OK;
}

/// What an expression gives for these symbols; nothing if it is not defined or leaves int64_t.
static std::optional<int64_t> evaluate(const std::vector<SizeStep> &steps, const std::vector<int64_t> &symbols) {
  int64_t stack[kMaxSizeDepth + 1];
  size_t depth = 0;
  for (const SizeStep &step : steps) {
    if (step.kind == SizeStep::Number || step.kind == SizeStep::Symbol) {
      stack[depth++] = step.kind == SizeStep::Number ? step.value : symbols[size_t(step.value)];
      continue;
    }
    int64_t y = stack[--depth], &x = stack[depth - 1];
    bool wrong = false;
    switch (step.kind) {
    case SizeStep::Add:
      wrong = __builtin_add_overflow(x, y, &x);
      break;
    case SizeStep::Multiply:
      wrong = __builtin_mul_overflow(x, y, &x);
      break;
    case SizeStep::Divide:
    case SizeStep::Remainder:
      wrong = x < 0 || y <= 0;
      if (!wrong)
        x = step.kind == SizeStep::Divide ? x / y : x % y;
      break;
    case SizeStep::Minimum:
      x = std::min(x, y);
      break;
    default:
      x = std::max(x, y);
    }
    if (wrong)
      return std::nullopt;
  }
  return stack[0];
}

/// A symbol that follows from others, which all have their values.
whit_status Binding::resolveValue(size_t symbol) {
  const Symbol &known = module.manifest->symbols[symbol];
  std::optional<int64_t> value = evaluate(known.value, values);
  if (!value || *value < 0 || *value > kMaxDimension)
    return fail(WHIT_INVALID, "dimension '%.*s' would be %lld; it must be from 0 to 2^40", WHIT_NAME(known.name),
                Long(value.value_or(-1)));
  if (values[symbol] < 0 || values[symbol] == *value) {
    values[symbol] = *value;
    return WHIT_OK;
  }
  const Origin &origin = origins[symbol];
  if (!origin.tensor)
    return fail(WHIT_INVALID, "dimension '%.*s' is %lld; the others make it %lld", WHIT_NAME(known.name),
                Long(values[symbol]), Long(*value));
  std::string parts;
  for (const SizeStep &step : known.value)
    if (step.kind == SizeStep::Symbol && origins[size_t(step.value)].tensor) {
      const Origin &part = origins[size_t(step.value)];
      parts += (parts.empty() ? ": dimension " : ", dimension ") + std::to_string(part.dimension) + " of input '" +
               std::string(part.tensor->name).substr(0, 120) + "' is " + std::to_string(values[size_t(step.value)]);
    }
  return fail(WHIT_INVALID, "dimension %d (%.*s) of input '%.120s' is %lld; the other inputs make it %lld%.*s",
              int(origin.dimension), WHIT_NAME(known.name), origin.tensor->name, Long(values[symbol]), Long(*value),
              WHIT_NAME(parts));
}

/// Symbols that no input says: each follows from earlier ones.
whit_status Binding::resolveOthers(bool useMinimum) {
  const std::vector<Symbol> &symbols = module.manifest->symbols;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (!symbols[i].value.empty()) {
      if (whit_status status = resolveValue(i))
        return status;
      continue;
    }
    if (values[i] >= 0)
      continue;
    if (!symbols[i].defaultSymbol.empty()) {
      int64_t other = values[module.symbolIndex(symbols[i].defaultSymbol)];
      values[i] = overrides[i] < 0                      ? other
                  : int32_t(i) == module.lastRowsSymbol ? std::min(overrides[i], other)
                                                        : overrides[i];
    } else if (int32_t(i) == module.pastSymbol && module.stateCount) {
      values[i] = pastLength;
    } else if (useMinimum) {
      values[i] = symbols[i].min;
    } else {
      return fail(WHIT_INVALID, "dimension '%.*s' does not follow from the inputs given", WHIT_NAME(symbols[i].name));
    }
  }
  return WHIT_OK;
}

whit_status Binding::checkRanges() {
  const std::vector<Symbol> &symbols = module.manifest->symbols;
  for (size_t i = 0; i < symbols.size(); ++i) {
    int64_t highest = symbols[i].max.value_or(kMaxDimension);
    if (values[i] >= symbols[i].min && values[i] <= highest)
      continue;
    if (const whit_tensor *tensor = origins[i].tensor)
      return fail(WHIT_INVALID, "dimension %d (%.*s) of input '%.120s' is %lld; it must be from %lld to %lld",
                  int(origins[i].dimension), WHIT_NAME(symbols[i].name), tensor->name, Long(values[i]),
                  Long(symbols[i].min), Long(highest));
    return fail(WHIT_INVALID, "dimension '%.*s' is %lld; it must be from %lld to %lld", WHIT_NAME(symbols[i].name),
                Long(values[i]), Long(symbols[i].min), Long(highest));
  }
  return WHIT_OK;
}

} // namespace whit
