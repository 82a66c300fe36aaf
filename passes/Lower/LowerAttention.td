// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Code for attention over a cache.

#ifndef WHIT_PASSES_LOWER_ATTENTION
#define WHIT_PASSES_LOWER_ATTENTION

include "mlir/Pass/PassBase.td"

def LowerAttentionPass : Pass<"whit-lower-attention", "mlir::func::FuncOp"> {
  let summary = "lowers attention and cache_append on memrefs to loops over vectors";
  let description = [{
    `whit.attention` becomes, for each key-value head, tiles of query rows (positions x the heads that share the keys), and
    for each tile a loop over blocks of 64 keys that start at multiples of 64:

    ```mlir
    scf.for %keys = %first to %limit step %c64 {
      scf.for %block = %c0 to %blocks step %c4 {     // scores of rows x 64 tokens: one chain over d per row and 16 tokens
        %scores:24 = scf.for %d = %c0 to %depth step %c1 iter_args(...) { ... math.fma %query, %k, %score ... }
        ...
      }
      scf.for %row = %c0 to %rows step %c1 { ... }   // mask, new maximum, exp, sum of 16 lanes
      %out:24 = scf.for %t = ... iter_args(...) { ... math.fma %weight, %v, %out ... }
    }
    ```

    A row's blocks, chains and sums do not depend on the tile it is in, so it has the same bits alone and in a batch. Scores
    of tokens that a row may not see are replaced, not multiplied by 0, and values of such tokens are not added, so whatever
    an unused cache position holds, NaN included, does not matter. A mask is added to 16 scores at a time before that. exp is a polynomial; multiply and add are fused if
    `whit.target` has `fma`. Keys in [B, H, T, D] form are transposed into a block on the stack first.

    `whit.cache_append` copies rows, narrowing to f16 or bf16 by rounding to nearest even; 16 tokens that fill a block of a
    blocked cache are transposed at once. Operations on tensors are left alone.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::LLVM::LLVMDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::scf::SCFDialect", "mlir::vector::VectorDialect"];
}

#endif // WHIT_PASSES_LOWER_ATTENTION
