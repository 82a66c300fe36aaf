// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-choose-schedules -split-input-file --remarks-filter-passed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s

// What the kernels for few rows and for many are expected to take is known of some targets.
// CHECK: blocks of 16 rows x {{.*}}; about {{[0-9]+}} registers and {{[0-9]+}} bytes of code are expected
// CHECK: blocks of {{[0-9]+}} rows x {{.*}}; about {{[0-9]+}} registers and {{[0-9]+}} bytes of code are expected
module attributes {whit.target = {cpu = "gfx942", features = "+dot4,+mfma-s8-k32", kind = "amdgpu", machine = "mi300x"}} {
func.func @known(%c: tensor<?x32x32xi8>, %s: tensor<?x32xf32>, %t: tensor<?x32xi32>, %w: tensor<128x9216xi8>, %y: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %r = whit.region "up" {
    %m = whit.quantized_matmul ins(%c, %s, %t, %w : tensor<?x32x32xi8>, tensor<?x32xf32>, tensor<?x32xi32>, tensor<128x9216xi8>)
      outs(%y : tensor<?x2048xf32>) at <<int4_g32>, 2048 by 1024> -> tensor<?x2048xf32>
    whit.yield %m : tensor<?x2048xf32>
  } -> tensor<?x2048xf32>
  return %r : tensor<?x2048xf32>
}
}

// -----

// CHECK: blocks of 16 rows x
// CHECK-NOT: are expected
module attributes {whit.target = {cpu = "gfx1100", features = "+dot4", kind = "amdgpu", machine = "rx7900xtx"}} {
func.func @unknown(%c: tensor<?x32x32xi8>, %s: tensor<?x32xf32>, %t: tensor<?x32xi32>, %w: tensor<128x9216xi8>, %y: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %r = whit.region "up" {
    %m = whit.quantized_matmul ins(%c, %s, %t, %w : tensor<?x32x32xi8>, tensor<?x32xf32>, tensor<?x32xi32>, tensor<128x9216xi8>)
      outs(%y : tensor<?x2048xf32>) at <<int4_g32>, 2048 by 1024> -> tensor<?x2048xf32>
    whit.yield %m : tensor<?x2048xf32>
  } -> tensor<?x2048xf32>
  return %r : tensor<?x2048xf32>
}
}
