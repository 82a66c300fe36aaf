// RUN: %python -c "import numpy; numpy.savez(r'%t.npz', arg1=numpy.ones((3, 3, 2, 5), numpy.float32), arg2=numpy.ones((5, 2, 3, 3), numpy.float32))"
// RUN: whit-compile %s --params=%t.npz --stop-after=imported -o - | FileCheck %s
//
// A kernel that is a parameter becomes a weight as it is stored: columns if its outputs come last, rows if they come first.

// CHECK-DAG: whit.weight @arg1 : !whit.tensor<5x18xf32, #whit.format<f32>> = [#whit.source<"columns", 5,
// CHECK-DAG: whit.weight @arg2 : !whit.tensor<5x18xf32, #whit.format<f32>> = [#whit.source<"rows", 5,
// CHECK: whit.matmul
// CHECK: whit.matmul
func.func public @main(%x: tensor<1x8x8x2xf32>, %hwio: tensor<3x3x2x5xf32>, %oihw: tensor<5x2x3x3xf32>) -> (tensor<1x8x8x5xf32>, tensor<1x5x8x8xf32>) {
  %0 = stablehlo.convolution(%x, %hwio) dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {pad = [[1, 1], [1, 1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x8x8x2xf32>, tensor<3x3x2x5xf32>) -> tensor<1x8x8x5xf32>
  %1 = stablehlo.convolution(%x, %oihw) dim_numbers = [b, 0, 1, f]x[o, i, 0, 1]->[b, f, 0, 1], window = {pad = [[1, 1], [1, 1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x8x8x2xf32>, tensor<5x2x3x3xf32>) -> tensor<1x5x8x8xf32>
  return %0, %1 : tensor<1x8x8x5xf32>, tensor<1x5x8x8xf32>
}
