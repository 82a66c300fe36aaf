// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseSoftmaxPass : Pass<"whit-raise-softmax", "::mlir::func::FuncOp"> {
  let summary = "turns exp(x - max x) / sum of exp(x - max x) into whit.softmax";
  let description = [{
    Over the last dimension. After attention was raised: these are the softmaxes that are left.

    ```mlir
    %m = linalg.generic ... ins(%x) reduction { maximumf }
    %0 = linalg.generic ... ins(%x, %m) { subf }
    %1 = linalg.generic ... ins(%0) { exp }
    %s = linalg.generic ... ins(%1) reduction { addf }
    %y = linalg.generic ... ins(%1, %s) { divf }
    // becomes
    %y = whit.softmax ins(%x) outs(%e)
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
