// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_TILE_TILEREGIONS
#define WHIT_TILE_TILEREGIONS
include "mlir/Pass/PassBase.td"

def TileRegionsPass : Pass<"whit-tile-regions", "mlir::func::FuncOp"> {
  let summary = "applies the schedule of each region: its root is tiled and its producers are computed in the tile";
  let description = [{
    Upstream tile-and-fuse, told by `#whit.schedule`. One `scf.forall` per region; an iteration is the unit of work that a
    thread claims. Values that pass from one operation of the region to the next exist only as tiles.

    ```mlir
    whit.region "up" schedule #whit.schedule<tile = [0, 64], rows = 8, panels = 2> {
      %y = whit.matmul ins(%x, %w : tensor<?x576xf32>, tensor<96x5184xi8>) outs(%e : tensor<?x1536xf32>) at ...
    // becomes
      %y = scf.forall (%n) = (0) to (1536) step (64) shared_outs(%o = %e) -> (tensor<?x1536xf32>) {
        %wt = tensor.extract_slice %w[%n / 16, 0] [4, 5184] [1, 1] ...
        %t = whit.matmul ins(%x, %wt : ...) ...
        scf.forall.in_parallel { tensor.parallel_insert_slice %t into %o ... }
    ```

    Where the schedule has sizes for `few` rows, the region becomes `scf.if` of both: on a GPU each is a kernel, one that fills the machine with
    a row and one that reads the activations less often.
  }];
  let dependentDialects = ["mlir::scf::SCFDialect", "mlir::tensor::TensorDialect", "mlir::affine::AffineDialect"];
}
#endif
