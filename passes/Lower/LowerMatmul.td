// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERMATMUL
#define WHIT_LOWER_LOWERMATMUL
include "mlir/Pass/PassBase.td"

def LowerMatmulPass : Pass<"whit-lower-matmul", "mlir::func::FuncOp"> {
  let summary = "matmuls with packed weights become loops over vectors, any format by the same rules";
  let description = [{
    `whit.matmul` and `whit.quantized_matmul` on memrefs become loops over panels of 16 columns, rows and K. A block of
    `schedule` rows x panels keeps its sums in registers, reads each line of codes once, decodes it with shifts and masks that
    follow from the format's place, and adds with `whit.dot` (int8 activations, and bf16 ones where code - zero or the stored value is bf16 as well) or
    multiply-add (all else). Remaining rows take
    smaller blocks and the last panel a masked store. One to three rows take a path of their own that reads four panels side
    by side. Without a schedule the block is chosen for the registers of `whit.target`; a schedule that asks for more than they
    hold is cut.

    ```mlir
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x2x32xi8>, memref<1x2xf32>, memref<1x2xi32>,
                              memref<1x576xi8>) outs(%y : memref<1x16xf32>) at #whit.place<<int4_g32>, 16 by 64>
    // becomes, in outline
    %acc = scf.for %g = 0 to 2 iter_args(%a = zeros) {
      %start = broadcast(-8 * %sums[0, %g])
      %line = vector.load %w[0, %g * 288 + ...]
      %low = and(%line, 0x0F0F0F0F), %high = and(shrui(%line, 4), 0x0F0F0F0F)
      %dots = whit.dot(whit.dot(%start, %low, broadcast(%codes[0, %g, 0..3])), %high, broadcast(%codes[0, %g, 4..7])) ...
      yield %a + (%scales[0, %g] * extf(vector.load %w[0, %g * 288 + 256])) * sitofp(%dots)
    }
    vector.store %acc, %y[0, 0]
    ```

    Leading dimensions are rows: they are collapsed where memory allows (looked up at run time if types do not tell) and
    looped over otherwise. The bits of a row depend neither on the other rows nor on the schedule.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::memref::MemRefDialect",
                           "mlir::scf::SCFDialect", "mlir::vector::VectorDialect", "mlir::LLVM::LLVMDialect"];
}
#endif
