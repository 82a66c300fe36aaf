// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLD as a function: objects of any architecture that it knows go in, a shared object comes out.

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit {

/// A shared object of `objects` with more flags for the linker: byte for byte the same for the same input.
llvm::Expected<std::vector<uint8_t>> linkShared(llvm::ArrayRef<llvm::ArrayRef<uint8_t>> objects,
                                                llvm::ArrayRef<llvm::StringRef> flags);

/// Names that objects use and do not define.
llvm::Expected<std::vector<std::string>> undefinedSymbols(llvm::ArrayRef<llvm::ArrayRef<uint8_t>> objects);

/// Whether compiled code may call a function of libc or libm by this name.
bool isLibraryFunction(llvm::StringRef name);

} // namespace whit
