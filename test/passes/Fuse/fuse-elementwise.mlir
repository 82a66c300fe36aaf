// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-fuse-elementwise -split-input-file | FileCheck %s

// A bias and what follows it are one operation, on the shape of the matmul that feeds them: the reshape stays behind.
// CHECK-LABEL: func @behind_a_matmul
func.func @behind_a_matmul(%x: tensor<?x64xf32>, %w: !whit.tensor<32x64xf32, #whit.format<f32>>, %bias: tensor<32xf32>, %m: index, %n: index) -> tensor<?x?x2x16xf32> {
  // CHECK: %[[Y:.*]] = whit.matmul
  // CHECK: %[[Z:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%[[Y]], %{{.*}} : tensor<?x32xf32>, tensor<32xf32>)
  // CHECK: arith.addf
  // CHECK-NEXT: arith.negf
  // CHECK: tensor.expand_shape %[[Z]]
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %w : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (b)>, affine_map<(a, b) -> (a, b)>],
                       iterator_types = ["parallel", "parallel"]} ins(%y, %bias : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %p = arith.addf %l, %r : f32
    linalg.yield %p : f32
  } -> tensor<?x32xf32>
  %u = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
                       iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%l: f32, %o: f32):
    %p = arith.negf %l : f32
    linalg.yield %p : f32
  } -> tensor<?x32xf32>
  %h = tensor.expand_shape %u [[0, 1], [2, 3]] output_shape [%n, %n, 2, 16] : tensor<?x32xf32> into tensor<?x?x2x16xf32>
  return %h : tensor<?x?x2x16xf32>
}

// -----

// Between two elementwise operations a reshape is moved away. One that is read twice stays two operations.
// CHECK-LABEL: func @between
func.func @between(%x: tensor<?x32xf32>, %m: index, %n: index) -> (tensor<?x32xf32>, tensor<?x2x16xf32>) {
  // CHECK: %[[A:.*]] = linalg.generic
  // CHECK: arith.negf
  // CHECK: linalg.generic
  // CHECK-NOT: linalg.generic
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %f = tensor.empty(%m) : tensor<?x2x16xf32>
  %a = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
                       iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%l: f32, %o: f32):
    %p = arith.negf %l : f32
    linalg.yield %p : f32
  } -> tensor<?x32xf32>
  %b = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
                       iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%l: f32, %o: f32):
    %p = math.absf %l : f32
    linalg.yield %p : f32
  } -> tensor<?x32xf32>
  %h = tensor.expand_shape %b [[0], [1, 2]] output_shape [%m, 2, 16] : tensor<?x32xf32> into tensor<?x2x16xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>],
                       iterator_types = ["parallel", "parallel", "parallel"]} ins(%h : tensor<?x2x16xf32>) outs(%f : tensor<?x2x16xf32>) {
  ^bb0(%l: f32, %o: f32):
    %p = math.sqrt %l : f32
    linalg.yield %p : f32
  } -> tensor<?x2x16xf32>
  return %a, %c : tensor<?x32xf32>, tensor<?x2x16xf32>
}
