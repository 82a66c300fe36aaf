// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-convert-to-llvm | FileCheck %s

// What a body captures travels through the stack; the runtime is called through the first pointer of the context.
// CHECK-LABEL: llvm.func internal @region_0(
// CHECK-SAME: %[[CONTEXT:[a-z0-9]+]]: !llvm.ptr
// CHECK: %[[CAPTURED:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>, i64)>
// CHECK: %[[BODY:.*]] = llvm.mlir.addressof @region_0_body_entry
// CHECK: %[[FIELD:.*]] = llvm.getelementptr %[[CONTEXT]][0]
// CHECK: %[[PARALLEL:.*]] = llvm.load %[[FIELD]]
// CHECK: llvm.call %[[PARALLEL]](%[[CONTEXT]], %[[BODY]], %[[CAPTURED]], %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
func.func private @region_0(%context: !llvm.ptr, %x: memref<?xf32>, %n: index) {
  whit.parallel @region_0_body(%x, %n : memref<?xf32>, index) over %n
  return
}
func.func private @region_0_body(%x: memref<?xf32>, %n: index, %begin: index, %end: index) {
  return
}
// The observer gets the region's number, when, and pointers to descriptors.
// CHECK-LABEL: llvm.func internal @observe_0(
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, i32, i32, !llvm.ptr, i32) -> ()
func.func private @observe_0(%context: !llvm.ptr, %id: i32, %when: i32, %x: memref<?xf32>) {
  whit.observe %id at %when(%x : memref<?xf32>)
  return
}
// The entry that the runtime calls: captured values and a range.
// CHECK-LABEL: llvm.func internal @region_0_body_entry(
// CHECK-SAME: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK: llvm.call @region_0_body
