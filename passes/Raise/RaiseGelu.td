// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseGeluPass : Pass<"whit-raise-gelu", "::mlir::func::FuncOp"> {
  let summary = "turns formulas of gelu into whit.gelu";
  let description = [{
    x/2 (1 + erf(x/sqrt 2)), with factors in any order and constants as they were rounded; the same with tanh; with erfc;
    and with the polynomials to which JAX expands erfc. The elementwise operations become one, whose body is `whit.gelu`.

    ```mlir
    %0 = linalg.generic ... ins(%x) { divf %a, 1.41421354 }
    %1 = linalg.generic ... ins(%0) { math.erf %a }
    %2 = linalg.generic ... ins(%1) { addf %a, 1.0 }
    %3 = linalg.generic ... ins(%x, %2) { mulf %a, %b }
    %4 = linalg.generic ... ins(%3) { mulf %a, 0.5 }
    // becomes
    %4 = linalg.generic ... ins(%x) { whit.gelu %a }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect"];
}
