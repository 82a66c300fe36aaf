// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code objects of AMD GPUs: assembly made an object, an object linked to what the driver loads, and the notes in it that say what each kernel takes.

#pragma once

#include "Emit/KernelFacts.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace whit {

/// An object of assembly text that LLVM wrote: choosing instructions again would take 20 times as long.
llvm::Expected<std::vector<uint8_t>> assembleAmdgpu(llvm::StringRef text, llvm::StringRef architecture);

/// A HSACO: the object as a shared object.
llvm::Expected<std::vector<uint8_t>> linkHsaco(llvm::ArrayRef<uint8_t> object);

/// Facts by kernel, read from the metadata note and the symbols of a code object. A kernel that needs more arguments than it declares
/// (hidden ones, which launches do not pass) is a bug.
llvm::Expected<llvm::StringMap<KernelFacts>> readCodeObject(llvm::ArrayRef<uint8_t> object,
                                                            llvm::StringRef architecture);

} // namespace whit
