// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s "-whit-make-caches-in-place=context=32 kv=f16" -split-input-file | FileCheck %s
// RUN: not whit-opt %s "-whit-make-caches-in-place=context=0" -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: kv is 'f32' and context is 0; kv must be f32, f16 or bf16 and context at least 1

// The past becomes a state of 32 tokens; the present leaves the named outputs.
// CHECK-LABEL: func @main
// CHECK-SAME: %[[CACHE:[^:]*]]: tensor<?x3x32x64xf16> {whit.dims = ["batch", 3, 32, 64], whit.name = "past.key", whit.state = {context = 32 : i64, length = "total", past = "past.key", present = "present.key"}}
// CHECK-SAME: -> (tensor<?xi32> {whit.name = "seen"}, tensor<?x3x32x64xf16>)
func.func @main(%new: tensor<?x?x3x64xf32>, %past: tensor<?x3x?x64xf32> {whit.name = "past.key", whit.dims = ["batch", 3, "past", 64]},
                %start: tensor<?xi32>, %b: index, %t: index)
    -> (tensor<?x3x?x64xf32> {whit.name = "present.key", whit.dims = ["batch", 3, "total", 64]}, tensor<?xi32> {whit.name = "seen"}) {
  // CHECK: %[[K:.*]] = whit.cache_append ins(%{{.*}} : tensor<?x?x3x64xf32>) from %{{.*}} outs(%[[CACHE]] : tensor<?x3x32x64xf16>)
  // CHECK: return %{{.*}}, %[[K]]
  %e = tensor.empty(%b, %t) : tensor<?x3x?x64xf32>
  %k = whit.cache_append ins(%new after %past : tensor<?x?x3x64xf32>, tensor<?x3x?x64xf32>) from %start : tensor<?xi32> outs(%e : tensor<?x3x?x64xf32>) -> tensor<?x3x?x64xf32>
  return %k, %start : tensor<?x3x?x64xf32>, tensor<?xi32>
}

// -----

// A past whose length is asked for is not only extended: it stays an input.
// CHECK-LABEL: func @measured
// CHECK-SAME: %[[PAST:[^:]*]]: tensor<?x3x?x64xf32>
func.func @measured(%new: tensor<?x?x3x64xf32>, %past: tensor<?x3x?x64xf32> {whit.name = "past.key", whit.dims = ["batch", 3, "past", 64]},
                    %start: tensor<?xi32>, %b: index) -> tensor<?x3x?x64xf32> {
  // CHECK: after %[[PAST]]
  %c2 = arith.constant 2 : index
  %p = tensor.dim %past, %c2 : tensor<?x3x?x64xf32>
  %e = tensor.empty(%b, %p) : tensor<?x3x?x64xf32>
  %k = whit.cache_append ins(%new after %past : tensor<?x?x3x64xf32>, tensor<?x3x?x64xf32>) from %start : tensor<?xi32> outs(%e : tensor<?x3x?x64xf32>) -> tensor<?x3x?x64xf32>
  return %k : tensor<?x3x?x64xf32>
}

// -----

// A past of one length is an array like any other.
// CHECK-LABEL: func @fixed
// CHECK-SAME: %[[PAST:[^:]*]]: tensor<?x3x12x64xf32>
func.func @fixed(%new: tensor<?x6x3x64xf32>, %past: tensor<?x3x12x64xf32> {whit.name = "past.key", whit.dims = ["batch", 3, 12, 64]},
                 %start: tensor<?xi32>, %b: index)
    -> (tensor<?x3x18x64xf32> {whit.name = "present.key", whit.dims = ["batch", 3, 18, 64]}) {
  // CHECK: after %[[PAST]]
  %e = tensor.empty(%b) : tensor<?x3x18x64xf32>
  %k = whit.cache_append ins(%new after %past : tensor<?x6x3x64xf32>, tensor<?x3x12x64xf32>) from %start : tensor<?xi32> outs(%e : tensor<?x3x18x64xf32>) -> tensor<?x3x18x64xf32>
  return %k : tensor<?x3x18x64xf32>
}

// -----

// What is no attention would see the room behind the tokens: it gets an array of its own.
// CHECK-LABEL: func @read
// CHECK-SAME: %[[PAST:[^:]*]]: tensor<?x3x?x64xf32>
func.func @read(%new: tensor<?x?x3x64xf32>, %past: tensor<?x3x?x64xf32> {whit.name = "past.key", whit.dims = ["batch", 3, "past", 64]},
                %start: tensor<?xi32>, %b: index, %t: index)
    -> (tensor<?x3x?x64xf32> {whit.name = "present.key", whit.dims = ["batch", 3, "total", 64]}, tensor<?x3x64x?xf32>) {
  // CHECK: after %[[PAST]]
  %e = tensor.empty(%b, %t) : tensor<?x3x?x64xf32>
  %k = whit.cache_append ins(%new after %past : tensor<?x?x3x64xf32>, tensor<?x3x?x64xf32>) from %start : tensor<?xi32> outs(%e : tensor<?x3x?x64xf32>) -> tensor<?x3x?x64xf32>
  %f = tensor.empty(%b, %t) : tensor<?x3x64x?xf32>
  %r = linalg.transpose ins(%k : tensor<?x3x?x64xf32>) outs(%f : tensor<?x3x64x?xf32>) permutation = [0, 1, 3, 2]
  return %k, %r : tensor<?x3x?x64xf32>, tensor<?x3x64x?xf32>
}
