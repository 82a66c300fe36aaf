// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_REFUSEDOUBLES
#define WHIT_ENCODE_REFUSEDOUBLES
include "mlir/Pass/PassBase.td"

def RefuseDoublesPass : Pass<"whit-refuse-doubles", "::mlir::ModuleOp"> {
  let summary = "refuses functions of f64, for which there is no kernel";
  let description = [{
    Additions, products, quotients, square roots and comparisons of f64 are instructions; exponentials and logarithms are made of
    them. sin, tanh and the like would be calls of a library, which compiled models do not have; in f32 they are polynomials. All
    operations that are refused are reported, each under the name of its node, while the model can still be changed.

    ```mlir
    %y = math.tanh %x : f64       // error: math.tanh of f64 is not supported; ...
    ```
  }];
}
#endif
