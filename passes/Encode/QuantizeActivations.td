// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_QUANTIZEACTIVATIONS
#define WHIT_ENCODE_QUANTIZEACTIVATIONS
include "mlir/Pass/PassBase.td"

def QuantizeActivationsPass : Pass<"whit-quantize-activations", "mlir::func::FuncOp"> {
  let summary = "gives each matmul the number format of its activations";
  let description = [{
    With `int8`, the activations of a matmul are quantized per row and group of the weight, and the products are summed in
    int32, if the numbers of every codec of the weight are bytes times one number: integers, e2m1, e2m3, most tables
    (runtime/encoding/Carrier.h). Matmuls that share an input share the quantized one. `auto` is the same. Other weights, and
    groups whose sums int32 cannot hold, keep f32 activations, which a remark says.

    With `bf16`, activations are rounded to nearest even, once per value, where the stored values of the weight, or its codes
    less their zero, are bf16 numbers; sums stay f32. Other weights (f32, f16, float zeros and minimums) keep f32 activations:
    rounding these would lose digits and save nothing.

    `int4` is like `int8` with codes from -7 to 7. `int8_token` and `int4_token` have one scale for each row, a token, instead of one
    for each group of the weight. With `fp8_token` a row is scaled to reach 448 and rounded to floats of 8 bits, which bf16 holds
    exactly; the product is that of bf16 activations, takes the same weights, and is multiplied with the scale of its row. On a GPU
    that multiplies floats of 8 bits they stay such where the codes of the weight are floats of 8 bits as well (small integers,
    e2m1): the same numbers in half the bytes, at twice the speed.

    Activations that a model has in bf16 and widens are taken as they are
    stored, by `auto` too if the weight is bf16.

    ```mlir
    %y = whit.matmul ins(%x, %w : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>) outs(%e : ...)
    // becomes
    %c, %s, %t = whit.quantize ins(%x : tensor<?x64xf32>) outs(...) group = 32
    %y = whit.quantized_matmul ins(%c, %s, %t, %w : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>, ...) outs(%e : ...)
    ```
  }];
  let options = [Option<"activations", "activations", "std::string", "\"auto\"", 
    "auto, f32, bf16, int8, int8_token, int4, int4_token or fp8_token">];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::bufferization::BufferizationDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}
#endif
