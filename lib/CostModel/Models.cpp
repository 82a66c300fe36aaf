// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One object for each row of GpuMachines.def, made when the first is asked for.

#include "CostModel/Models.h"

#include "CostModel/Analytic.h"
#include "CostModel/Gpu.h"
#include "CostModel/Learned.h"
#include "whit/Target.h"

#include <vector>

// What `whit-tune train` wrote. cmake/Rooms.cmake says which file.
asm(R"(
  .section .rodata.whit_cpu_model,"a",@progbits
  .hidden whit_cpu_model
  .globl whit_cpu_model
whit_cpu_model:
  .incbin ")" WHIT_CPU_MODEL R"("
  .hidden whit_cpu_model_end
  .globl whit_cpu_model_end
whit_cpu_model_end:
  .byte 0
  .text
)");
extern "C" const char whit_cpu_model[], whit_cpu_model_end[];

namespace whit {

const CostModel &cpuCostModel() {
  static const AnalyticCostModel model;
  return model;
}

const CostModel &cpuCostModel(std::string_view cpu, std::string_view features) {
  static const std::optional<LearnedCostModel> learned =
      LearnedCostModel::parse({whit_cpu_model, size_t(whit_cpu_model_end - whit_cpu_model)}, nullptr);
  if (learned && learned->origin.cpu == cpu && learned->origin.features == kernelFeatures(parseFeatureText(features)))
    return *learned;
  return cpuCostModel();
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
