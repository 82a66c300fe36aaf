// RUN: whit-check %s
//
// Caches and attention. Batch 2, where the second sequence already holds two tokens and the first none.

func.func @cache_append_after_a_past() {
  %new = arith.constant dense<[[[[1.0], [10.0]]], [[[2.0], [20.0]]]]> : tensor<2x1x2x1xf32>
  %past = arith.constant dense<[[[[7.0], [8.0]], [[70.0], [80.0]]], [[[5.0], [6.0]], [[50.0], [60.0]]]]> : tensor<2x2x2x1xf32>
  %start = arith.constant dense<[0, 2]> : tensor<2xi32>
  %e = tensor.empty() : tensor<2x2x4x1xf32>
  %c = whit.cache_append ins(%new after %past : tensor<2x1x2x1xf32>, tensor<2x2x2x1xf32>) from %start : tensor<2xi32>
    outs(%e : tensor<2x2x4x1xf32>) -> tensor<2x2x4x1xf32>
  check.expect_eq_const %c, dense<[[[[1.0], [0.0], [0.0], [0.0]], [[10.0], [0.0], [0.0], [0.0]]],
                                   [[[5.0], [6.0], [2.0], [0.0]], [[50.0], [60.0], [20.0], [0.0]]]]> : tensor<2x2x4x1xf32>
  return
}

// Without a past the other positions stay, and what would lie behind the end is not written.
func.func @cache_append_in_place() {
  %new = arith.constant dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]> : tensor<2x2x1x1xf32>
  %cache = arith.constant dense<9.0> : tensor<2x1x3x1xf32>
  %start = arith.constant dense<[1, 2]> : tensor<2xi32>
  %c = whit.cache_append ins(%new : tensor<2x2x1x1xf32>) from %start : tensor<2xi32> outs(%cache : tensor<2x1x3x1xf32>)
    -> tensor<2x1x3x1xf32>
  check.expect_eq_const %c, dense<[[[[9.0], [1.0], [2.0]]], [[[9.0], [9.0], [3.0]]]]> : tensor<2x1x3x1xf32>
  return
}

// Token 17 is token 1 of the second block: [t / 16][d][t % 16].
func.func @cache_append_blocked_and_in_halves() {
  %new = arith.constant dense<[[[[1.0, 2049.0]]]]> : tensor<1x1x1x2xf32>
  %zero = arith.constant dense<0.0> : tensor<1x1x2x2x16xf16>
  %start = arith.constant dense<17> : tensor<1xi32>
  %c = whit.cache_append ins(%new : tensor<1x1x1x2xf32>) from %start : tensor<1xi32> outs(%zero : tensor<1x1x2x2x16xf16>)
    -> tensor<1x1x2x2x16xf16>
  %s = tensor.extract_slice %c[0, 0, 1, 0, 1] [1, 1, 1, 2, 1] [1, 1, 1, 1, 1] : tensor<1x1x2x2x16xf16> to tensor<2xf16>
  check.expect_eq_const %s, dense<[1.0, 2048.0]> : tensor<2xf16>
  return
}

// One key of zeros and one of ln 3 against a query of 1: weights 1/4 and 3/4. Row 0 sees only token 0.
func.func @attention_is_causal() {
  %q = arith.constant dense<[[[[1.0]], [[1.0]]]]> : tensor<1x2x1x1xf32>
  %k = arith.constant dense<[[[[0.0], [1.0986122886681098], [100.0]]]]> : tensor<1x1x3x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0], [100.0]]]]> : tensor<1x1x3x1xf32>
  %start = arith.constant dense<0> : tensor<1xi32>
  %first = arith.constant 0 : index
  %e = tensor.empty() : tensor<1x2x1x1xf32>
  %y = whit.attention ins(%q, %k, %v : tensor<1x2x1x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>) from %start + %first
    : tensor<1xi32> outs(%e : tensor<1x2x1x1xf32>) scale = 1.0 -> tensor<1x2x1x1xf32>
  %wanted = arith.constant dense<[[[[4.0]], [[7.0]]]]> : tensor<1x2x1x1xf32>
  check.expect_close %y, %wanted ulps = 2 : tensor<1x2x1x1xf32>
  return
}

