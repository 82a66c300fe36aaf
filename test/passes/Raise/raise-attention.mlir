// RUN: whit-check %s
// RUN: whit-opt %s --whit-raise-attention --canonicalize --cse -o %t && FileCheck %s < %t && whit-check %t

// An encoder as PyTorch exports it: heads are split and transposed, the root of the scale is on both sides, the mask of padding is
// stretched to [B, 1, S, T] before it becomes numbers. The mask that is left has one row.

// CHECK-LABEL: func.func private @encoder
// CHECK-SAME: (%[[Q:.*]]: tensor<2x3x4xf32>, %[[K:.*]]: tensor<2x3x4xf32>, %[[V:.*]]: tensor<2x3x4xf32>, %[[SEEN:.*]]: tensor<2x3xi64>)
// CHECK-DAG: %[[HQ:.*]] = tensor.expand_shape %[[Q]] {{.*}} into tensor<2x3x2x2xf32>
// CHECK-DAG: %[[HK:.*]] = tensor.expand_shape %[[K]] {{.*}} into tensor<2x3x2x2xf32>
// CHECK-DAG: %[[HV:.*]] = tensor.expand_shape %[[V]] {{.*}} into tensor<2x3x2x2xf32>
// CHECK-DAG: %[[CK:.*]] = whit.cache_append ins(%[[HK]] : {{.*}}
// CHECK-DAG: %[[CV:.*]] = whit.cache_append ins(%[[HV]] : {{.*}}
// CHECK: %[[MASK:.*]] = linalg.generic {{.*}} ins(%[[SEEN]] : tensor<2x3xi64>) outs(%{{.*}} : tensor<2x1x1x3xf32>)
// CHECK: %[[Y:.*]] = whit.attention ins(%[[HQ]], %[[CK]], %[[CV]] mask %[[MASK]] : {{.*}} scale = 0.70710{{.*}} bidirectional -> tensor<2x3x2x2xf32>
// CHECK-NOT: linalg
// CHECK: %[[ROWS:.*]] = tensor.collapse_shape %[[Y]]
// CHECK: return %[[ROWS]]
func.func private @encoder(%q: tensor<2x3x4xf32>, %k: tensor<2x3x4xf32>, %v: tensor<2x3x4xf32>, %seen: tensor<2x3xi64>) -> tensor<2x3x4xf32> {
  %1 = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [2, 3, 2, 2] : tensor<2x3x4xf32> into tensor<2x3x2x2xf32>
  %2 = tensor.empty() : tensor<2x2x3x2xf32>
  %3 = linalg.transpose ins(%1 : tensor<2x3x2x2xf32>) outs(%2 : tensor<2x2x3x2xf32>) permutation = [0, 2, 1, 3]
  %4 = tensor.empty() : tensor<2x2x3x2xf32>
  %5 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%3 : tensor<2x2x3x2xf32>) outs(%4 : tensor<2x2x3x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 0.840896427 : f32
    %r = arith.mulf %a0, %kk : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x2xf32>
  %6 = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [2, 3, 2, 2] : tensor<2x3x4xf32> into tensor<2x3x2x2xf32>
  %7 = tensor.empty() : tensor<2x2x2x3xf32>
  %8 = linalg.transpose ins(%6 : tensor<2x3x2x2xf32>) outs(%7 : tensor<2x2x2x3xf32>) permutation = [0, 2, 3, 1]
  %9 = tensor.empty() : tensor<2x2x2x3xf32>
  %10 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%8 : tensor<2x2x2x3xf32>) outs(%9 : tensor<2x2x2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 0.840896427 : f32
    %r = arith.mulf %a0, %kk : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x3xf32>
  %11 = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [2, 3, 2, 2] : tensor<2x3x4xf32> into tensor<2x3x2x2xf32>
  %12 = tensor.empty() : tensor<2x2x3x2xf32>
  %13 = linalg.transpose ins(%11 : tensor<2x3x2x2xf32>) outs(%12 : tensor<2x2x3x2xf32>) permutation = [0, 2, 1, 3]
  %14 = arith.constant 0.0 : f32
  %15 = tensor.empty() : tensor<2x2x3x3xf32>
  %16 = linalg.fill ins(%14 : f32) outs(%15 : tensor<2x2x3x3xf32>) -> tensor<2x2x3x3xf32>
  %17 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%5, %10 : tensor<2x2x3x2xf32>, tensor<2x2x2x3xf32>) outs(%16 : tensor<2x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x3xf32>
  %18 = tensor.expand_shape %seen [[0], [1, 2, 3]] output_shape [2, 1, 1, 3] : tensor<2x3xi64> into tensor<2x1x1x3xi64>
  %19 = tensor.empty() : tensor<2x1x3x3xi64>
  %20 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%18 : tensor<2x1x1x3xi64>) outs(%19 : tensor<2x1x3x3xi64>) {
  ^bb0(%a0: i64, %u: i64):
    linalg.yield %a0 : i64
  } -> tensor<2x1x3x3xi64>
  %21 = tensor.empty() : tensor<2x1x3x3xf32>
  %22 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%20 : tensor<2x1x3x3xi64>) outs(%21 : tensor<2x1x3x3xf32>) {
  ^bb0(%a0: i64, %u: f32):
    %r = arith.sitofp %a0 : i64 to f32
    linalg.yield %r : f32
  } -> tensor<2x1x3x3xf32>
  %23 = tensor.empty() : tensor<2x1x3x3xf32>
  %24 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%22 : tensor<2x1x3x3xf32>) outs(%23 : tensor<2x1x3x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 1.0 : f32
    %r = arith.subf %kk, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x1x3x3xf32>
  %25 = tensor.empty() : tensor<2x1x3x3xi1>
  %26 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%24 : tensor<2x1x3x3xf32>) outs(%25 : tensor<2x1x3x3xi1>) {
  ^bb0(%a0: f32, %u: i1):
    %kk = arith.constant 0.0 : f32
    %r = arith.cmpf une, %a0, %kk : f32
    linalg.yield %r : i1
  } -> tensor<2x1x3x3xi1>
  %27 = tensor.empty() : tensor<2x1x3x3xf32>
  %28 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%26, %24 : tensor<2x1x3x3xi1>, tensor<2x1x3x3xf32>) outs(%27 : tensor<2x1x3x3xf32>) {
  ^bb0(%a0: i1, %a1: f32, %u: f32):
    %kk = arith.constant -3.40282347E+38 : f32
    %r = arith.select %a0, %kk, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x1x3x3xf32>
  %29 = tensor.empty() : tensor<2x2x3x3xf32>
  %30 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%17, %28 : tensor<2x2x3x3xf32>, tensor<2x1x3x3xf32>) outs(%29 : tensor<2x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x3xf32>
  %31 = arith.constant 0xFF800000 : f32
  %32 = tensor.empty() : tensor<2x2x3xf32>
  %33 = linalg.fill ins(%31 : f32) outs(%32 : tensor<2x2x3xf32>) -> tensor<2x2x3xf32>
  %34 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%30 : tensor<2x2x3x3xf32>) outs(%33 : tensor<2x2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3xf32>
  %35 = tensor.expand_shape %34 [[0], [1], [2, 3]] output_shape [2, 2, 3, 1] : tensor<2x2x3xf32> into tensor<2x2x3x1xf32>
  %36 = tensor.empty() : tensor<2x2x3x3xf32>
  %37 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%30, %35 : tensor<2x2x3x3xf32>, tensor<2x2x3x1xf32>) outs(%36 : tensor<2x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x3xf32>
  %38 = tensor.empty() : tensor<2x2x3x3xf32>
  %39 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%37 : tensor<2x2x3x3xf32>) outs(%38 : tensor<2x2x3x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x3xf32>
  %40 = arith.constant 0.0 : f32
  %41 = tensor.empty() : tensor<2x2x3xf32>
  %42 = linalg.fill ins(%40 : f32) outs(%41 : tensor<2x2x3xf32>) -> tensor<2x2x3xf32>
  %43 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%39 : tensor<2x2x3x3xf32>) outs(%42 : tensor<2x2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3xf32>
  %44 = tensor.expand_shape %43 [[0], [1], [2, 3]] output_shape [2, 2, 3, 1] : tensor<2x2x3xf32> into tensor<2x2x3x1xf32>
  %45 = tensor.empty() : tensor<2x2x3x3xf32>
  %46 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%39, %44 : tensor<2x2x3x3xf32>, tensor<2x2x3x1xf32>) outs(%45 : tensor<2x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x3xf32>
  %47 = arith.constant 0.0 : f32
  %48 = tensor.empty() : tensor<2x2x3x2xf32>
  %49 = linalg.fill ins(%47 : f32) outs(%48 : tensor<2x2x3x2xf32>) -> tensor<2x2x3x2xf32>
  %50 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%46, %13 : tensor<2x2x3x3xf32>, tensor<2x2x3x2xf32>) outs(%49 : tensor<2x2x3x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x2x3x2xf32>
  %51 = tensor.empty() : tensor<2x3x2x2xf32>
  %52 = linalg.transpose ins(%50 : tensor<2x2x3x2xf32>) outs(%51 : tensor<2x3x2x2xf32>) permutation = [0, 2, 1, 3]
  %53 = tensor.collapse_shape %52 [[0], [1], [2, 3]] : tensor<2x3x2x2xf32> into tensor<2x3x4xf32>
  return %53 : tensor<2x3x4xf32>
}

