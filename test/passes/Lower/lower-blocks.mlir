// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -split-input-file -pass-pipeline='builtin.module(whit-lower-blocks,func.func(whit-lower-rowwise,whit-lower-attention))' | FileCheck %s
// RUN: whit-opt %s -split-input-file -pass-pipeline='builtin.module(whit-lower-blocks)' -o /dev/null --remarks-filter="whit-lower-blocks" 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK

// The threads of a block share the elements of a tile, its warps the rows; a barrier stands between the two.
// CHECK-LABEL: func.func @region_0
// CHECK: scf.forall
// CHECK: %[[T:.*]] = gpu.thread_id x
// CHECK: scf.for %{{.*}} = %[[T]] to %{{.*}} step %c128
// CHECK: arith.mulf
// CHECK: gpu.barrier
// CHECK: gpu.thread_id x
// CHECK: gpu.shuffle xor %{{.*}}, %c16_i32
// CHECK: gpu.shuffle xor %{{.*}}, %c1_i32
// CHECK: math.sqrt
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_0(%x: memref<?x64xf32>, %w: memref<64xf32>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (4) {
      %from = memref.subview %x[%i, 0] [4, 64] [1, 1] : memref<?x64xf32> to memref<4x64xf32, strided<[64, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [4, 64] [1, 1] : memref<?x64xf32> to memref<4x64xf32, strided<[64, 1], offset: ?>>
      %t = memref.alloc() : memref<4x64xf32>
      linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
          ins(%from : memref<4x64xf32, strided<[64, 1], offset: ?>>) outs(%t : memref<4x64xf32>) {
      ^bb0(%in: f32, %out: f32):
        %v = arith.mulf %in, %in : f32
        linalg.yield %v : f32
      }
      whit.rms_norm ins(%t, %w : memref<4x64xf32>, memref<64xf32>) outs(%to : memref<4x64xf32, strided<[64, 1], offset: ?>>) epsilon = 1.0e-5
    }
    return
  }
}

// -----

// Each lane decodes its part of a panel: 4-bit codes are exact in bf16, an activation of f32 is three numbers of bf16.
// CHECK-LABEL: func.func @region_1
// CHECK-NOT: memref.alloc
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<8x64xf32, strided<[64, 1], offset: ?>>, vector<4xf32>
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_1(%x: memref<?x64xf32>, %w: memref<4x576xi8>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 64] [1, 1] : memref<?x64xf32> to memref<8x64xf32, strided<[64, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 64] [1, 1] : memref<?x64xf32> to memref<8x64xf32, strided<[64, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x64xf32, strided<[64, 1], offset: ?>>, memref<4x576xi8>)
        outs(%to : memref<8x64xf32, strided<[64, 1], offset: ?>>) at <<int4_g32>, 64 by 64>
    }
    return
  }
}

// -----

// A unit of 3-bit codes is a whole group, which a warp decodes to shared memory.
// CHECK-LABEL: func.func @region_shared
// CHECK: memref.alloc() : memref<4x16x{{[0-9]+}}xi32>
// CHECK: llvm.nvvm.bar.warp.sync
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_shared(%x: memref<?x64xf32>, %w: memref<4x448xi8>, %y: memref<?x64xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 64] [1, 1] : memref<?x64xf32> to memref<8x64xf32, strided<[64, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 64] [1, 1] : memref<?x64xf32> to memref<8x64xf32, strided<[64, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x64xf32, strided<[64, 1], offset: ?>>, memref<4x448xi8>)
        outs(%to : memref<8x64xf32, strided<[64, 1], offset: ?>>) at <<int3_g32>, 64 by 64>
    }
    return
  }
}

// -----

// Four warps share the K of a panel, and add their sums in order.
// CHECK-LABEL: func.func @region_splits
// CHECK: %[[PARTIAL:.*]] = memref.alloc() : memref<4x4x32xi32>
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK: gpu.barrier
// CHECK: memref.store %{{.*}}, %[[PARTIAL]]
// CHECK: gpu.barrier
// CHECK: memref.load %[[PARTIAL]]
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_splits(%x: memref<?x512xf32>, %w: memref<1x4608xi8>, %y: memref<?x16xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 512] [1, 1] : memref<?x512xf32> to memref<8x512xf32, strided<[512, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 16] [1, 1] : memref<?x16xf32> to memref<8x16xf32, strided<[16, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x512xf32, strided<[512, 1], offset: ?>>, memref<1x4608xi8>)
        outs(%to : memref<8x16xf32, strided<[16, 1], offset: ?>>) at <<int4_g32>, 16 by 512>
    }
    return
  }
}

// -----

