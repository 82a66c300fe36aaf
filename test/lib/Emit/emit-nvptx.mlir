// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels for NVIDIA: PTX of the architecture that was asked for, arguments of 8 bytes, blocks of a fixed size, products and sums apart. The
// part for the CPU is that of any x86-64.

// RUN: split-file %s %t && cd %t
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_80 --emit=ptx -o - --quiet | FileCheck %s --check-prefixes=PTX,SM80
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_89:l4 --emit=asm --quiet | FileCheck %s --check-prefixes=PTX,SM89
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_90a:h200 --emit=ptx --quiet | FileCheck %s --check-prefixes=PTX,SM90
// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_100a --emit=ptx --quiet | FileCheck %s --check-prefixes=PTX,SM100
// SM80: .version 7.8
// SM80: .target sm_80
// SM89: .target sm_89
// SM90: .version 8.4
// SM90: .target sm_90a
// SM100: .version 8.6
// SM100: .target sm_100a
// PTX: .address_size 64
// PTX: .visible .entry multiply(
// PTX-NEXT: .param .u64 .ptr .global {{.*}}multiply_param_0
// PTX: .param .u64 multiply_param_2
// PTX: .reqntid 32
// PTX: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// PTX: .visible .entry turn(
// PTX-NOT: .maxntid
// PTX: .reqntid 64, 2
// PTX: st.shared
// PTX: bar.sync 0
// PTX: mul.rn.f32
// PTX: add.rn.f32
// PTX-NOT: call

// RUN: whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=llvm --quiet | FileCheck %s --check-prefix=LLVM
// LLVM: target triple = "nvptx64-nvidia-cuda"
// LLVM: define ptx_kernel void @multiply(
// LLVM-NOT: @whit_main

// RUN: not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=hsaco -o x --quiet 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error[E2101]: --emit: sm_90a has no HSACO
// RUN: not whit-compile kernels.mlir --start-from=lowered --target=x86-64 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=CPU
// CPU: --emit: x86-64 has no PTX
// CPU: add --target=sm_80
// RUN: not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=cubin --quiet 2>&1 | FileCheck %s --check-prefix=PRINTED
// PRINTED: machine code is not printed
// RUN: not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --target=gfx942 -o x.so --quiet 2>&1 | FileCheck %s --check-prefix=MIXED
// MIXED: --target: {{.*}} are GPUs of two kinds
// RUN: not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --target=sm_90a:h200 -o x.so --quiet 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE: are one architecture; the code for one runs on both
// RUN: env WHIT_PTXAS= not whit-compile kernels.mlir --start-from=lowered --target=sm_90a --emit=cubin -o x.cubin --quiet 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: a cubin needs NVIDIA's ptxas
// ABSENT: take --emit=ptx

// Equal kernels stay two: one cannot call the other.
// RUN: whit-compile equal.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet | FileCheck %s --check-prefix=EQUAL
// EQUAL: .entry first(
// EQUAL: st.global
// EQUAL-NOT: call
// EQUAL: .entry second(
// EQUAL-NOT: call
// EQUAL: st.global

// RUN: not whit-compile shared.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=STATIC
// STATIC: kernel @fill declares 60000 bytes of shared memory; PTX allows 49152
// STATIC: let the launch add it

// What LLVM would call a library for is named before it gives up.
// RUN: not whit-compile foreign.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=FOREIGN
// FOREIGN: kernels call '__nv_expf', 'llvm.log.f32', which a GPU has no instruction for
// RUN: not whit-compile unsized.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=UNSIZED
// UNSIZED: kernel @copy has no block size
// UNSIZED: set nvvm.reqntid, rocdl.reqd_work_group_size or gpu.known_block_size
// RUN: not whit-compile large.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=LARGE
// LARGE: kernel @copy has blocks of 2048 threads; sm_80 allows 1 to 1024
// RUN: not whit-compile other.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: whit.kernels names @absent, which is no kernel of the gpu.module
// RUN: not whit-compile none.mlir --start-from=lowered --target=sm_80 --emit=ptx --quiet 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: a lowered module for sm_80 needs one gpu.module; found 0

