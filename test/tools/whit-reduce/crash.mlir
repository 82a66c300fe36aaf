// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Three functions, one operation that breaks the compiler. What is left is that operation and what it needs to be valid:
// the other functions and the norms around it are gone.

// RUN: whit-reduce %s --allow-unregistered-dialect -o %t.mlir \
// RUN:   --reduction-tree='traversal-mode=0 test=%S/Inputs/crashes.sh'
// RUN: FileCheck %s < %t.mlir
// RUN: not %S/Inputs/crashes.sh %t.mlir

// CHECK-NOT:  @innocent
// CHECK-NOT:  whit.rms_norm
// CHECK:      func.func @guilty
// CHECK-NEXT: "unknown.op"
// CHECK-NOT:  whit.rms_norm
// CHECK-NOT:  @bystander

func.func @innocent(%x: tensor<2x8xf32>, %g: tensor<8xf32>) -> tensor<2x8xf32> {
  %empty = tensor.empty() : tensor<2x8xf32>
  %y = whit.rms_norm ins(%x, %g : tensor<2x8xf32>, tensor<8xf32>) outs(%empty : tensor<2x8xf32>) epsilon = 1.0e-5
       -> tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

func.func @guilty(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  %empty = tensor.empty() : tensor<2x8xf32>
  %y = whit.rms_norm ins(%x, %g : tensor<2x8xf32>, tensor<8xf32>) outs(%empty : tensor<2x8xf32>) epsilon = 1.0e-5
       -> tensor<2x8xf32>
  %u = "unknown.op"(%x) : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %z = whit.rms_norm ins(%u, %g : tensor<2x8xf32>, tensor<8xf32>) outs(%empty : tensor<2x8xf32>) epsilon = 1.0e-5
       -> tensor<2x8xf32>
  return
}

func.func @bystander(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  return %x : tensor<2x8xf32>
}
