// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-insert-parts -split-input-file | FileCheck %s

// The parts of a concatenation are written one behind the other into one tensor.
// CHECK-LABEL: func @concatenation
// CHECK-SAME: %[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<2x4xf32>
func.func @concatenation(%x: tensor<2x3xf32>, %y: tensor<2x4xf32>) -> tensor<2x7xf32> {
  // CHECK: %[[E:.*]] = tensor.empty() : tensor<2x7xf32>
  // CHECK: %[[A:.*]] = tensor.insert_slice %[[X]] into %[[E]][0, 0] [2, 3] [1, 1]
  // CHECK: tensor.insert_slice %[[Y]] into %[[A]][0, 3] [2, 4] [1, 1]
  %c = tensor.concat dim(1) %x, %y : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<2x7xf32>
  return %c : tensor<2x7xf32>
}

// -----

// Sizes may be unknown.
// CHECK-LABEL: func @dynamic
// CHECK-NOT: tensor.concat
// CHECK: tensor.insert_slice
// CHECK: tensor.insert_slice
func.func @dynamic(%x: tensor<?x3xf32>, %y: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %c = tensor.concat dim(0) %x, %y : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  return %c : tensor<?x3xf32>
}

// -----

// A padding is a constant with a part in it.
// CHECK-LABEL: func @padding
// CHECK: %[[F:.*]] = linalg.fill
// CHECK: tensor.insert_slice %{{.*}} into %[[F]][1, 2] [2, 3] [1, 1]
func.func @padding(%x: tensor<2x3xf32>) -> tensor<4x8xf32> {
  %zero = arith.constant 0.0 : f32
  %p = tensor.pad %x low[1, 2] high[1, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<4x8xf32>
  return %p : tensor<4x8xf32>
}

// -----

// Other operations stay.
// CHECK-LABEL: func @slice
// CHECK: tensor.extract_slice
func.func @slice(%x: tensor<4x8xf32>) -> tensor<2x8xf32> {
  %s = tensor.extract_slice %x[1, 0] [2, 8] [1, 1] : tensor<4x8xf32> to tensor<2x8xf32>
  return %s : tensor<2x8xf32>
}
