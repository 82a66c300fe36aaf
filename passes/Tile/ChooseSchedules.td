// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_TILE_CHOOSESCHEDULES
#define WHIT_TILE_CHOOSESCHEDULES
include "mlir/Pass/PassBase.td"

def ChooseSchedulesPass : Pass<"whit-choose-schedules", "mlir::func::FuncOp"> {
  let summary = "records on each region how it is cut into tiles";
  let description = [{
    For regions with a matmul, every combination of tile columns and register block (and of `unroll` and `prefetch`, where the
    model was trained on this CPU) is judged by the cost model at one row and at a prompt, and the least product of both times wins; a region of several operations also cuts rows, so that what passes between them stays in
    the cache. Other regions are cut along rows or heads. A schedule that is already there is kept: print it, edit it, run again.

    On a GPU the attribute `whit.refused` of a region lists cuts (tile sizes and splits, as schedules) that are not to be taken again,
    because their kernels spilled: the next best one is. If all are refused, nothing is. The first cut of `whit.preferred` that is a
    candidate is taken whatever the model says.

    ```mlir
    %y = whit.region "up" { ... whit.quantized_matmul ... }
    // becomes
    %y = whit.region "up" schedule #whit.schedule<tile = [0, 64], rows = 8, panels = 2> { ... }
    ```
  }];
  let dependentDialects = ["mlir::whit::WhitDialect"];
}
#endif
