// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What happens when the compiler itself breaks: a file that shows the fault again is written, its path printed, and the tool ends with 70.

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace whit {

/// For tools: handles fatal signals and LLVM's fatal errors from here on; memory that runs out ends the tool with 5. `arguments` is the command line.
void installCrashHandler(llvm::ArrayRef<const char *> arguments);

/// The module before the stage that comes next; what a reproducer will hold. `stage` is the one it has passed.
void rememberForCrash(llvm::StringRef stage, std::string module);

/// Writes a reproducer for a failure that was noticed. Returns its path, or "" if there is nothing to write or nowhere.
std::string writeReproducer(llvm::StringRef reason);

} // namespace whit
