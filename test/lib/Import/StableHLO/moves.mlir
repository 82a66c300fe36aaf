// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// Operations that make elements or move them.

// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:.+]]: tensor<4x6xf32> {{.*}}"arg0"{{.*}}, %[[I:.+]]: tensor<i32> {{.*}}"arg1"
func.func public @main(%arg0: tensor<4x6xf32>, %arg1: tensor<i32>, %arg2: tensor<2x6xf32>, %arg3: tensor<3x1xi32>) -> (tensor<6x4xf32>, tensor<2x3xf32>, tensor<4x6xf32>, tensor<8x6xf32>, tensor<4x7xf32>, tensor<2x6xf32>, tensor<4x6xf32>, tensor<3x6xf32>, tensor<4x6xi32>, tensor<24xf32>) {
  // CHECK: linalg.transpose
  %0 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  // CHECK: tensor.extract_slice %[[X]][1, 0] [2, 3] [1, 2]
  %1 = stablehlo.slice %arg0 [1:3, 0:6:2] : (tensor<4x6xf32>) -> tensor<2x3xf32>
  // CHECK: arith.constant -1
  // CHECK: tensor.extract %[[X]]
  %2 = stablehlo.reverse %arg0, dims = [1] : tensor<4x6xf32>
  // CHECK: tensor.concat dim(0)
  %3 = stablehlo.concatenate %arg0, %arg0, dim = 0 : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
  %cst = stablehlo.constant dense<1.000000e+00> : tensor<f32>
  // What is taken away is taken first.
  // CHECK: %[[CUT:.+]] = tensor.extract_slice %[[X]][0, 1] [4, 5] [1, 1]
  // CHECK: tensor.pad %[[CUT]] low[0, 0] high[0, 2]
  %4 = stablehlo.pad %arg0, %cst, low = [0, -1], high = [0, 2], interior = [0, 0] : (tensor<4x6xf32>, tensor<f32>) -> tensor<4x7xf32>
  %c = stablehlo.constant dense<0> : tensor<i32>
  // The start is clamped, so that the slice lies in the operand.
  // CHECK: linalg.generic {{.*}} ins(%[[I]] : tensor<i32>)
  // CHECK: arith.maxsi
  // CHECK: arith.minsi
  // CHECK: tensor.extract %[[X]]
  %5 = stablehlo.dynamic_slice %arg0, %arg1, %c, sizes = [2, 6] : (tensor<4x6xf32>, tensor<i32>, tensor<i32>) -> tensor<2x6xf32>
  // CHECK: arith.cmpi ult
  // CHECK: tensor.extract %arg2
  // CHECK: arith.select
  %6 = stablehlo.dynamic_update_slice %arg0, %arg2, %arg1, %c : (tensor<4x6xf32>, tensor<2x6xf32>, tensor<i32>, tensor<i32>) -> tensor<4x6xf32>
  // CHECK: %[[PLACES:.+]] = tensor.expand_shape %{{.+}} {{\[\[}}0, 1]] output_shape [3, 1]
  // CHECK: linalg.generic {{.*}} ins(%[[PLACES]] : tensor<3x1xi32>)
  // CHECK: tensor.extract %[[X]]
  %7 = "stablehlo.gather"(%arg0, %arg3) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 6>}> : (tensor<4x6xf32>, tensor<3x1xi32>) -> tensor<3x6xf32>
  // CHECK: linalg.index 0
  %8 = stablehlo.iota dim = 0 : tensor<4x6xi32>
  // CHECK: tensor.collapse_shape %[[X]] {{\[\[}}0, 1]]
  %9 = stablehlo.reshape %arg0 : (tensor<4x6xf32>) -> tensor<24xf32>
  return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9 : tensor<6x4xf32>, tensor<2x3xf32>, tensor<4x6xf32>, tensor<8x6xf32>, tensor<4x7xf32>, tensor<2x6xf32>, tensor<4x6xf32>, tensor<3x6xf32>, tensor<4x6xi32>, tensor<24xf32>
}
