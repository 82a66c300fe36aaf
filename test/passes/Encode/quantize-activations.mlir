// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-quantize-activations=activations=int8 -split-input-file | FileCheck %s
// RUN: whit-opt %s -whit-quantize-activations=activations=f32 -split-input-file | FileCheck %s --check-prefix=F32
// RUN: not whit-opt %s -whit-quantize-activations=activations=int9 -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: activations is 'int9'; it must be auto, f32 or int8

// One input of two matmuls is quantized once, in the groups of the weights.
// CHECK-LABEL: func @shared
// F32-LABEL: func @shared
// F32-NOT: whit.quantize
func.func @shared(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: %[[Q:.*]]:3 = whit.quantize ins(%{{.*}} : tensor<?x64xf32>) outs({{.*}} : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) group = 32
  // CHECK-NOT: whit.quantize
  // CHECK: whit.quantized_matmul ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %{{.*}}
  // CHECK: whit.quantized_matmul ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %{{.*}}
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<int4_g32>>
  %b = whit.constant @b : !whit.tensor<32x64xf32, #whit.format<uint3_g32>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<uint3_g32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 1024 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">]>]
whit.weight @b : !whit.tensor<32x64xf32, #whit.format<uint3_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 768 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">, #whit.blob<"m", 0 : 32 x ui8, "0">]>]

// -----

// A float weight keeps float activations.
// CHECK-LABEL: func @float_weight
func.func @float_weight(%x: tensor<?x64xf32>, %m: index) -> tensor<?x32xf32> {
  // CHECK-NOT: whit.quantize
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<bf16>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<bf16>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<bf16>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 4096 x bf16, "0">]>]
