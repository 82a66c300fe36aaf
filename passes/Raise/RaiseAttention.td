// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseAttentionPass : Pass<"whit-raise-attention", "::mlir::func::FuncOp"> {
  let summary = "turns softmax(scale q k + mask) v into whit.attention";
  let description = [{
    The contraction of a softmax with v is the root. Scores are a contraction of q and k, scaled anywhere between q and the
    softmax; masks are added, or chosen by a select with a number far below any score. Keys and values whose heads are
    repeated for groups of query heads are used unrepeated. A softmax whose NaNs become 0 is one that gives 0 for a row that
    sees nothing, which is what whit.attention does.

    ```mlir
    %s = linalg.generic ... ins(%q, %k) { mulf, addf }       // [B, H, S, T]
    %m = linalg.generic ... ins(%s, %mask) { addf }
    %p = whit.softmax ins(%m)                               // or its formula
    %y = linalg.generic ... ins(%p, %v) { mulf, addf }       // [B, H, S, D]
    // becomes
    %y = whit.attention ins(%q, %k, %v mask %mask) ... bidirectional
    ```

    A condition t <= s + position in the mask, by which a row does not see what is behind it, becomes the position that the
    operation starts from; where it is not there, the operation is bidirectional. What is left of the mask is computed in the
    smallest shape that it has.

    q and y are [B, S, H, D], so transposes between that and the form of the model fold with those that are there. Keys and
    values that are no cache yet are appended to an empty one.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
