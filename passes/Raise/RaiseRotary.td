// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseRotaryPass : Pass<"whit-raise-rotary", "::mlir::func::FuncOp"> {
  let summary = "turns x cos + rotate_half(x) sin into whit.rotary";
  let description = [{
    rotate_half(x) is concat(-x2, x1) of the halves of the last dimension; both halves of the tables must be the same. Tables
    of one row for each token of a batch, [B, S, D], become a table [B * S, D / 2] in which sequence b starts at row b * S:
    what whit.rotary calls a position is only the row of a table. Tables that all sequences share start at row 0.

    ```mlir
    %r = tensor.concat dim(3) %minus_x2, %x1
    %0 = linalg.generic ... ins(%x, %cos) { mulf }
    %1 = linalg.generic ... ins(%r, %sin) { mulf }
    %y = linalg.generic ... ins(%0, %1) { addf }
    // becomes
    %y = whit.rotary ins(%x, %half_cos, %half_sin) from %start + %c0
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
