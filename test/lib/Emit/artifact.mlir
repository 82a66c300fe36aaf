// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A lowered module as emit takes it: y[n, 4] = x[n, 4] + w[4]. The signature stands in module attributes, the weight is a reference
// to bytes of a file beside the module.

// RUN: rm -rf %t && mkdir -p %t/home && cp %s %t/add.mlir && printf '\000\000\200\077\000\000\000\100\000\000\100\100\000\000\200\100' > %t/w.bin
// RUN: env XDG_CONFIG_HOME=%t/home whit-compile %t/add.mlir --start-from=lowered -o %t/add.so --target=x86-64 --target=x86-64-v3 --quiet

// The exported functions of both variants, and nothing that only a compiler's support library has.
// RUN: llvm-nm -D %t/add.so | FileCheck %s --check-prefix=SYMBOLS
// SYMBOLS-DAG: T main__v0
// SYMBOLS-DAG: T main__v1
// SYMBOLS-DAG: T main_sizes__v0
// SYMBOLS-DAG: T main_sizes__v1
// SYMBOLS-NOT: {{ U }}

// The manifest is a section that is not loaded; the best variant comes first, whatever the order on the command line.
// RUN: llvm-readelf -S %t/add.so | FileCheck %s --check-prefix=SECTIONS
// SECTIONS: .whit.json PROGBITS {{0+}} {{[0-9a-f]+}} {{[0-9a-f]+}} 00 0 0 1
// RUN: llvm-objcopy --dump-section .whit.json=%t/manifest.json %t/add.so %t/copy.so && FileCheck %s --check-prefix=MANIFEST --input-file=%t/manifest.json
// MANIFEST: {"whit":1, "producer":"whit 0.1", "model":"add", "function":"main",
// MANIFEST: {"name":"n","min":0,"max":null}
// MANIFEST: {"name":"x","kind":"input","dtype":"f32","shape":["n",4]}
// MANIFEST: {"name":"w","kind":"constant","dtype":"f32","shape":[4],"format":"","logical":[4],"place":""}
// MANIFEST: {"name":"y","kind":"output","dtype":"f32","shape":["n",4]}
// MANIFEST: {"name":"workspace","kind":"workspace","dtype":"i8","shape":[]}
// MANIFEST: {"target":"x86-64-v3","features":["avx","avx2",{{.*}}"fma",{{.*}}],"execute":"main__v0","sizes":"main_sizes__v0"}
// MANIFEST: {"target":"x86-64","features":[],"execute":"main__v1","sizes":"main_sizes__v1"}
// MANIFEST: "weights":{"file":"add.safetensors","bytes":{{[0-9]+}},"sha256":"{{[0-9a-f]+}}","chunk":4194304,"chunks":["{{[0-9a-f]+}}"]}

// Two runs give the same bytes, and nothing but the two files is left. The identity hash is recorded as trusted.
// RUN: mkdir %t/again && cp %t/add.mlir %t/w.bin %t/again && cd %t/again && env XDG_CONFIG_HOME=%t/home whit-compile add.mlir --start-from=lowered -o add.so --target=x86-64 --target=x86-64-v3 --quiet
// RUN: cmp %t/add.so %t/again/add.so && cmp %t/add.safetensors %t/again/add.safetensors
// RUN: ls -A %t/again | FileCheck %s --check-prefix=FILES
// FILES: add.mlir
// FILES-NEXT: add.safetensors
// FILES-NEXT: add.so
// FILES-NEXT: w.bin
// FILES-NOT: {{.}}
// RUN: cat %t/home/whit/trusted | FileCheck %s --check-prefix=TRUST
// TRUST: {{^[0-9a-f]+ .*add.so}}

// One file, with the same weights at its end.
// RUN: env XDG_CONFIG_HOME=%t/home whit-compile %t/add.mlir --start-from=lowered -o %t/one.so --target=x86-64 --embed-weights --quiet
// RUN: not test -e %t/one.safetensors && llvm-objcopy --dump-section .whit.weights=%t/one.weights %t/one.so %t/copy.so && cmp %t/one.weights %t/add.safetensors

