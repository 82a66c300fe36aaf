// RUN: whit-opt %s --whit-lower-elementwise --canonicalize --cse | FileCheck %s
// RUN: whit-opt %s --whit-lower-elementwise --canonicalize --convert-scf-to-cf --convert-math-to-llvm --convert-vector-to-llvm \
// RUN:   --finalize-memref-to-llvm --convert-arith-to-llvm --convert-cf-to-llvm --convert-func-to-llvm --reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mtriple=x86_64-linux-gnu | FileCheck %s --check-prefix=CODE --implicit-check-not=call

// A bias along the last dimension: 32 columns in vectors, 8 under a mask.

// CHECK-LABEL: @bias
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<?x40xf32>, %[[B:[a-z0-9]+]]: memref<40xf32>, %[[Y:[a-z0-9]+]]: memref<?x40xf32>
// CHECK: scf.for %[[I:.*]] = %c0 to %{{.*}} step %c1
// CHECK: scf.for %[[J:.*]] = %c0 to %c32 step %c16
// CHECK: %[[V:.*]] = vector.load %[[X]][%[[I]], %[[J]]]
// CHECK: %[[W:.*]] = vector.load %[[B]][%[[J]]]
// CHECK: %[[SUM:.*]] = arith.addf %[[V]], %[[W]] : vector<16xf32>
// CHECK: vector.store %[[SUM]], %[[Y]][%[[I]], %[[J]]]
// CHECK: vector.maskedload %[[X]][%[[I]], %c32]
// CHECK: vector.maskedstore %[[Y]][%[[I]], %c32]
// CODE-LABEL: bias:
func.func @bias(%x: memref<?x40xf32>, %b: memref<40xf32>, %y: memref<?x40xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : memref<?x40xf32>, memref<40xf32>) outs(%y : memref<?x40xf32>) {
  ^bb0(%a: f32, %c: f32, %unused: f32):
    %sum = arith.addf %a, %c : f32
    linalg.yield %sum : f32
  }
  return
}

// Functions become polynomials. The code for plain x86-64 calls nothing (CODE), neither libm nor helpers of the compiler.
// CHECK-LABEL: @functions
// CHECK-NOT: math.exp
// CHECK-NOT: math.tanh
// CHECK-NOT: math.erf
// CHECK-NOT: math.powf
// CHECK-NOT: math.fma
// CHECK-NOT: whit.gelu
// CODE-LABEL: functions:
func.func @functions(%x: memref<?xf32>, %h: memref<?xf16>, %y: memref<?xbf16>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x, %h : memref<?xf32>, memref<?xf16>) outs(%y : memref<?xbf16>) {
  ^bb0(%a: f32, %b: f16, %unused: bf16):
    %0 = math.exp %a : f32
    %1 = math.tanh %0 : f32
    %2 = math.erf %1 : f32
    %3 = math.log %2 : f32
    %4 = math.sin %3 : f32
    %5 = math.powf %4, %a : f32
    %6 = math.floor %5 : f32
    %7 = math.rsqrt %6 : f32
    %gelu = whit.gelu %7 : f32
    %approximate = whit.gelu tanh %gelu : f32
    %8 = math.atan2 %approximate, %a : f32
    %9 = math.sinh %8 : f32
    %10 = math.roundeven %9 : f32
    %11 = arith.truncf %10 : f32 to f16
    %12 = arith.mulf %11, %b : f16
    %13 = math.exp %12 : f16
    %14 = arith.extf %13 : f16 to f32
    %15 = arith.truncf %14 : f32 to bf16
    linalg.yield %15 : bf16
  }
  return
}

// A transpose reads rows of one and writes rows of the other: blocks of 16 x 16, four rounds of shuffles.
// CHECK-LABEL: @transpose
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<16x16xf32>
// CHECK: scf.if
// CHECK-COUNT-16: vector.load
// CHECK-COUNT-64: vector.shuffle
// CHECK: vector.store
// CHECK: else
// CHECK: vector.maskedload
// CODE-LABEL: transpose:
func.func @transpose(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.transpose ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) permutation = [1, 0]
  return
}

