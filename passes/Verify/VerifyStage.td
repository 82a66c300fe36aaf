// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_VERIFY_VERIFYSTAGE
#define WHIT_VERIFY_VERIFYSTAGE
include "mlir/Pass/PassBase.td"

def VerifyStagePass : Pass<"whit-verify-stage", "mlir::ModuleOp"> {
  let summary = "checks what must be true after a stage";
  let description = [{
    `imported`, `raised`: only linalg, tensor, arith, math, func and whit operations. `encoded`: outputs have destinations.
    `fused`: every compute operation is in a region. `laid-out`: no `!whit.tensor` is left, every weight has a place.
    `tiled`: every region has a schedule. `lowered`: only the LLVM dialect, and the weights. The message names the first
    operation that breaks the rule and the pass that should have removed it.

    ```mlir
    // whit-verify-stage{stage=fused}
    %y = whit.matmul ...   // error: is outside of any region after stage 'fused'; whit-form-regions should have placed it
    ```
  }];
  let options = [Option<"stage", "stage", "std::string", "\"imported\"", "the stage that was reached">];
}
#endif
