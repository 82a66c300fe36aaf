// RUN: whit-opt %s --verify-roundtrip --canonicalize | FileCheck %s
//
// Expectations print as they are written and are never removed, although nothing uses them.

// CHECK-LABEL: func.func @expectations
func.func @expectations(%a: tensor<2x?xf32>, %b: tensor<2x?xf32>, %i: index, %f: f16) {
  // CHECK: check.expect_eq %{{.*}}, %{{.*}} : tensor<2x?xf32>
  check.expect_eq %a, %b : tensor<2x?xf32>
  // CHECK: check.expect_eq %{{.*}}, %{{.*}} : index
  check.expect_eq %i, %i : index
  // CHECK: check.expect_close %{{.*}}, %{{.*}} : tensor<2x?xf32>
  check.expect_close %a, %b ulps = 1 : tensor<2x?xf32>
  // CHECK: check.expect_close %{{.*}}, %{{.*}} ulps = 3 : f16
  check.expect_close %f, %f ulps = 3 : f16
  // CHECK: check.expect_eq_const %{{.*}}, 7 : index
  check.expect_eq_const %i, 7 : index
  %c = tensor.empty() : tensor<2xf32>
  // CHECK: check.expect_eq_const %{{.*}}, dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
  check.expect_eq_const %c, dense<[1.0, 2.0]> : tensor<2xf32>
  return
}
