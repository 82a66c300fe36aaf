// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// Integers without a sign are held as those with one; arguments and results say that they have none.

module @jit_f {
  // CHECK: func.func @main(%{{[^:]+}}: tensor<4xi8> {whit.dims = [4], whit.name = "arg0", whit.unsigned}
  // CHECK-SAME: tensor<4xi8> {whit.dims = [4], whit.name = "arg1"}
  // CHECK-SAME: -> (tensor<4xf32> {whit.dims = [4], whit.name = "out0"}, tensor<4xi32> {whit.dims = [4], whit.name = "out1", whit.unsigned})
  func.func public @main(%arg0: tensor<4xui8>, %arg1: tensor<4xi8>) -> (tensor<4xf32>, tensor<4xui32>) {
    // CHECK: arith.uitofp
    %0 = stablehlo.convert %arg0 : (tensor<4xui8>) -> tensor<4xf32>
    // CHECK: arith.sitofp
    %1 = stablehlo.convert %arg1 : (tensor<4xi8>) -> tensor<4xf32>
    %2 = stablehlo.add %0, %1 : tensor<4xf32>
    // CHECK: arith.extui
    %3 = stablehlo.convert %arg0 : (tensor<4xui8>) -> tensor<4xui32>
    return %2, %3 : tensor<4xf32>, tensor<4xui32>
  }
}
