// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_ASSIGNFORMATS
#define WHIT_ENCODE_ASSIGNFORMATS
include "mlir/Pass/PassBase.td"

def AssignFormatsPass : Pass<"whit-assign-formats", "mlir::ModuleOp"> {
  let summary = "chooses the format in which float weights are stored";
  let description = [{
    Weights that the model stores as floats and that only matmuls and gathers use get the format that `format-map` gives to
    their name, or to the name of a node that uses them, else `weights`. `keep` names weights that stay as they are. Weights that
    are quantized in the model stay too. A pattern that matches nothing is an error. Weights
    that then have one format and the same bytes become one, such as an embedding that is also the output head. The values are quantized once, when the
    artifact is written, by `quantizer`.

    With `requantize`, tensors of a GGUF file that are quantized in it are decoded and quantized again, like floats.

    `FORMAT+lowrankR` puts a correction of rank R beside each matmul with the weight: y = W x + L (R x), whose factors, computed when the
    artifact is written, are bf16 (`runtime/encoding/LowRank.h`).

    ```mlir
    // whit-assign-formats{weights=int4_g32}
    whit.weight @w : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", ...>]
    // becomes
    whit.weight @w : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", ...>] by "least-squares"
    ```
  }];
  let dependentDialects = ["mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect", "mlir::arith::ArithDialect"];
  let options = [Option<"weights", "weights", "std::string", "\"\"", "format of float weights; empty: as in the model">,
                 Option<"formatMap", "format-map", "std::string", "\"\"", "GLOB=FORMAT,...: formats by name, the first match counts">,
                 Option<"keep", "keep", "std::string", "\"\"", "GLOB,...: weights that stay as they are">,
                 Option<"quantizer", "quantizer", "std::string", "\"least-squares\"",
                        "how scales are found: nearest or least-squares">,
                 Option<"requantize", "requantize", "bool", "false",
                        "also give formats to tensors that their GGUF file has quantized">];
}
#endif
