// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -split-input-file -pass-pipeline='builtin.module(gpu.module(whit-convert-kernels))' -verify-diagnostics | FileCheck %s

// Functions are LLVM's intrinsics, not calls of a library.
// CHECK-LABEL: gpu.module @kernels
// CHECK: llvm.func @region_0_tiles(%{{.*}}: !llvm.ptr<1>{{.*}}gpu.kernel{{.*}}nvvm.kernel, nvvm.reqntid = array<i32: 128, 1, 1>
// CHECK: nvvm.read.ptx.sreg.ctaid.x
// CHECK: llvm.intr.sqrt
// CHECK-NOT: call @__nv
module attributes {gpu.container_module, whit.target = {cpu = "sm_80", kind = "nvptx", machine = "a100", name = "sm_80", features = "+sm_80"}} {
  gpu.module @kernels {
    gpu.func @region_0_tiles(%p: !llvm.ptr<1>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %b = gpu.block_id x
      %i = arith.index_cast %b : index to i32
      %f = arith.sitofp %i : i32 to f32
      %s = math.sqrt %f : f32
      gpu.barrier
      llvm.store %s, %p : f32, !llvm.ptr<1>
      gpu.return
    }
  }
}

// -----

// CHECK: llvm.func @region_0_tiles{{.*}}gpu.kernel{{.*}}rocdl.kernel
// CHECK: rocdl.workgroup.id.x
module attributes {gpu.container_module, whit.target = {cpu = "gfx942", kind = "amdgpu", machine = "mi300x", name = "gfx942", features = "+gfx942"}} {
  gpu.module @kernels {
    gpu.func @region_0_tiles(%p: !llvm.ptr<1>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %b = gpu.block_id x
      %i = arith.index_cast %b : index to i32
      llvm.store %i, %p : i32, !llvm.ptr<1>
      gpu.return
    }
  }
}

// -----

module {
  // expected-error @below {{kernels of a GPU for a target that is none; set whit.target of the module}}
  gpu.module @kernels {
  }
}
