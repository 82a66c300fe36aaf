// RUN: whit-opt %s --split-input-file --verify-diagnostics
//
// One broken rule per case, with the message it gets.

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{operand has type 'tensor<3x4xf32>' and result 'tensor<4x3xf32>'; they must have the same shape}}
  %0 = stablehlo.tanh %x : (tensor<3x4xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{operand has type 'tensor<3x4xf32>' and result 'tensor<3x4xi32>'; they must have the same elements}}
  %0 = stablehlo.add %x, %x : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xi32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{found type '(tensor<3x4xf32>) -> tensor<3x4xf32>'; it must have 2 inputs and 1 result}}
  %0 = stablehlo.add %x, %x : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<*xf32>) {
  // expected-error@+1 {{must be tensor of known rank}}
  %0 = stablehlo.tanh %x : (tensor<*xf32>) -> tensor<*xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{found 'LESS'; a comparison is EQ, NE, GE, GT, LE or LT}}
  %0 = stablehlo.compare LESS, %x, %x : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xi1>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{found 'WORD'; what is compared is FLOAT, TOTALORDER, SIGNED, UNSIGNED or NOTYPE}}
  %0 = stablehlo.compare LT, %x, %x, WORD : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xi1>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{rhs has elements of type 'i1'; they must have type 'f32'}}
  %0 = stablehlo.compare LT, %x, %b : (tensor<3x4xf32>, tensor<3x4xi1>) -> tensor<3x4xi1>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has elements of type 'f32'; they must have type 'i1'}}
  %0 = stablehlo.compare LT, %x, %x : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{pred has elements of type 'f32'; they must have type 'i1'}}
  %0 = stablehlo.select %x, %x, %x : tensor<3x4xf32>, tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{on_false has type 'tensor<f32>'; it must have the shape of 'tensor<3x4xf32>'}}
  %0 = stablehlo.select %b, %x, %f : (tensor<3x4xi1>, tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{min has elements of type 'i32'; they must have type 'f32'}}
  %0 = stablehlo.clamp %i, %x, %x : (tensor<i32>, tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{shapes must be the same, with one dimension more for the parts of a wider element}}
  %0 = stablehlo.bitcast_convert %x : (tensor<3x4xf32>) -> tensor<3x4xi16>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{found 5.000000e+00 : f64; a constant must be the elements of a tensor}}
  %0 = stablehlo.constant 5.0 : f64
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{value has type 'tensor<2xi32>' and result 'tensor<3xi32>'; they must be the same}}
  %0 = "stablehlo.constant"() <{value = dense<1> : tensor<2xi32>}> : () -> tensor<3xi32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{iota_dimension has dimension 2; it must be from 0 to 1}}
  %0 = stablehlo.iota dim = 2 : tensor<3x4xi32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{broadcast_dimensions has 1 elements; it must have 2}}
  %0 = stablehlo.broadcast_in_dim %x, dims = [0] : (tensor<3x4xf32>) -> tensor<3x4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{broadcast_dimensions has dimension 1 twice}}
  %0 = stablehlo.broadcast_in_dim %x, dims = [1, 1] : (tensor<3x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{operand has size 3 in dimension 0; it must be 1 or that of dimension 1 of the result, 5}}
  %0 = stablehlo.broadcast_in_dim %x, dims = [1, 2] : (tensor<3x4xf32>) -> tensor<2x5x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{they must have the same number of elements}}
  %0 = stablehlo.reshape %x : (tensor<3x4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{permutation has 1 elements; it must have 2}}
  %0 = stablehlo.transpose %x, dims = [0] : (tensor<3x4xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has type 'tensor<3x4xf32>'; it must have the shape of 'tensor<4x3xf32>'}}
  %0 = stablehlo.transpose %x, dims = [1, 0] : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{dimensions has dimension -1; it must be from 0 to 1}}
  %0 = stablehlo.reverse %x, dims = [-1] : tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{has no inputs; it needs one or more}}
  %0 = stablehlo.concatenate dim = 0 : () -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{input 1 has type 'tensor<f32>' and input 0 'tensor<3x4xf32>'; they may differ only in dimension 0}}
  %0 = stablehlo.concatenate %x, %f, dim = 0 : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{interior is -1 in dimension 0; it must not be negative}}
  %0 = stablehlo.pad %x, %f, low = [0, 0], high = [0, 0], interior = [-1, 0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{gives a size below 0 or beyond 2^63 in dimension 1}}
  %0 = stablehlo.pad %x, %f, low = [0, -9], high = [0, 0], interior = [0, 0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{takes [0:5:1] of dimension 1; it must be 0 <= start <= limit <= 4 and stride > 0}}
  %0 = stablehlo.slice %x [0:3, 0:5] : (tensor<3x4xf32>) -> tensor<3x5xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{strides has 1 elements; it must have 2}}
  %0 = "stablehlo.slice"(%x) <{start_indices = array<i64: 0, 0>, limit_indices = array<i64: 1, 1>, strides = array<i64: 1>}> : (tensor<3x4xf32>) -> tensor<1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{start_indices has 1 elements; it must have 2}}
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [1, 1] : (tensor<3x4xf32>, tensor<i32>) -> tensor<1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{start index has type 'tensor<f32>'; it must be an integer scalar}}
  %0 = stablehlo.dynamic_slice %x, %i, %f, sizes = [1, 1] : (tensor<3x4xf32>, tensor<i32>, tensor<f32>) -> tensor<1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{slice has size 5 in dimension 1; it must be from 0 to 4}}
  %0 = stablehlo.dynamic_slice %x, %i, %i, sizes = [1, 5] : (tensor<3x4xf32>, tensor<i32>, tensor<i32>) -> tensor<1x5xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{update has elements of type 'i1'; they must have type 'f32'}}
  %0 = stablehlo.dynamic_update_slice %x, %b, %i, %i : (tensor<3x4xf32>, tensor<3x4xi1>, tensor<i32>, tensor<i32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{index_vector_dim is 7; it must be from 0 to 1}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 7>, slice_sizes = array<i64: 1, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{start_indices holds indices of 1 elements; start_index_map has 2}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{slice has size 2 in dimension 0; it must be 1, since the result does not have that dimension}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 2, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{offset_dims has 1 elements; it must have 2}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{'offset_dims' is given twice}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], offset_dims = [0]>, slice_sizes = array<i64: 1, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{'offset' is no field of this attribute}}
  %0 = "stablehlo.gather"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset = [1]>, slice_sizes = array<i64: 1, 4>}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{pairs different numbers of dimensions of lhs and rhs; they must be as many}}
  %0 = stablehlo.dot_general %x, %x, contracting_dims = [0, 1] x [0] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{lhs has dimension 0 twice}}
  %0 = stablehlo.dot_general %x, %x, batching_dims = [0] x [1], contracting_dims = [0] x [0] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{lhs has size 4 in dimension 1 and rhs size 3 in dimension 0; they must be the same}}
  %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has type 'tensor<3x3xf32>'; it must have the shape of 'tensor<4x4xf32>'}}
  %0 = stablehlo.dot_general %x, %x, contracting_dims = [0] x [0] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{found 'BEST'; a precision is DEFAULT, HIGH or HIGHEST}}
  %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [1], precision = [BEST] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{'algorithm' is not supported; write the product with a precision}}
  %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [1], algorithm = <x> : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{found 'b'; each of 'b' and 'f' must stand here once}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, b, 0]x[o, i, 0]->[b, f, 0], window = {stride = [1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{spatial dimensions must be numbered from 0, each once}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 1]x[o, i, 0]->[b, f, 0], window = {stride = [1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{each of 'i' and 'o' must stand here once}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, 0, 1]->[b, f, 0], window = {stride = [1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{'stride' is given twice}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {stride = [1], stride = [1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{'step' is unknown; a window has stride, pad, lhs_dilate, rhs_dilate and reverse}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {step = [1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{'pad' needs two numbers for each spatial dimension}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {pad = [[1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{stride has 2 elements; it must have 1}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {stride = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{stride has the element 0; it must be positive}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {stride = [0]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{lhs has 3 features in 2 groups and rhs takes 3 to make 5; they must fit}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {stride = [1]} {batch_group_count = 1 : i64, feature_group_count = 2 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<1x3x8xf32>, %y: tensor<5x3x3xf32>) {
  // expected-error@+1 {{result has type 'tensor<1x5x6xf32>'; it must have the shape of 'tensor<1x5x3xf32>'}}
  %0 = stablehlo.convolution(%x, %y) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0], window = {stride = [2]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x3x8xf32>, tensor<5x3x3xf32>) -> tensor<1x5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{'stablehlo.sine' cannot be applied by name; write it as a reducer}}
  %0 = stablehlo.reduce(%x init: %f) applies stablehlo.sine across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has type 'tensor<3xf32>'; it must have the shape of 'tensor<4xf32>'}}
  %0 = stablehlo.reduce(%x init: %f) applies stablehlo.add across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{initial value has type 'tensor<i32>' and input 'tensor<3x4xf32>'; it must be a scalar of its elements}}
  %0 = stablehlo.reduce(%x init: %i) applies stablehlo.add across dimensions = [0] : (tensor<3x4xf32>, tensor<i32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{body has argument 0 of type 'tensor<i32>'; it must be 'tensor<f32>'}}
  %0 = stablehlo.reduce(%x init: %f) across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32> reducer(%a: tensor<i32>, %c: tensor<f32>) { stablehlo.return %f : tensor<f32> }
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{returns ('tensor<i32>'); 'stablehlo.reduce' needs ('tensor<f32>')}}
  %0 = stablehlo.reduce(%x init: %f) across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32> reducer(%a: tensor<f32>, %c: tensor<f32>) { stablehlo.return %i : tensor<i32> }
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{body ends with 'func.return'; it must end with stablehlo.return}}
  %0 = stablehlo.reduce(%x init: %f) across dimensions = [0] : (tensor<3x4xf32>, tensor<f32>) -> tensor<4xf32> reducer(%a: tensor<f32>, %c: tensor<f32>) { func.return }
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{window_dimensions has 1 elements; it must have 2}}
  %0 = "stablehlo.reduce_window"(%x, %f) <{window_dimensions = array<i64: 2>, padding = dense<0> : tensor<2x2xi64>}> ({ ^bb0(%a: tensor<f32>, %c: tensor<f32>): stablehlo.return %a : tensor<f32> }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{padding has type 'tensor<1x2xi64>'; it must have the shape 2x2}}
  %0 = "stablehlo.reduce_window"(%x, %f) <{window_dimensions = array<i64: 2, 2>, padding = dense<0> : tensor<1x2xi64>}> ({ ^bb0(%a: tensor<f32>, %c: tensor<f32>): stablehlo.return %a : tensor<f32> }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has type 'tensor<2x3xf32>'; it must have the shape of 'tensor<1x2xf32>'}}
  %0 = "stablehlo.reduce_window"(%x, %f) <{window_dimensions = array<i64: 3, 3>, padding = dense<0> : tensor<2x2xi64>}> ({ ^bb0(%a: tensor<f32>, %c: tensor<f32>): stablehlo.return %a : tensor<f32> }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{dimension is 2; it must be from -2 to 1}}
  %0 = "stablehlo.sort"(%x) <{dimension = 2 : i64}> ({ ^bb0(%a: tensor<f32>, %c: tensor<f32>): stablehlo.return %a : tensor<f32> }) : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{body has 1 arguments; it must have 2}}
  %0 = "stablehlo.sort"(%x) <{dimension = 1 : i64}> ({ ^bb0(%a: tensor<f32>): stablehlo.return %a : tensor<f32> }) : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{returns ('tensor<i32>'); the condition of 'stablehlo.while' must return ('tensor<i1>')}}
  %0 = stablehlo.while(%k = %i) : tensor<i32> cond { stablehlo.return %k : tensor<i32> } do { stablehlo.return %k : tensor<i32> }
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{index has type 'tensor<f32>'; it must be tensor<i32>}}
  %0 = "stablehlo.case"(%f) ({ stablehlo.return %i : tensor<i32> }) : (tensor<f32>) -> tensor<i32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{has no branches; it needs at least 1}}
  "stablehlo.case"(%i) : (tensor<i32>) -> ()
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{result has type 'tensor<i64>'; it must be tensor<i32>}}
  %0 = stablehlo.get_dimension_size %x, dim = 0 : (tensor<3x4xf32>) -> tensor<i64>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{output_dimensions has type 'tensor<2xi32>'; it must hold 3 integers}}
  %0 = stablehlo.dynamic_broadcast_in_dim %x, %n, dims = [0, 1] : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<?x?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %i: tensor<i32>, %f: tensor<f32>, %b: tensor<3x4xi1>, %n: tensor<2xi32>) {
  // expected-error@+1 {{output_shape has type 'tensor<2xi32>'; it must hold 1 integers}}
  %0 = stablehlo.dynamic_reshape %x, %n : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<?xf32>
  return
}