func.func @encoder_test() {
  %q = arith.constant dense<[[[1.25, -1.75, -1.375, -1.125], [-1.375, 1.25, 1.5, 0.375], [-1.875, -1.625, -0.75, -0.25]], [[0.5, -0.125, -1.0, -1.375], [0.75, 1.0, -1.875, -1.625], [-0.25, -0.5, 1.625, 0.125]]]> : tensor<2x3x4xf32>
  %k = arith.constant dense<[[[-0.375, -0.25, 0.625, 0.375], [-1.375, 1.0, 1.0, 1.875], [1.125, -0.875, -0.75, 0.625]], [[0.625, 0.75, 1.5, -0.875], [1.75, -2.0, -1.75, 2.0], [1.875, -0.875, -1.5, -0.75]]]> : tensor<2x3x4xf32>
  %v = arith.constant dense<[[[-1.875, 1.625, 0.625, 0.375], [-1.0, -0.125, -1.25, 1.125], [-0.125, -1.875, -1.0, 0.875]], [[0.125, -0.5, -1.0, -1.75], [0.5, 0.625, 0.125, 1.75], [1.75, -1.25, 0.5, 0.5]]]> : tensor<2x3x4xf32>
  %seen = arith.constant dense<[[1, 1, 1], [1, 1, 0]]> : tensor<2x3xi64>
  %y = call @encoder(%q, %k, %v, %seen) : (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3xi64>) -> tensor<2x3x4xf32>
  %wanted = arith.constant dense<[[[-0.322558194, -1.47988367, -0.636963189, 0.771711767], [-1.08314061, 0.0412811898, -0.69079423, 0.890555143], [-1.28924441, 0.453488916, -0.593687773, 0.780103862]], [[0.370601684, 0.236805022, -0.574522138, -0.426291049], [0.202328846, -0.268013477, -0.176362321, 0.812428355], [0.38159582, 0.269787431, -0.966386974, -1.64542615]]]> : tensor<2x3x4xf32>
  check.expect_close %y, %wanted ulps = 64 : tensor<2x3x4xf32>
  return
}

// A decoder with a cache: keys and values of one head are repeated for two, a condition chooses between 0 and -infinity, and what
// is NaN becomes 0: the first sequence is all padding. The cache is read as it is.

