// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERBLOCKS
#define WHIT_LOWER_LOWERBLOCKS
include "mlir/Pass/PassBase.td"

def LowerBlocksPass : Pass<"whit-lower-blocks", "mlir::ModuleOp"> {
  let summary = "lets a block of GPU threads work on each tile of a region";
  let description = [{
    Runs on the functions of regions, for GPUs only; what writes between them gets a function of its own. What stands outside of a parallel loop gets one of a single tile. If all operations of a
    tile can be shared out to threads, the loop is marked with how many threads its blocks have (`whit.threads`), and matmuls, linalg
    operations and copies become what each thread does; operations on rows follow in `whit-lower-rowwise`. Barriers stand between
    operations. A loop with another operation stays unmarked: a single thread then works on each of its tiles, with a remark.

    ```mlir
    scf.forall (%i) = (0) to (%n) step (8) { linalg.generic ... }
    // becomes
    scf.forall (%i) = (0) to (%n) step (8) {
      %t = gpu.thread_id x
      scf.for %j = %t to %size step %c128 { ... }
    } {whit.threads = 128 : i64}
    ```
  }];
  let dependentDialects = ["mlir::gpu::GPUDialect", "mlir::LLVM::LLVMDialect", "mlir::NVVM::NVVMDialect", "mlir::scf::SCFDialect", "mlir::memref::MemRefDialect",
                           "mlir::affine::AffineDialect", "mlir::arith::ArithDialect", "mlir::vector::VectorDialect",
                           "mlir::math::MathDialect", "mlir::linalg::LinalgDialect"];
}
#endif
