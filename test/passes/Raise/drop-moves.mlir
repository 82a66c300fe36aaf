// RUN: whit-opt %s --whit-drop-moves --canonicalize | FileCheck %s

// Heads are transposed, a batch of one is dropped and copied back, and heads are transposed again: nothing has moved.

// CHECK-LABEL: func.func @there_and_back
// CHECK-SAME: (%[[X:.*]]: tensor<1x?x12x32xf32>, %{{.*}}: index)
// CHECK-NEXT: return %[[X]]
func.func @there_and_back(%x: tensor<1x?x12x32xf32>, %s: index) -> tensor<1x?x12x32xf32> {
  %0 = tensor.empty(%s) : tensor<1x12x?x32xf32>
  %1 = linalg.transpose ins(%x : tensor<1x?x12x32xf32>) outs(%0 : tensor<1x12x?x32xf32>) permutation = [0, 2, 1, 3]
  %2 = tensor.collapse_shape %1 [[0, 1], [2], [3]] : tensor<1x12x?x32xf32> into tensor<12x?x32xf32>
  %3 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%2 : tensor<12x?x32xf32>) outs(%0 : tensor<1x12x?x32xf32>) {
  ^bb0(%a: f32, %u: f32):
    linalg.yield %a : f32
  } -> tensor<1x12x?x32xf32>
  %4 = tensor.empty(%s) : tensor<1x?x12x32xf32>
  %5 = linalg.transpose ins(%3 : tensor<1x12x?x32xf32>) outs(%4 : tensor<1x?x12x32xf32>) permutation = [0, 2, 1, 3]
  return %5 : tensor<1x?x12x32xf32>
}

// One row: its dimension changes places with another, and nothing moves.
// CHECK-LABEL: func.func @one_row
// CHECK-NOT: linalg
// CHECK: %[[VIEW:.*]] = tensor.expand_shape
// CHECK-NOT: linalg
// CHECK: return %[[VIEW]]
func.func @one_row(%x: tensor<1x1x9x64xf32>) -> tensor<1x9x1x64xf32> {
  %0 = tensor.empty() : tensor<1x9x1x64xf32>
  %1 = linalg.transpose ins(%x : tensor<1x1x9x64xf32>) outs(%0 : tensor<1x9x1x64xf32>) permutation = [0, 2, 1, 3]
  return %1 : tensor<1x9x1x64xf32>
}

// A transpose, and a copy that stretches: both stay.
// CHECK-LABEL: func.func @moves
// CHECK: linalg.transpose
// CHECK: linalg.generic
// CHECK: return
func.func @moves(%x: tensor<2x3xf32>) -> tensor<4x3x2xf32> {
  %0 = tensor.empty() : tensor<3x2xf32>
  %1 = linalg.transpose ins(%x : tensor<2x3xf32>) outs(%0 : tensor<3x2xf32>) permutation = [1, 0]
  %2 = tensor.empty() : tensor<4x3x2xf32>
  %3 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%1 : tensor<3x2xf32>) outs(%2 : tensor<4x3x2xf32>) {
  ^bb0(%a: f32, %u: f32):
    linalg.yield %a : f32
  } -> tensor<4x3x2xf32>
  return %3 : tensor<4x3x2xf32>
}
