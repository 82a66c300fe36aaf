// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERVIEWS
#define WHIT_LOWER_LOWERVIEWS
include "mlir/Pass/PassBase.td"

def LowerViewsPass : Pass<"whit-lower-views", "mlir::func::FuncOp"> {
  let summary = "lowers the views that upstream cannot";
  let description = [{
    An expansion of one dimension into several dynamic ones becomes a reinterpret_cast of computed strides.

    ```mlir
    %e = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64] : memref<?x64xf32> into memref<?x?x64xf32>
    // becomes
    %e = memref.reinterpret_cast %base to offset: [0], sizes: [%b, %s, 64], strides: [%s * 64, 64, 1]
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect"];
}
#endif
