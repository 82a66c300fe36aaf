// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-choose-schedules -split-input-file | FileCheck %s

// A matmul: tiles of columns for threads, a block of accumulators for registers. The region and its kernel agree.
// CHECK-LABEL: func @matmul
func.func @matmul(%x: tensor<?x576xf32>, %w: tensor<96x5184xi8>, %y: tensor<?x1536xf32>) -> tensor<?x1536xf32> {
  // CHECK: whit.region "up"{{.*}} schedule <tile = [0, {{[0-9]+}}], [[BLOCK:rows = [0-9]+[^>]*]]>
  // CHECK: whit.matmul {{.*}} schedule <tile = [0, {{[0-9]+}}], [[BLOCK]]>
  %r = whit.region "up" {
    %m = whit.matmul ins(%x, %w : tensor<?x576xf32>, tensor<96x5184xi8>) outs(%y : tensor<?x1536xf32>) at <<int4_g32>, 1536 by 576> -> tensor<?x1536xf32>
    whit.yield %m : tensor<?x1536xf32>
  } -> tensor<?x1536xf32>
  return %r : tensor<?x1536xf32>
}

// -----

// What passes between operations of a region should fit in the cache: rows are cut as well.
// CHECK-LABEL: func @fused
func.func @fused(%x: tensor<?x576xf32>, %w: tensor<96x5184xi8>, %y: tensor<?x1536xf32>) -> tensor<?x1536xf32> {
  // CHECK: schedule <tile = [128, {{[0-9]+}}]
  %e = tensor.empty() : tensor<1xf32>
  %r = whit.region "up" {
    %m = whit.matmul ins(%x, %w : tensor<?x576xf32>, tensor<96x5184xi8>) outs(%y : tensor<?x1536xf32>) at <<int4_g32>, 1536 by 576> -> tensor<?x1536xf32>
    %n = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
        ins(%m : tensor<?x1536xf32>) outs(%y : tensor<?x1536xf32>) {
    ^bb0(%i: f32, %o: f32):
      %v = arith.negf %i : f32
      linalg.yield %v : f32
    } -> tensor<?x1536xf32>
    whit.yield %n : tensor<?x1536xf32>
  } -> tensor<?x1536xf32>
  return %r : tensor<?x1536xf32>
}

// -----

