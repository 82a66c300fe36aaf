// RUN: grep -v -e '^//' -e '^$' %s > %t.jax
// RUN: whit-opt %s --split-input-file -o %t.pretty
// RUN: grep -v -e '^//' -e '^$' %t.pretty > %t.read
// RUN: diff %t.jax %t.read
// RUN: whit-opt %s --split-input-file --mlir-print-op-generic -o %t.generic
// RUN: whit-opt %t.generic --split-input-file -o %t.again
// RUN: grep -v -e '^//' -e '^$' %t.again > %t.reread
// RUN: diff %t.jax %t.reread
//
// What JAX 0.10 prints is read, and printed as it was; so is what becomes of the generic form of the same.

module @jit__lambda attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<3x4xf32>) -> (tensor<3x2xf32> {jax.result_info = "result[0]"}, tensor<3x2xi32> {jax.result_info = "result[1]"}) {
    %values, %indices = chlo.top_k(%arg0, k = 2) : tensor<3x4xf32> -> (tensor<3x2xf32>, tensor<3x2xi32>)
    return %values, %indices : tensor<3x2xf32>, tensor<3x2xi32>
  }
}

// -----

module {
  func.func public @main(%arg0: tensor<3x4xf32>) -> tensor<3x4xf32> {
    %0 = chlo.erf %arg0 : tensor<3x4xf32> -> tensor<3x4xf32>
    %1 = chlo.erfc %0 : tensor<3x4xf32> -> tensor<3x4xf32>
    %2 = chlo.square %1 : tensor<3x4xf32> -> tensor<3x4xf32>
    return %2 : tensor<3x4xf32>
  }
}
