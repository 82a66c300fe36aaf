// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_LOWERLOOKUP
#define WHIT_LOWER_LOWERLOOKUP
include "mlir/Pass/PassBase.td"

def LowerLookupPass : Pass<"whit-lower-lookup", "mlir::ModuleOp"> {
  let summary = "look-ups in constant tables become permutations of registers, or loads";
  let description = [{
    By the features of `whit.target`. Numbers: `vpermps` and `vpermi2ps` for up to 64 entries (avx512f), `vpermps` on half of
    the lanes for up to 16 (avx2). Bytes: `vpermb` (avx512vbmi) for up to 64 entries, else `pshufb` of the widest vectors there
    are, 16 entries each. The upper bits of a code choose between the results. Longer tables, and all on other targets, are
    constants of the module that are read by a gather, which LLVM turns into loads where there is no such instruction.

    ```mlir
    %w = whit.lookup %c in dense<[...]> : tensor<16xf32> : vector<16xi32> -> vector<16xf32>
    // becomes, with +avx512f
    %t = arith.constant dense<[...]> : vector<16xf32>
    %w = llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%t, %c) : ...
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::memref::MemRefDialect", "mlir::vector::VectorDialect",
                           "mlir::LLVM::LLVMDialect"];
}
#endif
