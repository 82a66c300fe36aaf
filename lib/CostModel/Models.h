// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which cost model predicts for a target: one of CPUs, or that of a GPU's architecture and product.

#pragma once

#include "whit/CostModel.h"
#include "whit/Gpu.h"

namespace whit {

/// The analytic model of CPUs.
const CostModel &cpuCostModel();

/// The model of a CPU, by LLVM's name of it and the features in `whit.target`: the one that was trained on such a machine, or the analytic one.
const CostModel &cpuCostModel(std::string_view cpu, std::string_view features);

/// The model of a GPU; the architecture's own product stands for one that is not known. Null for an unknown architecture.
const CostModel *gpuCostModel(std::string_view architecture, std::string_view product);

} // namespace whit
