// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseStackedCachesPass : Pass<"whit-raise-stacked-caches", "::mlir::func::FuncOp"> {
  let summary = "appends to slices of one tensor where they lie";
  let description = [{
    Programs of JAX keep the caches of all layers in one tensor: each layer takes its slice and updates it, and a concatenation
    makes the new tensor. As written, that copies every cache twice. Here each layer appends to its part of one tensor, so that the
    whole is copied once.

    ```mlir
    %s = tensor.extract_slice %stack[1, ...]                  // and so on, for each layer
    %c = whit.cache_append ins(%k) ... outs(%s)
    %y = tensor.concat dim(0) ..., %c, ...
    // becomes
    %s = tensor.extract_slice %before[1, ...]                 // the first one: of %stack
    %c = whit.cache_append ins(%k) ... outs(%s)
    %after = tensor.insert_slice %c into %before[1, ...]      // %y is the last one
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}
