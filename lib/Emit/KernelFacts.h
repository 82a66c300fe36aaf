// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is known of a GPU kernel without running it: what it takes of a unit, and which instructions it is made of. All functions are pure.

#pragma once

#include "whit/Gpu.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace whit {

/// Kinds of InstructionKinds.def, in the order in which they are listed.
enum class InstructionKind : uint8_t {
  Matrix,
  Load,
  Store,
  Shared,
  Local,
  Integer,
  Float,
  Conversion,
  Barrier,
  Move,
  Other
};
inline constexpr size_t kInstructionKinds = size_t(InstructionKind::Other) + 1;
/// "matrix", "load" ...
llvm::StringRef nameOf(InstructionKind kind);

using InstructionMix = std::array<int64_t, kInstructionKinds>;

/// Numbers that nobody has told are -1: registers of an NVIDIA kernel are known only after ptxas.
struct KernelFacts {
  std::string name;
  std::array<int32_t, 3> block = {1, 1, 1};
  int64_t registers = -1;    ///< of a thread; AMD: vector registers, accumulators included
  int64_t accumulators = -1; ///< AMD: of them
  int64_t scalars = -1;      ///< AMD: scalar registers of a wave
  int64_t spills = -1;       ///< bytes of a thread that were moved to memory for want of registers
  int64_t stack = -1;        ///< bytes of a thread, spills included
  int64_t shared = -1;       ///< bytes of a block, `launchShared` included
  int64_t launchShared = 0;  ///< of them, what the kernel says that its launches add
  int64_t code = -1;         ///< bytes of machine code
  int64_t loop = -1;         ///< AMD: of them, the largest loop
  int64_t copies = -1;       ///< AMD: instructions in loops that move values to or from accumulation registers
  double occupancy = -1;     ///< share of a unit's warps that run at a time, 0 to 1
  InstructionMix instructions{};

  int32_t threads() const { return block[0] * block[1] * block[2]; }
  int64_t countOf(InstructionKind kind) const { return instructions[size_t(kind)]; }
};

/// "64 registers, 1024 bytes shared, occupancy 50 %, 512 bytes of code, 16 matrix, 8 load": what is known.
std::string factsText(const KernelFacts &facts);

/// What is known, as members of an object that is open.
void writeFacts(llvm::json::OStream &out, const KernelFacts &facts);

/// Fills the occupancy in from the rest.
void computeOccupancy(KernelFacts &facts, const GpuArchitecture &gpu);

/// Kind of one instruction by its name, without its predicate.
InstructionKind kindOf(TargetKind target, llvm::StringRef instruction);

/// Instructions of each function in a text of PTX or AMDGPU assembly, inline assembly included; by name.
llvm::StringMap<InstructionMix> countInstructions(TargetKind target, llvm::StringRef assembly);

/// What `ptxas -v` prints, by kernel; lines that say nothing of a kernel are skipped.
llvm::StringMap<KernelFacts> parsePtxasOutput(llvm::StringRef text);

} // namespace whit
