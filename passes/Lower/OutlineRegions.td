// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_OUTLINEREGIONS
#define WHIT_LOWER_OUTLINEREGIONS
include "mlir/Pass/PassBase.td"

def OutlineRegionsPass : Pass<"whit-outline-regions", "mlir::ModuleOp"> {
  let summary = "makes each region a function of its own";
  let description = [{
    Captured tensors become the first arguments, in the order that the region lists them; scalars follow. The module attribute
    `whit.regions` describes the functions in order.

    ```mlir
    %y = whit.region "up" (%x, %e : ...) { ... whit.yield %r : tensor<?x1536xf32> } -> tensor<?x1536xf32>
    // becomes
    %y = call @region_0(%x, %e) : (tensor<?x576xf32>, tensor<?x1536xf32>) -> tensor<?x1536xf32>
    ```
  }];
  let dependentDialects = ["mlir::func::FuncDialect"];
}
#endif
