// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-opt: runs any pass of Whit, or any pipeline of them, on a text file.

#include "Register.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  whit::registerAll(registry);
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Whit optimizer driver\n", registry));
}
