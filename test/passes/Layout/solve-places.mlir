// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-solve-places -split-input-file -verify-diagnostics | FileCheck %s

// 960 columns are 60 panels; each holds 18 groups of 256 bytes of codes and 16 f16 scales.
// CHECK: whit.weight @w : tensor<60x5184xi8> = {{.*}} at <<int4_g32>, 960 by 576>
whit.weight @w : !whit.tensor<960x576xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 960, [#whit.blob<"m", 0 : 276480 x ui8, "0">, #whit.blob<"m", 0 : 34560 x f16, "0">]>]
// CHECK-LABEL: func @shared_by_head_and_embedding
func.func @shared_by_head_and_embedding(%x: tensor<?x576xf32>, %i: tensor<?xi64>, %y: tensor<?x960xf32>, %z: tensor<?x576xf32>) -> (tensor<?x960xf32>, tensor<?x576xf32>) {
  // CHECK: %[[W:.*]] = whit.constant @w : tensor<60x5184xi8>
  // CHECK: whit.matmul ins(%{{.*}}, %[[W]] : tensor<?x576xf32>, tensor<60x5184xi8>) {{.*}} at <<int4_g32>, 960 by 576>
  // CHECK: whit.gather ins(%[[W]], %{{.*}}) {{.*}} at <<int4_g32>, 960 by 576>
  %w = whit.constant @w : !whit.tensor<960x576xf32, #whit.format<int4_g32>>
  %m = whit.matmul ins(%x, %w : tensor<?x576xf32>, !whit.tensor<960x576xf32, #whit.format<int4_g32>>) outs(%y : tensor<?x960xf32>) -> tensor<?x960xf32>
  %g = whit.gather ins(%w, %i : !whit.tensor<960x576xf32, #whit.format<int4_g32>>, tensor<?xi64>) outs(%z : tensor<?x576xf32>) -> tensor<?x576xf32>
  return %m, %g : tensor<?x960xf32>, tensor<?x576xf32>
}

// -----

// Keys are blocked by 16 tokens, values are not.
// CHECK-LABEL: func @attend
// CHECK-SAME: tensor<?x2x4x16x16xf32> {whit.dims = ["batch", 2, 4, 16, 16]
// CHECK-SAME: tensor<?x2x64x16xf32> {whit.dims = ["batch", 2, 64, 16]
func.func @attend(%k: tensor<?x2x64x16xf32> {whit.state = {}, whit.dims = ["batch", 2, 64, 16]}, %v: tensor<?x2x64x16xf32> {whit.state = {}, whit.dims = ["batch", 2, 64, 16]},
                  %q: tensor<?x?x4x16xf32>, %new: tensor<?x?x2x16xf32>, %start: tensor<?xi32>, %y: tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32> {
  // CHECK: whit.cache_append {{.*}} outs(%{{.*}} : tensor<?x2x4x16x16xf32>) -> tensor<?x2x4x16x16xf32>
  %c0 = arith.constant 0 : index
  %kk = whit.cache_append ins(%new : tensor<?x?x2x16xf32>) from %start : tensor<?xi32> outs(%k : tensor<?x2x64x16xf32>) -> tensor<?x2x64x16xf32>
  %a = whit.attention ins(%q, %kk, %v : tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>, tensor<?x2x64x16xf32>) from %start + %c0 : tensor<?xi32> outs(%y : tensor<?x?x4x16xf32>) scale = 0.25 -> tensor<?x?x4x16xf32>
  return %a : tensor<?x?x4x16xf32>
}

// -----

// Caches with a format are bytes, 16 tokens a block: 16 x 16 codes of 4 bits, 16 scales and, for values, 16 minima.
// CHECK-LABEL: func @attend_to_codes
// CHECK-SAME: tensor<?x2x4x160xi8> {whit.dims = ["batch", 2, 4, 160], whit.state = {depth = 16 : i64, format = "int4_channel", layout = "panels", rotation = "hadamard"}
// CHECK-SAME: tensor<?x2x4x192xi8> {whit.dims = ["batch", 2, 4, 192], whit.state = {depth = 16 : i64, format = "uint4_channel_min", layout = "rows"}
func.func @attend_to_codes(%k: tensor<?x2x64x16xf32> {whit.state = {}, whit.dims = ["batch", 2, 64, 16]}, %v: tensor<?x2x64x16xf32> {whit.state = {}, whit.dims = ["batch", 2, 64, 16]},
                           %q: tensor<?x?x4x16xf32>, %new: tensor<?x?x2x16xf32>, %start: tensor<?xi32>, %y: tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32> {
  // CHECK: whit.cache_append {{.*}} outs(%{{.*}} : tensor<?x2x4x160xi8>) as <int4_channel> panels hadamard -> tensor<?x2x4x160xi8>
  // CHECK: whit.cache_append {{.*}} outs(%{{.*}} : tensor<?x2x4x192xi8>) as <uint4_channel_min> -> tensor<?x2x4x192xi8>
  // CHECK: whit.attention ins(%{{.*}} : tensor<?x?x4x16xf32>, tensor<?x2x4x160xi8>, tensor<?x2x4x192xi8>)
  %c0 = arith.constant 0 : index
  %kk = whit.cache_append ins(%new : tensor<?x?x2x16xf32>) from %start : tensor<?xi32> outs(%k : tensor<?x2x64x16xf32>) as <int4_channel> hadamard -> tensor<?x2x64x16xf32>
  %vv = whit.cache_append ins(%new : tensor<?x?x2x16xf32>) from %start : tensor<?xi32> outs(%v : tensor<?x2x64x16xf32>) as <uint4_channel_min> -> tensor<?x2x64x16xf32>
  %a = whit.attention ins(%q, %kk, %vv : tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>, tensor<?x2x64x16xf32>) from %start + %c0 : tensor<?xi32> outs(%y : tensor<?x?x4x16xf32>) scale = 0.25
    keys <int4_channel> values <uint4_channel_min> hadamard -> tensor<?x?x4x16xf32>
  return %a : tensor<?x?x4x16xf32>
}

// -----

whit.weight @w : !whit.tensor<16x32xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 16, [#whit.blob<"m", 0 : 256 x ui8, "0">, #whit.blob<"m", 0 : 32 x f16, "0">]>]
func.func @escapes() -> !whit.tensor<16x32xf32, #whit.format<int4_g32>> {
  %w = whit.constant @w : !whit.tensor<16x32xf32, #whit.format<int4_g32>>
  // expected-error @below {{uses weight 'w'; a packed weight can be used by whit.matmul, quantized_matmul, gather and dequantize}}
  return %w : !whit.tensor<16x32xf32, #whit.format<int4_g32>>
}
