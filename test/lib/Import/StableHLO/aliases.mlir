// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// What a program calls its arguments and results stands beside their names, unless two have it or another has it as its name.

// CHECK: func.func @main(%{{[^:]+}}: tensor<4xf32> {whit.alias = "params['w']", whit.dims = [4], whit.name = "arg0"}
// CHECK-SAME: %{{[^:]+}}: tensor<4xf32> {whit.dims = [4], whit.name = "arg1"}
// CHECK-SAME: %{{[^:]+}}: tensor<4xf32> {whit.dims = [4], whit.name = "arg2"}
// CHECK-SAME: %{{[^:]+}}: tensor<4xf32> {whit.dims = [4], whit.name = "arg3"}
// CHECK-SAME: %{{[^:]+}}: tensor<4xf32> {whit.dims = [4], whit.name = "arg4"}
// CHECK-SAME: -> (tensor<4xf32> {whit.alias = "result['y']", whit.dims = [4], whit.name = "out0"}
// CHECK-SAME: tensor<4xf32> {whit.dims = [4], whit.name = "out1"}
// CHECK-SAME: tensor<4xf32> {whit.dims = [4], whit.name = "out2"}
func.func public @main(%arg0: tensor<4xf32> loc("params['w']"), %arg1: tensor<4xf32> loc("x"), %arg2: tensor<4xf32> loc("x"), %arg3: tensor<4xf32> loc("arg1"), %arg4: tensor<4xf32> loc("bad\FF")) -> (tensor<4xf32> {jax.result_info = "result['y']"}, tensor<4xf32> {jax.result_info = ""}, tensor<4xf32> {jax.result_info = "out0"}) {
  %0 = stablehlo.add %arg0, %arg1 : tensor<4xf32>
  %1 = stablehlo.add %arg2, %arg3 : tensor<4xf32>
  return %0, %1, %arg4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
