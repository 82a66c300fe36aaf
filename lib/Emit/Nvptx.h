// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's assembler, where it is installed.

#pragma once

#include "Emit/KernelFacts.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace whit {

/// The program: what the environment's WHIT_PTXAS names ("" = none), else the first ptxas in PATH, or in the usual folder of the CUDA
/// toolkit.
std::optional<std::string> findPtxas();

/// What ptxas made of a text, the text as it was in the end, and what it said of the kernels.
struct Cubin {
  std::vector<uint8_t> bytes;
  std::string ptx;
  llvm::StringMap<KernelFacts> facts;
  /// Lines that say why kernels are slower than their text asks for: products of warpgroups that wait for each other, for example.
  std::vector<std::string> losses;
};

/// Runs `ptxas -arch=ARCHITECTURE -v`. What it prints is part of the error. Left to itself, ptxas keeps the registers of some kernels below
/// what would let three of their warps share a scheduler, and rather moves values to memory; a kernel in which it does that is assembled
/// again, with the promise that one block of it is enough for a unit.
llvm::Expected<Cubin> assemblePtx(const std::string &ptxas, llvm::StringRef ptx, llvm::StringRef architecture);

/// The text with `.minnctapersm 1` in those of the kernels that ask for nothing else.
std::string promiseOneBlock(llvm::StringRef ptx, const llvm::StringSet<> &kernels);

} // namespace whit
