// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-join-matmuls -split-input-file | FileCheck %s

// Query and key projections of one input: one weight of two parts, one matmul, two slices.
// CHECK: whit.weight @"q+k" : !whit.tensor<48x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 32, {{.*}}>, #whit.source<"rows", 16,
// CHECK-NOT: whit.weight @q
whit.weight @q : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
whit.weight @k : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 0 : 4096 x f32, "0">]>]
// CHECK-LABEL: func @main
func.func @main(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x16xf32>) {
  // CHECK: %[[BOTH:.*]] = whit.matmul {{.*}} -> tensor<?x48xf32>
  // CHECK: tensor.extract_slice %[[BOTH]][0, 0] [%{{.*}}, 32] [1, 1]
  // CHECK: tensor.extract_slice %[[BOTH]][0, 32] [%{{.*}}, 16] [1, 1]
  %wq = whit.constant @q : !whit.tensor<32x64xf32, #whit.format<int4_g32>>
  %wk = whit.constant @k : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %eq = tensor.empty(%m) : tensor<?x32xf32>
  %ek = tensor.empty(%m) : tensor<?x16xf32>
  %q = whit.matmul ins(%x, %wq : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>) outs(%eq : tensor<?x32xf32>) -> tensor<?x32xf32>
  %k = whit.matmul ins(%x, %wk : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%ek : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %q, %k : tensor<?x32xf32>, tensor<?x16xf32>
}

// -----

// Different formats stay apart, and so does a weight that something else reads.
// CHECK: whit.weight @a
// CHECK: whit.weight @b
// CHECK: whit.weight @c
whit.weight @a : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 0 : 4096 x f32, "0">]>]
whit.weight @b : !whit.tensor<16x64xf32, #whit.format<int8_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 0 : 4096 x f32, "0">]>]
whit.weight @c : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 0 : 4096 x f32, "0">]>]
func.func @main(%x: tensor<?x64xf32>, %i: tensor<?xi64>, %m: index, %g: tensor<?x64xf32>) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x64xf32>) {
  // CHECK-NOT: tensor.extract_slice
  %wa = whit.constant @a : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %wb = whit.constant @b : !whit.tensor<16x64xf32, #whit.format<int8_g32>>
  %wc = whit.constant @c : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %e = tensor.empty(%m) : tensor<?x16xf32>
  %a = whit.matmul ins(%x, %wa : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %b = whit.matmul ins(%x, %wb : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int8_g32>>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %c = whit.matmul ins(%x, %wc : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %t = whit.gather ins(%wc, %i : !whit.tensor<16x64xf32, #whit.format<int4_g32>>, tensor<?xi64>) outs(%g : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %a, %b, %c, %t : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x64xf32>
}

// -----

// The quantizer goes along; weights of different ones, or with one scale for all values, stay apart.
// CHECK: whit.weight @"a+b"{{.*}} by "least-squares"
// CHECK: whit.weight @c{{.*}} by "nearest"
// CHECK: whit.weight @d
// CHECK: whit.weight @e
whit.weight @a : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 0 : 4096 x f32, "0">]>] by "least-squares"
whit.weight @b : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 1 : 4096 x f32, "0">]>] by "least-squares"
whit.weight @c : !whit.tensor<16x64xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 16, [#whit.blob<"m", 2 : 4096 x f32, "0">]>] by "nearest"
whit.weight @d : !whit.tensor<16x64xf32, #whit.format<int8_tensor>> = [#whit.source<"rows", 16, [#whit.blob<"m", 3 : 4096 x f32, "0">]>]
whit.weight @e : !whit.tensor<16x64xf32, #whit.format<int8_tensor>> = [#whit.source<"rows", 16, [#whit.blob<"m", 4 : 4096 x f32, "0">]>]
func.func @main(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %wa = whit.constant @a : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %wb = whit.constant @b : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %wc = whit.constant @c : !whit.tensor<16x64xf32, #whit.format<int4_g32>>
  %wd = whit.constant @d : !whit.tensor<16x64xf32, #whit.format<int8_tensor>>
  %we = whit.constant @e : !whit.tensor<16x64xf32, #whit.format<int8_tensor>>
  %empty = tensor.empty(%m) : tensor<?x16xf32>
  %a = whit.matmul ins(%x, %wa : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
  %b = whit.matmul ins(%x, %wb : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
  %c = whit.matmul ins(%x, %wc : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int4_g32>>) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
  %d = whit.matmul ins(%x, %wd : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int8_tensor>>) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
  %e = whit.matmul ins(%x, %we : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<int8_tensor>>) outs(%empty : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %a, %b, %c, %d, %e : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}
