// RUN: whit-opt %s --canonicalize --cse | FileCheck %s
//
// Compute operations on tensors only make values: one that nobody uses goes, and two that are the same become one. On memrefs
// they write, and stay.

whit.weight @w : tensor<32xf32> = [#whit.source<"rows", 32, [#whit.blob<"m.data", 0 : 128 x f32, "0123456789abcdef">]>]

// CHECK-LABEL: func.func @unused
// CHECK-NEXT: return
func.func @unused(%x: tensor<2x32xf32>, %start: tensor<1xi32>, %new: tensor<1x2x2x8xf32>, %cache: tensor<1x2x64x8xf32>) {
  %w = whit.constant @w : tensor<32xf32>
  %0 = whit.rms_norm ins(%x, %w : tensor<2x32xf32>, tensor<32xf32>) outs(%x : tensor<2x32xf32>) epsilon = 1.0e-5 -> tensor<2x32xf32>
  %1 = whit.cache_append ins(%new : tensor<1x2x2x8xf32>) from %start : tensor<1xi32> outs(%cache : tensor<1x2x64x8xf32>)
    -> tensor<1x2x64x8xf32>
  return
}

// CHECK-LABEL: func.func @twice
// CHECK-COUNT-1: whit.constant
// CHECK-COUNT-1: whit.rms_norm
// CHECK-NOT: whit.rms_norm
// CHECK: return %[[Y:.*]], %[[Y]] :
func.func @twice(%x: tensor<2x32xf32>) -> (tensor<2x32xf32>, tensor<2x32xf32>) {
  %w = whit.constant @w : tensor<32xf32>
  %v = whit.constant @w : tensor<32xf32>
  %0 = whit.rms_norm ins(%x, %w : tensor<2x32xf32>, tensor<32xf32>) outs(%x : tensor<2x32xf32>) epsilon = 1.0e-5 -> tensor<2x32xf32>
  %1 = whit.rms_norm ins(%x, %v : tensor<2x32xf32>, tensor<32xf32>) outs(%x : tensor<2x32xf32>) epsilon = 1.0e-5 -> tensor<2x32xf32>
  return %0, %1 : tensor<2x32xf32>, tensor<2x32xf32>
}

// CHECK-LABEL: func.func @memory
// CHECK-COUNT-2: whit.rms_norm
func.func @memory(%x: memref<2x32xf32>, %w: memref<32xf32>, %y: memref<2x32xf32>) {
  whit.rms_norm ins(%x, %w : memref<2x32xf32>, memref<32xf32>) outs(%y : memref<2x32xf32>) epsilon = 1.0e-5
  whit.rms_norm ins(%y, %w : memref<2x32xf32>, memref<32xf32>) outs(%x : memref<2x32xf32>) epsilon = 1.0e-5
  return
}

// What a cast has forgotten is remembered: kernels see static sizes.
// CHECK-LABEL: func.func @cast
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<2x32xf32>, %[[V:[a-z0-9]+]]: memref<32xf32>, %[[Y:[a-z0-9]+]]: memref<2x32xf32>
// CHECK-NEXT: whit.rms_norm ins(%[[X]], %[[V]] : memref<2x32xf32>, memref<32xf32>) outs(%[[Y]] : memref<2x32xf32>)
func.func @cast(%x: memref<2x32xf32>, %v: memref<32xf32>, %y: memref<2x32xf32>) {
  %0 = memref.cast %x : memref<2x32xf32> to memref<?x32xf32>
  %1 = memref.cast %y : memref<2x32xf32> to memref<?x32xf32>
  whit.rms_norm ins(%0, %v : memref<?x32xf32>, memref<32xf32>) outs(%1 : memref<?x32xf32>) epsilon = 1.0e-5
  return
}
