// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// A body of one operation is a reduction that Semantics knows; any other is copied into the loop.

// CHECK-LABEL: func.func @main
func.func public @main(%arg0: tensor<3x4xf32>, %arg1: tensor<3x4xi32>, %arg2: tensor<f32>) -> (tensor<3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<3xi32>) {
  %zero = stablehlo.constant dense<0.000000e+00> : tensor<f32>
  // CHECK: linalg.fill
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]
  // CHECK: arith.addf
  %0 = stablehlo.reduce(%arg0 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
  // An initial value that changes the result is applied behind.
  // CHECK: linalg.generic {{.*}}iterator_types = ["reduction", "parallel"]
  // CHECK: arith.maximumf
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel"]
  // CHECK: arith.maximumf
  %1 = stablehlo.reduce(%arg0 init: %arg2) applies stablehlo.maximum across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32>
  // CHECK: linalg.generic {{.*}}iterator_types = ["reduction", "parallel"]
  // CHECK: ^bb0(%[[IN:.+]]: f32 {{.*}}, %[[SOFAR:.+]]: f32
  // CHECK: arith.mulf %[[SOFAR]], %[[IN]]
  // CHECK: arith.addf
  %2 = stablehlo.reduce(%arg0 init: %arg2) across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32>
   reducer(%a: tensor<f32>, %b: tensor<f32>)  {
    %p = stablehlo.multiply %a, %b : tensor<f32>
    %c = stablehlo.constant dense<5.000000e-01> : tensor<f32>
    %s = stablehlo.add %p, %c : tensor<f32>
    stablehlo.return %s : tensor<f32>
  }
  %first = stablehlo.constant dense<0> : tensor<i32>
  %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
  // CHECK: linalg.generic {{.*}} ins(%{{.+}}, %{{.+}} : tensor<3x4xf32>, tensor<3x4xi32>) outs(%{{.+}}, %{{.+}} : tensor<3xf32>, tensor<3xi32>)
  // CHECK: arith.cmpf ogt
  %3:2 = stablehlo.reduce(%arg0 init: %low), (%arg1 init: %first) across dimensions = [1] : (tensor<3x4xf32>, tensor<3x4xi32>, tensor<f32>, tensor<i32>) -> (tensor<3xf32>, tensor<3xi32>)
   reducer(%a: tensor<f32>, %b: tensor<f32>) (%i: tensor<i32>, %j: tensor<i32>)  {
    %g = stablehlo.compare GT, %a, %b, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %v = stablehlo.select %g, %a, %b : tensor<i1>, tensor<f32>
    %k = stablehlo.select %g, %i, %j : tensor<i1>, tensor<i32>
    stablehlo.return %v, %k : tensor<f32>, tensor<i32>
  }
  return %0, %1, %2, %3#1 : tensor<3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<3xi32>
}
