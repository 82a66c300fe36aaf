// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-lower-views -split-input-file | FileCheck %s

// One dimension becomes two dynamic ones: the outer stride is the inner size times the old stride.
// CHECK-LABEL: func @expand
// CHECK-SAME: %{{.*}}: memref<?x64xf32>, %[[B:.*]]: index, %[[S:.*]]: index
func.func @expand(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
  // CHECK: %[[STRIDE:.*]] = affine.apply #{{.*}}()[%[[S]]]
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%[[B]], %[[S]], 64], strides: [%[[STRIDE]], 64, 1]
  %e = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64] : memref<?x64xf32> into memref<?x?x64xf32>
  return %e : memref<?x?x64xf32>
}

// -----

// One element may be seen in any number of dimensions.
// CHECK-LABEL: func @scalar
func.func @scalar(%x: memref<f32>) -> memref<1x1xf32> {
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [1, 1], strides: [1, 1] : memref<f32> to memref<1x1xf32>
  %e = memref.expand_shape %x [] output_shape [1, 1] : memref<f32> into memref<1x1xf32>
  return %e : memref<1x1xf32>
}
