// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_FUSE_FUSEELEMENTWISE
#define WHIT_FUSE_FUSEELEMENTWISE
include "mlir/Pass/PassBase.td"

def FuseElementwisePass : Pass<"whit-fuse-elementwise", "mlir::func::FuncOp"> {
  let summary = "makes one operation of elementwise operations that feed each other";
  let description = [{
    So that a region computes each of their inputs once. A producer that several read stays. Reshapes between two of them are
    moved away, unless that would put a reshape between an elementwise operation and the matmul, norm or other row operation
    that feeds it: those become one region only if they see the same shape.

    ```mlir
    %y = whit.matmul ins(%x, %w : ...) outs(...) -> tensor<?x384xf32>
    %z = linalg.generic ins(%y, %bias : tensor<?x384xf32>, tensor<384xf32>) ...
    %h = tensor.expand_shape %z [[0, 1], [2, 3]] ... : tensor<?x384xf32> into tensor<?x?x12x32xf32>
    // stays as it is
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}
#endif
