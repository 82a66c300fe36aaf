// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of AMDGPU but for the matrix units.

#include "Sim/Lowering.h"

namespace whit::sim {

bool lowerAmdCall(Lowering &, const llvm::CallInst &, llvm::StringRef) { return false; }
bool lowerAmdMatrixCall(Lowering &, const llvm::CallInst &, llvm::StringRef) { return false; }

} // namespace whit::sim
