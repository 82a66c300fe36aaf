// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseCachesPass : Pass<"whit-raise-caches", "::mlir::func::FuncOp"> {
  let summary = "turns a past and new tokens, concatenated, into whit.cache_append";
  let description = [{
    concat(past, new) along dimension 2 of [B, H, T, D], where past is an input of the function and the concatenation an
    output. New tokens start behind the whole past. The length of the past is that of the whole less the new tokens where an
    argument has the length of the whole, so that nobody asks the past for it and whit-make-caches-in-place can take it away.

    An elementwise operation that takes new tokens where they are and a cache elsewhere, as an update of a slice is imported,
    becomes the same operation without a past.

    ```mlir
    %new = linalg.transpose ins(%tokens) permutation = [0, 2, 1, 3]
    %k = tensor.concat dim(2) %past, %new
    return %k
    // becomes
    %k = whit.cache_append ins(%tokens after %past) from %start outs(%e)
    return %k
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
