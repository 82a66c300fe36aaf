// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A fault inside the compiler (here: LLVM has no such instruction for this target, so its code generator gives up) ends with exit code 70 and
// a reproducer, and leaves no output. The reproducer shows the fault again.

// RUN: rm -rf %t && mkdir %t && cd %t
// RUN: not whit-compile %s --start-from=lowered -o out.so --target=x86-64 --quiet > log 2>&1
// RUN: FileCheck %s --input-file=log
// CHECK: error[E7101]: Cannot select: {{.*}}VPDPBUSD
// CHECK: help: this is a bug in Whit; please report it with the reproducer {{.*}}whit-crash-{{[0-9]+}}.mlir
// RUN: ls -A | FileCheck %s --check-prefix=FILES
// FILES: log
// FILES-NEXT: whit-crash-{{[0-9]+}}.mlir
// FILES-NOT: {{.}}

// RUN: cat whit-crash-*.mlir | FileCheck %s --check-prefix=REPRODUCER
// REPRODUCER: // Reproducer. Cannot select
// REPRODUCER: // Command: {{.*}}whit-compile {{.*}}crash.mlir --start-from=lowered -o out.so --target=x86-64 --quiet
// REPRODUCER-NEXT: // Again: whit-compile THIS_FILE --start-from=lowered and the other options of the command
// REPRODUCER: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.128"
// RUN: mv whit-crash-*.mlir again.mlir
// RUN: sh -c 'whit-compile again.mlir --start-from=lowered -o out.so --target=x86-64 --quiet 2> log; test $? -eq 70'
// RUN: FileCheck %s --input-file=log

module attributes {whit.arguments = [{name = "workspace", kind = "workspace", dtype = "i8", shape = []}]} {
  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %a = llvm.load %arguments : !llvm.ptr -> vector<4xi32>
    %b = llvm.load %context : !llvm.ptr -> vector<16xi8>
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.128"(%a, %b, %b) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
    llvm.store %r, %arguments : vector<4xi32>, !llvm.ptr
    llvm.return %zero : i32
  }
  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    llvm.return
  }
}