// CHECK-LABEL: func.func private @decoder
// CHECK-SAME: (%[[Q:[^:]*]]: tensor<2x2x8xf32>, %[[K:[^:]*]]: tensor<2x2x4x2xf32>, %[[V:[^:]*]]: tensor<2x2x4x2xf32>, %[[SEEN:[^:]*]]: tensor<2x1x2x4xi1>)
// CHECK: %[[HQ:.*]] = tensor.expand_shape %[[Q]] {{.*}} into tensor<2x2x4x2xf32>
// CHECK: %[[MASK:.*]] = linalg.generic {{.*}} ins(%[[SEEN]] : tensor<2x1x2x4xi1>) outs(%{{.*}} : tensor<2x1x2x4xf32>)
// CHECK: whit.attention ins(%[[HQ]], %[[K]], %[[V]] mask %[[MASK]] : tensor<2x2x4x2xf32>, tensor<2x2x4x2xf32>, {{.*}}) {{.*}} scale = 2.500000e-01 bidirectional
// CHECK-NOT: linalg
// CHECK: return
func.func private @decoder(%q: tensor<2x2x8xf32>, %k: tensor<2x2x4x2xf32>, %v: tensor<2x2x4x2xf32>, %seen: tensor<2x1x2x4xi1>) -> tensor<2x2x8xf32> {
  %1 = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [2, 2, 4, 2] : tensor<2x2x8xf32> into tensor<2x2x4x2xf32>
  %2 = tensor.empty() : tensor<2x4x2x2xf32>
  %3 = linalg.transpose ins(%1 : tensor<2x2x4x2xf32>) outs(%2 : tensor<2x4x2x2xf32>) permutation = [0, 2, 1, 3]
  %4 = tensor.expand_shape %k [[0], [1, 2], [3], [4]] output_shape [2, 2, 1, 4, 2] : tensor<2x2x4x2xf32> into tensor<2x2x1x4x2xf32>
  %5 = tensor.empty() : tensor<2x2x2x4x2xf32>
  %6 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, 0, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%4 : tensor<2x2x1x4x2xf32>) outs(%5 : tensor<2x2x2x4x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    linalg.yield %a0 : f32
  } -> tensor<2x2x2x4x2xf32>
  %7 = tensor.collapse_shape %6 [[0], [1, 2], [3], [4]] : tensor<2x2x2x4x2xf32> into tensor<2x4x4x2xf32>
  %8 = tensor.empty() : tensor<2x4x2x4xf32>
  %9 = linalg.transpose ins(%7 : tensor<2x4x4x2xf32>) outs(%8 : tensor<2x4x2x4xf32>) permutation = [0, 1, 3, 2]
  %10 = arith.constant 0.0 : f32
  %11 = tensor.empty() : tensor<2x4x2x4xf32>
  %12 = linalg.fill ins(%10 : f32) outs(%11 : tensor<2x4x2x4xf32>) -> tensor<2x4x2x4xf32>
  %13 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%3, %9 : tensor<2x4x2x2xf32>, tensor<2x4x2x4xf32>) outs(%12 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %14 = tensor.empty() : tensor<2x4x2x4xf32>
  %15 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%13 : tensor<2x4x2x4xf32>) outs(%14 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 0.25 : f32
    %r = arith.mulf %a0, %kk : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %16 = tensor.empty() : tensor<2x1x2x4xf32>
  %17 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%seen : tensor<2x1x2x4xi1>) outs(%16 : tensor<2x1x2x4xf32>) {
  ^bb0(%a0: i1, %u: f32):
    %kk = arith.constant 0.0 : f32
    %n = arith.constant 0xFF800000 : f32
    %r = arith.select %a0, %kk, %n : f32
    linalg.yield %r : f32
  } -> tensor<2x1x2x4xf32>
  %18 = tensor.empty() : tensor<2x4x2x4xf32>
  %19 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%15, %17 : tensor<2x4x2x4xf32>, tensor<2x1x2x4xf32>) outs(%18 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %20 = arith.constant 0xFF800000 : f32
  %21 = tensor.empty() : tensor<2x4x2xf32>
  %22 = linalg.fill ins(%20 : f32) outs(%21 : tensor<2x4x2xf32>) -> tensor<2x4x2xf32>
  %23 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%19 : tensor<2x4x2x4xf32>) outs(%22 : tensor<2x4x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2xf32>
  %24 = tensor.expand_shape %23 [[0], [1], [2, 3]] output_shape [2, 4, 2, 1] : tensor<2x4x2xf32> into tensor<2x4x2x1xf32>
  %25 = tensor.empty() : tensor<2x4x2x4xf32>
  %26 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%19, %24 : tensor<2x4x2x4xf32>, tensor<2x4x2x1xf32>) outs(%25 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %27 = tensor.empty() : tensor<2x4x2x4xf32>
  %28 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%26 : tensor<2x4x2x4xf32>) outs(%27 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %29 = arith.constant 0.0 : f32
  %30 = tensor.empty() : tensor<2x4x2xf32>
  %31 = linalg.fill ins(%29 : f32) outs(%30 : tensor<2x4x2xf32>) -> tensor<2x4x2xf32>
  %32 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%28 : tensor<2x4x2x4xf32>) outs(%31 : tensor<2x4x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2xf32>
  %33 = tensor.expand_shape %32 [[0], [1], [2, 3]] output_shape [2, 4, 2, 1] : tensor<2x4x2xf32> into tensor<2x4x2x1xf32>
  %34 = tensor.empty() : tensor<2x4x2x4xf32>
  %35 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%28, %33 : tensor<2x4x2x4xf32>, tensor<2x4x2x1xf32>) outs(%34 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %36 = tensor.empty() : tensor<2x4x2x4xi1>
  %37 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%35 : tensor<2x4x2x4xf32>) outs(%36 : tensor<2x4x2x4xi1>) {
  ^bb0(%a0: f32, %u: i1):
    %r = arith.cmpf uno, %a0, %a0 : f32
    linalg.yield %r : i1
  } -> tensor<2x4x2x4xi1>
  %38 = tensor.empty() : tensor<2x4x2x4xf32>
  %39 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%37, %35 : tensor<2x4x2x4xi1>, tensor<2x4x2x4xf32>) outs(%38 : tensor<2x4x2x4xf32>) {
  ^bb0(%a0: i1, %a1: f32, %u: f32):
    %kk = arith.constant 0.0 : f32
    %r = arith.select %a0, %kk, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x4xf32>
  %40 = tensor.expand_shape %v [[0], [1, 2], [3], [4]] output_shape [2, 2, 1, 4, 2] : tensor<2x2x4x2xf32> into tensor<2x2x1x4x2xf32>
  %41 = tensor.empty() : tensor<2x2x2x4x2xf32>
  %42 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, 0, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%40 : tensor<2x2x1x4x2xf32>) outs(%41 : tensor<2x2x2x4x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    linalg.yield %a0 : f32
  } -> tensor<2x2x2x4x2xf32>
  %43 = tensor.collapse_shape %42 [[0], [1, 2], [3], [4]] : tensor<2x2x2x4x2xf32> into tensor<2x4x4x2xf32>
  %44 = arith.constant 0.0 : f32
  %45 = tensor.empty() : tensor<2x4x2x2xf32>
  %46 = linalg.fill ins(%44 : f32) outs(%45 : tensor<2x4x2x2xf32>) -> tensor<2x4x2x2xf32>
  %47 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%39, %43 : tensor<2x4x2x4xf32>, tensor<2x4x4x2xf32>) outs(%46 : tensor<2x4x2x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x4x2x2xf32>
  %48 = tensor.empty() : tensor<2x2x4x2xf32>
  %49 = linalg.transpose ins(%47 : tensor<2x4x2x2xf32>) outs(%48 : tensor<2x2x4x2xf32>) permutation = [0, 2, 1, 3]
  %50 = tensor.collapse_shape %49 [[0], [1], [2, 3]] : tensor<2x2x4x2xf32> into tensor<2x2x8xf32>
  return %50 : tensor<2x2x8xf32>
}

