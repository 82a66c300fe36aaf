// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// One linalg.generic per operation. A broadcast is none: the operand is read with an index fewer, and a constant of one
// value stands in the body. Calls are replaced, names of inputs and outputs follow the arguments.

module @jit_f attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  // CHECK-DAG: #[[ROWS:.+]] = affine_map<(d0, d1) -> (d0, d1)>
  // CHECK-DAG: #[[LAST:.+]] = affine_map<(d0, d1) -> (d1)>
  // CHECK-DAG: #[[FIRST:.+]] = affine_map<(d0, d1) -> (d0, 0)>
  // CHECK: func.func @main(%[[X:.+]]: tensor<2x3xf32> {whit.dims = [2, 3], whit.name = "arg0"}
  // CHECK-SAME: %[[V:.+]]: tensor<3xf32> {whit.dims = [3], whit.name = "arg1"}
  // CHECK-SAME: -> (tensor<2x3xf32> {whit.alias = "result[0]", whit.dims = [2, 3], whit.name = "out0"}
  func.func public @main(%arg0: tensor<2x3xf32>, %arg1: tensor<3xf32>, %arg2: tensor<2xf32>) -> (tensor<2x3xf32> {jax.result_info = "result[0]"}, tensor<2x3xf32>) {
    %cst = stablehlo.constant dense<2.000000e+00> : tensor<f32>
    %0 = stablehlo.broadcast_in_dim %arg1, dims = [1] : (tensor<3xf32>) -> tensor<2x3xf32>
    // CHECK: linalg.generic {indexing_maps = [#[[ROWS]], #[[LAST]], #[[ROWS]]]{{.*}} ins(%[[X]], %[[V]] :
    // CHECK: arith.addf
    %1 = stablehlo.add %arg0, %0 : tensor<2x3xf32>
    %2 = stablehlo.broadcast_in_dim %arg2, dims = [0] : (tensor<2xf32>) -> tensor<2x3xf32>
    // CHECK: %[[COLUMN:.+]] = tensor.expand_shape
    // CHECK: linalg.generic {indexing_maps = [#[[ROWS]], #[[FIRST]], #[[ROWS]]]{{.*}} ins(%{{.+}}, %[[COLUMN]] :
    // CHECK: arith.mulf
    %3 = stablehlo.multiply %1, %2 : tensor<2x3xf32>
    %4 = stablehlo.broadcast_in_dim %cst, dims = [] : (tensor<f32>) -> tensor<2x3xf32>
    // CHECK: linalg.generic {indexing_maps = [#[[ROWS]], #[[ROWS]]]
    // CHECK: %[[TWO:.+]] = arith.constant 2.0
    // CHECK: arith.divf %{{.+}}, %[[TWO]]
    %5 = stablehlo.divide %3, %4 : tensor<2x3xf32>
    // CHECK: math.erf
    // CHECK-NOT: call
    %6 = call @g(%5) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    // CHECK: arith.cmpf olt
    %7 = stablehlo.compare LT, %6, %arg0, FLOAT : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>
    // CHECK: arith.select
    %8 = stablehlo.select %7, %6, %arg0 : tensor<2x3xi1>, tensor<2x3xf32>
    // A broadcast that is returned is made.
    // CHECK: %[[MADE:.+]] = linalg.generic {indexing_maps = [#[[LAST]], #[[ROWS]]]{{.*}} ins(%[[V]]
    // CHECK: return %{{.+}}, %[[MADE]]
    return %8, %0 : tensor<2x3xf32>, tensor<2x3xf32>
  }
  func.func private @g(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32> {
    %0 = chlo.erf %arg0 : tensor<2x3xf32> -> tensor<2x3xf32>
    return %0 : tensor<2x3xf32>
  }
}