// Two heads of q share one of k; a window of 1 sees only the row's own token; a start of -1 puts row 0 before everything.
func.func @attention_shares_heads_and_windows() {
  %q = arith.constant dense<1.0> : tensor<1x2x2x1xf32>
  %k = arith.constant dense<[[[[0.0], [0.0]]]]> : tensor<1x1x2x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0]]]]> : tensor<1x1x2x1xf32>
  %zero = arith.constant dense<0> : tensor<1xi32>
  %minus = arith.constant dense<-1> : tensor<1xi32>
  %first = arith.constant 0 : index
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  %all = whit.attention ins(%q, %k, %v : tensor<1x2x2x1xf32>, tensor<1x1x2x1xf32>, tensor<1x1x2x1xf32>) from %zero + %first
    : tensor<1xi32> outs(%e : tensor<1x2x2x1xf32>) scale = 1.0 -> tensor<1x2x2x1xf32>
  check.expect_eq_const %all, dense<[[[[4.0], [4.0]], [[6.0], [6.0]]]]> : tensor<1x2x2x1xf32>
  %own = whit.attention ins(%q, %k, %v : tensor<1x2x2x1xf32>, tensor<1x1x2x1xf32>, tensor<1x1x2x1xf32>) from %zero + %first
    : tensor<1xi32> outs(%e : tensor<1x2x2x1xf32>) scale = 1.0 {window = 1 : i64} -> tensor<1x2x2x1xf32>
  check.expect_eq_const %own, dense<[[[[4.0], [4.0]], [[8.0], [8.0]]]]> : tensor<1x2x2x1xf32>
  %early = whit.attention ins(%q, %k, %v : tensor<1x2x2x1xf32>, tensor<1x1x2x1xf32>, tensor<1x1x2x1xf32>) from %minus + %first
    : tensor<1xi32> outs(%e : tensor<1x2x2x1xf32>) scale = 1.0 -> tensor<1x2x2x1xf32>
  check.expect_eq_const %early, dense<[[[[0.0], [0.0]], [[4.0], [4.0]]]]> : tensor<1x2x2x1xf32>
  return
}

// Keys blocked by 16 tokens give what keys in rows give.
func.func @attention_on_blocked_keys() {
  %q = arith.constant dense<[[[[1.0, 0.5]]]]> : tensor<1x1x1x2xf32>
  %zero = arith.constant dense<0.0> : tensor<1x1x16x2xf32>
  %zeroBlocked = arith.constant dense<0.0> : tensor<1x1x1x2x16xf32>
  %new = arith.constant dense<[[[[1.0, 2.0]], [[-1.0, 0.25]], [[0.5, 3.0]]]]> : tensor<1x3x1x2xf32>
  %start = arith.constant dense<0> : tensor<1xi32>
  %position = arith.constant dense<2> : tensor<1xi32>
  %first = arith.constant 0 : index
  %k = whit.cache_append ins(%new : tensor<1x3x1x2xf32>) from %start : tensor<1xi32> outs(%zero : tensor<1x1x16x2xf32>) -> tensor<1x1x16x2xf32>
  %b = whit.cache_append ins(%new : tensor<1x3x1x2xf32>) from %start : tensor<1xi32> outs(%zeroBlocked : tensor<1x1x1x2x16xf32>)
    -> tensor<1x1x1x2x16xf32>
  %e = tensor.empty() : tensor<1x1x1x2xf32>
  %one = whit.attention ins(%q, %k, %k : tensor<1x1x1x2xf32>, tensor<1x1x16x2xf32>, tensor<1x1x16x2xf32>) from %position + %first
    : tensor<1xi32> outs(%e : tensor<1x1x1x2xf32>) scale = 0.5 {softcap = 2.0 : f32} -> tensor<1x1x1x2xf32>
  %two = whit.attention ins(%q, %b, %k : tensor<1x1x1x2xf32>, tensor<1x1x1x2x16xf32>, tensor<1x1x16x2xf32>) from %position + %first
    : tensor<1xi32> outs(%e : tensor<1x1x1x2xf32>) scale = 0.5 {softcap = 2.0 : f32} -> tensor<1x1x1x2xf32>
  check.expect_eq %one, %two : tensor<1x1x1x2xf32>
  return
}

