// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_OUTLINEREGIONS
#define WHIT_LOWER_OUTLINEREGIONS
include "mlir/Pass/PassBase.td"

def OutlineRegionsPass : Pass<"whit-outline-regions", "mlir::ModuleOp"> {
  let summary = "makes each region a function of its own";
  let description = [{
    Captured tensors become the first arguments, in the order that the region lists them; scalars follow, and last the number
    of the region, by which the module attribute `whit.regions` describes it. Regions that differ only in what they capture
    share one function, so the layers of a transformer are lowered once. On a GPU, numbers that are read from tensors outside are read
    inside, from tensors that are passed behind those that are captured.

    ```mlir
    %y = whit.region "up" (%x, %e : ...) { ... whit.yield %r : tensor<?x1536xf32> } -> tensor<?x1536xf32>
    // becomes
    %y = call @region_0(%x, %e, %c0_i32) : (tensor<?x576xf32>, tensor<?x1536xf32>, i32) -> tensor<?x1536xf32>
    ```
  }];
  let dependentDialects = ["mlir::func::FuncDialect", "mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}
#endif