func.func @decoder_test() {
  %q = arith.constant dense<[[[-1.0, -0.875, 0.0, 1.0, -0.875, 0.875, 0.625, -1.125], [-0.5, 1.375, 1.375, 0.625, -2.0, 0.75, -1.125, 1.375]], [[1.75, -0.25, 1.875, 1.125, -0.75, 1.5, -0.5, -1.625], [0.375, 1.5, 0.625, -0.5, 1.625, -0.125, -0.5, -1.5]]]> : tensor<2x2x8xf32>
  %k = arith.constant dense<[[[[-1.125, 0.875], [1.25, -0.875], [0.5, 1.5], [-1.5, -0.875]], [[0.125, 0.25], [-0.375, -0.375], [-1.5, 0.5], [1.75, -1.25]]], [[[1.25, -1.375], [-1.875, 1.0], [-1.375, 1.0], [-0.75, 0.25]], [[1.875, 1.75], [-0.125, -1.25], [-1.0, 1.5], [0.375, -1.375]]]]> : tensor<2x2x4x2xf32>
  %v = arith.constant dense<[[[[1.625, 1.875], [1.875, 0.5], [2.0, 0.5], [0.0, 2.0]], [[0.375, 1.125], [-0.625, 1.25], [2.0, -1.875], [0.125, -0.5]]], [[[-1.875, -1.75], [-1.0, -1.25], [0.875, -1.125], [0.5, 1.5]], [[0.0, -1.5], [-1.75, -0.875], [-0.375, 0.0], [-0.75, 1.5]]]]> : tensor<2x2x4x2xf32>
  %seen = arith.constant dense<[[[[false, false, false, false], [true, false, false, false]]], [[[true, true, true, false], [true, true, true, true]]]]> : tensor<2x1x2x4xi1>
  %y = call @decoder(%q, %k, %v, %seen) : (tensor<2x2x8xf32>, tensor<2x2x4x2xf32>, tensor<2x2x4x2xf32>, tensor<2x1x2x4xi1>) -> tensor<2x2x8xf32>
  %wanted = arith.constant dense<[[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.625, 1.875, 1.625, 1.875, 0.375, 1.125, 0.375, 1.125]], [[-1.24272609, -1.56199563, -0.904310286, -1.46221149, -0.465495497, -0.630762756, -1.18282735, -0.764980495], [-0.202230275, -0.620753229, -0.628766716, -0.777256429, -0.591609895, -0.427971661, -1.00092161, 0.0844311565]]]> : tensor<2x2x8xf32>
  check.expect_close %y, %wanted ulps = 64 : tensor<2x2x8xf32>
  return
}

// As JAX writes groups: [B, HK, G, S, T], division by the root of the depth, a mask of rows and tokens only, a maximum that is
// guarded with -infinity. One row: its dimension is 1 everywhere.

