// RUN: whit-check %s
// RUN: whit-opt %s --whit-raise-caches --canonicalize --cse -o %t && FileCheck %s < %t && whit-check %t
// RUN: whit-opt %s --whit-raise-caches --whit-make-caches-in-place --canonicalize --cse | FileCheck %s --check-prefix=STATE

// Past keys and new ones: the new tokens, before they were transposed, go behind the past. Its length is that of the mask less the
// new tokens, so that the past becomes a state.

// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[NEW:[^:]*]]: tensor<?x?x2x4xf32> {{.*}}, %[[PAST:[^:]*]]: tensor<?x2x?x4xf32> {{.*}}, %[[MASK:[^:]*]]: tensor<?x?xi64>
// CHECK-DAG: %[[TOTAL:.*]] = tensor.dim %[[MASK]], %c1
// CHECK-DAG: %[[S:.*]] = tensor.dim %[[NEW]], %c1
// CHECK: %[[P:.*]] = affine.apply {{.*}}()[%[[TOTAL]], %[[S]]]
// CHECK: %[[P32:.*]] = arith.index_cast %[[P]] : index to i32
// CHECK: %[[START:.*]] = linalg.fill ins(%[[P32]] : i32)
// CHECK: %[[E:.*]] = tensor.empty(%{{.*}}, %[[TOTAL]]) : tensor<?x2x?x4xf32>
// CHECK: %[[Y:.*]] = whit.cache_append ins(%[[NEW]] after %[[PAST]] : tensor<?x?x2x4xf32>, tensor<?x2x?x4xf32>) from %[[START]] : tensor<?xi32> outs(%[[E]] : tensor<?x2x?x4xf32>)
// CHECK: return %[[Y]]

