// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Text instead of a shared object: the module that was lowered, LLVM IR after -O3, assembly. The target decides on the instructions.

// RUN: whit-compile %s --start-from=lowered --emit=mlir --target=x86-64 --quiet | FileCheck %s --check-prefix=MLIR
// MLIR: module attributes {{.*}}whit.target = {caches = array<i64: {{.*}}>, cpu = "x86-64", features = "{{.*}}+sse2{{.*}}", name = "x86-64"}
// MLIR: llvm.func @whit_main(

// RUN: whit-compile %s --start-from=lowered --emit=llvm --target=x86-64-v3 --quiet | FileCheck %s --check-prefix=LLVM
// LLVM: target triple = "x86_64-unknown-linux-gnu"
// LLVM: define {{.*}}i32 @main__v0(
// LLVM: call <8 x float> @llvm.fma.v8f32(
// LLVM: define {{.*}}void @main_sizes__v0(
// LLVM: "target-cpu"="x86-64-v3"

// RUN: whit-compile %s --start-from=lowered --emit=asm --target=x86-64-v3 --quiet | FileCheck %s --check-prefix=ASM
// ASM: main__v0:
// ASM: vfmadd{{[123]*}}ps
// RUN: whit-compile %s --start-from=lowered --emit=asm --target=x86-64-v3-fma+avxvnni --quiet | FileCheck %s --check-prefix=NOFMA
// NOFMA: main__v0:
// NOFMA-NOT: vfmadd
// NOFMA: .size main__v0

// A multiplication and an addition are never made one.
// ASM: vmulps
// ASM: vaddps

module {
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %p = llvm.load %arguments : !llvm.ptr -> !llvm.ptr
    %a = llvm.load %p {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
    %f = llvm.intr.fma(%a, %a, %a) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
    %m = llvm.fmul %f, %a : vector<8xf32>
    %s = llvm.fadd %m, %f : vector<8xf32>
    llvm.store %s, %p {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
    llvm.return %zero : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
}
