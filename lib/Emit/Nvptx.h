// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's assembler, where it is installed.

#pragma once

#include "Emit/KernelFacts.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace whit {

/// The program: what the environment's WHIT_PTXAS names ("" = none), else the first ptxas in PATH, or in the usual folder of the CUDA
/// toolkit.
std::optional<std::string> findPtxas();

/// What ptxas made of a text, and what it said of the kernels.
struct Cubin {
  std::vector<uint8_t> bytes;
  llvm::StringMap<KernelFacts> facts;
};

/// Runs `ptxas -arch=ARCHITECTURE -v`. What it prints is part of the error.
llvm::Expected<Cubin> assemblePtx(const std::string &ptxas, llvm::StringRef ptx, llvm::StringRef architecture);

} // namespace whit
