// RUN: whit-check %s
//
// The tensor dialect moves elements; nothing is computed.

func.func @slices() {
  %a = arith.constant dense<[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]> : tensor<3x4xi32>
  %s = tensor.extract_slice %a[1, 1] [2, 2] [1, 2] : tensor<3x4xi32> to tensor<2x2xi32>
  check.expect_eq_const %s, dense<[[5, 7], [9, 11]]> : tensor<2x2xi32>
  %row = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xi32> to tensor<4xi32>
  check.expect_eq_const %row, dense<[8, 9, 10, 11]> : tensor<4xi32>
  %b = tensor.insert_slice %s into %a[0, 2] [2, 2] [1, 1] : tensor<2x2xi32> into tensor<3x4xi32>
  check.expect_eq_const %b, dense<[[0, 1, 5, 7], [4, 5, 9, 11], [8, 9, 10, 11]]> : tensor<3x4xi32>
  // The tensor it was inserted into is a value and has not changed.
  check.expect_eq_const %a, dense<[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]> : tensor<3x4xi32>
  return
}

func.func @shapes() {
  %a = arith.constant dense<[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]> : tensor<2x2x2xi32>
  %c = tensor.collapse_shape %a [[0], [1, 2]] : tensor<2x2x2xi32> into tensor<2x4xi32>
  check.expect_eq_const %c, dense<[[0, 1, 2, 3], [4, 5, 6, 7]]> : tensor<2x4xi32>
  %d = tensor.cast %c : tensor<2x4xi32> to tensor<?x4xi32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %d, %c0 : tensor<?x4xi32>
  check.expect_eq_const %n, 2 : index
  %e = tensor.expand_shape %d [[0], [1, 2]] output_shape [%n, 1, 4] : tensor<?x4xi32> into tensor<?x1x4xi32>
  %f = tensor.cast %e : tensor<?x1x4xi32> to tensor<2x1x4xi32>
  check.expect_eq_const %f, dense<[[[0, 1, 2, 3]], [[4, 5, 6, 7]]]> : tensor<2x1x4xi32>
  %shape = arith.constant dense<[4, 2]> : tensor<2xi64>
  %g = tensor.reshape %d(%shape) : (tensor<?x4xi32>, tensor<2xi64>) -> tensor<4x2xi32>
  check.expect_eq_const %g, dense<[[0, 1], [2, 3], [4, 5], [6, 7]]> : tensor<4x2xi32>
  return
}

func.func @making() {
  %x = arith.constant 7 : i64
  %y = arith.constant -1 : i64
  %a = tensor.from_elements %x, %y : tensor<2xi64>
  check.expect_eq_const %a, dense<[7, -1]> : tensor<2xi64>
  %b = tensor.splat %x : tensor<3xi64>
  %c = tensor.concat dim(0) %a, %b : (tensor<2xi64>, tensor<3xi64>) -> tensor<5xi64>
  check.expect_eq_const %c, dense<[7, -1, 7, 7, 7]> : tensor<5xi64>
  %c1 = arith.constant 1 : index
  %e = tensor.extract %a[%c1] : tensor<2xi64>
  check.expect_eq_const %e, -1 : i64
  %i = tensor.insert %x into %a[%c1] : tensor<2xi64>
  check.expect_eq_const %i, dense<[7, 7]> : tensor<2xi64>
  %p = tensor.pad %a low[1] high[2] {
  ^bb0(%at: index):
    %at64 = arith.index_cast %at : index to i64
    tensor.yield %at64 : i64
  } : tensor<2xi64> to tensor<5xi64>
  check.expect_eq_const %p, dense<[0, 7, -1, 3, 4]> : tensor<5xi64>
  %g = tensor.generate {
  ^bb0(%row: index, %column: index):
    %sum = arith.addi %row, %column : index
    tensor.yield %sum : index
  } : tensor<2x3xindex>
  check.expect_eq_const %g, dense<[[0, 1, 2], [1, 2, 3]]> : tensor<2x3xindex>
  return
}

func.func @concat_along_the_last_dimension() {
  %a = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %b = arith.constant dense<[[3.0, 4.0], [5.0, 6.0]]> : tensor<2x2xf32>
  %c = tensor.concat dim(1) %a, %b : (tensor<2x1xf32>, tensor<2x2xf32>) -> tensor<2x3xf32>
  check.expect_eq_const %c, dense<[[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]> : tensor<2x3xf32>
  return
}

// A dimension of size 0 is a dimension like any other.
func.func @nothing() {
  %a = tensor.empty() : tensor<2x0xf32>
  %b = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %c = tensor.concat dim(1) %a, %b : (tensor<2x0xf32>, tensor<2x1xf32>) -> tensor<2x1xf32>
  check.expect_eq %c, %b : tensor<2x1xf32>
  %s = tensor.extract_slice %b[1, 0] [0, 1] [1, 1] : tensor<2x1xf32> to tensor<0x1xf32>
  %c0 = arith.constant 0 : index
  %n = tensor.dim %s, %c0 : tensor<0x1xf32>
  check.expect_eq_const %n, 0 : index
  return
}