//--- kernels.mlir
module attributes {whit.kernels = [{name = "turn"}, {name = "multiply"}],
                   whit.arguments = [{name = "workspace", kind = "workspace", dtype = "i8", shape = []}]} {
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    llvm.return %zero : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
  gpu.module @kernels {
    llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<128 x f32>
    llvm.func @multiply(%a: !llvm.ptr<1>, %c: !llvm.ptr<1>, %count: i64) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      %t32 = nvvm.read.ptx.sreg.tid.x : i32
      %t = llvm.zext %t32 : i32 to i64
      %p = llvm.getelementptr %a[%t] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, !llvm.array<8 x vector<2xf16>>
      %a0 = llvm.load %p : !llvm.ptr<1> -> vector<2xf16>
      %zero = llvm.mlir.constant(0.0 : f32) : f32
      %d = nvvm.mma.sync A[%a0, %a0, %a0, %a0] B[%a0, %a0] C[%zero, %zero, %zero, %zero]
        {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, shape = #nvvm.shape<m = 16, n = 8, k = 16>}
        : (vector<2xf16>, vector<2xf16>, f32) -> !llvm.struct<(f32, f32, f32, f32)>
      %d0 = llvm.extractvalue %d[0] : !llvm.struct<(f32, f32, f32, f32)>
      %offset = llvm.add %t, %count : i64
      %q = llvm.getelementptr %c[%offset] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
      llvm.store %d0, %q : f32, !llvm.ptr<1>
      llvm.return
    }
    // A function of the module is inlined.
    llvm.func @twice(%x: f32) -> f32 {
      %m = llvm.fmul %x, %x : f32
      %s = llvm.fadd %m, %x : f32
      llvm.return %s : f32
    }
    llvm.func @turn(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 2, 1>, nvvm.maxntid = array<i32: 128>, whit.shared_bytes = 1024 : i64} {
      %x = nvvm.read.ptx.sreg.tid.x : i32
      %last = llvm.mlir.constant(63 : i32) : i32
      %base = llvm.mlir.addressof @tile : !llvm.ptr<3>
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %v = llvm.load %p : !llvm.ptr<1> -> f32
      %s = llvm.getelementptr %base[%x] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      llvm.store %v, %s : f32, !llvm.ptr<3>
      nvvm.barrier0
      %y = llvm.sub %last, %x : i32
      %r = llvm.getelementptr %base[%y] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      %w = llvm.load %r : !llvm.ptr<3> -> f32
      %u = llvm.call @twice(%w) : (f32) -> f32
      llvm.store %u, %p : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- foreign.mlir
module {
  gpu.module @kernels {
    llvm.func @__nv_expf(f32) -> f32
    llvm.func @exponential(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      %v = llvm.load %a : !llvm.ptr<1> -> f32
      %e = llvm.call @__nv_expf(%v) : (f32) -> f32
      %l = llvm.intr.log(%e) : (f32) -> f32
      llvm.store %l, %a : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- unsized.mlir
module {
  gpu.module @kernels {
    llvm.func @copy(%a: !llvm.ptr<1>) attributes {gpu.kernel} {
      llvm.return
    }
  }
}

//--- large.mlir
module {
  gpu.module @kernels {
    llvm.func @copy(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 1024, 2>} {
      llvm.return
    }
  }
}

//--- other.mlir
module attributes {whit.kernels = [{name = "absent"}]} {
  gpu.module @kernels {
    llvm.func @copy(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      llvm.return
    }
  }
}

//--- refused.mlir
module {
  gpu.module @kernels {
    llvm.func @copy(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      llvm.inline_asm has_side_effects "bogus.instruction;", "" : () -> ()
      llvm.return
    }
  }
}

//--- shared.mlir
module {
  gpu.module @kernels {
    llvm.mlir.global internal @tile() {addr_space = 3 : i32} : !llvm.array<15000 x f32>
    llvm.func @fill(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 1, 1>} {
      %x = nvvm.read.ptx.sreg.tid.x : i32
      %base = llvm.mlir.addressof @tile : !llvm.ptr<3>
      %v = llvm.load %a : !llvm.ptr<1> -> f32
      %s = llvm.getelementptr %base[%x] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      llvm.store %v, %s : f32, !llvm.ptr<3>
      nvvm.barrier0
      %l = llvm.getelementptr %base[12] : (!llvm.ptr<3>) -> !llvm.ptr<3>, f32
      %w = llvm.load %l : !llvm.ptr<3> -> f32
      llvm.store %w, %a : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- equal.mlir
module {
  gpu.module @kernels {
    llvm.func @first(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      %x = nvvm.read.ptx.sreg.tid.x : i32
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      %v = llvm.load %p : !llvm.ptr<1> -> i32
      %s = llvm.mul %v, %x : i32
      %t = llvm.add %s, %v : i32
      llvm.store %t, %p : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @second(%a: !llvm.ptr<1>) attributes {gpu.kernel, nvvm.reqntid = array<i32: 32>} {
      %x = nvvm.read.ptx.sreg.tid.x : i32
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      %v = llvm.load %p : !llvm.ptr<1> -> i32
      %s = llvm.mul %v, %x : i32
      %t = llvm.add %s, %v : i32
      llvm.store %t, %p : i32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- none.mlir
module {}