// Bytes that are not those that were imported are refused, and no output appears.
// RUN: printf 'other bytes, 16.' > %t/w.bin
// RUN: not whit-compile %t/add.mlir --start-from=lowered -o %t/refused.so --target=x86-64 --quiet 2>&1 | FileCheck %s --check-prefix=CHANGED
// CHANGED: error[E1101]: the 16 bytes from byte 0 have hash {{[0-9a-f]+}}; {{[0-9a-f]+}} was imported
// CHANGED-NEXT: --> w.bin
// CHANGED-NEXT: help: the file has changed since the import
// RUN: not ls %t/refused.so %t/refused.safetensors

module attributes {whit.model = "add",
                   whit.symbols = [{name = "n"}],
                   whit.arguments = [{name = "x", kind = "input", dtype = "f32", shape = ["n", 4]},
                                     {name = "w", kind = "constant", dtype = "f32", shape = [4], format = "", logical = [4], place = ""},
                                     {name = "y", kind = "output", dtype = "f32", shape = ["n", 4]},
                                     {name = "workspace", kind = "workspace", dtype = "i8", shape = []}],
                   whit.regions = [{id = 0 : i32, name = "add", nodes = ["/add"], schedule = ""}],
                   whit.roles = {}, whit.context = 0 : i64} {
  whit.weight @w : tensor<4xf32> = [#whit.source<"rows", 4, [#whit.blob<"w.bin", 0 : 16 x f32, "a82f522ec4510db4">]>]

  llvm.func @add(%x: !llvm.ptr, %w: !llvm.ptr, %y: !llvm.ptr, %row: i64) attributes {sym_visibility = "private"} {
    %c4 = llvm.mlir.constant(4 : i64) : i64
    %at = llvm.mul %row, %c4 : i64
    %xp = llvm.getelementptr %x[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %yp = llvm.getelementptr %y[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
    %a = llvm.load %xp {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>
    %b = llvm.load %w {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>
    %s = llvm.fadd %a, %b : vector<4xf32>
    llvm.store %s, %yp {alignment = 4 : i64} : vector<4xf32>, !llvm.ptr
    llvm.return
  }

  llvm.func @whit_main(%context: !llvm.ptr, %arguments: !llvm.ptr) -> i32 {
    %zero = llvm.mlir.constant(0 : i32) : i32
    %c0 = llvm.mlir.constant(0 : i64) : i64
    %c1 = llvm.mlir.constant(1 : i64) : i64
    %p0 = llvm.load %arguments : !llvm.ptr -> !llvm.ptr
    %a1 = llvm.getelementptr %arguments[1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %p1 = llvm.load %a1 : !llvm.ptr -> !llvm.ptr
    %a2 = llvm.getelementptr %arguments[2] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    %p2 = llvm.load %a2 : !llvm.ptr -> !llvm.ptr
    %d0 = llvm.load %p0 : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %d1 = llvm.load %p1 : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
    %d2 = llvm.load %p2 : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %x = llvm.extractvalue %d0[1] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %n = llvm.extractvalue %d0[3, 0] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    %w = llvm.extractvalue %d1[1] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
    %y = llvm.extractvalue %d2[1] : !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
    llvm.br ^head(%c0 : i64)
  ^head(%row: i64):
    %more = llvm.icmp "slt" %row, %n : i64
    llvm.cond_br %more, ^body, ^done
  ^body:
    llvm.call @add(%x, %w, %y, %row) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
    %next = llvm.add %row, %c1 : i64
    llvm.br ^head(%next : i64)
  ^done:
    llvm.return %zero : i32
  }

  llvm.func @whit_main_sizes(%symbols: !llvm.ptr, %sizes: !llvm.ptr) {
    %c0 = llvm.mlir.constant(0 : i64) : i64
    %c4 = llvm.mlir.constant(4 : i64) : i64
    %n = llvm.load %symbols : !llvm.ptr -> i64
    llvm.store %c0, %sizes : i64, !llvm.ptr
    %s1 = llvm.getelementptr %sizes[1] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %n, %s1 : i64, !llvm.ptr
    %s2 = llvm.getelementptr %sizes[2] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %c4, %s2 : i64, !llvm.ptr
    %s3 = llvm.getelementptr %sizes[3] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %c4, %s3 : i64, !llvm.ptr
    %s4 = llvm.getelementptr %sizes[4] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %n, %s4 : i64, !llvm.ptr
    %s5 = llvm.getelementptr %sizes[5] : (!llvm.ptr) -> !llvm.ptr, i64
    llvm.store %c4, %s5 : i64, !llvm.ptr
    llvm.return
  }
}
