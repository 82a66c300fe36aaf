// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s "-whit-quantize-caches=kv=int4 hadamard=true" -split-input-file | FileCheck %s
// RUN: whit-opt %s "-whit-quantize-caches=kv=int4 hadamard=true" -split-input-file -o /dev/null --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=WHY
// RUN: not whit-opt %s -whit-quantize-caches=kv=int4_g32 -split-input-file 2>&1 | FileCheck %s --check-prefix=GROUPS
// RUN: whit-opt %s "-whit-quantize-caches=kv=f16,nf4" -split-input-file | FileCheck %s --check-prefix=MIXED
// GROUPS: error: kv is 'int4_g32': format 'int4_g32' cannot store keys and values

// Keys are rotated, values are not. The grouping of the format is one channel for each token and head.
// CHECK-LABEL: func @attend
// CHECK: %[[K:.*]] = whit.cache_append {{.*}} outs(%arg0 : tensor<?x2x64x16xf32>) as <int4_channel> hadamard
// CHECK: %[[V:.*]] = whit.cache_append {{.*}} outs(%arg1 : tensor<?x2x64x16xf32>) as <int4_channel> ->
// CHECK: whit.attention ins(%{{.*}}, %[[K]], %[[V]] {{.*}} scale = {{.*}} keys <int4_channel> values <int4_channel> hadamard
// Keys and values each in a format of their own; plain floats are the type of the cache.
// MIXED-LABEL: func @attend
// MIXED: %[[K:.*]] = whit.cache_append {{.*}} outs(%arg0 : tensor<?x2x64x16xf16>) -> tensor<?x2x64x16xf16>
// MIXED: %[[V:.*]] = whit.cache_append {{.*}} outs(%arg1 : tensor<?x2x64x16xf32>) as <nf4_channel> ->
// MIXED: whit.attention ins(%{{.*}}, %[[K]], %[[V]] {{.*}} scale = {{[^ ]*}} values <nf4_channel> ->
// MIXED: return {{.*}} tensor<?x2x64x16xf16>
func.func @attend(%k: tensor<?x2x64x16xf32> {whit.state = {}}, %v: tensor<?x2x64x16xf32> {whit.state = {}}, %q: tensor<?x?x4x16xf32>,
                  %new: tensor<?x?x2x16xf32>, %start: tensor<?xi32>, %y: tensor<?x?x4x16xf32>) -> (tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>) {
  %c0 = arith.constant 0 : index
  %kk = whit.cache_append ins(%new : tensor<?x?x2x16xf32>) from %start : tensor<?xi32> outs(%k : tensor<?x2x64x16xf32>) -> tensor<?x2x64x16xf32>
  %vv = whit.cache_append ins(%new : tensor<?x?x2x16xf32>) from %start : tensor<?xi32> outs(%v : tensor<?x2x64x16xf32>) -> tensor<?x2x64x16xf32>
  %a = whit.attention ins(%q, %kk, %vv : tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>, tensor<?x2x64x16xf32>) from %start + %c0 : tensor<?xi32> outs(%y : tensor<?x?x4x16xf32>) scale = 0.25 -> tensor<?x?x4x16xf32>
  return %a, %kk : tensor<?x?x4x16xf32>, tensor<?x2x64x16xf32>
}

// -----

// A head of 20 features has no Hadamard matrix; its keys are quantized as they are.
// WHY: keys are not multiplied by a Hadamard matrix: heads have {{.*}}20{{.*}} features, no power of two
// CHECK-LABEL: func @odd_head
// CHECK: as <int4_channel> ->
// CHECK: keys <int4_channel> ->
func.func @odd_head(%k: tensor<1x2x64x20xf32> {whit.state = {}}, %v: tensor<1x2x64x20xf32>, %q: tensor<1x1x4x20xf32>,
                    %new: tensor<1x1x2x20xf32>, %start: tensor<1xi32>, %y: tensor<1x1x4x20xf32>) -> tensor<1x1x4x20xf32> {
  %c0 = arith.constant 0 : index
  %kk = whit.cache_append ins(%new : tensor<1x1x2x20xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x64x20xf32>) -> tensor<1x2x64x20xf32>
  %a = whit.attention ins(%q, %kk, %v : tensor<1x1x4x20xf32>, tensor<1x2x64x20xf32>, tensor<1x2x64x20xf32>) from %start + %c0 : tensor<1xi32> outs(%y : tensor<1x1x4x20xf32>) scale = 0.25 -> tensor<1x1x4x20xf32>
  return %a : tensor<1x1x4x20xf32>
}

// -----

// What somebody reads as numbers stays numbers, and so does one cache for both sides of attention.
// WHY: cache stays in floats: {{.*}}it is used by tensor.extract_slice
// WHY: cache stays in floats: {{.*}}it holds keys and values at once
// CHECK-LABEL: func @others
// CHECK-NOT: int4_channel
func.func @others(%k: tensor<1x2x64x16xf32> {whit.state = {}}, %both: tensor<1x2x64x16xf32> {whit.state = {}}, %q: tensor<1x1x4x16xf32>,
                  %new: tensor<1x1x2x16xf32>, %start: tensor<1xi32>, %y: tensor<1x1x4x16xf32>) -> (tensor<1x1x4x16xf32>, tensor<1x2x1x16xf32>) {
  %c0 = arith.constant 0 : index
  %kk = whit.cache_append ins(%new : tensor<1x1x2x16xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x64x16xf32>) -> tensor<1x2x64x16xf32>
  %bb = whit.cache_append ins(%new : tensor<1x1x2x16xf32>) from %start : tensor<1xi32> outs(%both : tensor<1x2x64x16xf32>) -> tensor<1x2x64x16xf32>
  %first = tensor.extract_slice %kk[0, 0, 0, 0] [1, 2, 1, 16] [1, 1, 1, 1] : tensor<1x2x64x16xf32> to tensor<1x2x1x16xf32>
  %a = whit.attention ins(%q, %bb, %bb : tensor<1x1x4x16xf32>, tensor<1x2x64x16xf32>, tensor<1x2x64x16xf32>) from %start + %c0 : tensor<1xi32> outs(%y : tensor<1x1x4x16xf32>) scale = 0.25 -> tensor<1x1x4x16xf32>
  return %a, %first : tensor<1x1x4x16xf32>, tensor<1x2x1x16xf32>
}
