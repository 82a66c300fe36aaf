// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_ADDDESTINATIONS
#define WHIT_ENCODE_ADDDESTINATIONS
include "mlir/Pass/PassBase.td"

def AddDestinationsPass : Pass<"whit-add-destinations", "mlir::ModuleOp"> {
  let summary = "passes outputs as arguments, and computes the logits of the last rows only";
  let description = [{
    Every named result gets a destination argument with the same name and dimensions; the caller owns its memory. When the
    function has the role `logits`, that output has as many rows as its destination: the last ones of the sequence. The
    symbol `whit.last_rows` is their number; a prompt of 128 tokens then pays the output head once, not 128 times.

    ```mlir
    func.func @main(%x: ...) -> (tensor<?x?x1000xf32> {whit.name = "logits", whit.dims = ["batch", "sequence", 1000]}) {
      %y = whit.matmul ins(%h, %w : tensor<?x?x64xf32>, ...) outs(%e : tensor<?x?x1000xf32>) -> tensor<?x?x1000xf32>
      return %y
    // becomes
    func.func @main(%x: ..., %out: tensor<?x?x1000xf32> {whit.name = "logits", whit.dims = ["batch", "whit.last_rows", 1000], whit.output}) -> ... {
      %last = tensor.extract_slice %h[0, sequence - last_rows, 0] ...
      %y = whit.matmul ins(%last, %w : tensor<?x?x64xf32>, ...) outs(%out : tensor<?x?x1000xf32>) -> tensor<?x?x1000xf32>
    ```

    A module with the attribute `whit.choose_tokens` (`--choose-tokens`) gets one output more, `whit.next_tokens` [batch, rows] of i64:
    the place of the largest logit of each row, the first of several, -1 where a logit is NaN.
  }];
  let dependentDialects = ["mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect", "mlir::arith::ArithDialect", "mlir::affine::AffineDialect", "mlir::bufferization::BufferizationDialect"];
}
#endif
