// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `check` dialect: what a test expects, said in the IR it tests.

#ifndef CHECK_DIALECT
#define CHECK_DIALECT

include "mlir/IR/OpBase.td"

def Check_Dialect : Dialect {
  let name = "check";
  let cppNamespace = "::mlir::check";
  let summary = "Assertions about values, for end-to-end tests";
  let description = [{
    A test is a function without arguments that computes values and states what they must be. `whit-check FILE.mlir` runs
    every such function of a file in the f64 interpreter and exits with 8 if an expectation fails.
  }];
}

#endif // CHECK_DIALECT
