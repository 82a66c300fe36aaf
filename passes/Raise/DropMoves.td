// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def DropMovesPass : Pass<"whit-drop-moves", "::mlir::func::FuncOp"> {
  let summary = "drops transposes and copies that lead back to where they began";
  let description = [{
    A transpose, or an elementwise copy, whose elements stand in the same order in a tensor further back becomes a view of that
    tensor: a chain of moves that undo each other, or one that moves only dimensions of size 1.

    ```mlir
    %0 = linalg.transpose ins(%x) permutation = [0, 2, 1, 3]
    %1 = tensor.collapse_shape %0 [[0, 1], [2], [3]]
    %2 = tensor.expand_shape %1 [[0, 1], [2], [3]]
    %3 = linalg.transpose ins(%2) permutation = [0, 2, 1, 3]
    // users of %3 read %x
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::affine::AffineDialect"];
}
