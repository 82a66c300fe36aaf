// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A loaded artifact: immutable, shared by sessions.
#ifndef WHIT_RUNTIME_CORE_MODULE_H
#define WHIT_RUNTIME_CORE_MODULE_H

#include "runtime/core/Code.h"
#include "runtime/core/WeightsMap.h"
#include "runtime/devices/DeviceModule.h"
#include "whit/Kernel.h"

#include <memory>
#include <string_view>

namespace whit {

/// A tensor of the model's own signature.
struct Value {
  std::string name;
  ElementType type;
  std::vector<int64_t> dims;            ///< -1: dynamic
  std::vector<std::string> symbolNames; ///< "" for fixed dimensions
  std::vector<const char *> symbols;    ///< null for fixed dimensions
  int32_t argument;                     ///< index of the input, state or output
  bool state;
  std::string alias; ///< another name that it goes by, or ""

  bool isCalled(std::string_view text) const { return name == text || (!alias.empty() && alias == text); }
};

/// The name that a past tensor's token dimension has in the signature.
inline constexpr char kPastSymbol[] = "past_sequence_length";

struct Module {
  CodeImage image;
  const Manifest *manifest = nullptr; ///< image.manifest
  const Variant *variant = nullptr;
  Library library;
  WeightsMap weights;
  WhitFunction execute = nullptr;
  WhitSizesFunction sizes = nullptr;
  std::vector<const uint8_t *> constants; ///< by argument index; null for other kinds
  std::vector<int64_t> constantBytes;     ///< likewise
  std::unique_ptr<DeviceModule> device;   ///< null: the CPU
  std::vector<Value> inputs, outputs;
  std::vector<std::vector<const char *>> regionNodes;

  // Roles, as indices: of symbols, of arguments; -1 = none.
  int32_t sequenceSymbol = -1, lengthSymbol = -1, lastRowsSymbol = -1, pastSymbol = -1;
  int32_t tokens = -1, mask = -1, positions = -1, logits = -1;
  int32_t firstState = 0, stateCount = 0;

  /// `device`, if there is one, in place of the one that the options name.
  static whit_status load(const std::string &path, const whit_load_options &options, std::unique_ptr<Module> &module,
                          std::unique_ptr<Device> device = nullptr);

  int32_t symbolIndex(std::string_view name) const;
  /// An entry of inputs or outputs by name, or null.
  const Value *findInput(std::string_view name) const;
  const Value *findOutput(std::string_view name) const;

private:
  whit_status openDevice(const char *name, std::unique_ptr<Device> opened);
  whit_status chooseVariant(const char *target);
  whit_status bindConstants();
  whit_status bindRoles();
  void findPastSymbol();
  void describeValues();
};

/// Heads and depth of a state, from its physical shape.
int64_t stateHeads(const Argument &state);
int64_t stateDepth(const Argument &state);
/// The element type of the tensors that a state stands for.
ElementType stateType(const Argument &state);

} // namespace whit

#endif // WHIT_RUNTIME_CORE_MODULE_H
