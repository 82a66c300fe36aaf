// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// Dimensions that jax.export asserts to be equal are one symbol under the name that it has there; sizes that follow from it are
// expressions. What only computed shapes leaves nothing behind.

module attributes {jax.uses_shape_polymorphism = true} {
  // CHECK: whit.symbols = ["n", {name = "4 * n", value = ["*", 4, "n"]}]
  // CHECK: func.func @main(%[[X:.+]]: tensor<?x4xf32> {whit.dims = ["n", 4], whit.name = "arg0"}
  // CHECK-SAME: tensor<?xf32> {whit.dims = ["n"], whit.name = "arg1"}
  // CHECK-SAME: -> (tensor<?xf32> {whit.dims = ["4 * n"], whit.name = "out0"})
  // CHECK: %[[N:.+]] = tensor.dim %[[X]]
  // CHECK-NOT: tensor.dim
  // CHECK-NOT: tensor.concat
  func.func public @main(%arg0: tensor<?x4xf32>, %arg1: tensor<?xf32>) -> tensor<?xf32> {
    %0 = stablehlo.get_dimension_size %arg0, dim = 0 : (tensor<?x4xf32>) -> tensor<i32>
    %1 = stablehlo.get_dimension_size %arg1, dim = 0 : (tensor<?xf32>) -> tensor<i32>
    %2 = stablehlo.compare EQ, %1, %0, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.custom_call @shape_assertion(%2, %1, %0) {error_message = "no", has_side_effect = true} : (tensor<i1>, tensor<i32>, tensor<i32>) -> ()
    %3 = call @wrapped(%0, %arg0, %arg1) : (tensor<i32>, tensor<?x4xf32>, tensor<?xf32>) -> tensor<?xf32>
    return %3 : tensor<?xf32>
  }
  func.func private @wrapped(%arg0: tensor<i32> {jax.global_constant = "n"}, %arg1: tensor<?x4xf32>, %arg2: tensor<?xf32>) -> tensor<?xf32> {
    %four = stablehlo.constant dense<4> : tensor<1xi32>
    %0 = stablehlo.reshape %arg0 : (tensor<i32>) -> tensor<1xi32>
    %1 = stablehlo.concatenate %0, %four, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
    %2 = stablehlo.dynamic_broadcast_in_dim %arg2, %1, dims = [0] : (tensor<?xf32>, tensor<2xi32>) -> tensor<?x4xf32>
    %3 = stablehlo.add %arg1, %2 : tensor<?x4xf32>
    %4 = stablehlo.multiply %0, %four : tensor<1xi32>
    %5 = stablehlo.dynamic_reshape %3, %4 : (tensor<?x4xf32>, tensor<1xi32>) -> tensor<?xf32>
    return %5 : tensor<?xf32>
  }
}
