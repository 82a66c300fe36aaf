// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lsp-server: completion, hover and jump to definition for .mlir files of any stage, in any editor that speaks the
// language server protocol.

#include "Register.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "llvm/Support/LogicalResult.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  whit::registerDialects(registry);
  return llvm::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
