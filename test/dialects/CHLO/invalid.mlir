// RUN: whit-opt %s --split-input-file --verify-diagnostics
//
// One broken rule per case, with the message it gets.

func.func @f(%x: tensor<4xi32>) {
  // expected-error@+1 {{'chlo.erf' op operand has type 'tensor<4xi32>'; its elements must be floats}}
  %0 = chlo.erf %x : tensor<4xi32> -> tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{operand has type 'tensor<4xf32>' and result 'tensor<5xf32>'; they must be the same}}
  %0 = chlo.square %x : tensor<4xf32> -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error@+1 {{operand has rank 0; it must have rank 1 or more}}
  %0, %1 = chlo.top_k(%x, k = 1) : tensor<f32> -> (tensor<1xf32>, tensor<1xi32>)
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>) {
  // expected-error@+1 {{k is 5; it must be from 0 to the size of the last dimension of 'tensor<3x4xf32>'}}
  %0, %1 = chlo.top_k(%x, k = 5) : tensor<3x4xf32> -> (tensor<3x5xf32>, tensor<3x5xi32>)
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>) {
  // expected-error@+1 {{values have type 'tensor<3x3xf32>'; they must have type 'tensor<3x2xf32>'}}
  %0, %1 = chlo.top_k(%x, k = 2) : tensor<3x4xf32> -> (tensor<3x3xf32>, tensor<3x2xi32>)
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>) {
  // expected-error@+1 {{indices have type 'tensor<3x2xi64>'; they must have the shape of values and i32 elements}}
  %0, %1 = chlo.top_k(%x, k = 2) : tensor<3x4xf32> -> (tensor<3x2xf32>, tensor<3x2xi64>)
  return
}
