// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-tile-regions -split-input-file -verify-diagnostics | FileCheck %s

// Columns of a matmul: a tile of 64 columns is 4 panels of the weight.
// CHECK-LABEL: func @columns
func.func @columns(%x: tensor<?x576xf32>, %w: tensor<96x5184xi8>, %y: tensor<?x1536xf32>) -> tensor<?x1536xf32> {
  // CHECK: scf.forall (%[[N:.*]]) = (0) to (1536) step (64) shared_outs(%[[OUT:.*]] = %{{.*}})
  // CHECK: %[[P:.*]] = affine.apply #{{.*}}(%[[N]])
  // CHECK: %[[TILE:.*]] = tensor.extract_slice %{{.*}}[%[[P]], 0] [4, 5184] [1, 1] : tensor<96x5184xi8> to tensor<4x5184xi8>
  // CHECK: whit.matmul ins(%{{.*}}, %[[TILE]]
  // CHECK: tensor.parallel_insert_slice
  %r = whit.region "up" schedule <tile = [0, 64], rows = 8, panels = 2> {
    %m = whit.matmul ins(%x, %w : tensor<?x576xf32>, tensor<96x5184xi8>) outs(%y : tensor<?x1536xf32>) at <<int4_g32>, 1536 by 576> -> tensor<?x1536xf32>
    whit.yield %m : tensor<?x1536xf32>
  } -> tensor<?x1536xf32>
  return %r : tensor<?x1536xf32>
}

// -----

// The norm is computed in the tile of the quantization; both results that leave the region are assembled.
// CHECK-LABEL: func @rows
func.func @rows(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %e: tensor<?x64xf32>, %c: tensor<?x2x32xi8>, %s: tensor<?x2xf32>, %t: tensor<?x2xi32>) -> (tensor<?x64xf32>, tensor<?x2x32xi8>) {
  // CHECK: scf.forall
  // CHECK: whit.rms_norm {{.*}} : tensor<?x64xf32>
  // CHECK: whit.quantize
  // CHECK: scf.forall.in_parallel
  // CHECK-COUNT-4: tensor.parallel_insert_slice
  // CHECK-NOT: whit.rms_norm
  %r:2 = whit.region "norm" schedule <tile = [8]> {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    %q:3 = whit.quantize ins(%n : tensor<?x64xf32>) outs(%c, %s, %t : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) group = 32 -> tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>
    whit.yield %n, %q#0 : tensor<?x64xf32>, tensor<?x2x32xi8>
  } -> tensor<?x64xf32>, tensor<?x2x32xi8>
  return %r#0, %r#1 : tensor<?x64xf32>, tensor<?x2x32xi8>
}

// -----

