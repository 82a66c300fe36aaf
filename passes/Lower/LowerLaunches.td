// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERLAUNCHES
#define WHIT_LOWER_LOWERLAUNCHES
include "mlir/Pass/PassBase.td"

def LowerLaunchesPass : Pass<"whit-lower-launches", "mlir::ModuleOp"> {
  let summary = "turns the parallel loops of each region into kernels of a GPU and their launches";
  let description = [{
    For GPUs, in place of `whit-lower-parallel`. The body of a loop becomes a kernel of `gpu.module @kernels`: a block for each tile of a loop
    that is marked with `whit.threads`, a thread for each tile of another. Kernels take words of 8 bytes: of a memref its pointer and
    those of its offset, sizes and strides that are not known. Buffers inside a loop become shared memory of the block, or private memory of
    the thread, of their largest size. Every function of a region gets the runtime's context as first argument.

    ```mlir
    func.func private @region_0(%x: memref<?xf32>) {
      scf.forall (%i) = (0) to (%n) step (8) { ... } {whit.threads = 128 : i64}
    // becomes
    func.func private @region_0(%context: !llvm.ptr, %x: memref<?xf32>) {
      gpu.launch_func @kernels::@region_0_tiles blocks in (%tiles, %c1, %c1) threads in (%c128, %c1, %c1) args(...)
    gpu.func @region_0_tiles(%x: !llvm.ptr<1>, %size: i64, %n: i64) kernel attributes {known_block_size = array<i32: 128, 1, 1>} { ... }
    ```
  }];
  let dependentDialects = ["mlir::gpu::GPUDialect", "mlir::LLVM::LLVMDialect", "mlir::scf::SCFDialect", "mlir::memref::MemRefDialect",
                           "mlir::affine::AffineDialect", "mlir::arith::ArithDialect"];
}
#endif
