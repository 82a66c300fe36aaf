// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What distinguishes the simulated machines, from the rows of include/whit/GpuTargets.def.
#ifndef SIM_ARCHITECTURE_H
#define SIM_ARCHITECTURE_H

#include <cstdint>
#include <string>

namespace whit::sim {

struct Architecture {
  std::string name; ///< "sm_80"
  bool nvidia = true;
  uint32_t capability = 80; ///< NVIDIA: compute capability times 10; AMD: the digits of the gfx name, hexadecimal
  uint32_t lanes = 32, maxThreads = 1024, maxShared = 0;
  /// 8-bit floats of gfx942 have one zero, no infinity and a bias that is larger by one.
  bool fnuz = false;
};

/// Null if no machine of that name is simulated; `known` are the names.
const Architecture *findArchitecture(const std::string &name, std::string &known);

} // namespace whit::sim

#endif // SIM_ARCHITECTURE_H
