// RUN: not whit-compile %s --stop-after=imported 2>&1 | FileCheck %s
//
// A loop whose end only data decides is refused: it must count to a number besides.

// CHECK: error[E3002]: has a condition that depends on data, and counts to no number that ends it
// CHECK: help: bound it: `(i < 100) & condition` runs at most 100 times
func.func public @main(%arg0: tensor<i32>) -> tensor<i32> {
  %zero = stablehlo.constant dense<0> : tensor<i32>
  %0 = stablehlo.while(%i = %zero) : tensor<i32>
  cond {
    %1 = stablehlo.compare LT, %i, %arg0, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %one = stablehlo.constant dense<1> : tensor<i32>
    %2 = stablehlo.add %i, %one : tensor<i32>
    stablehlo.return %2 : tensor<i32>
  }
  return %0 : tensor<i32>
}
