// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_PLANMEMORY
#define WHIT_LOWER_PLANMEMORY
include "mlir/Pass/PassBase.td"

def PlanMemoryPass : Pass<"whit-plan-memory", "mlir::ModuleOp"> {
  let summary = "gives every buffer of @main a place in one workspace, and makes its sizes a function";
  let description = [{
    Buffers whose lifetimes do not overlap share a slot; a slot is as large as the largest of them. All sizes are computed from
    the dimensions of the arguments, so `@whit_main_sizes(symbols, sizes)` can tell how much memory a call needs before it is
    made, and `@whit_main(context, arguments)` allocates nothing. Constants become arguments. The module attribute
    `whit.arguments` describes all arguments in order, as the manifest does.

    ```mlir
    func.func @main(%x: memref<?x64xf32>, %out: memref<?x8xf32>) -> memref<?x8xf32> {
      %w = whit.constant @w : memref<1x288xi8>
      %a = memref.alloc(%n) : memref<?x64xf32>
    // becomes
    func.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
      ... x, out, w and the workspace are loaded from %arguments ...
      %a = memref.view %workspace[%offset][%n] : memref<?xi8> to memref<?x64xf32>
    ```

    A size that depends on the content of a tensor is refused, as is an output or state that is not updated in place.
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::memref::MemRefDialect", "mlir::arith::ArithDialect"];
}
#endif
