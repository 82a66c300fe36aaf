// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-lower-parallel -split-input-file -verify-diagnostics | FileCheck %s

// The loop becomes a function over chunks; the tile buffer becomes stack memory of 8 rows; calls are framed for observers.
// CHECK-LABEL: func private @region_0_body(
// CHECK-SAME: %[[BEGIN:[a-z0-9]*]]: index, %[[END:[a-z0-9]*]]: index)
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<2048xi8>
// CHECK: scf.for %[[CHUNK:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: memref.view
// CHECK-LABEL: func private @region_0(
// CHECK-SAME: %{{.*}}: !llvm.ptr
// CHECK: whit.parallel @region_0_body({{.*}}) over %{{.*}}
// CHECK-NOT: scf.forall
func.func private @region_0(%x: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 1 : i64} {
  %f = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  scf.forall (%i) = (0) to (%n) step (8) {
    %rows = affine.min affine_map<(i)[n] -> (-i + n, 8)>(%i)[%n]
    %t = memref.alloc(%rows) : memref<?x64xf32>
    memref.store %f, %t[%c0, %c0] : memref<?x64xf32>
    memref.store %f, %x[%i, %c0] : memref<?x64xf32>
  }
  return
}
// CHECK-LABEL: func @whit_main(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr
func.func @whit_main(%context: !llvm.ptr, %x: memref<?x64xf32>, %n: index) {
  %id = arith.constant 0 : i32
  // CHECK: %[[WATCHED:.*]] = llvm.icmp "ne"
  // CHECK: scf.if %[[WATCHED]]
  // CHECK: call @observe_region_0(%[[CONTEXT]], %{{.*}}, %{{.*}}, %{{.*}})
  // CHECK: call @region_0(%[[CONTEXT]]
  // CHECK: scf.if
  call @region_0(%x, %n, %id) : (memref<?x64xf32>, index, i32) -> ()
  return
}
// CHECK: func private @observe_region_0{{.*}}cold
// CHECK: whit.observe %{{.*}} at

// -----

func.func private @region_0(%x: memref<?xf32>, %n: index, %id: i32) attributes {whit.observed = 1 : i64} {
  %f = arith.constant 0.0 : f32
  scf.forall (%i) = (0) to (%n) step (8) {
    // expected-error @below {{tile buffer of type 'memref<?xf32>' has no largest size in dimension 0; the schedule of its region must cut that dimension}}
    %t = memref.alloc(%n) : memref<?xf32>
    memref.store %f, %t[%i] : memref<?xf32>
  }
  return
}
