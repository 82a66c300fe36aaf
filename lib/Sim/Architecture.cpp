// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of simulated machines. sm_100a is not among them: its matrix instructions work on memory of their own (tensor memory).

#include "Sim/Architecture.h"

#include <vector>

namespace whit::sim {

static std::vector<Architecture> readTable() {
  std::vector<Architecture> table;
  enum { Nvptx, Amdgpu };
  auto add = [&](int kind, const char *name, uint32_t capability, uint32_t lanes, uint32_t threads, uint32_t shared,
                 std::string features) {
    if (features.find("tcgen05") == std::string::npos)
      table.push_back({name, kind == Nvptx, capability, lanes, threads, shared,
                       features.find("mfma-e4m3-fnuz") != std::string::npos});
  };
#define WHIT_GPU_TARGET(kind, name, capability, codegen, warp, schedulers, blockThreads, threads, blocks, blockShared, \
                        shared, reserved, registers, maxRegisters, granule, features)                                  \
  add(kind, name, capability, warp, blockThreads, blockShared, features);
#include "whit/GpuTargets.def"
  return table;
}

const Architecture *findArchitecture(const std::string &name, std::string &known) {
  static const std::vector<Architecture> table = readTable();
  known.clear();
  for (const Architecture &row : table) {
    if (row.name == name)
      return &row;
    known += (known.empty() ? "" : ", ") + row.name;
  }
  return nullptr;
}

} // namespace whit::sim
