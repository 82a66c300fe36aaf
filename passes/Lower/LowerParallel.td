// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERPARALLEL
#define WHIT_LOWER_LOWERPARALLEL
include "mlir/Pass/PassBase.td"

def LowerParallelPass : Pass<"whit-lower-parallel", "mlir::ModuleOp"> {
  let summary = "turns the parallel loop of each region into a function that threads run over chunks";
  let description = [{
    The loop body becomes a function of what it captures and a range of iterations. Buffers inside it become stack memory of
    their largest size, which the schedule bounds; a buffer without a bound is refused. Every function gets the runtime's
    context as first argument, and calls of regions are framed by `whit.observe`, which does nothing unless somebody watches.

    ```mlir
    func.func private @region_0(%x: memref<?xf32>) {
      scf.forall (%i) = (0) to (%n) step (8) { ... }
    // becomes
    func.func private @region_0(%context: !llvm.ptr, %x: memref<?xf32>) {
      whit.parallel @region_0_body(%x, %n : memref<?xf32>, index) over %chunks
    func.func private @region_0_body(%x: memref<?xf32>, %n: index, %begin: index, %end: index) {
      scf.for %chunk = %begin to %end step %c1 { ... }
    ```
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::scf::SCFDialect", "mlir::memref::MemRefDialect",
                           "mlir::affine::AffineDialect"];
}
#endif
