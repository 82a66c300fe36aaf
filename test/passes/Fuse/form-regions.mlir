// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-form-regions -split-input-file | FileCheck %s
// RUN: whit-opt %s -whit-form-regions -split-input-file -o /dev/null --remarks-filter="whit-form-regions" 2>&1 | FileCheck %s --check-prefix=WHY

// Norm and quantization run over the same rows: one region, whose inner result exists only as tiles.
// CHECK-LABEL: func @prologue
// WHY: fused with its producer
func.func @prologue(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %m: index) -> (tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) {
  // CHECK: %[[R:.*]]:3 = whit.region "quantize"(%{{.*}})
  // CHECK-NEXT: %[[E:.*]] = tensor.empty
  // CHECK-NEXT: %[[N:.*]] = whit.rms_norm {{.*}} outs(%[[E]]
  // CHECK-NEXT: %[[Q:.*]]:3 = whit.quantize ins(%[[N]]
  // CHECK-NEXT: whit.yield %[[Q]]#0, %[[Q]]#1, %[[Q]]#2
  // CHECK: return %[[R]]#0
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %c = tensor.empty(%m) : tensor<?x2x32xi8>
  %s = tensor.empty(%m) : tensor<?x2xf32>
  %t = tensor.empty(%m) : tensor<?x2xi32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
  %q:3 = whit.quantize ins(%n : tensor<?x64xf32>) outs(%c, %s, %t : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) group = 32 -> tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>
  return %q#0, %q#1, %q#2 : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>
}

// -----

// A softmax runs over rows too, and what is done to its values element by element comes with it.
// CHECK-LABEL: func @softmax
func.func @softmax(%x: tensor<?x64xf32>, %m: index) -> tensor<?x64xf32> {
  // CHECK: whit.region
  // CHECK: whit.softmax
  // CHECK: linalg.generic
  // CHECK-NOT: whit.region
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %s = whit.softmax ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %v = arith.mulf %l, %l : f32
    linalg.yield %v : f32
  } -> tensor<?x64xf32>
  return %p : tensor<?x64xf32>
}

// -----

// Two matmuls and the product behind them share tiles of columns; a matmul behind that needs whole rows and stands alone.
// CHECK-LABEL: func @gate_up_down
// WHY: not fused: a matmul reads its whole input for every tile
func.func @gate_up_down(%x: tensor<?x64xf32>, %m: index) -> tensor<?x64xf32> {
  // CHECK: whit.region
  // CHECK: whit.matmul
  // CHECK: whit.matmul
  // CHECK: linalg.generic
  // CHECK: whit.yield
  // CHECK: whit.region
  // CHECK: whit.matmul
  // CHECK-NOT: linalg.generic
  %wg = whit.constant @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>>
  %wu = whit.constant @u : !whit.tensor<64x64xf32, #whit.format<int4_g32>>
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %g = whit.matmul ins(%x, %wg : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %u = whit.matmul ins(%x, %wu : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%g, %u : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %v = arith.mulf %l, %r : f32
    linalg.yield %v : f32
  } -> tensor<?x64xf32>
  %d = whit.matmul ins(%p, %wg : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %d : tensor<?x64xf32>
}
whit.weight @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 64, [#whit.blob<"m", 0 : 2048 x ui8, "0">, #whit.blob<"m", 0 : 256 x f16, "0">]>]
whit.weight @u : !whit.tensor<64x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 64, [#whit.blob<"m", 0 : 2048 x ui8, "0">, #whit.blob<"m", 0 : 256 x f16, "0">]>]

// -----

// Index arithmetic is no compute operation and stays outside.
// CHECK-LABEL: func @scalars
// CHECK-NOT: whit.region
func.func @scalars(%x: tensor<?x64xf32>) -> index {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x64xf32>
  return %d : index
}
