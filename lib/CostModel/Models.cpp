// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One object for each row of GpuMachines.def, made when the first is asked for.

#include "CostModel/Models.h"

#include "CostModel/Analytic.h"
#include "CostModel/Gpu.h"

#include <vector>

namespace whit {

const CostModel &cpuCostModel() {
  static const AnalyticCostModel model;
  return model;
}

const CostModel *gpuCostModel(std::string_view architecture, std::string_view product) {
  static const std::vector<GpuCostModel> models = [] {
    std::vector<GpuCostModel> all;
    for (const GpuMachine &machine : gpuMachines())
      all.emplace_back(*findGpuArchitecture(machine.architecture), machine);
    return all;
  }();
  const GpuMachine *machine = findGpuMachine(architecture, product);
  if (!machine)
    machine = findGpuMachine(architecture);
  return machine ? &models[machine - gpuMachines().data()] : nullptr;
}

} // namespace whit
