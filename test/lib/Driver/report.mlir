// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --report is one JSON object, --explain the same choices as text, --diagnostics=json one object a problem.

// RUN: whit-compile %s --stop-after=raised --report=%t.json --explain=%t.txt --target=x86-64 -o /dev/null --quiet && %python -m json.tool %t.json | FileCheck %s
// CHECK: "producer": "whit 0.1"
// CHECK: "targets": [
// CHECK-NEXT: "x86-64"
// CHECK: "activations": "auto"
// CHECK: "peak_rss_mb": {{[0-9.]+}}
// CHECK: "name": "imported"
// CHECK: "name": "raised"
// CHECK: "operations": {{[0-9]+}}
// CHECK: "remarks": [
// RUN: test -f %t.txt

// RUN: printf 'func.func @main( {\n' > %t.broken.mlir
// RUN: not whit-compile %t.broken.mlir -o %t.so --diagnostics=json 2>&1 | %python -c "import json, sys; [print(json.loads(l)['code'], json.loads(l)['severity'], json.loads(l)['file'][-16:]) for l in sys.stdin]" | FileCheck %s --check-prefix=JSON
// JSON: E1101 error broken.mlir:1:{{[0-9]+}}

func.func @main(%x: tensor<4xf32> {whit.name = "x", whit.dims = [4]}) -> (tensor<4xf32> {whit.name = "y", whit.dims = [4]}) {
  return %x : tensor<4xf32>
}