// Every second element: 16 are read one by one, and the last of a row alone. Dividing integers
// is for lanes too; where there is nothing behind the end, it divides by 1.
// CHECK-LABEL: @scattered
// CHECK-COUNT-16: memref.load
// CHECK: vector.from_elements
// CHECK: vector.store
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xi64>
// CHECK: arith.divsi %{{.*}} : vector<16xi64>
// CODE-LABEL: scattered:
func.func @scattered(%x: memref<?x48xf32>, %y: memref<?x24xf32>, %i: memref<8xi64>, %d: memref<8xi64>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j * 2)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x48xf32>) outs(%y : memref<?x24xf32>) {
  ^bb0(%a: f32, %unused: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%d : memref<8xi64>) outs(%i : memref<8xi64>) {
  ^bb0(%b: i64, %a: i64):
    %q = arith.divsi %a, %b : i64
    linalg.yield %q : i64
  }
  return
}

// An address that counts up with the lanes is a vector load, whatever the row: a gather of rows copies vectors.
// CHECK-LABEL: @rows
// CHECK: %[[ROW:.*]] = memref.load
// CHECK: %[[AT:.*]] = arith.index_cast %[[ROW]]
// CHECK: vector.load %{{.*}}[%[[AT]], %{{.*}}] : memref<9x40xf32>, vector<16xf32>
func.func @rows(%t: memref<9x40xf32>, %i: memref<?xi64>, %y: memref<?x40xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%i : memref<?xi64>) outs(%y : memref<?x40xf32>) {
  ^bb0(%a: i64, %unused: f32):
    %row = arith.index_cast %a : i64 to index
    %column = linalg.index 1 : index
    %v = memref.load %t[%row, %column] : memref<9x40xf32>
    linalg.yield %v : f32
  }
  return
}

// A boolean is a byte in memory and a bit in a vector.
// CHECK-LABEL: @booleans
// CHECK: vector.load %{{.*}} : memref<32xi8>, vector<16xi8>
// CHECK: arith.cmpi ne
// CHECK: arith.extui %{{.*}} : vector<16xi1> to vector<16xi8>
// CHECK: vector.store %{{.*}} : memref<32xi8>, vector<16xi8>
func.func @booleans(%x: memref<32xi1>, %y: memref<32xi1>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%x : memref<32xi1>) outs(%y : memref<32xi1>) {
  ^bb0(%a: i1, %unused: i1):
    %true = arith.constant true
    %n = arith.xori %a, %true : i1
    linalg.yield %n : i1
  }
  return
}

// A sum over rows keeps 16 columns in a register while it goes down.
// CHECK-LABEL: @columns
// CHECK: scf.for %[[J:.*]] = %c0 to %c32 step %c16
// CHECK: %[[INIT:.*]] = vector.load %{{.*}}[%[[J]]]
// CHECK: %[[SUM:.*]] = scf.for {{.*}} iter_args(%{{.*}} = %[[INIT]]) -> (vector<16xf32>)
// CHECK: vector.store %[[SUM]]
func.func @columns(%x: memref<?x32xf32>, %y: memref<32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<?x32xf32>) outs(%y : memref<32xf32>) {
  ^bb0(%a: f32, %s: f32):
    %0 = arith.addf %s, %a : f32
    linalg.yield %0 : f32
  }
  return
}

// Without a loop there is one element.
// CHECK-LABEL: @one
// CHECK: memref.store %{{.*}}, %{{.*}}[] : memref<f32>
func.func @one(%y: memref<f32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<f32>)
  return
}

// Copies, strided or not, are loops over vectors: compiled models link no library that copies.
// CHECK-LABEL: @copies
// CHECK-NOT: memref.copy
// CHECK: scf.for
// CHECK: vector
// CHECK-NOT: memref.copy
// CHECK: return
func.func @copies(%s: memref<?x64xf32, strided<[128, 1]>>, %r: memref<?x64xf32>, %t: memref<?x64xf32>) {
  memref.copy %s, %r : memref<?x64xf32, strided<[128, 1]>> to memref<?x64xf32>
  memref.copy %r, %t : memref<?x64xf32> to memref<?x64xf32>
  return
}
