// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What all code generators share: LLVM's -O3 pipeline and its writers of assembly and objects.

#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/CodeGen.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>

namespace whit {

/// The machine of a triple. Multiplications and additions are never contracted.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(llvm::StringRef triple, llvm::StringRef cpu,
                                                                   llvm::StringRef features);

/// A bug if the module is not valid IR.
llvm::Error verifyIr(const llvm::Module &module);

void optimize(llvm::Module &module, llvm::TargetMachine &machine);

llvm::Expected<llvm::SmallVector<char, 0>> generate(llvm::Module &module, llvm::TargetMachine &machine,
                                                    llvm::CodeGenFileType type);

} // namespace whit
