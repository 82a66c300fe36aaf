// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -split-input-file -pass-pipeline='builtin.module(whit-lower-blocks)' | FileCheck %s
// RUN: whit-opt %s -split-input-file -pass-pipeline='builtin.module(whit-lower-blocks)' -o /dev/null --remarks-filter="whit-lower-blocks" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK

// Floats when they are asked for: four groups of 32 make a turn, and each has two steps.
// CHECK-LABEL: func.func @asked
// CHECK: memref.alloc() : memref<2x16x256xi32>
// CHECK: llvm.nvvm.fence.proxy.async.shared_cta
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: wgmma.fence.sync.aligned
// CHECK-NEXT: llvm.extractvalue
// CHECK-COUNT-2: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: wgmma.wait_group.sync.aligned 0
// CHECK-COUNT-2: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16
// CHECK: llvm.nvvm.fence.proxy.async.shared_cta
// CHECK: wgmma.wait_group.sync.aligned 0
// CHECK: gpu.barrier
// CHECK: } {whit.cut = {{.*}}, whit.threads = 128 : i64}
// REMARK: [Passed] wgmma | Category:whit-lower-blocks{{.*}}wgmma m64n64k16 (f32.bf16.bf16): 1 warpgroup of 64 columns, 32768 bytes of activations in shared memory; the bits of a row may differ
module attributes {whit.large_m = "wgmma", whit.target = {cpu = "sm_90a", kind = "nvptx", machine = "h100", name = "sm_90a", features = "+sm_90a,+mma-bf16,+mma-s8,+wgmma"}} {
  func.func @asked(%x: memref<?x128xbf16>, %w: memref<4x1152xi8>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (64) {
      %from = memref.subview %x[%i, 0] [64, 128] [1, 1] : memref<?x128xbf16> to memref<64x128xbf16, strided<[128, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [64, 64] [1, 1] : memref<?x64xf32> to memref<64x64xf32, strided<[64, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<64x128xbf16, strided<[128, 1], offset: ?>>, memref<4x1152xi8>)
        outs(%to : memref<64x64xf32, strided<[64, 1], offset: ?>>) at <<int4_g32>, 64 by 128> schedule <tile = [64, 64]>
    }
    return
  }
}

// -----

// Left to themselves they take none.
// CHECK-LABEL: func.func @not_asked
// CHECK-NOT: wgmma
// CHECK: llvm.nvvm.mma.m16n8k16
module attributes {whit.target = {cpu = "sm_90a", kind = "nvptx", machine = "h100", name = "sm_90a", features = "+sm_90a,+mma-bf16,+mma-s8,+wgmma"}} {
  func.func @not_asked(%x: memref<?x128xbf16>, %w: memref<4x1152xi8>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (64) {
      %from = memref.subview %x[%i, 0] [64, 128] [1, 1] : memref<?x128xbf16> to memref<64x128xbf16, strided<[128, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [64, 64] [1, 1] : memref<?x64xf32> to memref<64x64xf32, strided<[64, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<64x128xbf16, strided<[128, 1], offset: ?>>, memref<4x1152xi8>)
        outs(%to : memref<64x64xf32, strided<[64, 1], offset: ?>>) at <<int4_g32>, 64 by 128> schedule <tile = [64, 64]>
    }
    return
  }
}

// -----

// A unit of 3-bit codes is a whole group, of which four lanes have no equal parts.
// CHECK-LABEL: func.func @refused
// CHECK-NOT: wgmma
// CHECK: llvm.nvvm.mma.m16n8k16
// REMARK: [Missed] wgmma | Category:whit-lower-blocks{{.*}}mma.sync instead of wgmma: its groups are too short for each lane to decode a part of them
module attributes {whit.large_m = "wgmma", whit.target = {cpu = "sm_90a", kind = "nvptx", machine = "h100", name = "sm_90a", features = "+sm_90a,+mma-bf16,+mma-s8,+wgmma"}} {
  func.func @refused(%x: memref<?x64xbf16>, %w: memref<4x448xi8>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (64) {
      %from = memref.subview %x[%i, 0] [64, 64] [1, 1] : memref<?x64xbf16> to memref<64x64xbf16, strided<[64, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [64, 64] [1, 1] : memref<?x64xf32> to memref<64x64xf32, strided<[64, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<64x64xbf16, strided<[64, 1], offset: ?>>, memref<4x448xi8>)
        outs(%to : memref<64x64xf32, strided<[64, 1], offset: ?>>) at <<int3_g32>, 64 by 64> schedule <tile = [64, 64]>
    }
    return
  }
}
