// RUN: whit-check %s
// RUN: whit-opt %s --whit-raise-softmax --canonicalize --cse -o %t && FileCheck %s < %t && whit-check %t
// RUN: whit-opt %s --whit-raise-softmax --remarks-filter-missed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=MISSED --implicit-check-not="is not raised"

// The maximum and the sum are over the last dimension, and are stretched over it again.

// CHECK-LABEL: func.func private @softmax
// CHECK-SAME: (%[[X:[^:]*]]: tensor<2x3xf32>)
// CHECK: %[[Y:.*]] = whit.softmax ins(%[[X]] : tensor<2x3xf32>) outs(%{{.*}} : tensor<2x3xf32>) -> tensor<2x3xf32>
// CHECK-NOT: linalg
// CHECK: return %[[Y]]
func.func private @softmax(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %1 = arith.constant 0xFF800000 : f32
  %2 = tensor.empty() : tensor<2xf32>
  %3 = linalg.fill ins(%1 : f32) outs(%2 : tensor<2xf32>) -> tensor<2xf32>
  %4 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<2x3xf32>) outs(%3 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %5 = tensor.expand_shape %4 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %6 = tensor.empty() : tensor<2x3xf32>
  %7 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x, %5 : tensor<2x3xf32>, tensor<2x1xf32>) outs(%6 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %8 = tensor.empty() : tensor<2x3xf32>
  %9 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%7 : tensor<2x3xf32>) outs(%8 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %10 = arith.constant 0.0 : f32
  %11 = tensor.empty() : tensor<2xf32>
  %12 = linalg.fill ins(%10 : f32) outs(%11 : tensor<2xf32>) -> tensor<2xf32>
  %13 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%9 : tensor<2x3xf32>) outs(%12 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %14 = tensor.expand_shape %13 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %15 = tensor.empty() : tensor<2x3xf32>
  %16 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%9, %14 : tensor<2x3xf32>, tensor<2x1xf32>) outs(%15 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  return %16 : tensor<2x3xf32>
}

func.func @softmax_test() {
  %x = arith.constant dense<[[1.25, -1.75, -1.375], [-1.125, -1.375, 1.25]]> : tensor<2x3xf32>
  %y = call @softmax(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %wanted = arith.constant dense<[[0.891085446, 0.0443645306, 0.0645500124], [0.0798096433, 0.062155813, 0.858034551]]> : tensor<2x3xf32>
  check.expect_close %y, %wanted ulps = 8 : tensor<2x3xf32>
  return
}

// As JAX writes it; NaN of rows that see nothing is replaced after it, which stays.

// CHECK-LABEL: func.func private @guarded
// CHECK: %[[Y:.*]] = whit.softmax
// CHECK: linalg.generic {{.*}} ins(%[[Y]]
// CHECK: arith.cmpf uno
// CHECK: arith.select
// CHECK-NOT: linalg.generic
// CHECK: return
func.func private @guarded(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %1 = arith.constant 0xFF800000 : f32
  %2 = tensor.empty() : tensor<2xf32>
  %3 = linalg.fill ins(%1 : f32) outs(%2 : tensor<2xf32>) -> tensor<2xf32>
  %4 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<2x3xf32>) outs(%3 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %5 = tensor.empty() : tensor<2xf32>
  %6 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%4 : tensor<2xf32>) outs(%5 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 0xFF800000 : f32
    %r = arith.maximumf %kk, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %7 = tensor.expand_shape %6 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %8 = tensor.empty() : tensor<2x3xf32>
  %9 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%7 : tensor<2x1xf32>) outs(%8 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    linalg.yield %a0 : f32
  } -> tensor<2x3xf32>
  %10 = tensor.empty() : tensor<2x3xf32>
  %11 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x, %9 : tensor<2x3xf32>, tensor<2x3xf32>) outs(%10 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %12 = tensor.empty() : tensor<2x3xf32>
  %13 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%11 : tensor<2x3xf32>) outs(%12 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %14 = arith.constant 0.0 : f32
  %15 = tensor.empty() : tensor<2xf32>
  %16 = linalg.fill ins(%14 : f32) outs(%15 : tensor<2xf32>) -> tensor<2xf32>
  %17 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%13 : tensor<2x3xf32>) outs(%16 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %18 = tensor.expand_shape %17 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %19 = tensor.empty() : tensor<2x3xf32>
  %20 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%13, %18 : tensor<2x3xf32>, tensor<2x1xf32>) outs(%19 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %21 = tensor.empty() : tensor<2x3xi1>
  %22 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%20 : tensor<2x3xf32>) outs(%21 : tensor<2x3xi1>) {
  ^bb0(%a0: f32, %u: i1):
    %r = arith.cmpf uno, %a0, %a0 : f32
    linalg.yield %r : i1
  } -> tensor<2x3xi1>
  %23 = tensor.empty() : tensor<2x3xf32>
  %24 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%22, %20 : tensor<2x3xi1>, tensor<2x3xf32>) outs(%23 : tensor<2x3xf32>) {
  ^bb0(%a0: i1, %a1: f32, %u: f32):
    %kk = arith.constant 0.0 : f32
    %r = arith.select %a0, %kk, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  return %24 : tensor<2x3xf32>
}

