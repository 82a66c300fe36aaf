// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LAYOUT_SOLVEPLACES
#define WHIT_LAYOUT_SOLVEPLACES
include "mlir/Pass/PassBase.td"

def SolvePlacesPass : Pass<"whit-solve-places", "mlir::ModuleOp"> {
  let summary = "gives every weight and every cache the layout that its consumers read";
  let description = [{
    A weight becomes packed bytes, one row of bytes per panel of 16 columns, and its users say at which place their bits lie.
    One weight has one place, also when a gather reads it beside a matmul. The keys of a cache are blocked by 16 tokens, so
    that scores of 16 tokens are one chain of multiply-adds; values stay in token order. A cache with a format becomes bytes, blocks of
    16 tokens (`runtime/encoding/CacheBlock.h`): keys in panels, values in rows.

    ```mlir
    whit.weight @w : !whit.tensor<960x576xf32, #whit.format<int4_g32>> = [...]
    %w = whit.constant @w : !whit.tensor<960x576xf32, #whit.format<int4_g32>>
    %y = whit.matmul ins(%x, %w : tensor<?x576xf32>, !whit.tensor<960x576xf32, #whit.format<int4_g32>>) outs(...)
    // becomes
    whit.weight @w : tensor<60x5184xi8> = [...] at #whit.place<#whit.format<int4_g32>, 960 by 576>
    %w = whit.constant @w : tensor<60x5184xi8>
    %y = whit.matmul ins(%x, %w : tensor<?x576xf32>, tensor<60x5184xi8>) outs(...) at #whit.place<#whit.format<int4_g32>, 960 by 576>
    ```
  }];
}
#endif