// A schedule that is already there stays; rows of a norm are shared out in eights.
// CHECK-LABEL: func @kept
func.func @kept(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: whit.region "edited" schedule <tile = [3]>
  %a = whit.region "edited" schedule <tile = [3]> {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  // CHECK: whit.region "new" schedule <tile = [8]>
  %b = whit.region "new" {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %a, %b : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// Elements: whole inner loops, then as much of the next one as is worth a chunk. Vectors run along a row of unknown length.
// CHECK-LABEL: func @elements
func.func @elements(%x: tensor<?x?x40xf32>, %y: tensor<?x?x40xf32>, %u: tensor<?x?xf32>, %v: tensor<?x?xf32>) -> (tensor<?x?x40xf32>, tensor<?x?xf32>) {
  // CHECK: whit.region "static" schedule <tile = [1, 256, 0]
  %r = whit.region "static" {
    %n = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x : tensor<?x?x40xf32>) outs(%y : tensor<?x?x40xf32>) {
    ^bb0(%i: f32, %o: f32):
      %m = arith.negf %i : f32
      linalg.yield %m : f32
    } -> tensor<?x?x40xf32>
    whit.yield %n : tensor<?x?x40xf32>
  } -> tensor<?x?x40xf32>
  // CHECK: whit.region "dynamic" schedule <tile = [128, 0]
  %s = whit.region "dynamic" {
    %n = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
        ins(%u : tensor<?x?xf32>) outs(%v : tensor<?x?xf32>) {
    ^bb0(%i: f32, %o: f32):
      %m = arith.negf %i : f32
      linalg.yield %m : f32
    } -> tensor<?x?xf32>
    whit.yield %n : tensor<?x?xf32>
  } -> tensor<?x?xf32>
  return %r, %s : tensor<?x?x40xf32>, tensor<?x?xf32>
}

// -----

// Sums are not cut; a product of activations gets tiles of rows and columns.
// CHECK-LABEL: func @sums
func.func @sums(%x: tensor<?x512xf32>, %w: tensor<512x300xf32>, %y: tensor<?x300xf32>, %z: tensor<?xf32>) -> (tensor<?x300xf32>, tensor<?xf32>) {
  // CHECK: whit.region "product" schedule <tile = [16, 64, 0]
  %r = whit.region "product" {
    %n = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%x, %w : tensor<?x512xf32>, tensor<512x300xf32>) outs(%y : tensor<?x300xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %o, %p : f32
      linalg.yield %s : f32
    } -> tensor<?x300xf32>
    whit.yield %n : tensor<?x300xf32>
  } -> tensor<?x300xf32>
  // CHECK: whit.region "sum" schedule <tile = [0, 0]
  %t = whit.region "sum" {
    %n = linalg.generic {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<?x512xf32>) outs(%z : tensor<?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.addf %o, %a : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    whit.yield %n : tensor<?xf32>
  } -> tensor<?xf32>
  return %r, %t : tensor<?x300xf32>, tensor<?xf32>
}

// -----

// Rows of a weight are cut where its panels end.
// CHECK-LABEL: func @dequantized
func.func @dequantized(%w: !whit.tensor<300x4096xf32, #whit.format<int4_g32>>, %y: tensor<300x4096xf32>) -> tensor<300x4096xf32> {
  // CHECK: whit.region "values" schedule <tile = [16]
  %r = whit.region "values" {
    %v = whit.dequantize ins(%w : !whit.tensor<300x4096xf32, #whit.format<int4_g32>>) outs(%y : tensor<300x4096xf32>) -> tensor<300x4096xf32>
    whit.yield %v : tensor<300x4096xf32>
  } -> tensor<300x4096xf32>
  return %r : tensor<300x4096xf32>
}

// -----

// On a GPU, what spilled is not taken again, whatever the model says; where nothing is left, what spilled least is.
module attributes {whit.target = {kind = "amdgpu", cpu = "gfx942", machine = "mi300x", features = ""}} {
  // CHECK-LABEL: func @blocks
  func.func @blocks(%x: tensor<512x512xbf16>, %w: tensor<256x4608xi8>, %y: tensor<512x4096xf32>) -> (tensor<512x4096xf32>, tensor<512x4096xf32>) {
    // CHECK: whit.region "last" schedule <tile = [128, 64], splits = 2>
    %a = whit.region "last" attributes {whit.refused = [#whit.schedule<tile = [32, 16], splits = 8>, #whit.schedule<tile = [32, 32], splits = 4>, #whit.schedule<tile = [32, 64], splits = 2>, #whit.schedule<tile = [32, 128]>, #whit.schedule<tile = [64, 16], splits = 8>, #whit.schedule<tile = [64, 32], splits = 4>, #whit.schedule<tile = [64, 64], splits = 2>, #whit.schedule<tile = [64, 128]>, #whit.schedule<tile = [128, 16], splits = 8>, #whit.schedule<tile = [128, 32], splits = 4>, #whit.schedule<tile = [128, 128]>]} {
      %m = whit.matmul ins(%x, %w : tensor<512x512xbf16>, tensor<256x4608xi8>) outs(%y : tensor<512x4096xf32>) at <<int4_g32>, 4096 by 512> -> tensor<512x4096xf32>
      whit.yield %m : tensor<512x4096xf32>
    } -> tensor<512x4096xf32>
    // CHECK: whit.region "least" schedule <tile = [64, 128]>
    %b = whit.region "least" attributes {whit.refused = [#whit.schedule<tile = [32, 16], splits = 8>, #whit.schedule<tile = [32, 32], splits = 4>, #whit.schedule<tile = [32, 64], splits = 2>, #whit.schedule<tile = [32, 128]>, #whit.schedule<tile = [64, 16], splits = 8>, #whit.schedule<tile = [64, 32], splits = 4>, #whit.schedule<tile = [64, 64], splits = 2>, #whit.schedule<tile = [64, 128]>, #whit.schedule<tile = [128, 16], splits = 8>, #whit.schedule<tile = [128, 32], splits = 4>, #whit.schedule<tile = [128, 128]>], whit.preferred = [#whit.schedule<tile = [64, 128]>, #whit.schedule<tile = [32, 16], splits = 8>]} {
      %m = whit.matmul ins(%x, %w : tensor<512x512xbf16>, tensor<256x4608xi8>) outs(%y : tensor<512x4096xf32>) at <<int4_g32>, 4096 by 512> -> tensor<512x4096xf32>
      whit.yield %m : tensor<512x4096xf32>
    } -> tensor<512x4096xf32>
    return %a, %b : tensor<512x4096xf32>, tensor<512x4096xf32>
  }
}

// -----

// Rows that stay in a block share its memory: two of 16 KiB for each row fit into 48 KiB once.
module attributes {whit.target = {kind = "nvptx", cpu = "sm_80", machine = "a100", features = ""}} {
  // CHECK-LABEL: func @long_rows
  func.func @long_rows(%x: tensor<?x4096xf32>, %v: tensor<4096xf32>, %e: tensor<?x4096xf32>, %y: tensor<?x4096xf32>) -> tensor<?x4096xf32> {
    // CHECK: whit.region "norms" schedule <tile = [1]>
    %r = whit.region "norms" {
      %a = whit.rms_norm ins(%x, %v : tensor<?x4096xf32>, tensor<4096xf32>) outs(%e : tensor<?x4096xf32>) epsilon = 1.0e-5 -> tensor<?x4096xf32>
      %b = whit.rms_norm ins(%a, %v : tensor<?x4096xf32>, tensor<4096xf32>) outs(%e : tensor<?x4096xf32>) epsilon = 1.0e-5 -> tensor<?x4096xf32>
      %c = whit.rms_norm ins(%b, %v : tensor<?x4096xf32>, tensor<4096xf32>) outs(%y : tensor<?x4096xf32>) epsilon = 1.0e-5 -> tensor<?x4096xf32>
      whit.yield %c : tensor<?x4096xf32>
    } -> tensor<?x4096xf32>
    return %r : tensor<?x4096xf32>
  }
}
