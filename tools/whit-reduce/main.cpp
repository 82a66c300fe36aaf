// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-reduce: shrinks a module to the part that still makes a script exit with 1, for bug reports of a few lines.

#include "Register.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  whit::registerAll(registry);
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
