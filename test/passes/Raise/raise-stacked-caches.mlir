// RUN: whit-opt %s --split-input-file --whit-raise-stacked-caches --canonicalize | FileCheck %s
// RUN: whit-opt %s --split-input-file --whit-raise-stacked-caches --remarks-filter-passed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// Two layers, whose caches are one tensor: each appends to its part of it.

// REMARK: the caches of 2 layers are parts of one tensor, and are changed in place
// CHECK-LABEL: func.func @layers
// CHECK-SAME: (%[[STACK:.*]]: tensor<2x1x3x8x4xf32>, %[[NEW:.*]]: tensor<1x1x3x4xf32>, %[[START:.*]]: tensor<1xi32>)
// CHECK: %[[S0:.*]] = tensor.extract_slice %[[STACK]][0, 0, 0, 0, 0] [1, 1, 3, 8, 4] [1, 1, 1, 1, 1] : tensor<2x1x3x8x4xf32> to tensor<1x3x8x4xf32>
// CHECK: %[[C0:.*]] = whit.cache_append {{.*}} outs(%[[S0]]
// CHECK: %[[T0:.*]] = tensor.insert_slice %[[C0]] into %[[STACK]][0, 0, 0, 0, 0]
// CHECK: %[[S1:.*]] = tensor.extract_slice %[[T0]][1, 0, 0, 0, 0]
// CHECK: %[[C1:.*]] = whit.cache_append {{.*}} outs(%[[S1]]
// CHECK: %[[T1:.*]] = tensor.insert_slice %[[C1]] into %[[T0]][1, 0, 0, 0, 0]
// CHECK: return %[[T1]]
func.func @layers(%stack: tensor<2x1x3x8x4xf32>, %new: tensor<1x1x3x4xf32>, %start: tensor<1xi32>) -> tensor<2x1x3x8x4xf32> {
  %s0 = tensor.extract_slice %stack[0, 0, 0, 0, 0] [1, 1, 3, 8, 4] [1, 1, 1, 1, 1] : tensor<2x1x3x8x4xf32> to tensor<1x1x3x8x4xf32>
  %c0 = tensor.collapse_shape %s0 [[0], [1, 2], [3], [4]] : tensor<1x1x3x8x4xf32> into tensor<1x3x8x4xf32>
  %a0 = whit.cache_append ins(%new : tensor<1x1x3x4xf32>) from %start : tensor<1xi32> outs(%c0 : tensor<1x3x8x4xf32>) -> tensor<1x3x8x4xf32>
  %s1 = tensor.extract_slice %stack[1, 0, 0, 0, 0] [1, 1, 3, 8, 4] [1, 1, 1, 1, 1] : tensor<2x1x3x8x4xf32> to tensor<1x1x3x8x4xf32>
  %c1 = tensor.collapse_shape %s1 [[0], [1, 2], [3], [4]] : tensor<1x1x3x8x4xf32> into tensor<1x3x8x4xf32>
  %a1 = whit.cache_append ins(%new : tensor<1x1x3x4xf32>) from %start : tensor<1xi32> outs(%c1 : tensor<1x3x8x4xf32>) -> tensor<1x3x8x4xf32>
  %e0 = tensor.expand_shape %a0 [[0], [1, 2], [3], [4]] output_shape [1, 1, 3, 8, 4] : tensor<1x3x8x4xf32> into tensor<1x1x3x8x4xf32>
  %e1 = tensor.expand_shape %a1 [[0], [1, 2], [3], [4]] output_shape [1, 1, 3, 8, 4] : tensor<1x3x8x4xf32> into tensor<1x1x3x8x4xf32>
  %y = tensor.concat dim(0) %e0, %e1 : (tensor<1x1x3x8x4xf32>, tensor<1x1x3x8x4xf32>) -> tensor<2x1x3x8x4xf32>
  return %y : tensor<2x1x3x8x4xf32>
}

// -----

// The layers change places: that is no update of parts.

// CHECK-LABEL: func.func @crossed
// CHECK: tensor.concat
func.func @crossed(%stack: tensor<2x1x3x8x4xf32>, %new: tensor<1x1x3x4xf32>, %start: tensor<1xi32>) -> tensor<2x1x3x8x4xf32> {
  %s0 = tensor.extract_slice %stack[1, 0, 0, 0, 0] [1, 1, 3, 8, 4] [1, 1, 1, 1, 1] : tensor<2x1x3x8x4xf32> to tensor<1x3x8x4xf32>
  %a0 = whit.cache_append ins(%new : tensor<1x1x3x4xf32>) from %start : tensor<1xi32> outs(%s0 : tensor<1x3x8x4xf32>) -> tensor<1x3x8x4xf32>
  %s1 = tensor.extract_slice %stack[0, 0, 0, 0, 0] [1, 1, 3, 8, 4] [1, 1, 1, 1, 1] : tensor<2x1x3x8x4xf32> to tensor<1x3x8x4xf32>
  %a1 = whit.cache_append ins(%new : tensor<1x1x3x4xf32>) from %start : tensor<1xi32> outs(%s1 : tensor<1x3x8x4xf32>) -> tensor<1x3x8x4xf32>
  %e0 = tensor.expand_shape %a0 [[0], [1, 2], [3], [4]] output_shape [1, 1, 3, 8, 4] : tensor<1x3x8x4xf32> into tensor<1x1x3x8x4xf32>
  %e1 = tensor.expand_shape %a1 [[0], [1, 2], [3], [4]] output_shape [1, 1, 3, 8, 4] : tensor<1x3x8x4xf32> into tensor<1x1x3x8x4xf32>
  %y = tensor.concat dim(0) %e0, %e1 : (tensor<1x1x3x8x4xf32>, tensor<1x1x3x8x4xf32>) -> tensor<2x1x3x8x4xf32>
  return %y : tensor<2x1x3x8x4xf32>
}
