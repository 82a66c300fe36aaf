// RUN: whit-check %s
//
// whit operations that take one row at a time, against values worked out by hand.

// Groups of 4 along K = 6: the second group has two elements, and each group two codes of padding. 127 is the code of the
// largest element; halves round to even; a group of zeros has scale 0.
func.func @quantize() {
  %x = arith.constant dense<[[127.0, -63.5, 0.5, 1.5, 0.0, 0.0], [-2.0, 1.0, 2.0, 0.0, 254.0, 3.0]]> : tensor<2x6xf32>
  %codes = tensor.empty() : tensor<2x2x6xi8>
  %scales = tensor.empty() : tensor<2x2xf32>
  %sums = tensor.empty() : tensor<2x2xi32>
  %q:3 = whit.quantize ins(%x : tensor<2x6xf32>) outs(%codes, %scales, %sums : tensor<2x2x6xi8>, tensor<2x2xf32>, tensor<2x2xi32>)
    group = 4 -> tensor<2x2x6xi8>, tensor<2x2xf32>, tensor<2x2xi32>
  check.expect_eq_const %q#0, dense<[[[127, -64, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0]],
                                     [[-127, 64, 127, 0, 0, 0], [127, 2, 0, 0, 0, 0]]]> : tensor<2x2x6xi8>
  check.expect_eq_const %q#1, dense<[[1.0, 0.0], [0.01574803149606299, 2.0]]> : tensor<2x2xf32>
  check.expect_eq_const %q#2, dense<[[65, 0], [64, 129]]> : tensor<2x2xi32>
  return
}

// One scale for a row of two groups, and 7 as the largest code: 254 makes all of the first group but its last element 0.
func.func @quantize_rows() {
  %x = arith.constant dense<[[0.0, 1.5, -2.5, 7.0, -3.5, 0.0], [4.0, -18.0, 0.0, 19.0, 254.0, -127.0]]> : tensor<2x6xf32>
  %codes = tensor.empty() : tensor<2x2x4xi8>
  %scales = tensor.empty() : tensor<2x2xf32>
  %sums = tensor.empty() : tensor<2x2xi32>
  %q:3 = whit.quantize ins(%x : tensor<2x6xf32>) outs(%codes, %scales, %sums : tensor<2x2x4xi8>, tensor<2x2xf32>, tensor<2x2xi32>)
    group = 4 bits = 4 per_row -> tensor<2x2x4xi8>, tensor<2x2xf32>, tensor<2x2xi32>
  check.expect_eq_const %q#0, dense<[[[0, 2, -2, 7], [-4, 0, 0, 0]], [[0, 0, 0, 1], [7, -4, 0, 0]]]> : tensor<2x2x4xi8>
  check.expect_eq_const %q#2, dense<[[7, -4], [1, 3]]> : tensor<2x2xi32>
  %wanted = arith.constant dense<[[1.0, 1.0], [36.285714285714286, 36.285714285714286]]> : tensor<2x2xf32>
  check.expect_close %q#1, %wanted ulps = 1 : tensor<2x2xf32>
  return
}

// Four significant bits: 17 lies between 16 and 18 and goes to the even one, 19 to 20; below 2^-6 = 0.015625 there are only
// multiples of 2^-9 = 0.001953125. A row of zeros has scale 0.
func.func @quantize_float() {
  %x = arith.constant dense<[[448.0, -17.0, 19.0, 0.0029296875, 0.0009765625, -0.0146484375], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                             [-896.0, 1.0, 3.0, 0.5, 34.5, 800.0]]> : tensor<3x6xf32>
  %n = tensor.empty() : tensor<3x6xbf16>
  %s = tensor.empty() : tensor<3xf32>
  %q:2 = whit.quantize_float ins(%x : tensor<3x6xf32>) outs(%n, %s : tensor<3x6xbf16>, tensor<3xf32>) -> tensor<3x6xbf16>, tensor<3xf32>
  check.expect_eq_const %q#0, dense<[[448.0, -16.0, 20.0, 0.00390625, 0.0, -0.015625], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                                     [-448.0, 0.5, 1.5, 0.25, 18.0, 384.0]]> : tensor<3x6xbf16>
  check.expect_eq_const %q#1, dense<[1.0, 0.0, 2.0]> : tensor<3xf32>
  return
}

