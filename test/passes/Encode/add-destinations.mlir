// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-add-destinations -split-input-file | FileCheck %s

// The head runs on as many last rows as the destination has.
// CHECK: module attributes {{.*}}whit.symbols = ["batch", "sequence", {default = "sequence", name = "whit.last_rows"}]
// CHECK-LABEL: func @main
// CHECK-SAME: %[[OUT:[^:]*]]: tensor<?x?x32xf32> {whit.dims = ["batch", "whit.last_rows", 32], whit.name = "logits", whit.output}
module attributes {whit.symbols = ["batch", "sequence"], whit.roles = {logits = "logits"}} {
  func.func @main(%x: tensor<?x?x64xf32>, %b: index, %s: index) -> (tensor<?x?x32xf32> {whit.name = "logits", whit.dims = ["batch", "sequence", 32]}) {
    // CHECK: %[[ROWS:.*]] = tensor.dim %[[OUT]], %{{.*}}
    // CHECK: %[[FIRST:.*]] = affine.apply
    // CHECK: %[[LAST:.*]] = tensor.extract_slice %{{.*}}[0, %[[FIRST]], 0] [%{{.*}}, %[[ROWS]], 64]
    // CHECK: whit.matmul ins(%[[LAST]], %{{.*}}) outs(%[[OUT]] : tensor<?x?x32xf32>)
    %w = whit.constant @w : !whit.tensor<32x64xf32, #whit.format<f32>>
    %e = tensor.empty(%b, %s) : tensor<?x?x32xf32>
    %y = whit.matmul ins(%x, %w : tensor<?x?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>) outs(%e : tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %y : tensor<?x?x32xf32>
  }
  whit.weight @w : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
}

// -----

// An output that is an input is copied; a norm writes into its destination.
// CHECK-LABEL: func @main
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32>, %{{.*}}, %[[SAME:[^:]*]]: tensor<?x64xf32> {whit.alias = "result[0]", whit.dims = ["rows", 64], whit.name = "same", whit.output}, %[[NORM:[^:]*]]: tensor<?x64xf32>
func.func @main(%x: tensor<?x64xf32>, %w: tensor<64xf32>) -> (tensor<?x64xf32> {whit.name = "same", whit.alias = "result[0]", whit.dims = ["rows", 64]}, tensor<?x64xf32> {whit.name = "norm", whit.dims = ["rows", 64]}) {
  // CHECK: whit.rms_norm {{.*}} outs(%[[NORM]]
  // CHECK: bufferization.materialize_in_destination %[[X]] in %[[SAME]]
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
  return %x, %n : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// An elementwise result is copied too: fusion would not leave it its destination.
// CHECK-LABEL: func @main
// CHECK-SAME: %[[X:[^:]*]]: tensor<4xf32>, %[[Y:[^:]*]]: tensor<4xf32>
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32> {whit.name = "y", whit.dims = [4]}) {
  // CHECK: %[[SQRT:.*]] = linalg.sqrt
  // CHECK: bufferization.materialize_in_destination %[[SQRT]] in %[[Y]]
  %e = tensor.empty() : tensor<4xf32>
  %y = linalg.sqrt ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// The most probable token of each row is an output too: maxima of integers, in three steps.
// CHECK-LABEL: func @chooses
// CHECK-SAME: %[[LOGITS:[^:]*]]: tensor<?x?x5000xf32> {{{.*}}}, %[[NEXT:[^:]*]]: tensor<?x?xi64> {whit.dims = ["batch", "sequence"], whit.name = "whit.next_tokens", whit.output})
module attributes {whit.symbols = ["batch", "sequence"], whit.roles = {logits = "logits"}, whit.choose_tokens} {
  func.func @chooses(%x: tensor<?x?x5000xf32>) -> (tensor<?x?x5000xf32> {whit.name = "logits", whit.dims = ["batch", "sequence", 5000]}) {
    // CHECK: %[[COPY:.*]] = bufferization.materialize_in_destination %{{.*}} in %[[LOGITS]]
    // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<3xi8>) outs(%{{.*}} : tensor<?x?x32x64xi64>)
    // CHECK: tensor.extract %[[COPY]]
    // CHECK: arith.maxsi
    // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?x?x32x64xi64>) outs(%{{.*}} : tensor<?x?x64xi64>)
    // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?x?x64xi64>) outs(%{{.*}} : tensor<?x?xi64>)
    // CHECK: %[[TOKENS:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<?x?xi64>)
    // CHECK: %[[CHOSEN:.*]] = bufferization.materialize_in_destination %[[TOKENS]] in %[[NEXT]]
    // CHECK: return %[[COPY]], %[[CHOSEN]]
    return %x : tensor<?x?x5000xf32>
  }
}
