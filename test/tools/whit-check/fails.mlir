// RUN: not whit-check %s 2>&1 | FileCheck %s
// RUN: sh -c 'whit-check %s > %t 2>&1; test $? -eq 8'

// An expectation that does not hold is reported where it stands, with what was found; the others still run. Exit code 8.

// CHECK: fails.mlir:[[# @LINE + 7]]:3: error: expectation failed at [0]: found 4, expected 5; 1 of 1 elements differ
// CHECK: error: 1 of 2 expectations failed
func.func @two_and_two() {
  %two = arith.constant dense<2.0> : tensor<1xf32>
  %wanted = arith.constant dense<5.0> : tensor<1xf32>
  %empty = tensor.empty() : tensor<1xf32>
  %found = linalg.add ins(%two, %two : tensor<1xf32>, tensor<1xf32>) outs(%empty : tensor<1xf32>) -> tensor<1xf32>
  check.expect_eq %found, %wanted : tensor<1xf32>
  return
}

func.func @one() {
  %one = arith.constant dense<1.0> : tensor<1xf32>
  check.expect_eq %one, %one : tensor<1xf32>
  return
}
