// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s "-whit-assign-formats=weights=int4_g32 keep=*norm* format-map=head*=int8_channel" | FileCheck %s
// RUN: not whit-opt %s -whit-assign-formats=weights=int9_g32 2>&1 | FileCheck %s --check-prefix=FORMAT
// RUN: not whit-opt %s -whit-assign-formats=format-map=head 2>&1 | FileCheck %s --check-prefix=MAP
// FORMAT: error: format 'int9_g32' is unknown
// MAP: error: format map has the entry 'head'; it must be GLOB=FORMAT

// A float weight gets the default, the head the format of its name, and what is to be kept is kept.
// CHECK: whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<int4_g32>>
whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// CHECK: whit.weight @head : !whit.tensor<32x64xf32, #whit.format<int8_channel>>
whit.weight @head : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// CHECK: whit.weight @norm_proj : !whit.tensor<32x64xf32, #whit.format<f32>>
whit.weight @norm_proj : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// What the model has quantized stays as it is.
// CHECK: whit.weight @quantized : !whit.tensor<32x64xf32, #whit.format<uint4_g32>>
whit.weight @quantized : !whit.tensor<32x64xf32, #whit.format<uint4_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 1024 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">, #whit.blob<"m", 0 : 32 x ui8, "0">]>]
// CHECK-LABEL: func @main
func.func @main(%x: tensor<?x64xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK: whit.matmul ins(%{{.*}}, %{{.*}} : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>)
  %w = whit.constant @proj : !whit.tensor<32x64xf32, #whit.format<f32>>
  %r = whit.matmul ins(%x, %w : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>) outs(%y : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %r : tensor<?x32xf32>
}
