// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the client library, with the assembly that JAX prints.

#ifndef CHLO_OPS
#define CHLO_OPS

include "CHLO/CHLODialect.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def CHLO_Tensor : Type<CPred<"::llvm::isa<::mlir::RankedTensorType>($_self)">, "tensor of known rank", "::mlir::RankedTensorType">;

class CHLO_Unary<string mnemonic, string summary_> : Op<CHLO_Dialect, mnemonic, [Pure]> {
  let summary = summary_;
  let arguments = (ins CHLO_Tensor:$operand);
  let results = (outs CHLO_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def CHLO_ErfOp : CHLO_Unary<"erf", "the error function">;
def CHLO_ErfcOp : CHLO_Unary<"erfc", "1 - erf(x)">;
def CHLO_SquareOp : CHLO_Unary<"square", "x * x">;

def CHLO_TopKOp : Op<CHLO_Dialect, "top_k", [Pure]> {
  let summary = "the k greatest elements of the last dimension, greatest first, and where they stand";
  let arguments = (ins CHLO_Tensor:$operand, I64Attr:$k);
  let results = (outs CHLO_Tensor:$values, CHLO_Tensor:$indices);
  let assemblyFormat = [{`(` $operand `,` `k` `=` $k `)` attr-dict `:` type($operand) `->` `(` type($values) `,`
    type($indices) `)`}];
  let hasVerifier = 1;
}

#endif // CHLO_OPS
