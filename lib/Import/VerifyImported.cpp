// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A module that does not verify is the fault of the frontend, whatever the file holds, so it never goes on to the passes.

#include "Import/VerifyImported.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

bool whit::verifyImported(mlir::ModuleOp module, llvm::StringRef source, Diagnostics &diagnostics) {
  std::string what;
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    if (what.empty())
      what = diagnostic.str();
    return mlir::success();
  });
  if (mlir::succeeded(mlir::verify(module)))
    return true;
  diagnostics.add({code::Bug,
                   Severity::Error,
                   "",
                   {},
                   "",
                   "the imported module does not verify: " + what,
                   "this is a bug in Whit; please report it with " + source.str()});
  return false;
}
