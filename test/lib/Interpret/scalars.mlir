// RUN: whit-check %s
//
// arith and math, on scalars and elementwise on tensors. Expected values are worked out by hand.

func.func @integers_wrap_at_their_width() {
  %a = arith.constant dense<[127, -128, 100]> : tensor<3xi8>
  %one = arith.constant dense<1> : tensor<3xi8>
  %sum = arith.addi %a, %one : tensor<3xi8>
  check.expect_eq_const %sum, dense<[-128, -127, 101]> : tensor<3xi8>
  %product = arith.muli %a, %a : tensor<3xi8>
  check.expect_eq_const %product, dense<[1, 0, 16]> : tensor<3xi8>
  return
}

func.func @division_rounds_as_it_says() {
  %a = arith.constant -7 : i32
  %b = arith.constant 2 : i32
  %truncated = arith.divsi %a, %b : i32
  check.expect_eq_const %truncated, -3 : i32
  %down = arith.floordivsi %a, %b : i32
  check.expect_eq_const %down, -4 : i32
  %up = arith.ceildivsi %a, %b : i32
  check.expect_eq_const %up, -3 : i32
  %rest = arith.remsi %a, %b : i32
  check.expect_eq_const %rest, -1 : i32
  %unsigned = arith.divui %a, %b : i32
  check.expect_eq_const %unsigned, 2147483644 : i32
  return
}

func.func @signs_matter_only_where_named() {
  %a = arith.constant dense<[-1, 1]> : tensor<2xi8>
  %b = arith.constant dense<[1, -1]> : tensor<2xi8>
  %signed = arith.cmpi slt, %a, %b : tensor<2xi8>
  check.expect_eq_const %signed, dense<[true, false]> : tensor<2xi1>
  %unsigned = arith.cmpi ult, %a, %b : tensor<2xi8>
  check.expect_eq_const %unsigned, dense<[false, true]> : tensor<2xi1>
  %wide = arith.extsi %a : tensor<2xi8> to tensor<2xi32>
  check.expect_eq_const %wide, dense<[-1, 1]> : tensor<2xi32>
  %filled = arith.extui %a : tensor<2xi8> to tensor<2xi32>
  check.expect_eq_const %filled, dense<[255, 1]> : tensor<2xi32>
  %one = arith.constant 4 : i8
  %minus = arith.constant -128 : i8
  %arithmetic = arith.shrsi %minus, %one : i8
  check.expect_eq_const %arithmetic, -8 : i8
  %logical = arith.shrui %minus, %one : i8
  check.expect_eq_const %logical, 8 : i8
  return
}

func.func @conversions() {
  %a = arith.constant dense<[1.5, -1.5, 2.5, 300.0]> : tensor<4xf32>
  %i = arith.fptosi %a : tensor<4xf32> to tensor<4xi32>
  check.expect_eq_const %i, dense<[1, -1, 2, 300]> : tensor<4xi32>
  %f = arith.sitofp %i : tensor<4xi32> to tensor<4xf32>
  check.expect_eq_const %f, dense<[1.0, -1.0, 2.0, 300.0]> : tensor<4xf32>
  %b = arith.constant dense<[2049.0, 1.0e-8, 65519.0, 65520.0]> : tensor<4xf32>
  %half = arith.truncf %b : tensor<4xf32> to tensor<4xf16>
  %back = arith.extf %half : tensor<4xf16> to tensor<4xf32>
  check.expect_eq_const %back, dense<[2048.0, 0.0, 65504.0, 0x7F800000]> : tensor<4xf32>
  %true = arith.constant true
  %bit = arith.uitofp %true : i1 to f32
  check.expect_eq_const %bit, 1.0 : f32
  %minus = arith.sitofp %true : i1 to f32
  check.expect_eq_const %minus, -1.0 : f32
  return
}

