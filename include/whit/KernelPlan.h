// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul's kernel for a GPU as it is known before it is compiled, and what it is expected to take.
//
// Thread rule: plain values.
#ifndef WHIT_KERNEL_PLAN_H
#define WHIT_KERNEL_PLAN_H

#include "whit/CostModel.h"

#include <cstdint>
#include <string>

namespace whit {

struct KernelPlan {
  std::string target, format; ///< a row of GpuTargets.def; the name of an encoding
  Products products = Products::Float;
  int64_t n = 0, k = 0;
  int64_t rows = 0;    ///< 0: known at run time only
  int64_t matmuls = 1; ///< of its region, all of this size
  int64_t ops = 0;     ///< other operations of its region
  int64_t tileRows = 0, tileColumns = 0, splits = 1;
};

struct KernelForecast {
  int32_t registers = 0;
  bool spills = false;
  int64_t code = 0; ///< bytes
};

} // namespace whit

#endif // WHIT_KERNEL_PLAN_H
