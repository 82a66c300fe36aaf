// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseMatmulsPass : Pass<"whit-raise-matmuls", "::mlir::ModuleOp"> {
  let summary = "turns contractions with a constant matrix into whit.matmul";
  let description = [{
    y[rows..., n] = sum of x[rows..., k] w, where w is a whit.constant of floats behind any transposes and reshapes. The matrix
    becomes a weight N x K in the format of its elements; whether its bytes are stored by rows of N or of K is noted on its
    source, and nothing is transposed. A table of embeddings that is such a weight as well is read from it.

    ```mlir
    whit.weight @w : tensor<384x1536xf32> = [#whit.source<"rows", 384, ...>]
    %w = whit.constant @w : tensor<384x1536xf32>
    %y = linalg.generic ... ins(%x, %w) { mulf, addf }
    // becomes
    whit.weight @w : !whit.tensor<1536x384xf32, #whit.format<f32>> = [#whit.source<"columns", 1536, ...>]
    %w = whit.constant @w : !whit.tensor<1536x384xf32, #whit.format<f32>>
    %y = whit.matmul ins(%x, %w)
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
