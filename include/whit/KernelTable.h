// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a library of exported kernels (whit-compile --export-kernels) says of itself: constant data that the compiler writes
// (lib/Emit/ExportCode.cpp), and that the code linked beside it reads (runtime/kernels/): it checks calls, packs weights, and speaks the
// calling conventions of other programs. The two travel in one file, so that this may change at any time.
#ifndef WHIT_KERNEL_TABLE_H
#define WHIT_KERNEL_TABLE_H

#include "whit/Kernel.h"

#include <cstdint>

namespace whit {

/// What a call does with an argument; their order in a call. Size: no memory at all, its dimension is a number that the kernel needs
/// and that no tensor has; callers do not see it.
enum class KernelRole : int32_t { Size, Input, Weight, InOut, Output };

/// Steps that compute a size: each is an operator and a number, on a stack as in SizeStep (include/whit/Artifact.h).
enum class KernelStep : int64_t { Number, Symbol, Add, Multiply, FloorDivide, CeilDivide, Modulo };

/// A size that is known when a kernel is called. The first ones are given by the caller, the others follow from those.
struct KernelSymbol {
  const char *name;
  const int64_t *steps; ///< pairs of KernelStep and value
  int64_t stepCount;    ///< 0: given by the caller
};

struct KernelArgument {
  const char *name;
  KernelRole role;
  int32_t type; ///< ElementType
  int32_t rank;
  int32_t quantizer;    ///< of a packed weight: Quantizer
  const int64_t *shape; ///< a size, or ~i: symbol i
  const char *format;   ///< of a packed weight: its encoding; else null
  int64_t n, k;         ///< of a packed weight: rows and columns
};

struct KernelTable {
  const char *name;
  const KernelSymbol *symbols;
  const KernelArgument *arguments; ///< as the code takes them
  WhitFunction execute;
  WhitSizesFunction sizes;
  int64_t parameterCount; ///< symbols given by the caller
  int64_t symbolCount;
  int64_t argumentCount;
  int64_t
      isDevice; ///< the code launches kernels of a GPU: pointers are its own, and a call needs a context that launches
};

/// What exported functions return beside the WhitCheck of the code.
enum KernelStatus : int32_t {
  kKernelDone = 0,
  kKernelNull = -1,       ///< a pointer is null
  kKernelSize = -2,       ///< a size is negative, too large, or not what it must be
  kKernelMisaligned = -3, ///< a pointer is not aligned
  kKernelMemory = -4,     ///< memory ran out
  kKernelValue = -5,      ///< weights that the format cannot hold
  kKernelContext = -6     ///< a kernel of a GPU needs a context that launches
};

/// Limits that the compiler keeps.
inline constexpr int64_t kMaxKernelArguments = 48, kMaxKernelRank = 12, kMaxKernelSymbols = 32, kMaxKernelSteps = 64;
inline constexpr int64_t kMaxKernelSize = int64_t(1) << 40;
/// Alignment of workspaces and packed weights.
inline constexpr int64_t kKernelAlignment = 64;

} // namespace whit

#endif // WHIT_KERNEL_TABLE_H