func.func @nan_takes_part_or_not() {
  %nan = arith.constant 0x7FC00000 : f32
  %one = arith.constant 1.0 : f32
  %strict = arith.maximumf %nan, %one : f32
  check.expect_eq_const %strict, 0x7FC00000 : f32
  %lenient = arith.maxnumf %nan, %one : f32
  check.expect_eq_const %lenient, 1.0 : f32
  %ordered = arith.cmpf olt, %nan, %one : f32
  check.expect_eq_const %ordered, false
  %unordered = arith.cmpf ult, %nan, %one : f32
  check.expect_eq_const %unordered, true
  return
}

func.func @functions() {
  %x = arith.constant dense<[0.0, 1.0, -1.0]> : tensor<3xf32>
  %exp = math.exp %x : tensor<3xf32>
  check.expect_eq_const %exp, dense<[1.0, 2.7182818284590452, 0.36787944117144233]> : tensor<3xf32>
  %tanh = math.tanh %x : tensor<3xf32>
  check.expect_eq_const %tanh, dense<[0.0, 0.76159415595576489, -0.76159415595576489]> : tensor<3xf32>
  %erf = math.erf %x : tensor<3xf32>
  check.expect_eq_const %erf, dense<[0.0, 0.84270079294971487, -0.84270079294971487]> : tensor<3xf32>
  %four = arith.constant 4.0 : f32
  %half = math.rsqrt %four : f32
  check.expect_eq_const %half, 0.5 : f32
  %r = arith.constant dense<[0.5, 1.5, 2.5, -0.5]> : tensor<4xf32>
  %even = math.roundeven %r : tensor<4xf32>
  check.expect_eq_const %even, dense<[0.0, 2.0, 2.0, 0.0]> : tensor<4xf32>
  %away = math.round %r : tensor<4xf32>
  check.expect_eq_const %away, dense<[1.0, 2.0, 3.0, -1.0]> : tensor<4xf32>
  return
}

// f64 all the way: in f32 the 1 would be lost.
func.func @sums_are_exact() {
  %big = arith.constant 1.6777216e7 : f32
  %one = arith.constant 1.0 : f32
  %sum = arith.addf %big, %one : f32
  %rest = arith.subf %sum, %big : f32
  check.expect_eq_const %rest, 1.0 : f32
  return
}

#map = affine_map<(d0)[s0] -> (d0 floordiv 4 + s0)>
func.func @affine() {
  %a = arith.constant 11 : index
  %b = arith.constant 100 : index
  %c = affine.apply #map(%a)[%b]
  check.expect_eq_const %c, 102 : index
  %d = affine.min affine_map<(d0, d1) -> (d0 mod 4, d1)>(%a, %b)
  check.expect_eq_const %d, 3 : index
  return
}

func.func @control() {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %sum, %product = scf.for %i = %c0 to %c5 step %c1 iter_args(%s = %c0, %p = %c1) -> (index, index) {
    %s2 = arith.addi %s, %i : index
    %i1 = arith.addi %i, %c1 : index
    %p2 = arith.muli %p, %i1 : index
    scf.yield %s2, %p2 : index, index
  }
  check.expect_eq_const %sum, 10 : index
  check.expect_eq_const %product, 120 : index
  %more = arith.cmpi ugt, %product, %sum : index
  %picked = scf.if %more -> index {
    scf.yield %c1 : index
  } else {
    scf.yield %c0 : index
  }
  check.expect_eq_const %picked, 1 : index
  %twice = func.call @twice(%sum) : (index) -> index
  check.expect_eq_const %twice, 20 : index
  return
}

func.func private @twice(%a: index) -> index {
  %b = arith.addi %a, %a : index
  return %b : index
}

// Tables of the normal distribution: gelu(1) = P(Z < 1), gelu(-2) = -2 P(Z < -2).
func.func @gelu() {
  %one = arith.constant 1.0 : f32
  %0 = whit.gelu %one : f32
  check.expect_eq_const %0, 0.84134474606854293 : f32
  %minusTwo = arith.constant -2.0 : f32
  %1 = whit.gelu %minusTwo : f32
  check.expect_eq_const %1, -0.04550026389635842 : f32
  %2 = whit.gelu tanh %one : f32
  check.expect_eq_const %2, 0.84119199060827681 : f32
  return
}