// CHECK-LABEL: func.func private @groups
// CHECK-SAME: (%[[Q:[^:]*]]: tensor<1x4x1x2xf32>, %[[K:[^:]*]]: tensor<1x2x5x2xf32>, %[[V:[^:]*]]: tensor<1x2x5x2xf32>, %[[BIAS:[^:]*]]: tensor<1x5xf32>)
// CHECK: %[[MASK:.*]] = tensor.expand_shape {{.*}} into tensor<1x1x1x5xf32>
// CHECK: whit.attention ins(%{{.*}}, %[[K]], %[[V]] mask %[[MASK]] : tensor<1x1x4x2xf32>, tensor<1x2x5x2xf32>, {{.*}}) {{.*}} scale = 5.000000e-01 bidirectional -> tensor<1x1x4x2xf32>
// CHECK-NOT: linalg.generic
// CHECK: return
func.func private @groups(%q: tensor<1x4x1x2xf32>, %k: tensor<1x2x5x2xf32>, %v: tensor<1x2x5x2xf32>, %bias: tensor<1x5xf32>) -> tensor<1x4x1x2xf32> {
  %1 = tensor.expand_shape %q [[0], [1, 2], [3], [4]] output_shape [1, 2, 2, 1, 2] : tensor<1x4x1x2xf32> into tensor<1x2x2x1x2xf32>
  %2 = arith.constant 0.0 : f32
  %3 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %4 = linalg.fill ins(%2 : f32) outs(%3 : tensor<1x2x2x1x5xf32>) -> tensor<1x2x2x1x5xf32>
  %5 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d5)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d4, d5)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%1, %k : tensor<1x2x2x1x2xf32>, tensor<1x2x5x2xf32>) outs(%4 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %6 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %7 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%5 : tensor<1x2x2x1x5xf32>) outs(%6 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 2.0 : f32
    %r = arith.divf %a0, %kk : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %8 = tensor.expand_shape %bias [[0, 1, 2, 3], [4]] output_shape [1, 1, 1, 1, 5] : tensor<1x5xf32> into tensor<1x1x1x1x5xf32>
  %9 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %10 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, 0, 0, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%8 : tensor<1x1x1x1x5xf32>) outs(%9 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %u: f32):
    linalg.yield %a0 : f32
  } -> tensor<1x2x2x1x5xf32>
  %11 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %12 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%7, %10 : tensor<1x2x2x1x5xf32>, tensor<1x2x2x1x5xf32>) outs(%11 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %13 = arith.constant 0xFF800000 : f32
  %14 = tensor.empty() : tensor<1x2x2x1xf32>
  %15 = linalg.fill ins(%13 : f32) outs(%14 : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %16 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%12 : tensor<1x2x2x1x5xf32>) outs(%15 : tensor<1x2x2x1xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1xf32>
  %17 = tensor.empty() : tensor<1x2x2x1xf32>
  %18 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%16 : tensor<1x2x2x1xf32>) outs(%17 : tensor<1x2x2x1xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %kk = arith.constant 0xFF800000 : f32
    %r = arith.maximumf %kk, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1xf32>
  %19 = tensor.expand_shape %18 [[0], [1], [2], [3, 4]] output_shape [1, 2, 2, 1, 1] : tensor<1x2x2x1xf32> into tensor<1x2x2x1x1xf32>
  %20 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %21 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, 0)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%19 : tensor<1x2x2x1x1xf32>) outs(%20 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %u: f32):
    linalg.yield %a0 : f32
  } -> tensor<1x2x2x1x5xf32>
  %22 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %23 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%12, %21 : tensor<1x2x2x1x5xf32>, tensor<1x2x2x1x5xf32>) outs(%22 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %24 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %25 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%23 : tensor<1x2x2x1x5xf32>) outs(%24 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %26 = arith.constant 0.0 : f32
  %27 = tensor.empty() : tensor<1x2x2x1xf32>
  %28 = linalg.fill ins(%26 : f32) outs(%27 : tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
  %29 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%25 : tensor<1x2x2x1x5xf32>) outs(%28 : tensor<1x2x2x1xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1xf32>
  %30 = tensor.expand_shape %29 [[0], [1], [2], [3, 4]] output_shape [1, 2, 2, 1, 1] : tensor<1x2x2x1xf32> into tensor<1x2x2x1x1xf32>
  %31 = tensor.empty() : tensor<1x2x2x1x5xf32>
  %32 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, 0)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%25, %30 : tensor<1x2x2x1x5xf32>, tensor<1x2x2x1x1xf32>) outs(%31 : tensor<1x2x2x1x5xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x5xf32>
  %33 = arith.constant 0.0 : f32
  %34 = tensor.empty() : tensor<1x2x2x1x2xf32>
  %35 = linalg.fill ins(%33 : f32) outs(%34 : tensor<1x2x2x1x2xf32>) -> tensor<1x2x2x1x2xf32>
  %36 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d5)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d5, d4)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d4)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%32, %v : tensor<1x2x2x1x5xf32>, tensor<1x2x5x2xf32>) outs(%35 : tensor<1x2x2x1x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<1x2x2x1x2xf32>
  %37 = tensor.collapse_shape %36 [[0], [1, 2], [3], [4]] : tensor<1x2x2x1x2xf32> into tensor<1x4x1x2xf32>
  return %37 : tensor<1x4x1x2xf32>
}

func.func @groups_test() {
  %q = arith.constant dense<[[[[0.25, 1.875]], [[1.75, 0.875]], [[-2.0, -1.125]], [[1.0, 0.125]]]]> : tensor<1x4x1x2xf32>
  %k = arith.constant dense<[[[[1.875, 0.875], [1.375, -1.875], [-0.875, 0.75], [0.5, -0.5], [-1.375, 0.375]], [[-1.75, 0.75], [1.25, 0.75], [-1.75, 0.125], [-0.75, 0.25], [0.75, -1.25]]]]> : tensor<1x2x5x2xf32>
  %v = arith.constant dense<[[[[-1.875, 0.0], [0.5, -1.5], [1.75, -0.125], [1.875, 0.125], [1.0, 1.125]], [[0.0, -0.5], [0.75, -2.0], [0.5, 0.125], [-1.5, -1.25], [-1.875, 1.0]]]]> : tensor<1x2x5x2xf32>
  %bias = arith.constant dense<[[0.0, 0.0, -1.0e+09, 0.0, -1.0e+09]]> : tensor<1x5xf32>
  %y = call @groups(%q, %k, %v, %bias) : (tensor<1x4x1x2xf32>, tensor<1x2x5x2xf32>, tensor<1x2x5x2xf32>, tensor<1x5xf32>) -> tensor<1x4x1x2xf32>
  %wanted = arith.constant dense<[[[[-1.07747149, -0.0598255023]], [[-1.08186185, -0.19892931]], [[-0.451291114, -0.786375403]], [[0.136202917, -1.61883938]]]]> : tensor<1x4x1x2xf32>
  check.expect_close %y, %wanted ulps = 64 : tensor<1x4x1x2xf32>
  return
}

// A batch of one that was dropped, queries that are used again, and a condition that replaces the score itself: no row sees what is
// behind it. That is no mask, but where rows stand.

