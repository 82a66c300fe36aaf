// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels for AMD: code objects of version 5 that need no hidden arguments, linked inside whit-compile.

// RUN: split-file %s %t && cd %t
// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx90a --emit=asm --quiet | FileCheck %s --check-prefixes=ASM,CDNA -DARCH=gfx90a
// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx942 --emit=asm --quiet | FileCheck %s --check-prefixes=ASM,CDNA -DARCH=gfx942
// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx950:mi355x --emit=asm --quiet | FileCheck %s --check-prefixes=ASM,CDNA -DARCH=gfx950
// RUN: whit-compile rdna.mlir --start-from=lowered --target=gfx1100 --emit=asm --quiet | FileCheck %s --check-prefixes=ASM,RDNA -DARCH=gfx1100
// ASM: .amdgcn_target "amdgcn-amd-amdhsa--[[ARCH]]"
// ASM: .amdhsa_code_object_version 5
// CDNA: v_mfma_f32_16x16x16{{_?}}f16
// RDNA: v_wmma_f32_16x16x16_f16
// ASM: .amdhsa_kernel multiply
// ASM: turn:
// ASM: ds_{{write|store}}_b32
// ASM: s_barrier
// ASM: v_mul_f32
// ASM: v_add_f32
// ASM-NOT: s_swappc
// ASM: .amdhsa_kernel turn
// ASM: .kernarg_segment_size: 24
// ASM: .max_flat_workgroup_size: 32
// ASM: .name: multiply
// ASM: .kernarg_segment_size: 8
// ASM: .name: turn
// ASM-NEXT: .private_segment_fixed_size: 0
// ASM-NEXT: .reqd_workgroup_size:
// ASM-NEXT: - 64
// ASM-NEXT: - 2
// ASM-NEXT: - 1

// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx942 --emit=hsaco -o k.hsaco --quiet
// RUN: llvm-readelf -h -s -n k.hsaco | FileCheck %s --check-prefix=ELF
// ELF: Type: DYN
// ELF: Machine: EM_AMDGPU
// ELF: Flags: {{.*}}gfx942
// ELF-DAG: FUNC GLOBAL PROTECTED {{.*}} multiply
// ELF-DAG: OBJECT GLOBAL PROTECTED {{.*}} turn.kd
// ELF: amdhsa.target: amdgcn-amd-amdhsa--gfx942
// ELF: amdhsa.version:
// ELF-NEXT: - 1
// ELF-NEXT: - 2
// RUN: llvm-objdump -d --mcpu=gfx942 k.hsaco | FileCheck %s --check-prefix=CODE
// CODE: <multiply>:
// CODE: v_mfma_f32_16x16x16_f16
// CODE: s_endpgm
// The same bytes again.
// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx942 --emit=hsaco -o again.hsaco --quiet && cmp k.hsaco again.hsaco

// RUN: whit-compile kernels.mlir --start-from=lowered --target=gfx942 --emit=llvm --quiet | FileCheck %s --check-prefix=LLVM
// LLVM: target triple = "amdgcn-amd-amdhsa"
// LLVM: define {{.*}}amdgpu_kernel void @multiply(

// RUN: not whit-compile hidden.mlir --start-from=lowered --target=gfx942 --emit=hsaco -o x.hsaco --quiet 2>&1 | FileCheck %s --check-prefix=HIDDEN
// HIDDEN: kernel @count reads 'llvm.amdgcn.dispatch.ptr', which launches do not prepare
// RUN: not whit-compile local.mlir --start-from=lowered --target=gfx90a --emit=hsaco -o x.hsaco --quiet 2>&1 | FileCheck %s --check-prefix=LOCAL
// LOCAL: kernel @fill needs 80000 bytes of shared memory; gfx90a has 65536 for a block
// RUN: whit-compile local.mlir --start-from=lowered --target=gfx950 --emit=hsaco -o x.hsaco --quiet

