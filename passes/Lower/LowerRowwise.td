// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code for operations that work on one row at a time.

#ifndef WHIT_PASSES_LOWER_ROWWISE
#define WHIT_PASSES_LOWER_ROWWISE

include "mlir/Pass/PassBase.td"

def LowerRowwisePass : Pass<"whit-lower-rowwise", "mlir::func::FuncOp"> {
  let summary = "lowers quantize, quantize_float, dequantize, gather, norms, softmax and rotary on memrefs to loops over vectors";
  let description = [{
    Every row is computed alone: loops over the leading dimensions, then vectors of 16 along the last one, its tail masked.

    ```mlir
    whit.rms_norm ins(%x, %w : memref<?x64xf32>, memref<64xf32>) outs(%y : memref<?x64xf32>) epsilon = 1.0e-5
    ```

    becomes

    ```mlir
    scf.for %row = %c0 to %rows step %c1 {
      %squares = scf.for %k = %c0 to %c64 step %c16 iter_args(%sum = %zeros) -> (vector<16xf32>) {
        %v = vector.load %x[%row, %k] : memref<?x64xf32>, vector<16xf32>
        ...                                  // sum + v * v
      }
      ...                                    // the 16 sums folded by halves, then 1 / sqrt(mean + epsilon)
      scf.for %k = %c0 to %c64 step %c16 {
        ...
        vector.store %scaled, %y[%row, %k] : memref<?x64xf32>, vector<16xf32>
      }
    }
    ```

    Sums have 16 partial sums and one order of folding, and multiply and add are not fused, so a row gives the same bits
    alone, in a batch, and on every target. Weights are decoded from the panel stream by scalar addresses, a group of a row
    at a time; nothing outside a table is read, whatever the index. Operations on tensors are left alone.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

#endif // WHIT_PASSES_LOWER_ROWWISE
