// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// A loop that counts is unrolled: slices by its counter are slices by numbers. Of branches, the results are chosen.

// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:.+]]: tensor<3xf32> {{.*}}"arg0"{{.*}}, %[[W:.+]]: tensor<2x3xf32> {{.*}}"arg1"
func.func public @main(%arg0: tensor<3xf32>, %arg1: tensor<2x3xf32>, %arg2: tensor<i32>) -> (tensor<3xf32>, tensor<i32>, tensor<3xf32>) {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  // CHECK: %[[FIRST:.+]] = tensor.extract_slice %[[W]][0, 0] [1, 3]
  // CHECK: %[[ROW:.+]] = tensor.collapse_shape %[[FIRST]]
  // CHECK: %[[ONCE:.+]] = linalg.generic {{.*}} ins(%[[X]], %[[ROW]] :
  // CHECK: %[[SECOND:.+]] = tensor.extract_slice %[[W]][1, 0] [1, 3]
  // CHECK: %[[NEXT:.+]] = tensor.collapse_shape %[[SECOND]]
  // CHECK: %[[TWICE:.+]] = linalg.generic {{.*}} ins(%[[ONCE]], %[[NEXT]] :
  %0:3 = stablehlo.while(%w = %arg1, %i = %zero, %x = %arg0) : tensor<2x3xf32>, tensor<i32>, tensor<3xf32>
  cond {
    %two = stablehlo.constant dense<2> : tensor<i32>
    %1 = stablehlo.compare LT, %i, %two, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %c = stablehlo.constant dense<0> : tensor<i32>
    %1 = stablehlo.dynamic_slice %w, %i, %c, sizes = [1, 3] : (tensor<2x3xf32>, tensor<i32>, tensor<i32>) -> tensor<1x3xf32>
    %2 = stablehlo.reshape %1 : (tensor<1x3xf32>) -> tensor<3xf32>
    %3 = stablehlo.multiply %x, %2 : tensor<3xf32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %4 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %w, %4, %3 : tensor<2x3xf32>, tensor<i32>, tensor<3xf32>
  }
  // CHECK: %[[COUNT:.+]] = arith.constant dense<2> : tensor<i32>
  // CHECK: arith.negf
  // CHECK: math.tanh
  // CHECK: arith.cmpi eq
  // CHECK: arith.select
  %5 = "stablehlo.case"(%arg2) ({
    %t = stablehlo.tanh %arg0 : tensor<3xf32>
    stablehlo.return %t : tensor<3xf32>
  }, {
    %n = stablehlo.negate %arg0 : tensor<3xf32>
    stablehlo.return %n : tensor<3xf32>
  }) : (tensor<i32>) -> tensor<3xf32>
  // CHECK: return %[[TWICE]], %[[COUNT]],
  return %0#2, %0#1, %5 : tensor<3xf32>, tensor<i32>, tensor<3xf32>
}
