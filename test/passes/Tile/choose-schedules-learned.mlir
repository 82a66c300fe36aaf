// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-choose-schedules -split-input-file | FileCheck %s
// RUN: whit-opt %s -whit-choose-schedules -split-input-file --remarks-filter-passed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=WHY

// On the CPU that a model was trained on, it chooses all knobs and says what stands behind.
// WHY: by the model learned on znver5; {{.*}} takes longest; runner-up {{[0-9.]+}} % slower: tile of
// WHY: by the analytic model; {{.*}} takes longest; runner-up
module attributes {whit.target = {cpu = "znver5", features = "+avx,+avx2,+avx512bf16,+avx512bw,+avx512dq,+avx512f,+avx512vbmi,+avx512vl,+avx512vnni,+avxvnni,+f16c,+fma,+gfni,+sse2"}} {
// CHECK-LABEL: func @trained
// CHECK: schedule <tile = [0, {{[0-9]+}}]{{.*}}, unroll = {{[0-9]+}}, prefetch = {{[0-9]+}}>
func.func @trained(%c: tensor<?x32x32xi8>, %s: tensor<?x32xf32>, %t: tensor<?x32xi32>, %w: tensor<128x9216xi8>, %y: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %r = whit.region "up" {
    %m = whit.quantized_matmul ins(%c, %s, %t, %w : tensor<?x32x32xi8>, tensor<?x32xf32>, tensor<?x32xi32>, tensor<128x9216xi8>)
      outs(%y : tensor<?x2048xf32>) at <<int4_g32>, 2048 by 1024> -> tensor<?x2048xf32>
    whit.yield %m : tensor<?x2048xf32>
  } -> tensor<?x2048xf32>
  return %r : tensor<?x2048xf32>
}
}

// -----

// Without one of its features it is another machine: the analytic model answers, and knows nothing of unrolling.
module attributes {whit.target = {cpu = "znver5", features = "+avx,+avx2,+avx512bw,+avx512dq,+avx512f,+avx512vl,+avx512vnni,+f16c,+fma,+sse2"}} {
// CHECK-LABEL: func @other
// CHECK: schedule <tile = [0, {{[0-9]+}}]{{[^u>]*}}>
func.func @other(%c: tensor<?x32x32xi8>, %s: tensor<?x32xf32>, %t: tensor<?x32xi32>, %w: tensor<128x9216xi8>, %y: tensor<?x2048xf32>) -> tensor<?x2048xf32> {
  %r = whit.region "up" {
    %m = whit.quantized_matmul ins(%c, %s, %t, %w : tensor<?x32x32xi8>, tensor<?x32xf32>, tensor<?x32xi32>, tensor<128x9216xi8>)
      outs(%y : tensor<?x2048xf32>) at <<int4_g32>, 2048 by 1024> -> tensor<?x2048xf32>
    whit.yield %m : tensor<?x2048xf32>
  } -> tensor<?x2048xf32>
  return %r : tensor<?x2048xf32>
}
}