// Facts come from the notes of the code object and from its assembly; kernels stand in the order of whit.kernels.
// RUN: env XDG_CONFIG_HOME=%t whit-compile kernels.mlir --start-from=lowered --target=gfx942 --target=gfx90a -o k.so --simulation --explain --report=r.json --quiet | FileCheck %s --check-prefix=FACTS
// FACTS: emit: gfx942 turn: 128 threads, {{[0-9]+}} registers, 0 bytes spilled, 0 bytes stack, 1536 bytes shared, {{[0-9]+}} bytes code, occupancy 1.00, {{.*}} 2 shared, {{.*}} 2 float, 1 barrier
// FACTS: emit: gfx942 multiply: 32 threads, {{.*}} 0 bytes shared, {{.*}} 1 matrix
// FACTS: emit: gfx90a turn:
// RUN: FileCheck %s --check-prefix=JSON < r.json
// JSON: "kernels": [
// JSON-NEXT: {
// JSON-NEXT: "target": "gfx942",
// JSON-NEXT: "name": "turn",
// JSON: "registers":
// JSON: "scalars":
// JSON: "instructions": {
// JSON-NEXT: "matrix": 0,
// The part for the CPU runs anywhere.
// RUN: whit-run --inspect k.so | FileCheck %s --check-prefix=HOST
// HOST: gfx942

