// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-outline-regions -split-input-file | FileCheck %s

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
  // CHECK-NOT: whit.region "
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

// -----

// What the host of a GPU would have to read from a tensor, the region reads itself.
module attributes {whit.target = {kind = "nvptx", cpu = "sm_80", machine = "a100", features = ""}} {
  // CHECK: func.func private @region_0(%{{.*}}: tensor<?xf32>, %{{.*}}: tensor<?xf32>, %[[K:.*]]: tensor<i64>, %{{.*}}: i32)
  // CHECK: %[[N:.*]] = tensor.extract %[[K]][] : tensor<i64>
  // CHECK: %[[I:.*]] = arith.index_cast %[[N]] : i64 to index
  // CHECK: linalg.generic
  // CHECK: arith.cmpi sge, %{{.*}}, %[[I]]
  // CHECK-LABEL: func @offset
  func.func @offset(%x: tensor<?xf32>, %k: tensor<i64>, %y: tensor<?xf32>) -> tensor<?xf32> {
    // CHECK: call @region_0(%{{.*}}, %{{.*}}, %arg1, %c0_i32)
    %n = tensor.extract %k[] : tensor<i64>
    %i = arith.index_cast %n : i64 to index
    %zero = arith.constant 0.0 : f32
    %r = whit.region "from"(%x, %y : tensor<?xf32>, tensor<?xf32>) {
      %z = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]} ins(%x : tensor<?xf32>) outs(%y : tensor<?xf32>) {
      ^bb0(%in: f32, %out: f32):
        %j = linalg.index 0 : index
        %is = arith.cmpi sge, %j, %i : index
        %v = arith.select %is, %in, %zero : f32
        linalg.yield %v : f32
      } -> tensor<?xf32>
      whit.yield %z : tensor<?xf32>
    } -> tensor<?xf32>
    return %r : tensor<?xf32>
  }
}
