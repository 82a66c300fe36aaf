// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An artifact may call memcpy and libm; a call of anything else is found at compile time and named. Conversions of f16 come with the artifact.

// RUN: split-file %s %t && cd %t
// RUN: not whit-compile foreign.mlir --start-from=lowered -o foreign.so --target=x86-64 --quiet 2>&1 | FileCheck %s
// CHECK: error[E7101]: compiled code calls 'printf'; only memcpy, memmove, memset, memcmp and libm are allowed
// RUN: not ls foreign.so

// RUN: env XDG_CONFIG_HOME=%t whit-compile half.mlir --start-from=lowered -o half.so --target=x86-64 --quiet
// RUN: llvm-nm -D half.so | FileCheck %s --check-prefix=HALF
// HALF: U expf
// HALF-NOT: hfsf
// RUN: llvm-objdump -d half.so | FileCheck %s --check-prefix=CODE
// CODE: <__extendhfsf2>:

// RUN: not whit-compile nothing.mlir --start-from=lowered -o nothing.so --quiet 2>&1 | FileCheck %s --check-prefix=NOTHING
// NOTHING: error[E7101]: the lowered module does not define @whit_main

//--- foreign.mlir
module attributes {whit.arguments = [{name = "workspace", kind = "workspace", dtype = "i8", shape = []}]} {
  llvm.func @printf(!llvm.ptr) -> i32
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %r = llvm.call @printf(%arguments) : (!llvm.ptr) -> i32
    llvm.return %r : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
}

//--- half.mlir
module attributes {whit.arguments = [{name = "workspace", kind = "workspace", dtype = "i8", shape = []}]} {
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %h = llvm.load %arguments : !llvm.ptr -> f16
    %f = llvm.fpext %h : f16 to f32
    %e = llvm.intr.exp(%f) : (f32) -> f32
    llvm.store %e, %arguments : f32, !llvm.ptr
    llvm.return %zero : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
}

//--- nothing.mlir
module {}
