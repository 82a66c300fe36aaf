// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every frontend does last.

#pragma once

#include "Import/Diagnostics.h"

#include "mlir/IR/BuiltinOps.h"

namespace whit {

/// Whether the module that a frontend made verifies. If not, that is a bug in Whit, and is reported as one; `source` says
/// what to send along, e.g. "the model's graph".
bool verifyImported(mlir::ModuleOp module, llvm::StringRef source, Diagnostics &diagnostics);

} // namespace whit