// The blocks of the next groups are copied to shared memory, by each lane 16 bytes at a time.
// CHECK-LABEL: func.func @region_copies
// CHECK: memref.alloc() : memref<16x1152xi8>
// CHECK: llvm.inline_asm {{.*}}"cp.async.cg.shared.global.L2::cache_hint
// CHECK: nvvm.cp.async.commit.group
// CHECK: scf.for {{.*}} iter_args
// CHECK: nvvm.cp.async.wait.group 3
// CHECK: llvm.nvvm.mma
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+cp-async,+mma-s8"}} {
  func.func @region_copies(%x: memref<?x512xf32>, %w: memref<1x4608xi8>, %y: memref<?x16xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 512] [1, 1] : memref<?x512xf32> to memref<8x512xf32, strided<[512, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 16] [1, 1] : memref<?x16xf32> to memref<8x16xf32, strided<[16, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x512xf32, strided<[512, 1], offset: ?>>, memref<1x4608xi8>)
        outs(%to : memref<8x16xf32, strided<[16, 1], offset: ?>>) at <<int4_g32>, 16 by 512>
    }
    return
  }
}

// -----

// Or by the engine for bulk copies, a whole stage at a time.
// CHECK-LABEL: func.func @region_bulk_copies
// CHECK: memref.alloc() : memref<16x1152xi8>
// CHECK: createpolicy.fractional.L2::evict_first.b64
// CHECK: nvvm.mbarrier.init
// CHECK: nvvm.mbarrier.arrive.expect_tx
// CHECK: nvvm.cp.async.bulk.shared.cluster.global
// CHECK: scf.for {{.*}} iter_args
// CHECK: nvvm.mbarrier.try_wait
// CHECK: llvm.nvvm.mma
// CHECK: nvvm.mbarrier.inval
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+cp-async,+tma,+mma-s8"}} {
  func.func @region_bulk_copies(%x: memref<?x512xf32>, %w: memref<1x4608xi8>, %y: memref<?x16xf32>, %n: index, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 512] [1, 1] : memref<?x512xf32> to memref<8x512xf32, strided<[512, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 16] [1, 1] : memref<?x16xf32> to memref<8x16xf32, strided<[16, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x512xf32, strided<[512, 1], offset: ?>>, memref<1x4608xi8>)
        outs(%to : memref<8x16xf32, strided<[16, 1], offset: ?>>) at <<int4_g32>, 16 by 512>
    }
    return
  }
}

// -----

// Activations of int8 and a wave of 64 lanes: the byte operand is signed, so that 128 times their sum is added again.
// CHECK-LABEL: func.func @region_2
// CHECK: arith.xori %{{.*}}, %c-2139062144_i32
// CHECK: llvm.amdgcn.mfma.i32.16x16x32.i8
// CHECK: arith.muli %{{.*}}, %c120_i32
module attributes {whit.target = {cpu = "gfx942", kind = "amdgpu", machine = "mi300x", name = "gfx942", features = "+gfx942,+mfma-bf16,+mfma-s8-k32"}} {
  func.func @region_2(%c: memref<?x2x32xi8>, %s: memref<?x2xf32>, %u: memref<?x2xi32>, %w: memref<4x576xi8>, %y: memref<?x64xf32>, %n: index, %id: i32)
      attributes {whit.observed = 5 : i64} {
    scf.forall (%i) = (0) to (1) step (1) {
      whit.quantized_matmul ins(%c, %s, %u, %w : memref<?x2x32xi8>, memref<?x2xf32>, memref<?x2xi32>, memref<4x576xi8>)
        outs(%y : memref<?x64xf32>) at <<int4_g32>, 64 by 64>
    }
    return
  }
}

// -----

// What is not shared out is one thread's work on each tile, and the user is told.
// REMARK: a single thread works on each tile: whit.cache_append is not shared out to threads yet
// CHECK-LABEL: func.func @region_3
// CHECK-NOT: whit.threads
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_3(%x: memref<1x?x1x16xf32>, %past: memref<1x1x?x16xf32>, %start: memref<1xi32>, %y: memref<1x1x?x16xf32>, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (1) step (1) {
      whit.cache_append ins(%x after %past : memref<1x?x1x16xf32>, memref<1x1x?x16xf32>) from %start : memref<1xi32> outs(%y : memref<1x1x?x16xf32>)
    }
    return
  }
}

// -----

// A row that is written in a format is a warp's: lanes find its scale together, exchange codes, and write bytes.
// CHECK-LABEL: func.func @region_5
// CHECK: %[[CODES:.*]] = memref.alloc() : memref<4x16xi8>
// CHECK: gpu.shuffle xor
// CHECK: memref.store %{{.*}}, %[[CODES]]
// CHECK: llvm.call_intrinsic "llvm.nvvm.bar.warp.sync"
// CHECK: memref.load %[[CODES]]
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_5(%x: memref<1x?x1x16xf32>, %start: memref<1xi32>, %y: memref<1x1x?x160xi8>, %id: i32) attributes {whit.observed = 3 : i64} {
    scf.forall (%i) = (0) to (1) step (1) {
      whit.cache_append ins(%x : memref<1x?x1x16xf32>) from %start : memref<1xi32> outs(%y : memref<1x1x?x160xi8>) as <int4_channel> panels
    }
    return
  }
}

// -----

