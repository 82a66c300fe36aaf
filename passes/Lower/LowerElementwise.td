// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code for linalg operations, and for every function of the math dialect.

#ifndef WHIT_PASSES_LOWER_ELEMENTWISE
#define WHIT_PASSES_LOWER_ELEMENTWISE

include "mlir/Pass/PassBase.td"

def LowerElementwisePass : Pass<"whit-lower-elementwise", "mlir::func::FuncOp"> {
  let summary = "lowers linalg operations on memrefs to loops, elementwise ones over vectors, and math to arithmetic";
  let description = [{
    ```mlir
    linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
                    iterator_types = ["parallel", "parallel"]}
        ins(%x, %bias : memref<?x40xf32>, memref<40xf32>) outs(%y : memref<?x40xf32>) {
    ^bb0(%a: f32, %b: f32, %unused: f32):
      %sum = arith.addf %a, %b : f32
      linalg.yield %sum : f32
    }
    ```

    becomes

    ```mlir
    scf.for %i = %c0 to %rows step %c1 {
      scf.for %j = %c0 to %c32 step %c16 {
        %a = vector.load %x[%i, %j] : memref<?x40xf32>, vector<16xf32>
        %b = vector.load %bias[%j] : memref<40xf32>, vector<16xf32>
        %sum = arith.addf %a, %b : vector<16xf32>
        vector.store %sum, %y[%i, %j] : memref<?x40xf32>, vector<16xf32>
      }
      ...                                              // 8 more, masked
    }
    ```

    Vectors run along the last parallel loop that moves each result, and moves only last dimensions of unit stride; it
    becomes the innermost one. If there is none, they run along a reduction (sum, product, maximum ...) with 16 partial
    results and one order of folding. The body must be lane-wise. Whatever else linalg says (transposes, gathers by index,
    integer division) becomes scalar loops. memref.copy is treated alike.

    Functions of the math dialect become polynomials, conversions of f16 and bf16 become integer arithmetic where the target
    has no instruction, and arithmetic on f16 and bf16 is done in f32: nothing is left that needs a library. Multiply and add
    are not fused here, so the bits are the same on every target.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

#endif // WHIT_PASSES_LOWER_ELEMENTWISE