func.func @guarded_test() {
  %x = arith.constant dense<[[1.5, 0.375, -1.875], [0xFF800000, 0xFF800000, 0xFF800000]]> : tensor<2x3xf32>
  %y = call @guarded(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %wanted = arith.constant dense<[[0.73590523, 0.238913462, 0.0251812935], [0.0, 0.0, 0.0]]> : tensor<2x3xf32>
  check.expect_close %y, %wanted ulps = 8 : tensor<2x3xf32>
  return
}

// The maximum of something else is no guard against overflow of this.

// CHECK-LABEL: func.func private @other_maximum
// CHECK-NOT: whit.softmax
// CHECK: return
func.func private @other_maximum(%x: tensor<2x3xf32>, %z: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %1 = arith.constant 0xFF800000 : f32
  %2 = tensor.empty() : tensor<2xf32>
  %3 = linalg.fill ins(%1 : f32) outs(%2 : tensor<2xf32>) -> tensor<2xf32>
  %4 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%z : tensor<2x3xf32>) outs(%3 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %5 = tensor.expand_shape %4 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %6 = tensor.empty() : tensor<2x3xf32>
  %7 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x, %5 : tensor<2x3xf32>, tensor<2x1xf32>) outs(%6 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %8 = tensor.empty() : tensor<2x3xf32>
  %9 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%7 : tensor<2x3xf32>) outs(%8 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %10 = arith.constant 0.0 : f32
  %11 = tensor.empty() : tensor<2xf32>
  %12 = linalg.fill ins(%10 : f32) outs(%11 : tensor<2xf32>) -> tensor<2xf32>
  %13 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%9 : tensor<2x3xf32>) outs(%12 : tensor<2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2xf32>
  %14 = tensor.expand_shape %13 [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %15 = tensor.empty() : tensor<2x3xf32>
  %16 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%9, %14 : tensor<2x3xf32>, tensor<2x1xf32>) outs(%15 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  return %16 : tensor<2x3xf32>
}

// What is nearly the formula stays as it is, and a remark names the condition that failed.

#id = affine_map<(d0, d1) -> (d0, d1)>
#columns = affine_map<(d0, d1) -> (d1)>

// MISSED-DAG: softmax is not raised: it sums over dimension 0; the last one, 1, is required
// CHECK-LABEL: func.func @softmax_of_columns
// CHECK-NOT: whit.softmax
// CHECK: return
func.func @softmax_of_columns(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %row = tensor.empty() : tensor<4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %lows = linalg.fill ins(%low : f32) outs(%row : tensor<4xf32>) -> tensor<4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%row : tensor<4xf32>) -> tensor<4xf32>
  %m = linalg.generic {indexing_maps = [#id, #columns], iterator_types = ["reduction", "parallel"]} ins(%x : tensor<3x4xf32>) outs(%lows : tensor<4xf32>) {
  ^bb0(%a: f32, %u: f32):
    %r = arith.maximumf %u, %a : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  %p = linalg.generic {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %m : tensor<3x4xf32>, tensor<4xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %u: f32):
    %d = arith.subf %a, %b : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  } -> tensor<3x4xf32>
  %s = linalg.generic {indexing_maps = [#id, #columns], iterator_types = ["reduction", "parallel"]} ins(%p : tensor<3x4xf32>) outs(%zeros : tensor<4xf32>) {
  ^bb0(%a: f32, %u: f32):
    %r = arith.addf %u, %a : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  %y = linalg.generic {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]} ins(%p, %s : tensor<3x4xf32>, tensor<4xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %u: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

#rows = affine_map<(d0, d1) -> (d0)>

// MISSED-DAG: softmax is not raised: what is subtracted from its scores is not their maximum over the same dimension
// CHECK-LABEL: func.func @softmax_without_maximum
// CHECK-NOT: whit.softmax
// CHECK: return
func.func @softmax_without_maximum(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %zero = arith.constant 0.0 : f32
  %column = tensor.empty() : tensor<3xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%column : tensor<3xf32>) -> tensor<3xf32>
  %p = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<3x4xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %u: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  } -> tensor<3x4xf32>
  %s = linalg.generic {indexing_maps = [#id, #rows], iterator_types = ["parallel", "reduction"]} ins(%p : tensor<3x4xf32>) outs(%zeros : tensor<3xf32>) {
  ^bb0(%a: f32, %u: f32):
    %r = arith.addf %u, %a : f32
    linalg.yield %r : f32
  } -> tensor<3xf32>
  %y = linalg.generic {indexing_maps = [#id, #rows, #id], iterator_types = ["parallel", "parallel"]} ins(%p, %s : tensor<3x4xf32>, tensor<3xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %b: f32, %u: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}
