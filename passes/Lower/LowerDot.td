// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERDOT
#define WHIT_LOWER_LOWERDOT
include "mlir/Pass/PassBase.td"

def LowerDotPass : Pass<"whit-lower-dot", "mlir::func::FuncOp"> {
  let summary = "dot products of bytes and of bf16 become the best instructions of the target";
  let description = [{
    By the features of `whit.target`: `vpdpbusd` on 512 bits (avx512vnni) or 256 bits (avxvnni); else bytes are widened to 16
    bits, even and odd ones apart so that nothing crosses a lane, and multiplied with `pmaddwd` of the widest vectors there
    are. Without `whit.target` plain arithmetic is used. Every lowering gives the same integers: `pmaddubsw`, which saturates,
    is taken only for codes that a mask keeps below 128, when it cannot.

    Pairs of bf16 take `vdpbf16ps` on 512 bits (avx512bf16), else two multiply-adds of f32 in the order of that instruction.

    ```mlir
    %r = whit.dot %acc, %u, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
    // becomes, with +avx512vnni
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%acc, %u, %s) : ...
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect", "mlir::vector::VectorDialect", "mlir::LLVM::LLVMDialect"];
}
#endif
