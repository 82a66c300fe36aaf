// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code for products of two activations.

#ifndef WHIT_PASSES_LOWER_CONTRACTION
#define WHIT_PASSES_LOWER_CONTRACTION

include "mlir/Pass/PassBase.td"

def LowerContractionPass : Pass<"whit-lower-contraction", "mlir::func::FuncOp"> {
  let summary = "lowers sums of products on memrefs to register-blocked loops over vectors";
  let description = [{
    For a linalg.generic whose body is `acc + a * b` (elements may be widened first) and whose loops move either both factors,
    or the result and one of them:

    ```mlir
    linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                    iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : memref<?x?xf32>, memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
    ^bb0(%x: f32, %w: f32, %sum: f32):
      %p = arith.mulf %x, %w : f32
      %s = arith.addf %sum, %p : f32
      linalg.yield %s : f32
    }
    ```

    - where the last dimension of a factor and of the result is the same loop, a block of 4 rows and up to 4 vectors of 16
      columns is summed in registers: an element of the other factor is broadcast and multiplied with each vector;
    - where the last dimension of both factors is the same summed loop, a block of 4 x 4 dot products is, each in 16 lanes,
      folded by halves.

    An element is summed in the same order in every block, whole or not, so its bits do not depend on what is around it. f16
    and bf16 are widened to f32, and multiply and add are one rounding where the target can. Everything else is left to
    whit-lower-elementwise.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

#endif // WHIT_PASSES_LOWER_CONTRACTION
