// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The `whit` dialect: low-bit tensors and the transformer operations on them.

#ifndef WHIT_DIALECT
#define WHIT_DIALECT

include "mlir/IR/OpBase.td"

def Whit_Dialect : Dialect {
  let name = "whit";
  let cppNamespace = "::mlir::whit";
  let summary = "Tensors whose values are stored in any number of bits, and the operations that consume them";
  let description = [{
    A `!whit.tensor` says what a matrix means (its logical shape and element type) and how each value is stored (its
    format, one row of `include/whit/Formats.def`). Weights never appear as dense attributes: `whit.weight` names bytes
    of a memory-mapped file, and `whit.constant` uses them.

    Compute operations are in destination style and work on tensors and, after bufferization, on memrefs. All leading
    dimensions of an activation are rows; only the last one is contracted, normalized or quantized.
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    void registerTypes();
    void registerAttributes();
  }];
}

#endif // WHIT_DIALECT
