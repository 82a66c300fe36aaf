// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

include "mlir/Pass/PassBase.td"

def RaiseNormsPass : Pass<"whit-raise-norms", "::mlir::func::FuncOp"> {
  let summary = "turns formulas of layer and rms normalization into whit operations";
  let description = [{
    Over the last dimension, which must be static. The mean is a sum times or divided by the count; the variance is the
    mean of (x - mean)^2 or E[x^2] - mean^2, perhaps clamped at 0; the root is rsqrt, a division by sqrt, or a power. A
    weight and a bias are vectors of that dimension; where the formula has none, they are ones and zeros.

    ```mlir
    %0 = linalg.generic ... ins(%x) { powf %a, 2.0 }
    %1 = linalg.generic ... ins(%0) reduction { addf }
    %2 = linalg.generic ... ins(%1) { divf %a, 576.0 }
    %3 = linalg.generic ... ins(%2) { addf %a, 1.0e-5 }
    %4 = linalg.generic ... ins(%3) { rsqrt %a }
    %5 = linalg.generic ... ins(%x, %4) { mulf %a, %b }
    %6 = linalg.generic ... ins(%w, %5) { mulf %a, %b }
    // becomes
    %6 = whit.rms_norm ins(%x, %w) outs(%e) epsilon = 1.0e-5
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::whit::WhitDialect", "::mlir::affine::AffineDialect"];
}