// RUN: env XDG_CONFIG_HOME=%t whit-compile crowded.mlir --start-from=lowered --target=gfx942 -o k.so --explain --quiet 2>%t.err | FileCheck %s --check-prefix=SPILL
// RUN: grep "warning.*kernel crowded moves" %t.err
// SPILL: emit: gfx942 crowded: 64 threads, {{[0-9]+}} registers, [[BYTES:[1-9][0-9]*]] bytes spilled, {{[1-9][0-9]+}} bytes stack, 0 bytes shared, {{.*}} local
// SPILL: - emit: gfx942 kernel crowded moves [[BYTES]] bytes of each thread to memory for want of registers; it has one schedule only

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
    llvm.func @multiply(%a: !llvm.ptr<1>, %c: !llvm.ptr<1>, %count: i64) attributes {gpu.kernel, rocdl.reqd_work_group_size = array<i32: 32, 1, 1>} {
      %t32 = rocdl.workitem.id.x : i32
      %t = llvm.zext %t32 : i32 to i64
      %p = llvm.getelementptr %a[%t] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, vector<4xf16>
      %v = llvm.load %p : !llvm.ptr<1> -> vector<4xf16>
      %zero = llvm.mlir.constant(dense<0.0> : vector<4xf32>) : vector<4xf32>
      %no = llvm.mlir.constant(0 : i32) : i32
      %d = rocdl.mfma.f32.16x16x16f16 %v, %v, %zero, %no, %no, %no
        : (vector<4xf16>, vector<4xf16>, vector<4xf32>, i32, i32, i32) -> vector<4xf32>
      %offset = llvm.add %t, %count : i64
      %q = llvm.getelementptr %c[%offset] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, vector<4xf32>
      llvm.store %d, %q : vector<4xf32>, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @turn(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 2, 1>, whit.shared_bytes = 1024 : i64} {
      %x = rocdl.workitem.id.x : i32
      %last = llvm.mlir.constant(63 : i32) : i32
      %base = llvm.mlir.addressof @tile : !llvm.ptr<3>
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %v = llvm.load %p : !llvm.ptr<1> -> f32
      %s = llvm.getelementptr %base[%x] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      llvm.store %v, %s : f32, !llvm.ptr<3>
      rocdl.barrier
      %y = llvm.sub %last, %x : i32
      %r = llvm.getelementptr %base[%y] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      %w = llvm.load %r : !llvm.ptr<3> -> f32
      %m = llvm.fmul %w, %w : f32
      %u = llvm.fadd %m, %w : f32
      llvm.store %u, %p : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- rdna.mlir
module attributes {whit.kernels = [{name = "turn"}, {name = "multiply"}]} {
  gpu.module @kernels {
    llvm.mlir.global internal @tile() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<128 x f32>
    llvm.func @multiply(%a: !llvm.ptr<1>, %c: !llvm.ptr<1>, %count: i64) attributes {gpu.kernel, rocdl.reqd_work_group_size = array<i32: 32, 1, 1>} {
      %t32 = rocdl.workitem.id.x : i32
      %t = llvm.zext %t32 : i32 to i64
      %p = llvm.getelementptr %a[%t] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, vector<16xf16>
      %v = llvm.load %p : !llvm.ptr<1> -> vector<16xf16>
      %zero = llvm.mlir.constant(dense<0.0> : vector<8xf32>) : vector<8xf32>
      %d = rocdl.wmma.f32.16x16x16.f16 %v, %v, %zero : (vector<16xf16>, vector<16xf16>, vector<8xf32>) -> vector<8xf32>
      %offset = llvm.add %t, %count : i64
      %q = llvm.getelementptr %c[%offset] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, vector<8xf32>
      llvm.store %d, %q : vector<8xf32>, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @turn(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 2, 1>} {
      %x = rocdl.workitem.id.x : i32
      %last = llvm.mlir.constant(63 : i32) : i32
      %base = llvm.mlir.addressof @tile : !llvm.ptr<3>
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %v = llvm.load %p : !llvm.ptr<1> -> f32
      %s = llvm.getelementptr %base[%x] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      llvm.store %v, %s : f32, !llvm.ptr<3>
      rocdl.barrier
      %y = llvm.sub %last, %x : i32
      %r = llvm.getelementptr %base[%y] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      %w = llvm.load %r : !llvm.ptr<3> -> f32
      %m = llvm.fmul %w, %w : f32
      %u = llvm.fadd %m, %w : f32
      llvm.store %u, %p : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- hidden.mlir
module {
  gpu.module @kernels {
    llvm.func @count(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 1, 1>} {
      %packet = llvm.call_intrinsic "llvm.amdgcn.dispatch.ptr"() : () -> !llvm.ptr<4>
      %n = llvm.load %packet : !llvm.ptr<4> -> i64
      llvm.store %n, %a : i64, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- local.mlir
module {
  gpu.module @kernels {
    llvm.mlir.global internal @tile() {addr_space = 3 : i32} : !llvm.array<20000 x f32>
    llvm.func @fill(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 1, 1>} {
      %x = rocdl.workitem.id.x : i32
      %base = llvm.mlir.addressof @tile : !llvm.ptr<3>
      %v = llvm.load %a : !llvm.ptr<1> -> f32
      %s = llvm.getelementptr %base[%x] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, f32
      llvm.store %v, %s : f32, !llvm.ptr<3>
      rocdl.barrier
      %w = llvm.load %base : !llvm.ptr<3> -> f32
      llvm.store %w, %a : f32, !llvm.ptr<1>
      llvm.return
    }
  }
}

//--- crowded.mlir
module attributes {whit.arguments = [{name = "workspace", kind = "workspace", dtype = "i8", shape = []}]} {
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    llvm.return %zero : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
  gpu.module @kernels {
    llvm.func @crowded(%a: !llvm.ptr<1>) attributes {gpu.kernel, gpu.known_block_size = array<i32: 64, 1, 1>,
                                                     passthrough = [["amdgpu-num-vgpr", "16"]]} {
      %x = rocdl.workitem.id.x : i32
      %p = llvm.getelementptr %a[%x] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<32xf32>
      %v = llvm.load volatile %p : !llvm.ptr<1> -> vector<32xf32>
      rocdl.barrier
      llvm.store volatile %v, %p : vector<32xf32>, !llvm.ptr<1>
      llvm.return
    }
  }
}
