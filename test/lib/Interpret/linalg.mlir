// RUN: whit-check %s
//
// Structured operations, by their maps and bodies.

func.func @named() {
  %a = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %b = arith.constant dense<[[1.0, 0.5], [0.0, -1.0]]> : tensor<2x2xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x2xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m = linalg.matmul ins(%a, %b : tensor<2x2xf32>, tensor<2x2xf32>) outs(%z : tensor<2x2xf32>) -> tensor<2x2xf32>
  check.expect_eq_const %m, dense<[[1.0, -1.5], [3.0, -2.5]]> : tensor<2x2xf32>
  %again = linalg.matmul ins(%a, %b : tensor<2x2xf32>, tensor<2x2xf32>) outs(%m : tensor<2x2xf32>) -> tensor<2x2xf32>
  check.expect_eq_const %again, dense<[[2.0, -3.0], [6.0, -5.0]]> : tensor<2x2xf32>
  %s = linalg.add ins(%a, %b : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  check.expect_eq_const %s, dense<[[2.0, 2.5], [3.0, 3.0]]> : tensor<2x2xf32>
  %x = linalg.exp ins(%z : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  check.expect_eq_const %x, dense<1.0> : tensor<2x2xf32>
  %t = linalg.transpose ins(%a : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
  check.expect_eq_const %t, dense<[[1.0, 3.0], [2.0, 4.0]]> : tensor<2x2xf32>
  return
}

func.func @reduce_and_broadcast() {
  %a = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %init = arith.constant dense<[10.0, 20.0]> : tensor<2xf32>
  %sum = linalg.reduce ins(%a : tensor<2x3xf32>) outs(%init : tensor<2xf32>) dimensions = [1]
    (%in: f32, %out: f32) {
      %add = arith.addf %in, %out : f32
      linalg.yield %add : f32
    }
  check.expect_eq_const %sum, dense<[16.0, 35.0]> : tensor<2xf32>
  %largest = linalg.reduce { arith.maximumf } ins(%a : tensor<2x3xf32>) outs(%init : tensor<2xf32>) dimensions = [1]
  check.expect_eq_const %largest, dense<[10.0, 20.0]> : tensor<2xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %wide = linalg.broadcast ins(%sum : tensor<2xf32>) outs(%e : tensor<2x2xf32>) dimensions = [1]
  check.expect_eq_const %wide, dense<[[16.0, 16.0], [35.0, 35.0]]> : tensor<2x2xf32>
  return
}

#row = affine_map<(i, j) -> (i)>
#column = affine_map<(i, j) -> (j)>
#both = affine_map<(i, j) -> (i, j)>
// Indices, a table looked up inside the body, a scalar from outside, and two results.
func.func @generic() {
  %rows = arith.constant dense<[2, 0]> : tensor<2xi64>
  %table = arith.constant dense<[1.0, 2.0, 4.0]> : tensor<3xf32>
  %half = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<2x3xf32>
  %f = tensor.empty() : tensor<2x3xindex>
  %r:2 = linalg.generic {indexing_maps = [#row, #both, #both], iterator_types = ["parallel", "parallel"]}
      ins(%rows : tensor<2xi64>) outs(%e, %f : tensor<2x3xf32>, tensor<2x3xindex>) {
    ^bb0(%row: i64, %o: f32, %p: index):
      %i = arith.index_cast %row : i64 to index
      %x = tensor.extract %table[%i] : tensor<3xf32>
      %y = arith.mulf %x, %half : f32
      %j = linalg.index 1 : index
      linalg.yield %y, %j : f32, index
  } -> (tensor<2x3xf32>, tensor<2x3xindex>)
  check.expect_eq_const %r#0, dense<[[2.0, 2.0, 2.0], [0.5, 0.5, 0.5]]> : tensor<2x3xf32>
  check.expect_eq_const %r#1, dense<[[0, 1, 2], [0, 1, 2]]> : tensor<2x3xindex>
  return
}

// A convolution has maps with sums; a map with a floordiv is not even linear.
func.func @unusual_maps() {
  %x = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %w = arith.constant dense<[1.0, -1.0]> : tensor<2xf32>
  %init = arith.constant dense<0.0> : tensor<3xf32>
  %y = linalg.conv_1d ins(%x, %w : tensor<4xf32>, tensor<2xf32>) outs(%init : tensor<3xf32>) -> tensor<3xf32>
  check.expect_eq_const %y, dense<-1.0> : tensor<3xf32>
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(i) -> (i floordiv 2)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<8xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
  } -> tensor<8xf32>
  check.expect_eq_const %z, dense<[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]> : tensor<8xf32>
  return
}
