// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-lower-views -split-input-file | FileCheck %s

// A strided copy is a loop; a contiguous one stays for memcpy.
// CHECK-LABEL: func @copies
func.func @copies(%s: memref<?x64xf32, strided<[128, 1]>>, %r: memref<?x64xf32>, %t: memref<?x64xf32>) {
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : memref<?x64xf32, strided<[128, 1]>>) outs(%{{.*}} : memref<?x64xf32>)
  memref.copy %s, %r : memref<?x64xf32, strided<[128, 1]>> to memref<?x64xf32>
  // CHECK: memref.copy
  memref.copy %r, %t : memref<?x64xf32> to memref<?x64xf32>
  return
}

// -----

// One dimension becomes two dynamic ones: the outer stride is the inner size times the old stride.
// CHECK-LABEL: func @expand
// CHECK-SAME: %{{.*}}: memref<?x64xf32>, %[[B:.*]]: index, %[[S:.*]]: index
func.func @expand(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
  // CHECK: %[[STRIDE:.*]] = affine.apply #{{.*}}()[%[[S]]]
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%[[B]], %[[S]], 64], strides: [%[[STRIDE]], 64, 1]
  %e = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64] : memref<?x64xf32> into memref<?x?x64xf32>
  return %e : memref<?x?x64xf32>
}