// Without the causal limit row 0 sees what row 1 sees. A mask of -infinity takes token 1 away again, for row 0 of head 1 only.
func.func @attention_bidirectional_and_masked() {
  %q = arith.constant dense<1.0> : tensor<1x2x2x1xf32>
  %k = arith.constant dense<[[[[0.0], [1.0986122886681098], [100.0]]]]> : tensor<1x1x3x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0], [100.0]]]]> : tensor<1x1x3x1xf32>
  %zero = arith.constant dense<0> : tensor<1xi32>
  %first = arith.constant 0 : index
  %e = tensor.empty() : tensor<1x2x2x1xf32>
  // Token 2 has no mask and is not seen.
  %mask = arith.constant dense<[[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0xFF800000], [0.0, 0.0]]]]> : tensor<1x2x2x2xf32>
  %y = whit.attention ins(%q, %k, %v mask %mask : tensor<1x2x2x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>, tensor<1x2x2x2xf32>)
    from %zero + %first : tensor<1xi32> outs(%e : tensor<1x2x2x1xf32>) scale = 1.0 bidirectional -> tensor<1x2x2x1xf32>
  %wanted = arith.constant dense<[[[[7.0], [4.0]], [[7.0], [7.0]]]]> : tensor<1x2x2x1xf32>
  check.expect_close %y, %wanted ulps = 2 : tensor<1x2x2x1xf32>
  return
}

// One row of mask for all: a row whose scores are all -infinity gives 0, one of the lowest floats weighs its tokens alike,
// and a mask of ln 3 counts a token three times. Causal rows keep their limit.
func.func @attention_masks_are_added() {
  %q = arith.constant dense<0.5> : tensor<2x2x1x1xf32>
  %k = arith.constant dense<[[[[1.0], [-2.0]]], [[[0.0], [0.0]]]]> : tensor<2x1x2x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0]]], [[[4.0], [8.0]]]]> : tensor<2x1x2x1xf32>
  %zero = arith.constant dense<0> : tensor<2xi32>
  %first = arith.constant 0 : index
  %e = tensor.empty() : tensor<2x2x1x1xf32>
  %none = arith.constant dense<0xFF800000> : tensor<1x1x1x2xf32>
  %y = whit.attention ins(%q, %k, %v mask %none : tensor<2x2x1x1xf32>, tensor<2x1x2x1xf32>, tensor<2x1x2x1xf32>, tensor<1x1x1x2xf32>)
    from %zero + %first : tensor<2xi32> outs(%e : tensor<2x2x1x1xf32>) scale = 1.0 -> tensor<2x2x1x1xf32>
  check.expect_eq_const %y, dense<0.0> : tensor<2x2x1x1xf32>
  %mask = arith.constant dense<[[[[0xFF7FFFFF, 0xFF7FFFFF]]], [[[0.0, 1.0986122886681098]]]]> : tensor<2x1x1x2xf32>
  %z = whit.attention ins(%q, %k, %v mask %mask : tensor<2x2x1x1xf32>, tensor<2x1x2x1xf32>, tensor<2x1x2x1xf32>, tensor<2x1x1x2xf32>)
    from %zero + %first : tensor<2xi32> outs(%e : tensor<2x2x1x1xf32>) scale = 1.0 -> tensor<2x2x1x1xf32>
  %wanted = arith.constant dense<[[[[4.0]], [[6.0]]], [[[4.0]], [[7.0]]]]> : tensor<2x2x1x1xf32>
  check.expect_close %z, %wanted ulps = 2 : tensor<2x2x1x1xf32>
  return
}