// CHECK-LABEL: func.func private @no_batch
// CHECK: %[[START:.*]] = linalg.fill ins(%c0_i32 : i32)
// CHECK: whit.attention ins(%{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}} : tensor<1x3x2x2xf32>, tensor<1x2x3x2xf32>, {{.*}} from %[[START]] {{.*}} scale = 1.000000e+00 ->
// CHECK: return
func.func private @no_batch(%q: tensor<2x3x2xf32>, %k: tensor<2x3x2xf32>, %v: tensor<2x3x2xf32>) -> tensor<2x3x2xf32> {
  %1 = tensor.empty() : tensor<2x2x3xf32>
  %2 = linalg.transpose ins(%k : tensor<2x3x2xf32>) outs(%1 : tensor<2x2x3xf32>) permutation = [0, 2, 1]
  %3 = arith.constant 0.0 : f32
  %4 = tensor.empty() : tensor<2x3x3xf32>
  %5 = linalg.fill ins(%3 : f32) outs(%4 : tensor<2x3x3xf32>) -> tensor<2x3x3xf32>
  %6 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%q, %2 : tensor<2x3x2xf32>, tensor<2x2x3xf32>) outs(%5 : tensor<2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x3x3xf32>
  %7 = tensor.empty() : tensor<2x3x3xf32>
  %8 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%6 : tensor<2x3x3xf32>) outs(%7 : tensor<2x3x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 2 : index
    %c = arith.cmpi sle, %j, %i : index
    %n = arith.constant -1.0e+09 : f32
    %r = arith.select %c, %a0, %n : f32
    linalg.yield %r : f32
  } -> tensor<2x3x3xf32>
  %9 = arith.constant 0xFF800000 : f32
  %10 = tensor.empty() : tensor<2x3xf32>
  %11 = linalg.fill ins(%9 : f32) outs(%10 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %12 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%8 : tensor<2x3x3xf32>) outs(%11 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %13 = tensor.expand_shape %12 [[0], [1, 2]] output_shape [2, 3, 1] : tensor<2x3xf32> into tensor<2x3x1xf32>
  %14 = tensor.empty() : tensor<2x3x3xf32>
  %15 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, 0)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8, %13 : tensor<2x3x3xf32>, tensor<2x3x1xf32>) outs(%14 : tensor<2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3x3xf32>
  %16 = tensor.empty() : tensor<2x3x3xf32>
  %17 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%15 : tensor<2x3x3xf32>) outs(%16 : tensor<2x3x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3x3xf32>
  %18 = arith.constant 0.0 : f32
  %19 = tensor.empty() : tensor<2x3xf32>
  %20 = linalg.fill ins(%18 : f32) outs(%19 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %21 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%17 : tensor<2x3x3xf32>) outs(%20 : tensor<2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x3xf32>
  %22 = tensor.expand_shape %21 [[0], [1, 2]] output_shape [2, 3, 1] : tensor<2x3xf32> into tensor<2x3x1xf32>
  %23 = tensor.empty() : tensor<2x3x3xf32>
  %24 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, 0)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%17, %22 : tensor<2x3x3xf32>, tensor<2x3x1xf32>) outs(%23 : tensor<2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3x3xf32>
  %25 = arith.constant 0.0 : f32
  %26 = tensor.empty() : tensor<2x3x2xf32>
  %27 = linalg.fill ins(%25 : f32) outs(%26 : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %28 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%24, %v : tensor<2x3x3xf32>, tensor<2x3x2xf32>) outs(%27 : tensor<2x3x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x3x2xf32>
  %29 = tensor.empty() : tensor<2x3x2xf32>
  %30 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%28, %q : tensor<2x3x2xf32>, tensor<2x3x2xf32>) outs(%29 : tensor<2x3x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x3x2xf32>
  return %30 : tensor<2x3x2xf32>
}

func.func @no_batch_test() {
  %q = arith.constant dense<[[[0.75, -0.5], [1.875, -0.5], [-0.75, 1.75]], [[-1.75, -0.5], [-2.0, -0.625], [0.875, -0.625]]]> : tensor<2x3x2xf32>
  %k = arith.constant dense<[[[0.0, -0.125], [-1.75, -1.625], [-0.875, 0.25]], [[-1.75, 1.75], [1.5, 0.25], [1.0, 1.0]]]> : tensor<2x3x2xf32>
  %v = arith.constant dense<[[[-2.0, 1.875], [-1.875, 1.375], [1.375, 1.0]], [[-1.5, 1.25], [1.875, 1.375], [0.75, -1.0]]]> : tensor<2x3x2xf32>
  %y = call @no_batch(%q, %k, %v) : (tensor<2x3x2xf32>, tensor<2x3x2xf32>, tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %wanted = arith.constant dense<[[[-1.25, 1.375], [-0.115787968, 1.33815181], [-0.227571547, 2.9457891]], [[-3.25, 0.75], [-3.48709226, 0.625478089], [2.37751603, 0.075472869]]]> : tensor<2x3x2xf32>
  check.expect_close %y, %wanted ulps = 64 : tensor<2x3x2xf32>
  return
}

// Rows stand behind a past, and padding is not seen: the conditions are taken apart, since a row that sees nothing gives 0 with either.

// CHECK-LABEL: func.func private @padded
// CHECK-SAME: %[[SEEN:[^ ]*]]: tensor<2x4xi1>, %[[POSITION:[^ ]*]]: tensor<i32>
// CHECK: %[[PAST:.*]] = tensor.extract %[[POSITION]][] : tensor<i32>
// CHECK: %[[MASK:.*]] = linalg.generic {{.*}} ins(%[[SEEN]] : tensor<2x4xi1>) outs(%{{.*}} : tensor<2x1x1x4xf32>)
// CHECK: %[[START:.*]] = linalg.fill ins(%[[PAST]] : i32)
// CHECK: whit.attention ins({{.*}} mask %[[MASK]] : {{.*}}, tensor<2x1x1x4xf32>) from %[[START]] + %c0 {{.*}} scale = 1.000000e+00 ->
// CHECK: return
func.func private @padded(%q: tensor<2x2x2x2xf32>, %k: tensor<2x2x4x2xf32>, %v: tensor<2x2x4x2xf32>, %seen: tensor<2x4xi1>, %position: tensor<i32>) -> tensor<2x2x2x2xf32> {
  %1 = tensor.empty() : tensor<2x2x2x4xf32>
  %2 = linalg.transpose ins(%k : tensor<2x2x4x2xf32>) outs(%1 : tensor<2x2x2x4xf32>) permutation = [0, 1, 3, 2]
  %3 = arith.constant 0.0 : f32
  %4 = tensor.empty() : tensor<2x2x2x4xf32>
  %5 = linalg.fill ins(%3 : f32) outs(%4 : tensor<2x2x2x4xf32>) -> tensor<2x2x2x4xf32>
  %6 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%q, %2 : tensor<2x2x2x2xf32>, tensor<2x2x2x4xf32>) outs(%5 : tensor<2x2x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x4xf32>
  %7 = tensor.empty() : tensor<2xi32>
  %8 = linalg.generic {indexing_maps = [affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%position : tensor<i32>) outs(%7 : tensor<2xi32>) {
  ^bb0(%a0: i32, %u: i32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i32
    %r = arith.addi %a0, %j : i32
    linalg.yield %r : i32
  } -> tensor<2xi32>
  %10 = tensor.empty() : tensor<4xi32>
  %9 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%10 : tensor<4xi32>) {
  ^bb0(%u: i32):
    %i = linalg.index 0 : index
    %r = arith.index_cast %i : index to i32
    linalg.yield %r : i32
  } -> tensor<4xi32>
  %11 = tensor.expand_shape %8 [[0, 1]] output_shape [2, 1] : tensor<2xi32> into tensor<2x1xi32>
  %12 = tensor.empty() : tensor<2x4xi1>
  %13 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%11, %9 : tensor<2x1xi32>, tensor<4xi32>) outs(%12 : tensor<2x4xi1>) {
  ^bb0(%a0: i32, %a1: i32, %u: i1):
    %r = arith.cmpi sge, %a0, %a1 : i32
    linalg.yield %r : i1
  } -> tensor<2x4xi1>
  %14 = tensor.expand_shape %seen [[0, 1, 2], [3]] output_shape [2, 1, 1, 4] : tensor<2x4xi1> into tensor<2x1x1x4xi1>
  %15 = tensor.empty() : tensor<2x1x2x4xi1>
  %16 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, d3)>, affine_map<(d0, d1, d2, d3) -> (d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%14, %13 : tensor<2x1x1x4xi1>, tensor<2x4xi1>) outs(%15 : tensor<2x1x2x4xi1>) {
  ^bb0(%a0: i1, %a1: i1, %u: i1):
    %r = arith.andi %a0, %a1 : i1
    linalg.yield %r : i1
  } -> tensor<2x1x2x4xi1>
  %17 = tensor.empty() : tensor<2x1x2x4xf32>
  %18 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%16 : tensor<2x1x2x4xi1>) outs(%17 : tensor<2x1x2x4xf32>) {
  ^bb0(%a0: i1, %u: f32):
    %kk = arith.constant 0.0 : f32
    %n = arith.constant 0xFF800000 : f32
    %r = arith.select %a0, %kk, %n : f32
    linalg.yield %r : f32
  } -> tensor<2x1x2x4xf32>
  %19 = tensor.empty() : tensor<2x2x2x4xf32>
  %20 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%6, %18 : tensor<2x2x2x4xf32>, tensor<2x1x2x4xf32>) outs(%19 : tensor<2x2x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.addf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x4xf32>
  %21 = arith.constant 0xFF800000 : f32
  %22 = tensor.empty() : tensor<2x2x2xf32>
  %23 = linalg.fill ins(%21 : f32) outs(%22 : tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %24 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%20 : tensor<2x2x2x4xf32>) outs(%23 : tensor<2x2x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2xf32>
  %25 = tensor.expand_shape %24 [[0], [1], [2, 3]] output_shape [2, 2, 2, 1] : tensor<2x2x2xf32> into tensor<2x2x2x1xf32>
  %26 = tensor.empty() : tensor<2x2x2x4xf32>
  %27 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%20, %25 : tensor<2x2x2x4xf32>, tensor<2x2x2x1xf32>) outs(%26 : tensor<2x2x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x4xf32>
  %28 = tensor.empty() : tensor<2x2x2x4xf32>
  %29 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%27 : tensor<2x2x2x4xf32>) outs(%28 : tensor<2x2x2x4xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x4xf32>
  %30 = arith.constant 0.0 : f32
  %31 = tensor.empty() : tensor<2x2x2xf32>
  %32 = linalg.fill ins(%30 : f32) outs(%31 : tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %33 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%29 : tensor<2x2x2x4xf32>) outs(%32 : tensor<2x2x2xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2xf32>
  %34 = tensor.expand_shape %33 [[0], [1], [2, 3]] output_shape [2, 2, 2, 1] : tensor<2x2x2xf32> into tensor<2x2x2x1xf32>
  %35 = tensor.empty() : tensor<2x2x2x4xf32>
  %36 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%29, %34 : tensor<2x2x2x4xf32>, tensor<2x2x2x1xf32>) outs(%35 : tensor<2x2x2x4xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x4xf32>
  %37 = arith.constant 0.0 : f32
  %38 = tensor.empty() : tensor<2x2x2x2xf32>
  %39 = linalg.fill ins(%37 : f32) outs(%38 : tensor<2x2x2x2xf32>) -> tensor<2x2x2x2xf32>
  %40 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%36, %v : tensor<2x2x2x4xf32>, tensor<2x2x4x2xf32>) outs(%39 : tensor<2x2x2x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x2x2x2xf32>
  return %40 : tensor<2x2x2x2xf32>
}

func.func @padded_test() {
  %q = arith.constant dense<[[[[0.25, -0.125], [1.5, -0.625]], [[-0.375, -1.0], [0.0, 0.25]]], [[[-0.125, -0.75], [0.25, 0.5]], [[-1.375, 0.375], [0.875, -1.625]]]]> : tensor<2x2x2x2xf32>
  %k = arith.constant dense<[[[[0.5, -0.25], [1.75, -0.5], [-0.75, 0.875], [1.5, -1.75]], [[-1.625, -1.375], [-0.625, 0.0], [0.25, -0.375], [1.625, 0.625]]], [[[-1.375, -0.75], [-1.25, -1.25], [1.375, 1.75], [-0.25, -1.0]], [[1.375, -1.5], [-1.5, -0.875], [-0.5, -0.625], [-0.875, -1.125]]]]> : tensor<2x2x4x2xf32>
  %v = arith.constant dense<[[[[0.5, 0.125], [0.625, 1.75], [1.75, -1.5], [1.25, -0.375]], [[1.375, 0.75], [-1.875, 1.625], [1.75, 2.0], [-1.75, -1.5]]], [[[0.5, 0.125], [-1.625, 1.625], [-1.125, -1.875], [1.5, 0.375]], [[-2.0, -1.375], [1.625, 1.125], [1.5, 1.75], [-0.875, 0.125]]]]> : tensor<2x2x4x2xf32>
  %seen = arith.constant dense<[[true, true, true, true], [false, true, false, true]]> : tensor<2x4xi1>
  %position = arith.constant dense<1> : tensor<i32>
  %y = call @padded(%q, %k, %v, %seen, %position) : (tensor<2x2x2x2xf32>, tensor<2x2x4x2xf32>, tensor<2x2x4x2xf32>, tensor<2x4xi1>, tensor<i32>) -> tensor<2x2x2x2xf32>
  %wanted = arith.constant dense<[[[[0.573137641, 1.07578933], [0.620448709, 1.53484714]], [[0.893846631, 0.879541278], [0.264700621, 1.51848578]]], [[[-1.625, 1.625], [-1.625, 1.625]], [[1.625, 1.125], [1.625, 1.125]]]]> : tensor<2x2x2x2xf32>
  check.expect_close %y, %wanted ulps = 64 : tensor<2x2x2x2xf32>
  return
}

// The scores are not scaled by a constant but by an input: not attention.

// CHECK-LABEL: func.func private @computed_scale
// CHECK-NOT: whit.attention
// CHECK: return
func.func private @computed_scale(%q: tensor<1x2x3x2xf32>, %k: tensor<1x2x3x2xf32>, %v: tensor<1x2x3x2xf32>, %scale: tensor<1xf32>) -> tensor<1x2x3x2xf32> {
  %1 = tensor.empty() : tensor<1x2x2x3xf32>
  %2 = linalg.transpose ins(%k : tensor<1x2x3x2xf32>) outs(%1 : tensor<1x2x2x3xf32>) permutation = [0, 1, 3, 2]
  %3 = arith.constant 0.0 : f32
  %4 = tensor.empty() : tensor<1x2x3x3xf32>
  %5 = linalg.fill ins(%3 : f32) outs(%4 : tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
  %6 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%q, %2 : tensor<1x2x3x2xf32>, tensor<1x2x2x3xf32>) outs(%5 : tensor<1x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x3xf32>
  %7 = tensor.empty() : tensor<1x2x3x3xf32>
  %8 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%6, %scale : tensor<1x2x3x3xf32>, tensor<1xf32>) outs(%7 : tensor<1x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.mulf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x3xf32>
  %9 = arith.constant 0xFF800000 : f32
  %10 = tensor.empty() : tensor<1x2x3xf32>
  %11 = linalg.fill ins(%9 : f32) outs(%10 : tensor<1x2x3xf32>) -> tensor<1x2x3xf32>
  %12 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%8 : tensor<1x2x3x3xf32>) outs(%11 : tensor<1x2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.maximumf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3xf32>
  %13 = tensor.expand_shape %12 [[0], [1], [2, 3]] output_shape [1, 2, 3, 1] : tensor<1x2x3xf32> into tensor<1x2x3x1xf32>
  %14 = tensor.empty() : tensor<1x2x3x3xf32>
  %15 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%8, %13 : tensor<1x2x3x3xf32>, tensor<1x2x3x1xf32>) outs(%14 : tensor<1x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.subf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x3xf32>
  %16 = tensor.empty() : tensor<1x2x3x3xf32>
  %17 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%15 : tensor<1x2x3x3xf32>) outs(%16 : tensor<1x2x3x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = math.exp %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x3xf32>
  %18 = arith.constant 0.0 : f32
  %19 = tensor.empty() : tensor<1x2x3xf32>
  %20 = linalg.fill ins(%18 : f32) outs(%19 : tensor<1x2x3xf32>) -> tensor<1x2x3xf32>
  %21 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%17 : tensor<1x2x3x3xf32>) outs(%20 : tensor<1x2x3xf32>) {
  ^bb0(%a0: f32, %u: f32):
    %r = arith.addf %u, %a0 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3xf32>
  %22 = tensor.expand_shape %21 [[0], [1], [2, 3]] output_shape [1, 2, 3, 1] : tensor<1x2x3xf32> into tensor<1x2x3x1xf32>
  %23 = tensor.empty() : tensor<1x2x3x3xf32>
  %24 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%17, %22 : tensor<1x2x3x3xf32>, tensor<1x2x3x1xf32>) outs(%23 : tensor<1x2x3x3xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %r = arith.divf %a0, %a1 : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x3xf32>
  %25 = arith.constant 0.0 : f32
  %26 = tensor.empty() : tensor<1x2x3x2xf32>
  %27 = linalg.fill ins(%25 : f32) outs(%26 : tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %28 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4, d3)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%24, %v : tensor<1x2x3x3xf32>, tensor<1x2x3x2xf32>) outs(%27 : tensor<1x2x3x2xf32>) {
  ^bb0(%a0: f32, %a1: f32, %u: f32):
    %p = arith.mulf %a0, %a1 : f32
    %r = arith.addf %u, %p : f32
    linalg.yield %r : f32
  } -> tensor<1x2x3x2xf32>
  return %28 : tensor<1x2x3x2xf32>
}
