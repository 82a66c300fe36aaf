// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks in a file, and a model on its inputs.

#include "Modes.h"

#include "Interpret/Checks.h"
#include "Register.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

namespace whit::check {

llvm::Error run(const Request &request) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  llvm::SourceMgr sources;
  mlir::SourceMgrDiagnosticHandler printer(sources, &context);
  auto loaded = interpret::readModule(request.model, context);
  if (!loaded)
    return loaded.takeError();
  int64_t passed = 0;
  if (llvm::Error error = interpret::runChecks(*loaded, passed))
    return error;
  llvm::outs() << passed << " expectations hold\n";
  return llvm::Error::success();
}

int report(llvm::Error error, llvm::raw_ostream &out) {
  int exit = 0;
  llvm::handleAllErrors(std::move(error), [&](const Failure &failure) {
    out << "whit-check: error: " << (failure.where.empty() ? "" : failure.where + ": ") << failure.message << "\n";
    if (!failure.help.empty())
      out << "  help: " << failure.help << "\n";
    exit = int(failure.exit);
  });
  return exit;
}

} // namespace whit::check