// Of attention over floats, each lane scores a token, and then adds features of all of them.
// CHECK-LABEL: func.func @region_4
// CHECK: memref.alloc() : memref<4x16xf32>
// CHECK: gpu.barrier
// CHECK: math.fma
// CHECK: gpu.shuffle xor
// CHECK: gpu.shuffle idx
// CHECK: math.fma
// CHECK: gpu.barrier
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_4(%q: memref<?x?x3x16xf32>, %k: memref<?x1x?x16xf32>, %v: memref<?x1x?x16xf32>, %start: memref<?xi32>, %first: index,
                      %y: memref<?x?x3x16xf32>, %id: i32) attributes {whit.observed = 6 : i64} {
    scf.forall (%i) = (0) to (1) step (1) {
      whit.attention ins(%q, %k, %v : memref<?x?x3x16xf32>, memref<?x1x?x16xf32>, memref<?x1x?x16xf32>)
        from %start + %first : memref<?xi32> outs(%y : memref<?x?x3x16xf32>) scale = 0.25
    }
    return
  }
}

// -----

// Operations that hand a buffer on, outside of any loop, become one tile.
// CHECK-LABEL: func.func @region_5
// CHECK: scf.forall (%{{.*}}) in (1)
// CHECK-NEXT: memref.alloc
// CHECK: gpu.barrier
// CHECK: } {whit.threads = 128 : i64}
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @region_5(%x: memref<6xf32>, %y: memref<6xf32>, %id: i32) attributes {whit.observed = 2 : i64} {
    %t = memref.alloc() : memref<6xf32>
    memref.copy %x, %t : memref<6xf32> to memref<6xf32>
    memref.copy %t, %y : memref<6xf32> to memref<6xf32>
    return
  }
}

// -----

// A copy between regions is a region that nobody watches.
// CHECK-LABEL: func.func @main
// CHECK: call @write_0(%{{.*}}, %{{.*}}, %c-1_i32)
// CHECK-LABEL: func.func private @write_0
// CHECK-SAME: whit.observed = -1
// CHECK: scf.forall
module attributes {whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80,+mma-bf16,+mma-s8"}} {
  func.func @main(%x: memref<?xf32>, %y: memref<?xf32>) {
    memref.copy %x, %y : memref<?xf32> to memref<?xf32>
    return
  }
}

// -----

// Floats of 8 bits are bytes for the instruction that multiplies them. Those of gfx942 take a byte for half the number: sums count four times.
// CHECK-LABEL: func.func @region_floats8
// CHECK: %[[SUM:.*]] = llvm.call_intrinsic "llvm.amdgcn.mfma.f32.16x16x32.fp8.fp8"
// CHECK: arith.mulf %{{.*}}, %cst{{.*}} : f32
module attributes {whit.target = {cpu = "gfx942", kind = "amdgpu", machine = "mi300x", name = "gfx942", features = "+gfx942,+mfma-bf16,+mfma-e4m3-fnuz"}} {
  func.func @region_floats8(%x: memref<?x512xf8E4M3FN>, %w: memref<1x4608xi8>, %y: memref<?x16xf32>, %n: index) attributes {whit.observed = 2 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 512] [1, 1] : memref<?x512xf8E4M3FN> to memref<8x512xf8E4M3FN, strided<[512, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 16] [1, 1] : memref<?x16xf32> to memref<8x16xf32, strided<[16, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x512xf8E4M3FN, strided<[512, 1], offset: ?>>, memref<1x4608xi8>)
        outs(%to : memref<8x16xf32, strided<[16, 1], offset: ?>>) at <<int4_g32>, 16 by 512>
    }
    return
  }
}

// -----

// A power of two for each 32 elements is an operand of the instruction, and nothing is left to scale.
// CHECK-LABEL: func.func @region_scaled
// CHECK: llvm.call_intrinsic "llvm.amdgcn.mfma.scale.f32.16x16x128.f8f6f4"
// CHECK-NOT: mulf
// CHECK: return
module attributes {whit.target = {cpu = "gfx950", kind = "amdgpu", machine = "mi355x", name = "gfx950", features = "+gfx950,+mfma-bf16,+mfma-e4m3,+mfma-scale"}} {
  func.func @region_scaled(%x: memref<?x512xf8E4M3FN>, %w: memref<1x4352xi8>, %y: memref<?x16xf32>, %n: index) attributes {whit.observed = 2 : i64} {
    scf.forall (%i) = (0) to (%n) step (8) {
      %from = memref.subview %x[%i, 0] [8, 512] [1, 1] : memref<?x512xf8E4M3FN> to memref<8x512xf8E4M3FN, strided<[512, 1], offset: ?>>
      %to = memref.subview %y[%i, 0] [8, 16] [1, 1] : memref<?x16xf32> to memref<8x16xf32, strided<[16, 1], offset: ?>>
      whit.matmul ins(%from, %w : memref<8x512xf8E4M3FN, strided<[512, 1], offset: ?>>, memref<1x4352xi8>)
        outs(%to : memref<8x16xf32, strided<[16, 1], offset: ?>>) at <<mxfp4>, 16 by 512>
    }
    return
  }
}
