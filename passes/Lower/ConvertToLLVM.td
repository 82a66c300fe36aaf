// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_CONVERTTOLLVM
#define WHIT_LOWER_CONVERTTOLLVM
include "mlir/Pass/PassBase.td"

def ConvertToLLVMPass : Pass<"whit-convert-to-llvm", "mlir::ModuleOp"> {
  let summary = "converts what is left to the LLVM dialect, calls of the runtime included";
  let description = [{
    Upstream conversions of arith, math, memref, func, cf, index and ub, and two patterns of Whit's own: `whit.parallel` packs
    what a body captures into a struct on the stack and calls the context's `parallel`; `whit.observe` calls its `observe`. The
    layout of the context is that of `include/whit/Kernel.h`.

    ```mlir
    whit.parallel @body(%x : memref<?xf32>) over %n
    // becomes
    %captured = llvm.alloca ... ; llvm.store ...
    llvm.call %parallel(%context, @body_entry, %captured, %n) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
    ```
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect"];
}
#endif
