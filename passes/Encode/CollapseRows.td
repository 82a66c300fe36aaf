// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_COLLAPSEROWS
#define WHIT_ENCODE_COLLAPSEROWS
include "mlir/Pass/PassBase.td"

def CollapseRowsPass : Pass<"whit-collapse-rows", "mlir::func::FuncOp"> {
  let summary = "makes the leading dimensions of activations one dimension of rows";
  let description = [{
    Matmuls, norms, quantization, gathers and elementwise operations treat all leading dimensions alike, so a batch of 4 and a
    sequence of 1 is four rows: the weights are read once. The operation is rewritten on rank 2 and its result expanded;
    pairs of expand and collapse then cancel, so that only attention and rotary embedding see batch and sequence.

    ```mlir
    %y = whit.rms_norm ins(%x, %w : tensor<?x?x576xf32>, tensor<576xf32>) outs(%e : tensor<?x?x576xf32>) ...
    // becomes
    %r = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x576xf32> into tensor<?x576xf32>
    %s = whit.rms_norm ins(%r, %w : tensor<?x576xf32>, tensor<576xf32>) outs(%f : tensor<?x576xf32>) ...
    %y = tensor.expand_shape %s [[0, 1], [2]] ...
    ```

    Elementwise operations are rewritten when each operand has all leading dimensions of the result or none, as a bias.
    Operations of rank 2 and less stay.
  }];
  let dependentDialects = ["mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect", "mlir::arith::ArithDialect"];
}
#endif
