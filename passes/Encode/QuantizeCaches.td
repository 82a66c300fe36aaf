// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_QUANTIZECACHES
#define WHIT_ENCODE_QUANTIZECACHES
include "mlir/Pass/PassBase.td"

def QuantizeCachesPass : Pass<"whit-quantize-caches", "mlir::func::FuncOp"> {
  let summary = "gives keys and values that a model caches a low-bit format";
  let description = [{
    A state that is only appended to and attended to, as keys or as values but not as both, gets a format: each token of each head is
    one channel with one scale. Where keys are quantized with `hadamard`, they and the queries are multiplied by the normalized
    Hadamard matrix of the head's size first: scores stay what they were, and no single feature decides about the scale.

    ```mlir
    %kk = whit.cache_append ins(%new : tensor<?x?x2x64xf32>) from %start : tensor<?xi32> outs(%k : tensor<?x2x64x64xf32>) -> tensor<?x2x64x64xf32>
    %y = whit.attention ins(%q, %kk, %vv : ...) from %start + %c0 : tensor<?xi32> outs(...) scale = 0.125 -> ...
    // becomes
    %kk = whit.cache_append ins(...) from %start : tensor<?xi32> outs(%k : tensor<?x2x64x64xf32>) as <int8_channel> -> ...
    %y = whit.attention ins(...) from ... outs(...) scale = 0.125 keys <int8_channel> values <int8_channel> -> ...
    ```

    A cache that is used in any other way stays as it is, and a remark says why.
  }];
  let options = [Option<"kv", "kv", "std::string", "\"int8\"", "format of keys and values, or of keys, then `,` and of values; the grouping may be left out">,
                 Option<"hadamard", "hadamard", "bool", "false", "multiply keys and queries by a Hadamard matrix">];
}
#endif
