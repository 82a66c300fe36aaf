// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-collapse-rows -split-input-file | FileCheck %s

// A norm sees rows, whatever dimensions they come from.
// CHECK-LABEL: func @norm
// CHECK-SAME: %[[X:.*]]: tensor<?x?x64xf32>, %[[W:.*]]: tensor<64xf32>
func.func @norm(%x: tensor<?x?x64xf32>, %w: tensor<64xf32>, %b: index, %s: index) -> tensor<?x?x64xf32> {
  // CHECK: %[[FLAT:.*]] = tensor.collapse_shape %[[X]] {{\[\[}}0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>
  // CHECK: %[[Y:.*]] = whit.rms_norm ins(%[[FLAT]], %[[W]] : tensor<?x64xf32>, tensor<64xf32>)
  // CHECK: tensor.expand_shape %[[Y]] {{\[\[}}0, 1], [2]]
  %e = tensor.empty(%b, %s) : tensor<?x?x64xf32>
  %y = whit.rms_norm ins(%x, %w : tensor<?x?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x?x64xf32>) epsilon = 1.0e-5 -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}

// -----

// So does a softmax.
// CHECK-LABEL: func @softmax
func.func @softmax(%x: tensor<?x4x64xf32>, %b: index) -> tensor<?x4x64xf32> {
  // CHECK: whit.softmax {{.*}} -> tensor<?x64xf32>
  %e = tensor.empty(%b) : tensor<?x4x64xf32>
  %y = whit.softmax ins(%x : tensor<?x4x64xf32>) outs(%e : tensor<?x4x64xf32>) -> tensor<?x4x64xf32>
  return %y : tensor<?x4x64xf32>
}

// -----

// Expand and collapse between two row-wise operations cancel; the elementwise one follows its producer.
// CHECK-LABEL: func @chain
func.func @chain(%x: tensor<?x?x64xf32>, %w: tensor<64xf32>, %b: index, %s: index) -> tensor<?x?x64xf32> {
  // CHECK: %[[N:.*]] = whit.rms_norm {{.*}} -> tensor<?x64xf32>
  // CHECK-NOT: expand_shape
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[N]], %[[N]] : tensor<?x64xf32>, tensor<?x64xf32>)
  // CHECK: tensor.expand_shape %[[S]]
  %e = tensor.empty(%b, %s) : tensor<?x?x64xf32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x?x64xf32>) epsilon = 1.0e-5 -> tensor<?x?x64xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%n, %n : tensor<?x?x64xf32>, tensor<?x?x64xf32>) outs(%e : tensor<?x?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %p = arith.mulf %l, %r : f32
    linalg.yield %p : f32
  } -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}

// -----

// Heads need batch and sequence apart: rotary embedding stays.
// CHECK-LABEL: func @heads
func.func @heads(%x: tensor<?x?x2x16xf32>, %t: tensor<8x8xf32>, %start: tensor<?xi32>, %b: index, %s: index) -> tensor<?x?x2x16xf32> {
  // CHECK-NOT: collapse_shape
  %c0 = arith.constant 0 : index
  %e = tensor.empty(%b, %s) : tensor<?x?x2x16xf32>
  %y = whit.rotary ins(%x, %t, %t : tensor<?x?x2x16xf32>, tensor<8x8xf32>, tensor<8x8xf32>) from %start + %c0 : tensor<?xi32> outs(%e : tensor<?x?x2x16xf32>) -> tensor<?x?x2x16xf32>
  return %y : tensor<?x?x2x16xf32>
}

// -----

// A bias has none of the leading dimensions and stays as it is.
// CHECK-LABEL: func @bias
// CHECK-SAME: %[[BIAS:[a-z0-9]+]]: tensor<64xf32>
func.func @bias(%bias: tensor<64xf32>, %x: tensor<?x?x64xf32>, %w: tensor<64xf32>, %b: index, %s: index) -> tensor<?x?x64xf32> {
  // CHECK: %[[N:.*]] = whit.rms_norm {{.*}} -> tensor<?x64xf32>
  // CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%[[N]], %[[BIAS]] : tensor<?x64xf32>, tensor<64xf32>)
  %e = tensor.empty(%b, %s) : tensor<?x?x64xf32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x?x64xf32>) epsilon = 1.0e-5 -> tensor<?x?x64xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (c)>, affine_map<(a, b, c) -> (a, b, c)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%n, %bias : tensor<?x?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %p = arith.addf %l, %r : f32
    linalg.yield %p : f32
  } -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}

// -----

// What has one row for each sequence of the batch would need copies: it stays.
// CHECK-LABEL: func @row_of_each_sequence
func.func @row_of_each_sequence(%each: tensor<?x64xf32>, %x: tensor<?x?x64xf32>, %w: tensor<64xf32>, %b: index, %s: index) -> tensor<?x?x64xf32> {
  // CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel"]
  %e = tensor.empty(%b, %s) : tensor<?x?x64xf32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x?x64xf32>) epsilon = 1.0e-5 -> tensor<?x?x64xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, c)>, affine_map<(a, b, c) -> (a, b, c)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%n, %each : tensor<?x?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %p = arith.addf %l, %r : f32
    linalg.yield %p : f32
  } -> tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}
