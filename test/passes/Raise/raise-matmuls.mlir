// RUN: whit-opt %s --whit-raise-matmuls --canonicalize --split-input-file | FileCheck %s

// A weight K x N as it is stored, and one that is stored as N x K and transposed: neither is moved, the sources say which is which.

// CHECK: whit.weight @a : !whit.tensor<8x4xf32, #whit.format<f32>> = [#whit.source<"columns", 8, [<"m", 0 : 128 x f32
// CHECK: whit.weight @b : !whit.tensor<6x8xf32, #whit.format<f32>> = [#whit.source<"rows", 6, [<"m", 128 : 192 x f32
whit.weight @a : tensor<4x8xf32> = [#whit.source<"rows", 4, [#whit.blob<"m", 0 : 128 x f32, "0">]>]
whit.weight @b : tensor<6x8xf32> = [#whit.source<"rows", 6, [#whit.blob<"m", 128 : 192 x f32, "0">]>]

#x = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
#w = affine_map<(d0, d1, d2, d3) -> (d3, d2)>
#y = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @two
// CHECK-SAME: (%[[X:.*]]: tensor<2x3x4xf32>)
// CHECK: %[[A:.*]] = whit.constant @a : !whit.tensor<8x4xf32, #whit.format<f32>>
// CHECK: %[[Y:.*]] = whit.matmul ins(%[[X]], %[[A]] : {{.*}}) outs(%{{.*}} : tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
// CHECK: %[[B:.*]] = whit.constant @b : !whit.tensor<6x8xf32, #whit.format<f32>>
// CHECK: %[[Z:.*]] = whit.matmul ins(%[[Y]], %[[B]] : {{.*}}) outs(%{{.*}} : tensor<2x3x6xf32>) -> tensor<2x3x6xf32>
// CHECK: return %[[Z]]
func.func @two(%x: tensor<2x3x4xf32>) -> tensor<2x3x6xf32> {
  %a = whit.constant @a : tensor<4x8xf32>
  %b = whit.constant @b : tensor<6x8xf32>
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<8x6xf32>
  %bt = linalg.transpose ins(%b : tensor<6x8xf32>) outs(%0 : tensor<8x6xf32>) permutation = [1, 0]
  %1 = tensor.empty() : tensor<2x3x8xf32>
  %2 = linalg.fill ins(%zero : f32) outs(%1 : tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %a : tensor<2x3x4xf32>, tensor<4x8xf32>) outs(%2 : tensor<2x3x8xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %s = arith.mulf %p, %q : f32
    %t = arith.addf %r, %s : f32
    linalg.yield %t : f32
  } -> tensor<2x3x8xf32>
  %3 = tensor.empty() : tensor<2x3x6xf32>
  %4 = linalg.fill ins(%zero : f32) outs(%3 : tensor<2x3x6xf32>) -> tensor<2x3x6xf32>
  %z = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%y, %bt : tensor<2x3x8xf32>, tensor<8x6xf32>) outs(%4 : tensor<2x3x6xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %s = arith.mulf %p, %q : f32
    %t = arith.addf %r, %s : f32
    linalg.yield %t : f32
  } -> tensor<2x3x6xf32>
  return %z : tensor<2x3x6xf32>
}

// -----

// A table of embeddings that is the output head as well: one weight, as it is stored.
// CHECK: whit.weight @table : !whit.tensor<6x4xf32, #whit.format<f32>> = [#whit.source<"rows", 6,
// CHECK-NOT: whit.weight
whit.weight @table : tensor<6x4xf32> = [#whit.source<"rows", 6, [#whit.blob<"m", 0 : 96 x f32, "0">]>]
// CHECK-LABEL: func.func @tied
// CHECK: whit.gather ins(%{{.*}}, %{{.*}} : !whit.tensor<6x4xf32, #whit.format<f32>>, tensor<3xi32>)
// CHECK: whit.matmul
func.func @tied(%ids: tensor<3xi32>) -> tensor<3x6xf32> {
  %w = whit.constant @table : tensor<6x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %x = whit.gather ins(%w, %ids : tensor<6x4xf32>, tensor<3xi32>) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<3x6xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<3x6xf32>) -> tensor<3x6xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x4xf32>, tensor<6x4xf32>) outs(%1 : tensor<3x6xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %s = arith.mulf %p, %q : f32
    %t = arith.addf %r, %s : f32
    linalg.yield %t : f32
  } -> tensor<3x6xf32>
  return %y : tensor<3x6xf32>
}

// -----

// A sum over the last dimension of a weight with rows of another is not in the form of rows: n is not last.
// CHECK: whit.weight @w : tensor<4x8xf32>
whit.weight @w : tensor<4x8xf32> = [#whit.source<"rows", 4, [#whit.blob<"m", 0 : 128 x f32, "0">]>]
// CHECK-LABEL: func.func @columns_first
// CHECK-NOT: whit.matmul
// CHECK: return
func.func @columns_first(%x: tensor<3x4xf32>) -> tensor<8x3xf32> {
  %w = whit.constant @w : tensor<4x8xf32>
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<8x3xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<8x3xf32>) -> tensor<8x3xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d2, d0)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x4xf32>, tensor<4x8xf32>) outs(%1 : tensor<8x3xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32):
    %s = arith.mulf %p, %q : f32
    %t = arith.addf %r, %s : f32
    linalg.yield %t : f32
  } -> tensor<8x3xf32>
  return %y : tensor<8x3xf32>
}
