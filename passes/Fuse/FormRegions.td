// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_FUSE_FORMREGIONS
#define WHIT_FUSE_FORMREGIONS
include "mlir/Pass/PassBase.td"

def FormRegionsPass : Pass<"whit-form-regions", "mlir::func::FuncOp"> {
  let summary = "groups operations into regions, each of which becomes one kernel";
  let description = [{
    Every compute operation ends up in a `whit.region`. Operations share one when one loop nest can run them tile by tile:
    rows (elementwise, norm, quantize, gather), columns (matmuls and the elementwise operations behind them: bias, activation,
    residual), sums (reductions and products of activations, from the constant that they start with), heads (rotary embedding
    before attention or a cache). A part of a larger tensor is written there by the region that computes it; any other
    tensor.insert_slice becomes a region that copies. Outputs are written in place. Where that is legal the cost model decides, by the price
    of the tensor between them; a remark says what was chosen. Slices and reshapes follow their consumers into the region.

    ```mlir
    %n = whit.rms_norm ins(%x, %w : ...) outs(%e0 : ...) ...
    %c, %s, %t = whit.quantize ins(%n : ...) outs(...) group = 32
    // becomes
    %c, %s, %t = whit.region "norm" attributes {nodes = [...]} {
      %n = whit.rms_norm ins(%x, %w : ...) outs(%e0 : ...) ...
      %q:3 = whit.quantize ins(%n : ...) outs(...) group = 32
      whit.yield %q#0, %q#1, %q#2 : ...
    } -> ...
    ```
  }];
  let dependentDialects = ["mlir::whit::WhitDialect", "mlir::bufferization::BufferizationDialect",
                           "mlir::linalg::LinalgDialect"];
}
#endif
