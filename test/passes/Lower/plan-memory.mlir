// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-plan-memory -canonicalize -split-input-file -verify-diagnostics | FileCheck %s

// %a is dead when %c is written, so both have the first place of the workspace; %b lives beside them.
// CHECK: module attributes {whit.arguments = [
// CHECK-SAME: dtype = "f32", kind = "input", name = "x", shape = ["rows", 64]
// CHECK-SAME: kind = "constant", logical = [64], name = "w", place = "", shape = [64]
// CHECK-SAME: dtype = "f32", kind = "output", name = "y", shape = ["rows", 64]
// CHECK-SAME: kind = "workspace"
// CHECK-LABEL: func @whit_main_sizes(
// CHECK-SAME: %[[SYMBOLS:.*]]: !llvm.ptr, %[[SIZES:.*]]: !llvm.ptr)
// CHECK: %[[ROWS:.*]] = llvm.load %[[SYMBOLS]]
// CHECK: llvm.store %{{.*}}, %[[SIZES]]
// CHECK-LABEL: func @whit_main(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr, %[[ARGS:.*]]: !llvm.ptr) -> i32
module attributes {whit.symbols = ["rows"]} {
  func.func private @step(memref<?x64xf32>, memref<64xf32>, memref<?x64xf32>)
  func.func @main(%x: memref<?x64xf32> {whit.name = "x", whit.dims = ["rows", 64]}, %y: memref<?x64xf32> {whit.name = "y", whit.dims = ["rows", 64], whit.output}) -> memref<?x64xf32> {
    // CHECK: %[[A:[a-z0-9_]+]] = memref.view %[[W:[0-9]+]][%[[FIRST:c0[_0-9]*]]][%{{.*}}] : memref<?xi8> to memref<?x64xf32>
    // CHECK: call @step(%{{.*}}, %{{.*}}, %[[A]])
    // CHECK: %[[B:[a-z0-9_]+]] = memref.view %[[W]][%[[SECOND:[0-9]+]]]
    // CHECK: call @step(%[[A]], %{{.*}}, %[[B]])
    // CHECK: %[[C:[a-z0-9_]+]] = memref.view %[[W]][%[[FIRST]]]
    // CHECK: call @step(%[[B]], %{{.*}}, %[[C]])
    // CHECK: return %c0_i32
    %c0 = arith.constant 0 : index
    %w = whit.constant @w : memref<64xf32>
    %n = memref.dim %x, %c0 : memref<?x64xf32>
    %a = memref.alloc(%n) : memref<?x64xf32>
    func.call @step(%x, %w, %a) : (memref<?x64xf32>, memref<64xf32>, memref<?x64xf32>) -> ()
    %b = memref.alloc(%n) : memref<?x64xf32>
    func.call @step(%a, %w, %b) : (memref<?x64xf32>, memref<64xf32>, memref<?x64xf32>) -> ()
    %c = memref.alloc(%n) : memref<?x64xf32>
    func.call @step(%b, %w, %c) : (memref<?x64xf32>, memref<64xf32>, memref<?x64xf32>) -> ()
    func.call @step(%c, %w, %y) : (memref<?x64xf32>, memref<64xf32>, memref<?x64xf32>) -> ()
    return %y : memref<?x64xf32>
  }
  whit.weight @w : tensor<64xf32> = [#whit.source<"rows", 64, [#whit.blob<"m", 0 : 256 x f32, "0">]>]
}

// -----

func.func @main(%x: memref<?xi64> {whit.name = "x", whit.dims = [4]}) {
  %c0 = arith.constant 0 : index
  %v = memref.load %x[%c0] : memref<?xi64>
  %n = arith.index_cast %v : i64 to index
  // expected-error @below {{size of a buffer depends on the content of a tensor}}
  %a = memref.alloc(%n) : memref<?xf32>
  memref.store %v, %x[%n] : memref<?xi64>
  %f = arith.constant 0.0 : f32
  memref.store %f, %a[%c0] : memref<?xf32>
  return
}

// -----

func.func @main(%x: memref<4xf32> {whit.name = "x", whit.dims = [4]}) -> memref<4xf32> {
  %a = memref.alloc() : memref<4xf32>
  // expected-error @below {{result 0 is not in the memory of an argument; outputs need a destination and states must be updated in place}}
  return %a : memref<4xf32>
}
