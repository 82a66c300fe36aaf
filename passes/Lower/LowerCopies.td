// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERCOPIES
#define WHIT_LOWER_LOWERCOPIES
include "mlir/Pass/PassBase.td"

def LowerCopiesPass : Pass<"whit-lower-copies", "mlir::func::FuncOp"> {
  let summary = "copies strided buffers by loops instead of by a library call";
  let description = [{
    A copy between contiguous buffers of one layout becomes a memcpy later on and stays as it is.

    ```mlir
    memref.copy %slice, %row : memref<?x64xf32, strided<[128, 1]>> to memref<?x64xf32>
    // becomes
    linalg.generic {...} ins(%slice : ...) outs(%row : ...) { linalg.yield %in : f32 }
    ```
  }];
  let dependentDialects = ["mlir::linalg::LinalgDialect"];
}
#endif