// STATE-LABEL: func.func @main
// STATE-SAME: tensor<?x2x2048x4xf32> {{{.*}}whit.state
// STATE: whit.cache_append ins(%{{[^ ]*}} : {{.*}} outs(%{{[^ ]*}} : tensor<?x2x2048x4xf32>)
// STATE-NOT: after
// STATE: return
func.func @main(%new: tensor<?x?x2x4xf32> {whit.name = "new", whit.dims = ["batch", "tokens", 2, 4]},
                %past: tensor<?x2x?x4xf32> {whit.name = "past", whit.dims = ["batch", 2, "before", 4]},
                %mask: tensor<?x?xi64> {whit.name = "mask", whit.dims = ["batch", "before + tokens"]})
    -> (tensor<?x2x?x4xf32> {whit.name = "present", whit.dims = ["batch", 2, "before + tokens", 4]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %new, %c0 : tensor<?x?x2x4xf32>
  %s = tensor.dim %new, %c1 : tensor<?x?x2x4xf32>
  %e = tensor.empty(%b, %s) : tensor<?x2x?x4xf32>
  %t = linalg.transpose ins(%new : tensor<?x?x2x4xf32>) outs(%e : tensor<?x2x?x4xf32>) permutation = [0, 2, 1, 3]
  %k = tensor.concat dim(2) %past, %t : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %k : tensor<?x2x?x4xf32>
}

// Lengths that no other argument has are asked of the past, which then stays an input.
// CHECK-LABEL: func.func private @fixed
// CHECK: whit.cache_append
func.func private @fixed(%new: tensor<1x2x2x1xf32>, %past: tensor<1x2x?x1xf32>) -> tensor<1x2x?x1xf32> {
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  %t = linalg.transpose ins(%new : tensor<1x2x2x1xf32>) outs(%e : tensor<1x2x2x1xf32>) permutation = [0, 2, 1, 3]
  %k = tensor.concat dim(2) %past, %t : (tensor<1x2x?x1xf32>, tensor<1x2x2x1xf32>) -> tensor<1x2x?x1xf32>
  return %k : tensor<1x2x?x1xf32>
}

func.func @fixed_test() {
  %new = arith.constant dense<[[[[1.0], [2.0]], [[3.0], [4.0]]]]> : tensor<1x2x2x1xf32>
  %past = arith.constant dense<[[[[5.0]], [[6.0]]]]> : tensor<1x2x1x1xf32>
  %0 = tensor.cast %past : tensor<1x2x1x1xf32> to tensor<1x2x?x1xf32>
  %1 = call @fixed(%new, %0) : (tensor<1x2x2x1xf32>, tensor<1x2x?x1xf32>) -> tensor<1x2x?x1xf32>
  %2 = tensor.cast %1 : tensor<1x2x?x1xf32> to tensor<1x2x3x1xf32>
  check.expect_eq_const %2, dense<[[[[5.0], [1.0], [3.0]], [[6.0], [2.0], [4.0]]]]> : tensor<1x2x3x1xf32>
  return
}

// What is no output is no cache.
// CHECK-LABEL: func.func private @inside
// CHECK: tensor.concat
func.func private @inside(%new: tensor<1x2x2x1xf32>, %past: tensor<1x2x3x1xf32>) -> tensor<1x2x5xf32> {
  %k = tensor.concat dim(2) %past, %new : (tensor<1x2x3x1xf32>, tensor<1x2x2x1xf32>) -> tensor<1x2x5x1xf32>
  %0 = tensor.collapse_shape %k [[0], [1], [2, 3]] : tensor<1x2x5x1xf32> into tensor<1x2x5xf32>
  return %0 : tensor<1x2x5xf32>
}

// New tokens over a part of a cache, as dynamic_update_slice is imported: the start is held inside of the cache.
// CHECK-LABEL: func.func private @update
// CHECK-SAME: (%[[CACHE:[^:]*]]: tensor<1x2x4x1xf32>, %[[NEW:[^:]*]]: tensor<1x2x2x1xf32>, %[[AT:[^:]*]]: tensor<i32>)
// CHECK: %[[START:.*]] = linalg.generic {{.*}} ins(%[[AT]] : tensor<i32>) outs(%{{.*}} : tensor<1xi32>)
// CHECK: arith.minsi
// CHECK: whit.cache_append ins(%[[NEW]] : tensor<1x2x2x1xf32>) from %[[START]] : tensor<1xi32> outs(%[[CACHE]] : tensor<1x2x4x1xf32>)
// CHECK: return
func.func private @update(%cache: tensor<1x2x4x1xf32>, %rows: tensor<1x2x2x1xf32>, %at: tensor<i32>) -> tensor<1x2x4x1xf32> {
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  %new = linalg.transpose ins(%rows : tensor<1x2x2x1xf32>) outs(%e : tensor<1x2x2x1xf32>) permutation = [0, 2, 1, 3]
  %0 = tensor.empty() : tensor<1x2x4x1xf32>
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %1 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> ()>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%cache, %at : tensor<1x2x4x1xf32>, tensor<i32>) outs(%0 : tensor<1x2x4x1xf32>) {
  ^bb0(%old: f32, %i: i32, %u: f32):
    %h = linalg.index 1 : index
    %t = linalg.index 2 : index
    %d = linalg.index 3 : index
    %2 = arith.index_cast %i : i32 to index
    %3 = arith.maxsi %2, %c0 : index
    %4 = arith.minsi %3, %c2 : index
    %place = arith.subi %t, %4 : index
    %fits = arith.cmpi ult, %place, %c2 : index
    %from = arith.select %fits, %place, %c0 : index
    %other = tensor.extract %new[%c0, %h, %from, %d] : tensor<1x2x2x1xf32>
    %r = arith.select %fits, %other, %old : f32
    linalg.yield %r : f32
  } -> tensor<1x2x4x1xf32>
  return %1 : tensor<1x2x4x1xf32>
}

func.func @update_test() {
  %cache = arith.constant dense<[[[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [7.0], [8.0]]]]> : tensor<1x2x4x1xf32>
  %new = arith.constant dense<[[[[10.0], [30.0]], [[20.0], [40.0]]]]> : tensor<1x2x2x1xf32>
  %at = arith.constant dense<1> : tensor<i32>
  %0 = call @update(%cache, %new, %at) : (tensor<1x2x4x1xf32>, tensor<1x2x2x1xf32>, tensor<i32>) -> tensor<1x2x4x1xf32>
  check.expect_eq_const %0, dense<[[[[1.0], [10.0], [20.0], [4.0]], [[5.0], [30.0], [40.0], [8.0]]]]> : tensor<1x2x4x1xf32>
  %far = arith.constant dense<9> : tensor<i32>
  %1 = call @update(%cache, %new, %far) : (tensor<1x2x4x1xf32>, tensor<1x2x2x1xf32>, tensor<i32>) -> tensor<1x2x4x1xf32>
  check.expect_eq_const %1, dense<[[[[1.0], [2.0], [10.0], [20.0]], [[5.0], [6.0], [30.0], [40.0]]]]> : tensor<1x2x4x1xf32>
  return
}
