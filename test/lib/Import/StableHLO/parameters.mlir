// RUN: %python %S/Inputs/write.py %t
// RUN: whit-compile %s --params=%t/good.safetensors --param-names=%t/names.json --stop-after=imported -o - | FileCheck %s
// RUN: whit-compile %s --params=%t/good.npz --param-names=%t/names.json --stop-after=imported -o - | FileCheck %s
// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s --check-prefix=FREE
//
// Arguments that are bound to tensors become weights: a table of rows, matrices of products in the order of their bytes, and
// constants. The others stay inputs under the number that they have in the program. Nothing is copied.

// CHECK-DAG: whit.weight @table : !whit.tensor<8x4xf32, #whit.format<f32>> = [#whit.source<"rows", 8, [<"good.
// CHECK-DAG: whit.weight @dense : !whit.tensor<5x4xf32, #whit.format<f32>> = [#whit.source<"rows", 5,
// CHECK-DAG: whit.weight @half : !whit.tensor<3x4xf32, #whit.format<f16>> = [#whit.source<"columns", 3,
// CHECK-DAG: whit.weight @scale : tensor<4xf32>
// CHECK: func.func @main(%[[X:.+]]: tensor<2x1xi32> {whit.dims = [2, 1], whit.name = "arg4"}
// FREE: func.func @main(%{{.+}}: tensor<8x4xf32> {whit.dims = [8, 4], whit.name = "arg0"}
// FREE-NOT: whit.matmul
func.func public @main(%arg0: tensor<8x4xf32>, %arg1: tensor<5x4xf32>, %arg2: tensor<4x3xf16>, %arg3: tensor<4xf32>, %arg4: tensor<2x1xi32>) -> (tensor<2x5xf32>, tensor<2x3xf32>, tensor<5x2xf32>) {
  // CHECK: %[[TABLE:.+]] = whit.constant @table
  // CHECK: arith.minsi
  // CHECK: %[[ROWS:.+]] = whit.gather ins(%[[TABLE]]
  %0 = "stablehlo.gather"(%arg0, %arg4) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<8x4xf32>, tensor<2x1xi32>) -> tensor<2x4xf32>
  // CHECK: %[[SCALE:.+]] = whit.constant @scale
  // CHECK: %[[SCALED:.+]] = linalg.generic {{.*}} ins(%[[ROWS]], %[[SCALE]] :
  %1 = stablehlo.broadcast_in_dim %arg3, dims = [1] : (tensor<4xf32>) -> tensor<2x4xf32>
  %2 = stablehlo.multiply %0, %1 : tensor<2x4xf32>
  // CHECK: %[[DENSE:.+]] = whit.constant @dense
  // CHECK: whit.matmul ins(%[[SCALED]], %[[DENSE]] :
  %3 = stablehlo.transpose %arg1, dims = [1, 0] : (tensor<5x4xf32>) -> tensor<4x5xf32>
  %4 = stablehlo.dot_general %2, %3, contracting_dims = [1] x [0] : (tensor<2x4xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  // Half floats are exact in f32.
  // CHECK: %[[HALF:.+]] = whit.constant @half
  // CHECK: whit.matmul ins(%[[SCALED]], %[[HALF]] :
  %5 = stablehlo.convert %arg2 : (tensor<4x3xf16>) -> tensor<4x3xf32>
  %6 = stablehlo.dot_general %2, %5, contracting_dims = [1] x [0] : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  // On the left side as well.
  // CHECK: %[[Y:.+]] = whit.matmul ins(%[[SCALED]], %[[DENSE]] :
  // CHECK: linalg.transpose ins(%[[Y]]
  %7 = stablehlo.dot_general %arg1, %2, contracting_dims = [1] x [1] : (tensor<5x4xf32>, tensor<2x4xf32>) -> tensor<5x2xf32>
  return %4, %6, %7 : tensor<2x5xf32>, tensor<2x3xf32>, tensor<5x2xf32>
}

// What is wrong with a file, or does not fit, is said by the name of the tensor.
// RUN: not whit-compile %s --params=%t/beyond.safetensors --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=BEYOND
// BEYOND: error[E1003]: parameter 'scale' lies at [0, 1152921504606846976); the file has 248 bytes of data
// RUN: not whit-compile %s --params=%t/short.safetensors --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=SHORT
// SHORT: error[E1003]: parameter 'scale' has 16 bytes; its shape and type need 20
// RUN: not whit-compile %s --params=%t/shape.safetensors --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=SHAPE
// SHAPE: error[E1003]: parameter 'scale' has type tensor<2x2xf32>; argument arg3 needs tensor<4xf32>
// RUN: not whit-compile %s --params=%t/kind.safetensors --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=KIND -DTYPE=I32
// RUN: not whit-compile %s --params=%t/kind.npz --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=KIND -DTYPE='<i4'
// KIND: error[E3003]: parameter 'scale' of argument arg3 has type '[[TYPE]]'; f32, f16 or bf16 is required
// KIND: help: convert the tensor, or let the argument stay an input: null in its place in --param-names
// A tensor of another type that no argument is called by does not matter.
// RUN: whit-compile %s --params=%t/spare.safetensors --param-names=%t/names.json --stop-after=imported -o - | FileCheck %s --check-prefix=SPARE
// SPARE: func.func @main(%{{.+}}: tensor<2x1xi32> {whit.dims = [2, 1], whit.name = "arg4"}
// RUN: not whit-compile %s --params=%t/cut.safetensors --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=CUT
// CUT: error[E1003]: has a header of {{[0-9]+}} bytes; it must be at most 100000000 and lie in the file, which has 20
// RUN: not whit-compile %s --params=%t/compressed.npz --param-names=%t/names.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=COMPRESSED
// COMPRESSED: error[E3002]: parameter 'table.npy' is compressed
// COMPRESSED: help: save with numpy.savez, not savez_compressed: weights are used where they lie
// RUN: not whit-compile %s --params=%t/good.npz --param-names=%t/other.json --stop-after=imported 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: error[E1002]: argument arg1 is to be 'gone'; --params has no such tensor
// RUN: not whit-compile %s --params=%t/good.npz --stop-after=imported 2>&1 | FileCheck %s --check-prefix=UNNAMED
// UNNAMED: error[E1002]: --params has no tensor with the name of an argument (arg0, arg1 ...)
// RUN: not whit-compile %s --params=%t/none.npz --stop-after=imported 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error[E4001]: cannot read: No such file or directory
