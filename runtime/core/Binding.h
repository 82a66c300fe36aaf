// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a call means: which tensor is which argument, and the value of every symbolic dimension. All checks of a
// caller's tensors are here. Allocates only when constructed.
#ifndef WHIT_RUNTIME_CORE_BINDING_H
#define WHIT_RUNTIME_CORE_BINDING_H

#include "runtime/core/Module.h"

namespace whit {

class Binding {
public:
  explicit Binding(const Module &module);

  /// Binds a call's inputs, checks them against the signature and each other, and resolves all symbols. `cached`:
  /// tokens that the caches hold, used when no past is given. With `pastsOnly` other inputs are refused and the
  /// sequence is empty.
  whit_status bind(const whit_tensor *inputs, int32_t count, int64_t cached, bool pastsOnly = false);

  /// Resolves symbols from named dimensions instead; what is left out takes its default or its minimum.
  whit_status bindDims(const whit_dim *dims, int32_t count, int64_t cached);

  /// Sets or clears (value < 0) the value of a symbol that has a default.
  whit_status setDim(std::string_view name, int64_t value);
  /// The override in force, -1 if none.
  int64_t dimOverride(int32_t symbol) const { return overrides[symbol]; }
  void overrideDim(int32_t symbol, int64_t value) { overrides[symbol] = value; }

  const int64_t *symbols() const { return values.data(); }
  /// Tokens before this call, from pasts or the caches.
  int64_t past() const { return pastLength; }
  /// Tokens after this call; 0 for models without states.
  int64_t total() const { return module.stateCount ? values[module.lengthSymbol] : 0; }
  bool pastsGiven() const { return pastCount > 0; }
  /// The tensor bound to an argument (inputs, and pasts by their state); null if none.
  const whit_tensor *tensorOf(int32_t argument) const { return tensors[argument]; }

private:
  /// Forgets the call before; `cached` tokens are in the session's caches.
  void clear(int64_t cached);
  whit_status bindTensor(const whit_tensor &tensor, bool pastsOnly);
  whit_status checkTensor(const whit_tensor &tensor, const Value &value);
  whit_status bindDimension(int32_t symbol, int64_t found, const whit_tensor &tensor, int32_t dimension);
  whit_status bindPast(const whit_tensor &tensor, const Value &value);
  whit_status checkPresence(bool pastsOnly);
  whit_status resolveLength();
  whit_status resolveOthers(bool useMinimum);
  whit_status resolveValue(size_t symbol);
  whit_status checkRanges();

  struct Origin {
    const whit_tensor *tensor;
    int32_t dimension;
  };

  const Module &module;
  std::vector<int64_t> values, overrides;
  std::vector<Origin> origins;
  std::vector<const whit_tensor *> tensors; ///< by argument
  const whit_tensor *firstPast = nullptr;
  int32_t pastCount = 0;
  int64_t pastLength = 0;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_BINDING_H
