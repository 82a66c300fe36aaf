// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-outline-regions | FileCheck %s

// Captured tensors first, in the order of the region's list; scalars behind them; constants are made again inside.
// CHECK: module attributes {{.*}}whit.regions = [{id = 0 : i64, name = "norm", nodes = ["a", "b"], schedule = "#whit.schedule<tile = [8]>"}, {id = 1 : i64, name = "norm", nodes = ["c"], schedule = "#whit.schedule<tile = [8]>"}]
// CHECK: func.func private @region_0(%[[Y:.*]]: tensor<?x64xf32>, %[[X:.*]]: tensor<?x64xf32>, %[[W:.*]]: tensor<64xf32>, %[[M:.*]]: index, %{{.*}}: i32) -> tensor<?x64xf32> attributes {whit.observed = 3 : i64, whit.region_ids = array<i64: 0, 1>}
// CHECK: arith.constant 0 : index
// CHECK: tensor.extract_slice %[[X]][%{{.*}}, 0] [%[[M]], 64]
// CHECK: whit.rms_norm
// CHECK-LABEL: func @main
func.func @main(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>, %m: index) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  // CHECK: %[[R:.*]] = call @region_0(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %c0_i32)
  // CHECK: call @region_0(%{{.*}}, %[[R]], %{{.*}}, %{{.*}}, %c1_i32)
  // CHECK-NOT: whit.region
  %r = whit.region "norm"(%y, %x, %w : tensor<?x64xf32>, tensor<?x64xf32>, tensor<64xf32>) schedule <tile = [8]> attributes {nodes = ["a", "b"]} {
    %s = tensor.extract_slice %x[%c0, 0] [%m, 64] [1, 1] : tensor<?x64xf32> to tensor<?x64xf32>
    %n = whit.rms_norm ins(%s, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  %s = whit.region "norm"(%y, %r, %w : tensor<?x64xf32>, tensor<?x64xf32>, tensor<64xf32>) schedule <tile = [8]> attributes {nodes = ["c"]} {
    %s = tensor.extract_slice %r[%c0, 0] [%m, 64] [1, 1] : tensor<?x64xf32> to tensor<?x64xf32>
    %n = whit.rms_norm ins(%s, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}
