// RUN: whit-opt %s --split-input-file --verify-diagnostics

func.func @distance_of_integers(%a: tensor<2xi32>) {
  // expected-error@+1 {{'check.expect_close' op operand #0 must be}}
  check.expect_close %a, %a : tensor<2xi32>
  return
}

// -----

func.func @negative_distance(%a: f32) {
  // expected-error@+1 {{attribute 'ulps' failed to satisfy constraint}}
  check.expect_close %a, %a ulps = -1 : f32
  return
}

// -----

func.func @no_dense_elements(%a: tensor<2xf32>) {
  // expected-error@+1 {{expected is sparse<0, 1.000000e+00> : tensor<2xf32>; it must be dense elements, an integer or a float}}
  check.expect_eq_const %a, sparse<[0], 1.0> : tensor<2xf32>
  return
}
