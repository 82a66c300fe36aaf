// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one type of the dialect: a tensor whose storage is described by a format.

#ifndef WHIT_TYPES
#define WHIT_TYPES

include "Whit/WhitAttrs.td"
include "mlir/Dialect/Bufferization/IR/BufferizationTypeInterfaces.td"

def Whit_EncodedTensorType : TypeDef<Whit_Dialect, "EncodedTensor",
    [DeclareTypeInterfaceMethods<Bufferization_TensorLikeTypeInterface>]> {
  let mnemonic = "tensor";
  let summary = "a matrix of static shape, each value stored as its format says";
  let description = [{
    `!whit.tensor<4096x14336xf32, #whit.format<int4_g32>>`: logical shape N x K (rows are output columns of a matmul, groups
    run along K) and logical element type, which is f32, f16 or bf16. Opaque to upstream dialects.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "Type":$elementType, "FormatAttr":$format);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // WHIT_TYPES