// What a sum starts from is written tile by tile, where the result goes; and a part lands in its place.
// CHECK-LABEL: func @sums
// CHECK-SAME: %[[X:.*]]: tensor<?x512xf32>, %[[Y:.*]]: tensor<64xf32>
func.func @sums(%x: tensor<?x512xf32>, %y: tensor<64xf32>, %m: index) -> tensor<64xf32> {
  // CHECK: %[[PART:.*]] = tensor.extract_slice %[[Y]][7] [%{{.*}}] [1]
  // CHECK-NOT: linalg.fill
  // CHECK: %[[R:.*]] = scf.forall {{.*}} shared_outs(%[[OUT:.*]] = %[[PART]])
  // CHECK: %[[TILE:.*]] = tensor.extract_slice %[[OUT]]
  // CHECK: %[[Z:.*]] = linalg.fill {{.*}} outs(%[[TILE]]
  // CHECK: linalg.generic {{.*}} outs(%[[Z]]
  // CHECK: tensor.insert_slice %[[R]] into %[[Y]][7]
  %zero = arith.constant 0.0 : f32
  %r = whit.region "sum" schedule <tile = [8, 0]> {
    %part = tensor.extract_slice %y[7] [%m] [1] : tensor<64xf32> to tensor<?xf32>
    %z = linalg.fill ins(%zero : f32) outs(%part : tensor<?xf32>) -> tensor<?xf32>
    %n = linalg.generic {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<?x512xf32>) outs(%z : tensor<?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.addf %o, %a : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    %whole = tensor.insert_slice %n into %y[7] [%m] [1] : tensor<?xf32> into tensor<64xf32>
    whit.yield %whole : tensor<64xf32>
  } -> tensor<64xf32>
  return %r : tensor<64xf32>
}

// -----

// Nothing is not cut.
// CHECK-LABEL: func @empty
// CHECK-NOT: scf.forall
// CHECK: linalg.generic
func.func @empty(%x: tensor<512x0xf32>, %y: tensor<512xf32>) -> tensor<512xf32> {
  %r = whit.region "sum" schedule <tile = [8, 0]> {
    %n = linalg.generic {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<512x0xf32>) outs(%y : tensor<512xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.addf %o, %a : f32
      linalg.yield %s : f32
    } -> tensor<512xf32>
    whit.yield %n : tensor<512xf32>
  } -> tensor<512xf32>
  return %r : tensor<512xf32>
}

// -----

// Rows of attention know where they stand: tiling advances `first`.
// CHECK-LABEL: func @positions
func.func @positions(%q: tensor<?x?x4x16xf32>, %k: tensor<?x2x4x16x16xf32>, %v: tensor<?x2x64x16xf32>, %start: tensor<?xi32>, %y: tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32> {
  %c0 = arith.constant 0 : index
  // CHECK: scf.forall (%{{.*}}, %{{.*}}, %[[S:[a-z0-9]+]]) = (0, 0, 0)
  // CHECK: whit.attention {{.*}} from %{{.*}} + %[[S]]
  %r = whit.region "attention" schedule <tile = [1, 1, 32]> {
    %a = whit.attention ins(%q, %k, %v : tensor<?x?x4x16xf32>, tensor<?x2x4x16x16xf32>, tensor<?x2x64x16xf32>) from %start + %c0 : tensor<?xi32> outs(%y : tensor<?x?x4x16xf32>) scale = 0.25 -> tensor<?x?x4x16xf32>
    whit.yield %a : tensor<?x?x4x16xf32>
  } -> tensor<?x?x4x16xf32>
  return %r : tensor<?x?x4x16xf32>
}

// -----

// Of a mask, each tile gets its rows and the heads of its keys; a single row for all is given to each.
// CHECK-LABEL: func @mask
// CHECK-SAME: %[[MASK:[a-z0-9]+]]: tensor<1x4x?x60xf32>
func.func @mask(%q: tensor<?x?x4x16xf32>, %k: tensor<?x2x64x16xf32>, %mask: tensor<1x4x?x60xf32>, %start: tensor<?xi32>, %y: tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32> {
  %c0 = arith.constant 0 : index
  // CHECK: scf.forall (%{{.*}}, %{{.*}}, %[[S:[a-z0-9]+]]) = (0, 0, 0)
  // CHECK: %[[TILE:.*]] = tensor.extract_slice %[[MASK]][0, %{{.*}}, %[[S]], 0] [1, 2, %{{.*}}, 60]
  // CHECK: whit.attention ins(%{{.*}}, %{{.*}}, %{{.*}} mask %[[TILE]]
  %r = whit.region "attention" schedule <tile = [1, 1, 32]> {
    %a = whit.attention ins(%q, %k, %k mask %mask : tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>, tensor<?x2x64x16xf32>, tensor<1x4x?x60xf32>)
      from %start + %c0 : tensor<?xi32> outs(%y : tensor<?x?x4x16xf32>) scale = 0.25 bidirectional -> tensor<?x?x4x16xf32>
    whit.yield %a : tensor<?x?x4x16xf32>
  } -> tensor<?x?x4x16xf32>
  return %r : tensor<?x?x4x16xf32>
}

// -----

func.func @wrong_schedule(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{schedule of region 'norm' has 2 tile sizes; its root whit.rms_norm has 1 loops}}
  %r = whit.region "norm" schedule <tile = [8, 8]> {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}

// -----

// Sizes of their own for few rows: a branch for each, with the schedule of its tiles.
// CHECK-LABEL: func @few_rows
// CHECK: %[[FEW:.*]] = arith.cmpi ule, %{{.*}}, %c8
// CHECK: scf.if %[[FEW]]
// CHECK: scf.forall {{.*}} step (8, 16)
// CHECK: whit.matmul {{.*}} schedule <tile = [8, 16], splits = 4>
// CHECK: } else {
// CHECK: scf.forall {{.*}} step (32, 64)
// CHECK: whit.matmul {{.*}} schedule <tile = [32, 64], splits = 4>
func.func @few_rows(%x: tensor<?x64xf32>, %w: tensor<4x576xi8>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %r = whit.region "up" schedule <tile = [32, 64], few = [8, 16], splits = 4> {
    %m = whit.matmul ins(%x, %w : tensor<?x64xf32>, tensor<4x576xi8>) outs(%y : tensor<?x64xf32>)
      at <<int4_g32>, 64 by 64> schedule <tile = [32, 64], few = [8, 16], splits = 4> -> tensor<?x64xf32>
    whit.yield %m : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}

// -----

func.func @few_of_a_row(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{schedule of region 'norm' has 1 tile sizes for few rows; its root whit.rms_norm has 1 loops, of which the second last are rows}}
  %r = whit.region "norm" schedule <tile = [8], few = [1]> {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