// mean(x^2) = (4 + 4 + 0 + 8) / 4 = 4; with epsilon 0 the root is 2.
func.func @rms_norm() {
  %x = arith.constant dense<[[2.0, -2.0, 0.0, 2.8284271247461903]]> : tensor<1x4xf32>
  %w = arith.constant dense<[1.0, 2.0, 3.0, 0.5]> : tensor<4xf32>
  %e = tensor.empty() : tensor<1x4xf32>
  %y = whit.rms_norm ins(%x, %w : tensor<1x4xf32>, tensor<4xf32>) outs(%e : tensor<1x4xf32>) epsilon = 0.0 -> tensor<1x4xf32>
  %wanted = arith.constant dense<[[1.0, -2.0, 0.0, 0.70710678118654752]]> : tensor<1x4xf32>
  check.expect_close %y, %wanted ulps = 2 : tensor<1x4xf32>
  return
}

// Mean 2, variance 1: (1 + 1 + 1 + 1) / 4. With epsilon 3 the root is 2.
func.func @layer_norm() {
  %x = arith.constant dense<[[1.0, 3.0, 1.0, 3.0]]> : tensor<1x4xf32>
  %w = arith.constant dense<[1.0, 1.0, 4.0, 2.0]> : tensor<4xf32>
  %b = arith.constant dense<[0.0, 10.0, 0.0, 1.0]> : tensor<4xf32>
  %e = tensor.empty() : tensor<1x4xf32>
  %y = whit.layer_norm ins(%x, %w, %b : tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<1x4xf32>) epsilon = 3.0
    -> tensor<1x4xf32>
  check.expect_eq_const %y, dense<[[-0.5, 10.5, -2.0, 2.0]]> : tensor<1x4xf32>
  return
}

// Equal elements share; a masked one gets nothing. log(3) counts three times as much as 0. A row of which nothing is left
// has no value, and neither has one with infinity.
func.func @softmax() {
  %x = arith.constant dense<[[5.0, 5.0, 5.0, 5.0], [0.0, 1.0986122886681098, 0xFF800000, 0xFF800000],
                             [1000.0, -1000.0, 1000.0, 0xFF800000]]> : tensor<3x4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %y = whit.softmax ins(%x : tensor<3x4xf32>) outs(%e : tensor<3x4xf32>) -> tensor<3x4xf32>
  %wanted = arith.constant dense<[[0.25, 0.25, 0.25, 0.25], [0.25, 0.75, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]]> : tensor<3x4xf32>
  check.expect_close %y, %wanted ulps = 2 : tensor<3x4xf32>
  %none = arith.constant dense<[[0xFF800000, 0xFF800000], [0x7F800000, 0.0]]> : tensor<2x2xf32>
  %f = tensor.empty() : tensor<2x2xf32>
  %z = whit.softmax ins(%none : tensor<2x2xf32>) outs(%f : tensor<2x2xf32>) -> tensor<2x2xf32>
  check.expect_eq_const %z, dense<0x7FC00000> : tensor<2x2xf32>
  return
}

// Position 0 turns nothing, position 1 by a quarter: (a, b) -> (-b, a). Row 1 of the second sequence would stand at
// position 5 and is clamped to the last one of the tables.
func.func @rotary() {
  %x = arith.constant dense<[[[[1.0, 2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0, 4.0]]],
                             [[[5.0, 6.0, 7.0, 8.0]], [[5.0, 6.0, 7.0, 8.0]]]]> : tensor<2x2x1x4xf32>
  %cos = arith.constant dense<[[1.0, 1.0], [0.0, 0.0]]> : tensor<2x2xf32>
  %sin = arith.constant dense<[[0.0, 0.0], [1.0, 1.0]]> : tensor<2x2xf32>
  %start = arith.constant dense<[0, 4]> : tensor<2xi32>
  %first = arith.constant 0 : index
  %e = tensor.empty() : tensor<2x2x1x4xf32>
  %y = whit.rotary ins(%x, %cos, %sin : tensor<2x2x1x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) from %start + %first : tensor<2xi32>
    outs(%e : tensor<2x2x1x4xf32>) -> tensor<2x2x1x4xf32>
  check.expect_eq_const %y, dense<[[[[1.0, 2.0, 3.0, 4.0]], [[-3.0, -4.0, 1.0, 2.0]]],
                                   [[[-7.0, -8.0, 5.0, 6.0]], [[-7.0, -8.0, 5.0, 6.0]]]]> : tensor<2x2x1x4xf32>
  %z = whit.rotary ins(%x, %cos, %sin : tensor<2x2x1x4xf32>, tensor<2x2xf32>, tensor<2x2xf32>) from %start + %first : tensor<2xi32>
    outs(%e : tensor<2x2x1x4xf32>) interleaved -> tensor<2x2x1x4xf32>
  check.expect_eq_const %z, dense<[[[[1.0, 2.0, 3.0, 4.0]], [[-2.0, 1.0, -4.0, 3.0]]],
                                   [[[-6.0, 5.0, -8.0, 7.0]], [[-6.0, 5.0, -8.0, 7.0]]]]> : tensor<2x2x1x4xf32>
  return
}
