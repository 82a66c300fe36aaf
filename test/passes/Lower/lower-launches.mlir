// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-lower-launches -split-input-file -verify-diagnostics | FileCheck %s

// A block for each tile: its buffer is shared memory, what it captures are words.
// CHECK: whit.kernels = [{name = "region_0_tiles", shared = 2048 : i64, threads = 128 : i64}]
// CHECK-LABEL: func private @region_0(
// CHECK-SAME: %{{.*}}: !llvm.ptr
// CHECK: memref.extract_aligned_pointer_as_index
// CHECK: llvm.inttoptr %{{.*}} : i64 to !llvm.ptr<1>
// CHECK: gpu.launch_func @kernels::@region_0_tiles blocks in (%[[BLOCKS:.*]], %c1, %c1) threads in (%c128, %c1, %c1)
// CHECK-SAME: whit.kernel = 0
// CHECK-LABEL: gpu.module @kernels
// CHECK: llvm.mlir.global internal @region_0_tiles_shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<2048 x i8>
// CHECK: gpu.func @region_0_tiles(%{{.*}}: i64, %{{.*}}: !llvm.ptr<1> {llvm.align = 64 : i64}, %{{.*}}: i64) kernel attributes {known_block_size = array<i32: 128, 1, 1>}
// CHECK: llvm.mlir.addressof @region_0_tiles_shared
// CHECK: gpu.block_id x
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80"}} {
  func.func private @region_0(%x: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 1 : i64} {
    %f = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    scf.forall (%i) = (0) to (%n) step (8) {
      %rows = affine.min affine_map<(i)[n] -> (-i + n, 8)>(%i)[%n]
      %t = memref.alloc(%rows) : memref<?x64xf32>
      memref.store %f, %t[%c0, %c0] : memref<?x64xf32>
      memref.store %f, %x[%i, %c0] : memref<?x64xf32>
    } {whit.threads = 128 : i64}
    return
  }
}

// -----

// A thread for each tile: its buffer is private, and threads past the last tile do nothing.
// CHECK-LABEL: gpu.func @region_1_tiles
// CHECK: llvm.alloca %{{.*}} x i8 {{.*}} -> !llvm.ptr<5>
// CHECK: %[[EXISTS:.*]] = arith.cmpi slt
// CHECK: scf.if %[[EXISTS]]
module attributes {whit.target = {cpu = "gfx942", kind = "amdgpu", machine = "mi300x", name = "gfx942", features = "+gfx942"}} {
  func.func private @region_1(%x: memref<?xf32>, %n: index, %id: i32) attributes {whit.observed = 1 : i64} {
    %f = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    scf.forall (%i) = (0) to (%n) step (8) {
      %t = memref.alloc() : memref<8xf32>
      memref.store %f, %t[%c0] : memref<8xf32>
      memref.store %f, %x[%i] : memref<?xf32>
    }
    return
  }
}

// -----

module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80"}} {
  func.func private @region_0(%x: memref<?xf32>, %n: index, %id: i32) attributes {whit.observed = 1 : i64} {
    %f = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    scf.forall (%i) = (0) to (%n) step (8) {
      // The whole kernel is at fault.
      // expected-error @-2 {{tile buffers of kernel region_0_tiles take 65536 bytes of shared memory; at most 49152 are allowed}}
      %t = memref.alloc() : memref<16384xf32>
      memref.store %f, %t[%c0] : memref<16384xf32>
    } {whit.threads = 128 : i64}
    return
  }
}

// -----

// A constant of the program is a constant of the kernels.
// CHECK-LABEL: gpu.module @kernels
// CHECK: llvm.mlir.global internal constant @table(dense<[1.000000e+00, 2.000000e+00]>
// CHECK-SAME: addr_space = 1
// CHECK: llvm.mlir.addressof @table : !llvm.ptr<1>
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80"}} {
  memref.global "private" constant @table : memref<2xf32> = dense<[1.0, 2.0]>
  func.func private @region_2(%x: memref<2xf32>, %id: i32) attributes {whit.observed = 1 : i64} {
    %c0 = arith.constant 0 : index
    scf.forall (%i) = (0) to (2) step (1) {
      %t = memref.get_global @table : memref<2xf32>
      %f = memref.load %t[%i] : memref<2xf32>
      memref.store %f, %x[%i] : memref<2xf32>
    }
    return
  }
}