// int8: the scale is -2 / -128; 1 is code 64 away from zero, and 1.995 would be 127.68. A row of zeros stays one.
func.func @cache_append_in_a_format() {
  %new = arith.constant dense<[[[[1.0, -2.0, 1.995, 0.0078125]]], [[[0.0, 0.0, 0.0, 0.0]]]]> : tensor<2x1x1x4xf32>
  %cache = arith.constant dense<9.0> : tensor<2x1x2x4xf32>
  %start = arith.constant dense<[1, 0]> : tensor<2xi32>
  %c = whit.cache_append ins(%new : tensor<2x1x1x4xf32>) from %start : tensor<2xi32> outs(%cache : tensor<2x1x2x4xf32>) as <int8_channel>
    -> tensor<2x1x2x4xf32>
  check.expect_eq_const %c, dense<[[[[9.0, 9.0, 9.0, 9.0], [1.0, -2.0, 1.984375, 0.0]]],
                                   [[[0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]]]> : tensor<2x1x2x4xf32>
  return
}

// (1, 2, 3, 10) in 2 bits above a minimum of 0: the scale is 10 / 3 as a half, 3.333984375. Rotated, a row
// of one 8 is (4, -4, 4, -4); in 2 bits the largest 4 is exact and -4 becomes the other end, -2.
func.func @cache_append_with_a_minimum_and_rotated() {
  %new = arith.constant dense<[[[[1.0, 2.0, 3.0, 10.0]]]]> : tensor<1x1x1x4xf32>
  %cache = arith.constant dense<0.0> : tensor<1x1x1x4xf32>
  %start = arith.constant dense<0> : tensor<1xi32>
  %c = whit.cache_append ins(%new : tensor<1x1x1x4xf32>) from %start : tensor<1xi32> outs(%cache : tensor<1x1x1x4xf32>) as <uint2_channel_min>
    -> tensor<1x1x1x4xf32>
  check.expect_eq_const %c, dense<[[[[0.0, 3.333984375, 3.333984375, 10.001953125]]]]> : tensor<1x1x1x4xf32>
  %spike = arith.constant dense<[[[[0.0, 8.0, 0.0, 0.0]]]]> : tensor<1x1x1x4xf32>
  %r = whit.cache_append ins(%spike : tensor<1x1x1x4xf32>) from %start : tensor<1xi32> outs(%cache : tensor<1x1x1x4xf32>) as <int2_channel> hadamard
    -> tensor<1x1x1x4xf32>
  check.expect_eq_const %r, dense<[[[[4.0, -2.0, 4.0, -2.0]]]]> : tensor<1x1x1x4xf32>
  return
}

// Queries turn as their keys did, and the scores with them: token 1 has the larger product.
func.func @attention_on_rotated_keys() {
  %q = arith.constant dense<[[[[0.0, 2.0, 0.0, 0.0]]]]> : tensor<1x1x1x4xf32>
  %new = arith.constant dense<[[[[0.0, 0.0, 0.0, 0.0]], [[0.0, 100.0, 0.0, 0.0]]]]> : tensor<1x2x1x4xf32>
  %v = arith.constant dense<[[[[4.0, 0.0, 0.0, 0.0], [8.0, 0.0, 0.0, 0.0]]]]> : tensor<1x1x2x4xf32>
  %zero = arith.constant dense<0.0> : tensor<1x1x2x4xf32>
  %start = arith.constant dense<0> : tensor<1xi32>
  %position = arith.constant dense<1> : tensor<1xi32>
  %first = arith.constant 0 : index
  %k = whit.cache_append ins(%new : tensor<1x2x1x4xf32>) from %start : tensor<1xi32> outs(%zero : tensor<1x1x2x4xf32>) as <int8_channel> hadamard
    -> tensor<1x1x2x4xf32>
  %e = tensor.empty() : tensor<1x1x1x4xf32>
  %y = whit.attention ins(%q, %k, %v : tensor<1x1x1x4xf32>, tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>) from %position + %first
    : tensor<1xi32> outs(%e : tensor<1x1x1x4xf32>) scale = 1.0 keys <int8_channel> hadamard -> tensor<1x1x1x4xf32>
  check.expect_eq_const %y, dense<[[[[8.0, 0.0, 0.0, 0.0]]]]> : tensor<1x1x1x4xf32>
  return
}
