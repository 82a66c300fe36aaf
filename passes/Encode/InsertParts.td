// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_INSERTPARTS
#define WHIT_ENCODE_INSERTPARTS
include "mlir/Pass/PassBase.td"

def InsertPartsPass : Pass<"whit-insert-parts", "mlir::func::FuncOp"> {
  let summary = "concatenations and paddings become parts that are written into one destination";
  let description = [{
    Each part is then computed where it belongs, or copied there once; without this, a part has memory of its own first.

    ```mlir
    %c = tensor.concat dim(1) %x, %y : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<2x7xf32>
    // becomes
    %e = tensor.empty() : tensor<2x7xf32>
    %a = tensor.insert_slice %x into %e[0, 0] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<2x7xf32>
    %c = tensor.insert_slice %y into %a[0, 3] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<2x7xf32>
    ```

    Runs after the raise stage, whose patterns look for concatenations.
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
                           "mlir::tensor::TensorDialect"];
}
#endif
