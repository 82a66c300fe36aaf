// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A module can be taken out after any stage and put in again: --dump-stages writes each, --stop-after prints one, --start-from goes on.

// RUN: rm -rf %t && whit-compile %s --start-from=imported --stop-after=encoded --dump-stages=%t/dump -o %t.encoded.mlir --target=x86-64 2> %t.log
// RUN: ls %t/dump | FileCheck %s --check-prefix=DUMP
// DUMP: 01-imported.mlir
// DUMP-NEXT: 02-raised.mlir
// DUMP-NEXT: 03-encoded.mlir
// DUMP-NOT: {{.}}
// RUN: FileCheck %s --check-prefix=LOG --input-file=%t.log
// LOG: [1/3] imported {{.*}} s  {{[0-9]+}} operations, 0 weights
// LOG-NEXT: [2/3] raised {{.*}} s  {{[0-9]+}} operations
// LOG-NEXT: [3/3] encoded {{.*}} s  {{[0-9]+}} operations

// What was printed and what was dumped are the same; node names survive.
// RUN: cmp %t.encoded.mlir %t/dump/03-encoded.mlir
// RUN: FileCheck %s --check-prefix=NAMES --input-file=%t/dump/02-raised.mlir
// NAMES: loc("/layer/add")

// A later start gives the same result as the whole way.
// RUN: whit-compile %t/dump/02-raised.mlir --start-from=raised --stop-after=encoded --target=x86-64 --quiet | cmp - %t.encoded.mlir

// Targets are compiled apart from stage tiled on.
// RUN: rm -rf %t/two && whit-compile %s --stop-after=fused --dump-stages=%t/two --target=x86-64 --target=x86-64-v4 --quiet | FileCheck %s --check-prefix=TWO
// TWO: whit.target = {{.*}}cpu = "x86-64-v4"

func.func @main(%x: tensor<?x4xf32> {whit.name = "x", whit.dims = ["n", 4]}) -> (tensor<?x4xf32> {whit.name = "y", whit.dims = ["n", 4]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %y = linalg.add ins(%x, %x : tensor<?x4xf32>, tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32> loc("/layer/add")
  return %y : tensor<?x4xf32>
}
