// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversions between f32 and f16 or bf16 for machines without instructions for them. LLVM calls these by names that a compiler's support
// library has; an artifact carries its own instead of needing one.

#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace whit {

/// Whether the symbol is one of those defined here.
bool isSoftHalf(llvm::StringRef symbol);

/// An object for any x86-64 with all of them, hidden.
llvm::Expected<std::vector<uint8_t>> softHalfObject();

} // namespace whit
