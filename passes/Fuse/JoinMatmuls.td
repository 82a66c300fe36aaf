// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_FUSE_JOINMATMULS
#define WHIT_FUSE_JOINMATMULS
include "mlir/Pass/PassBase.td"

def JoinMatmulsPass : Pass<"whit-join-matmuls", "mlir::ModuleOp"> {
  let summary = "makes matmuls of one input one matmul along N";
  let description = [{
    Query, key and value projections read the same activations: their weights are concatenated and the result is sliced, one
    kernel instead of three. The parts of a weight are a list, so joining copies no byte.

    ```mlir
    %q = whit.matmul ins(%x, %wq : ...) ... -> tensor<?x576xf32>
    %k = whit.matmul ins(%x, %wk : ...) ... -> tensor<?x192xf32>
    // becomes
    %qk = whit.matmul ins(%x, %wq_wk : ...) ... -> tensor<?x768xf32>
    %q = tensor.extract_slice %qk[0, 0] [%m, 576] [1, 1]
    %k = tensor.extract_slice %qk[0, 576] [%m, 192] [1, 1]
    ```

    Weights of different formats are not joined, nor weights that something else uses, nor matmuls in front of an elementwise
    operation: those become one region with it, tile by tile. The cost model must find one kernel cheaper than several.
  }];
  let dependentDialects = ["mlir::whit::WhitDialect", "mlir::tensor::TensorDialect"];
}
#endif
