// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading, in the order that keeps untrusted bytes away from everything they could harm: read, check, trust, choose,
// map code, map weights.
#include "runtime/core/Module.h"

#include "runtime/core/CpuFeatures.h"
#include "runtime/devices/OpenDevice.h"
#include "runtime/trust/Manifest.h"

#include <algorithm>

namespace whit {

int64_t stateHeads(const Argument &state) { return state.shape[1].size; }
int64_t stateDepth(const Argument &state) { return state.format.empty() ? state.shape[3].size : state.depth; }
ElementType stateType(const Argument &state) { return state.format.empty() ? state.type : ElementType::F32; }

whit_status Module::load(const std::string &path, const whit_load_options &options, std::unique_ptr<Module> &result,
                         std::unique_ptr<Device> device) {
  auto module = std::make_unique<Module>();
  if (whit_status status = readCode(path, module->image))
    return status;
  module->manifest = &module->image.manifest;
  if (whit_status status = checkTrust(module->image, options.trust == WHIT_TRUST_GIVEN))
    return status;
  if (whit_status status = module->openDevice(options.device, std::move(device)))
    return status;
  if (whit_status status = module->chooseVariant(options.target))
    return status;
  if (whit_status status = module->weights.open(module->image))
    return status;
  if (whit_status status = module->bindConstants())
    return status;
  if (whit_status status = module->bindRoles())
    return status;
  if (options.verify == WHIT_VERIFY_FULL)
    if (whit_status status = module->weights.verify(nullptr))
      return status;
  module->describeValues();
  if (whit_status status = module->library.open(module->image))
    return status;
  void *address;
  if (whit_status status = module->library.find(module->variant->execute, &address))
    return status;
  module->execute = reinterpret_cast<WhitFunction>(address);
  if (whit_status status = module->library.find(module->variant->sizes, &address))
    return status;
  module->sizes = reinterpret_cast<WhitSizesFunction>(address);
  result = std::move(module);
  return WHIT_OK;
}

whit_status Module::openDevice(const char *name, std::unique_ptr<Device> opened) {
  if (!name || std::string_view(name) == "cpu")
    return WHIT_OK;
  if (!opened)
    if (whit_status status = whit::openDevice(name, opened))
      return status;
  device = std::make_unique<DeviceModule>(std::move(opened), name);
  return WHIT_OK;
}

whit_status Module::chooseVariant(const char *target) {
  if (device)
    return device->choose(image, target, variant);
  std::string tried, devices;
  for (const Variant &each : manifest->variants) {
    if (target && each.target != target)
      continue;
    if (!each.device.empty()) {
      devices += (devices.empty() ? "" : ", ") + each.device;
      continue;
    }
    std::string missing = firstMissing(each);
    if (missing.empty()) {
      variant = &each;
      return WHIT_OK;
    }
    tried += (tried.empty() ? "" : ", ") + each.target + " needs " + missing;
  }
  if (!devices.empty())
    return fail(
        WHIT_REFUSED,
        "artifact '%.*s' has code for GPUs alone (%.400s); run it with --device=cuda:0, hip:0 or sim:ARCHITECTURE",
        WHIT_NAME(image.path), devices.c_str());
  if (tried.empty()) {
    for (const Variant &each : manifest->variants)
      tried += (tried.empty() ? "" : ", ") + each.target;
    return fail(WHIT_REFUSED, "artifact '%.*s' has no code for target '%.120s'; it has code for %.800s",
                WHIT_NAME(image.path), target, tried.c_str());
  }
  return fail(WHIT_REFUSED,
              "artifact '%.*s' has no code for this processor: %.800s; compile it with --target=x86-64 as well",
              WHIT_NAME(image.path), tried.c_str());
}

whit_status Module::bindConstants() {
  size_t used = 0;
  for (const Argument &argument : manifest->arguments) {
    const uint8_t *data = nullptr;
    constantBytes.push_back(0);
    if (argument.kind == ArgumentKind::Constant) {
      __int128 bytes = elementBytes(argument.type);
      for (const Dimension &dimension : argument.shape)
        if ((bytes *= dimension.size) > manifest->weights.bytes)
          return fail(WHIT_REFUSED, "constant '%.*s' is larger than all weights together (%lld bytes)",
                      WHIT_NAME(argument.name), (long long)manifest->weights.bytes);
      if (whit_status status = weights.find(argument.name, int64_t(bytes), &data))
        return status;
      constantBytes.back() = int64_t(bytes);
      ++used;
    }
    constants.push_back(data);
  }
  if (used != weights.tensorCount())
    return fail(WHIT_REFUSED, "the weights of '%.*s' hold %zu tensors; its manifest names %zu", WHIT_NAME(image.path),
                weights.tensorCount(), used);
  return WHIT_OK;
}

int32_t Module::symbolIndex(std::string_view name) const {
  for (size_t i = 0; i < manifest->symbols.size(); ++i)
    if (manifest->symbols[i].name == name)
      return int32_t(i);
  return -1;
}

whit_status Module::bindRoles() {
  for (size_t i = 0; i < manifest->arguments.size(); ++i) {
    const Argument &argument = manifest->arguments[i];
    int32_t index = int32_t(i);
    if (argument.kind == ArgumentKind::Input) {
      if (argument.name == manifest->roles.tokens)
        tokens = index;
      if (argument.name == manifest->roles.mask)
        mask = index;
      if (argument.name == manifest->roles.positions)
        positions = index;
    }
    if (argument.kind == ArgumentKind::Output && argument.name == manifest->roles.logits)
      logits = index;
    if (argument.kind != ArgumentKind::State)
      continue;
    if (stateCount++ == 0) {
      firstState = index;
      lengthSymbol = symbolIndex(argument.length);
    } else if (symbolIndex(argument.length) != lengthSymbol ||
               argument.shape[0].symbol != manifest->arguments[firstState].shape[0].symbol) {
      return fail(WHIT_REFUSED,
                  "state '%.*s' differs in batch or length from state '%.*s'; the states of a model grow together",
                  WHIT_NAME(argument.name), WHIT_NAME(manifest->arguments[firstState].name));
    }
  }
  lastRowsSymbol = symbolIndex(kLastRowsSymbol);
  if (lastRowsSymbol >= 0)
    sequenceSymbol = symbolIndex(manifest->symbols[lastRowsSymbol].defaultSymbol);
  else if (tokens >= 0 && !manifest->arguments[tokens].shape.empty())
    sequenceSymbol = symbolIndex(manifest->arguments[tokens].shape.back().symbol);
  if (stateCount > 0 && lengthSymbol == sequenceSymbol)
    return fail(WHIT_REFUSED, "the states' length and the sequence length are one dimension, '%.*s'; they must be two",
                WHIT_NAME(manifest->symbols[lengthSymbol].name));
  findPastSymbol();
  return WHIT_OK;
}

/// What the model calls the length of its pasts: by the usual name, or because nothing else says what the symbol is.
void Module::findPastSymbol() {
  pastSymbol = symbolIndex(kPastSymbol);
  if (pastSymbol >= 0 || !stateCount)
    return;
  std::vector<bool> known(manifest->symbols.size());
  for (size_t i = 0; i < known.size(); ++i)
    known[i] = !manifest->symbols[i].defaultSymbol.empty() || !manifest->symbols[i].value.empty();
  for (const Argument &argument : manifest->arguments) {
    for (const Dimension &dimension : argument.shape)
      if (!dimension.symbol.empty())
        known[size_t(symbolIndex(dimension.symbol))] = true;
    if (!argument.length.empty())
      known[size_t(symbolIndex(argument.length))] = true;
  }
  for (size_t i = 0; i < known.size(); ++i)
    if (!known[i]) {
      pastSymbol = int32_t(i);
      return;
    }
}

void Module::describeValues() {
  auto add = [](std::vector<Value> &list, const std::string &name, const Argument &argument, int32_t index,
                const std::vector<Dimension> &shape, bool state) {
    Value value{name, state ? stateType(argument) : argument.type, {}, {}, {}, index, state, argument.alias};
    for (const Dimension &dimension : shape) {
      value.dims.push_back(dimension.symbol.empty() ? dimension.size : -1);
      value.symbolNames.push_back(dimension.symbol);
    }
    list.push_back(std::move(value));
  };
  for (bool states : {false, true})
    for (size_t i = 0; i < manifest->arguments.size(); ++i) {
      const Argument &argument = manifest->arguments[i];
      if (states && argument.kind == ArgumentKind::State) {
        Dimension heads{stateHeads(argument), ""}, depth{stateDepth(argument), ""};
        add(inputs, argument.past, argument, int32_t(i), {argument.shape[0], heads, {0, kPastSymbol}, depth}, true);
        add(outputs, argument.present, argument, int32_t(i), {argument.shape[0], heads, {0, argument.length}, depth},
            true);
      } else if (!states && argument.kind == ArgumentKind::Input) {
        add(inputs, argument.name, argument, int32_t(i), argument.shape, false);
      } else if (!states && argument.kind == ArgumentKind::Output) {
        add(outputs, argument.name, argument, int32_t(i), argument.shape, false);
      }
    }
  for (std::vector<Value> *list : {&inputs, &outputs})
    for (Value &value : *list)
      for (const std::string &name : value.symbolNames)
        value.symbols.push_back(name.empty() ? nullptr : name.c_str());
  for (const Region &region : manifest->regions) {
    std::vector<const char *> &nodes = regionNodes.emplace_back();
    for (const std::string &node : region.nodes)
      nodes.push_back(node.c_str());
  }
}

const Value *Module::findInput(std::string_view name) const {
  auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Value &value) { return value.isCalled(name); });
  return found == inputs.end() ? nullptr : &*found;
}

const Value *Module::findOutput(std::string_view name) const {
  auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Value &value) { return value.isCalled(name); });
  return found == outputs.end() ? nullptr : &*found;
}

} // namespace whit
