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

def CHLO_AcosOp : CHLO_Unary<"acos", "the angle of a cosine">;
def CHLO_AcoshOp : CHLO_Unary<"acosh", "the area of a hyperbolic cosine">;
def CHLO_AsinOp : CHLO_Unary<"asin", "the angle of a sine">;
def CHLO_AsinhOp : CHLO_Unary<"asinh", "the area of a hyperbolic sine">;
def CHLO_AtanOp : CHLO_Unary<"atan", "the angle of a tangent">;
def CHLO_AtanhOp : CHLO_Unary<"atanh", "the area of a hyperbolic tangent">;
def CHLO_CoshOp : CHLO_Unary<"cosh", "(exp(x) + exp(-x)) / 2">;
def CHLO_ErfInvOp : CHLO_Unary<"erf_inv", "what the error function maps to x">;
def CHLO_ErfOp : CHLO_Unary<"erf", "the error function">;
def CHLO_ErfcOp : CHLO_Unary<"erfc", "1 - erf(x)">;
def CHLO_SinhOp : CHLO_Unary<"sinh", "(exp(x) - exp(-x)) / 2">;
def CHLO_TanOp : CHLO_Unary<"tan", "tan(x)">;
def CHLO_SquareOp : CHLO_Unary<"square", "x * x">;

class CHLO_Test<string mnemonic, string summary_> : Op<CHLO_Dialect, mnemonic, [Pure]> {
  let summary = summary_;
  let arguments = (ins CHLO_Tensor:$operand);
  let results = (outs CHLO_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def CHLO_IsInfOp : CHLO_Test<"is_inf", "whether x is infinite">;
def CHLO_IsNegInfOp : CHLO_Test<"is_neg_inf", "whether x is -infinity">;
def CHLO_IsPosInfOp : CHLO_Test<"is_pos_inf", "whether x is infinity">;

def CHLO_TopKOp : Op<CHLO_Dialect, "top_k", [Pure]> {
  let summary = "the k greatest elements of the last dimension, greatest first, and where they stand";
  let arguments = (ins CHLO_Tensor:$operand, I64Attr:$k);
  let results = (outs CHLO_Tensor:$values, CHLO_Tensor:$indices);
  let assemblyFormat = [{`(` $operand `,` `k` `=` $k `)` attr-dict `:` type($operand) `->` `(` type($values) `,`
    type($indices) `)`}];
  let hasVerifier = 1;
}

#endif // CHLO_OPS
