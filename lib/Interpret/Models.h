// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Models on tensors of their own names, at every stage: as imported, with past and present tensors, or from encoded on,
// with caches of fixed capacity that are updated in place and outputs that are arguments.

#pragma once

#include "Interpret/Checks.h"

#include <map>

namespace whit::interpret {

/// Tensors by name.
using NamedTensors = std::map<std::string, Tensor>;
/// Sizes of the model's symbolic dimensions.
using Sizes = std::map<std::string, int64_t>;

/// Runs @main. Inputs have the names and types of the model's; caches may be left out and are empty then. Results have
/// the model's output names. `bounds`: results carry the error bound of a correct f32 program.
llvm::Expected<NamedTensors> evaluateModel(LoadedModule &loaded, const NamedTensors &inputs, bool bounds, int threads);

/// The arguments of @main, each an input by its name, a cache that holds its past, a destination of the right size, or
/// what the runtime fills in (a mask of ones). Dimensions that `inputs` do not show come from `sizes`.
llvm::Expected<std::vector<Datum>> argumentsOf(mlir::func::FuncOp function, const NamedTensors &inputs,
                                               const Sizes &sizes);

/// The value whose memory `value` is written to, as far as destinations lead; a cache's argument for what was appended
/// to it.
mlir::Value memoryOf(mlir::Value value);

} // namespace whit::interpret
