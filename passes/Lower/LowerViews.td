// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERVIEWS
#define WHIT_LOWER_LOWERVIEWS
include "mlir/Pass/PassBase.td"

def LowerViewsPass : Pass<"whit-lower-views", "mlir::func::FuncOp"> {
  let summary = "lowers the views and copies that upstream cannot";
  let description = [{
    Strided copies become loops, not calls of a runtime library that compiled models do not link; a copy between contiguous
    buffers becomes a memcpy later on and stays. An expansion of one dimension into several dynamic ones becomes a
    reinterpret_cast of computed strides.

    ```mlir
    memref.copy %slice, %row : memref<?x64xf32, strided<[128, 1]>> to memref<?x64xf32>
    // becomes
    linalg.generic {...} ins(%slice : ...) outs(%row : ...) { linalg.yield %in : f32 }
    ```
  }];
  let dependentDialects = ["mlir::linalg::LinalgDialect", "mlir::affine::AffineDialect"];
}
#endif
