// RUN: whit-opt %s --whit-lower-rowwise --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

// A row is summed in 16 lanes, which are folded by halves, and nothing is fused: the same bits on every machine. Rows of 40
// are two vectors and a tail of 8, which is masked.

// CHECK-LABEL: @rms_norm
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<?x40xf32>, %[[W:[a-z0-9]+]]: memref<40xf32>, %[[Y:[a-z0-9]+]]: memref<?x40xf32>
// CHECK-DAG: %[[TAIL:.*]] = arith.constant dense<[true, true, true, true, true, true, true, true, false, false, false, false, false, false, false, false]>
// CHECK-DAG: %[[COUNT:.*]] = arith.constant 4.000000e+01 : f32
// CHECK: scf.for %[[ROW:.*]] = %c0 to %{{.*}} step %c1
// CHECK: %[[SUM:.*]] = scf.for %[[K:.*]] = %c0 to %c32 step %c16 iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK: %[[V:.*]] = vector.load %[[X]][%[[ROW]], %[[K]]]
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[V]], %[[V]]
// CHECK: arith.addf %[[ACC]], %[[SQUARE]]
// CHECK: vector.maskedload %[[X]][%[[ROW]], %c32], %[[TAIL]]
// CHECK: vector.shuffle %{{.*}} [8, 9, 10, 11, 12, 13, 14, 15]
// CHECK-COUNT-4: arith.addf
// CHECK: %[[MEAN:.*]] = arith.divf %{{.*}}, %[[COUNT]] : f32
// CHECK: math.sqrt
// CHECK: scf.for %{{.*}} = %c0 to %c32 step %c16
// CHECK: vector.load %[[W]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: vector.maskedstore %[[Y]][%[[ROW]], %c32], %[[TAIL]]
// CHECK-NOT: math.fma
func.func @rms_norm(%x: memref<?x40xf32>, %w: memref<40xf32>, %y: memref<?x40xf32>) {
  whit.rms_norm ins(%x, %w : memref<?x40xf32>, memref<40xf32>) outs(%y : memref<?x40xf32>) epsilon = 1.0e-5
  return
}

// The mean is subtracted before squaring; what the mask cut off must not become the square of the mean.
// CHECK-LABEL: @layer_norm
// CHECK: arith.subf
// CHECK: arith.select
// CHECK: math.sqrt
func.func @layer_norm(%x: memref<2x5xf32>, %w: memref<5xf32>, %b: memref<5xf32>, %y: memref<2x5xf32>) {
  whit.layer_norm ins(%x, %w, %b : memref<2x5xf32>, memref<5xf32>, memref<5xf32>) outs(%y : memref<2x5xf32>) epsilon = 1.0e-5
  return
}

// -----

// The scale is a true quotient, codes are products with its inverse; 1.5 * 2^23 rounds to nearest even without a library. Two groups of
// 32 divide 64, so nothing is masked.
// CHECK-LABEL: @quantize
// CHECK-DAG: %[[ROUNDER:.*]] = arith.constant dense<0x4B400000> : vector<16xf32>
// CHECK: %[[SCALE:.*]] = arith.divf %{{.*}}, %{{.*}} : f32
// CHECK: %[[INVERSE:.*]] = arith.divf %{{.*}}, %{{.*}} : f32
// CHECK: memref.store %[[SCALE]]
// CHECK-NOT: arith.divf
// CHECK: arith.mulf %{{.*}} : vector<16xf32>
// CHECK: arith.addf %{{.*}}, %[[ROUNDER]]
// CHECK: vector.store %{{.*}} : memref<?x2x32xi8>, vector<16xi8>
// CHECK: memref.store %{{.*}} : memref<?x2xi32>
// CHECK-NOT: masked
func.func @quantize(%x: memref<?x64xf32>, %codes: memref<?x2x32xi8>, %scales: memref<?x2xf32>, %sums: memref<?x2xi32>) {
  whit.quantize ins(%x : memref<?x64xf32>) outs(%codes, %scales, %sums : memref<?x2x32xi8>, memref<?x2xf32>, memref<?x2xi32>) group = 32
  return
}

// -----

// With one scale for a row, all of it is read before the first code is made, and each group repeats the scale.
// CHECK-LABEL: @quantize_rows
// CHECK: scf.for
// CHECK: scf.for
// CHECK: arith.maxui {{.*}} : vector<16xi32>
// CHECK: %[[SCALE:.*]] = arith.divf %{{.*}}, %{{.*}} : f32
// CHECK: scf.for
// CHECK: memref.store %[[SCALE]]
// CHECK-NOT: arith.maxui
// CHECK: return
func.func @quantize_rows(%x: memref<?x64xf32>, %codes: memref<?x2x32xi8>, %scales: memref<?x2xf32>, %sums: memref<?x2xi32>) {
  whit.quantize ins(%x : memref<?x64xf32>) outs(%codes, %scales, %sums : memref<?x2x32xi8>, memref<?x2xf32>, memref<?x2xi32>) group = 32 bits = 4 per_row
  return
}

// -----

// Integer additions round to 3 bits of fraction; small numbers are rounded by what they are added to.
// CHECK-LABEL: @quantize_float
// CHECK-DAG: %[[HALF:.*]] = arith.constant dense<524287> : vector<16xi32>
// CHECK-DAG: %[[BASE:.*]] = arith.constant dense<2.457600e+04> : vector<16xf32>
// CHECK: %[[SCALE:.*]] = arith.divf %{{.*}}, %{{.*}} : f32
// CHECK: memref.store %[[SCALE]]
// CHECK: arith.mulf %{{.*}} : vector<16xf32>
// CHECK: arith.addi %{{.*}}, %[[HALF]]
// CHECK: arith.addf %{{.*}}, %[[BASE]]
// CHECK: arith.select
func.func @quantize_float(%x: memref<?x64xf32>, %n: memref<?x64xbf16>, %s: memref<?xf32>) {
  whit.quantize_float ins(%x : memref<?x64xf32>) outs(%n, %s : memref<?x64xbf16>, memref<?xf32>)
  return
}

// -----

// A negative index counts from the end; then one unsigned comparison decides between a row and zeros. Three-bit codes come
// from a plane of two bits and one of one.
// CHECK-LABEL: @gather(
// CHECK: %[[INDEX:.*]] = arith.index_cast %{{.*}} : i64 to index
// CHECK: %[[NEGATIVE:.*]] = arith.cmpi slt, %[[INDEX]], %c0
// CHECK: %[[SHIFTED:.*]] = arith.addi %[[INDEX]], %c21
// CHECK: %[[ROW:.*]] = arith.select %[[NEGATIVE]], %[[SHIFTED]], %[[INDEX]]
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[ROW]], %c21
// CHECK: scf.if %[[INSIDE]]
// CHECK: vector.load %{{.*}} : memref<2x640xi8>, vector<4xi8>
// CHECK: vector.load %{{.*}} : memref<2x640xi8>, vector<4xi8>
// CHECK: arith.ori
// CHECK: else
// CHECK: vector.store
func.func @gather(%table: memref<2x640xi8>, %indices: memref<?xi64>, %y: memref<?x64xf32>) {
  whit.gather ins(%table, %indices : memref<2x640xi8>, memref<?xi64>) outs(%y : memref<?x64xf32>) at <<uint3_g32_float_f32>, 21 by 64>
  return
}

// Rows of floats are copied.
// CHECK-LABEL: @gather_rows
// CHECK: scf.if
// CHECK: vector.load %{{.*}} : memref<7x32xf32>, vector<16xf32>
func.func @gather_rows(%table: memref<7x32xf32>, %indices: memref<?xi32>, %y: memref<?x32xf32>) {
  whit.gather ins(%table, %indices : memref<7x32xf32>, memref<?xi32>) outs(%y : memref<?x32xf32>)
  return
}

// CHECK-LABEL: @dequantize
// CHECK: scf.for %{{.*}} = %c0 to %c21 step %c1
// CHECK: vector.store %{{.*}} : memref<21x64xf32>, vector<4xf32>
func.func @dequantize(%w: memref<2x576xi8>, %y: memref<21x64xf32>) {
  whit.dequantize ins(%w : memref<2x576xi8>) outs(%y : memref<21x64xf32>) at <<int4_g32>, 21 by 64>
  return
}

// -----

// The maximum, the exponentials and their sum, the quotients. Lanes past the end are no maximum and add nothing.
// CHECK-LABEL: @softmax
// CHECK-DAG: %[[NOTHING:.*]] = arith.constant dense<0xFF800000> : vector<16xf32>
// CHECK-DAG: %[[ZEROS:.*]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[NOTHING]])
// CHECK: vector.maskedload
// CHECK: arith.select %{{.*}}, %{{.*}}, %[[NOTHING]]
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[ZEROS]])
// CHECK: vector.store
// CHECK: arith.select %{{.*}}, %{{.*}}, %[[ZEROS]]
// CHECK: arith.divf %{{.*}} : f32
// CHECK: scf.for
// CHECK: vector.store
func.func @softmax(%x: memref<?x40xf32>, %y: memref<?x40xf32>) {
  whit.softmax ins(%x : memref<?x40xf32>) outs(%y : memref<?x40xf32>)
  return
}

// -----

// Positions are clamped to the table. Pairs that lie side by side are taken apart and joined again.
// CHECK-LABEL: @rotary(
// CHECK: arith.maxsi
// CHECK: arith.minsi
// CHECK: arith.mulf
// CHECK: arith.subf
// CHECK-LABEL: @rotary_interleaved
// CHECK: vector.deinterleave
// CHECK: vector.interleave
func.func @rotary(%x: memref<?x?x3x64xf32>, %c: memref<?x32xf32>, %s: memref<?x32xf32>, %start: memref<?xi32>, %first: index, %y: memref<?x?x3x64xf32>) {
  whit.rotary ins(%x, %c, %s : memref<?x?x3x64xf32>, memref<?x32xf32>, memref<?x32xf32>) from %start + %first : memref<?xi32>
    outs(%y : memref<?x?x3x64xf32>)
  return
}
func.func @rotary_interleaved(%x: memref<?x?x3x64xf32>, %c: memref<?x32xf32>, %s: memref<?x32xf32>, %start: memref<?xi32>, %first: index, %y: memref<?x?x3x64xf32>) {
  whit.rotary ins(%x, %c, %s : memref<?x?x3x64xf32>, memref<?x32xf32>, memref<?x32xf32>) from %start + %first : memref<?xi32>
    outs(%y : memref<?x?x3x64xf32>) interleaved
  return
}

// -----

// Tensors are another stage's.
// CHECK-LABEL: @tensors
// CHECK: whit.rms_norm
func.func @tensors(%x: tensor<?x40xf32>, %w: tensor<40xf32>, %y: tensor<?x40xf32>) -> tensor<?x40xf32> {
  %0 = whit.rms_norm ins(%x, %w : tensor<?x40xf32>, tensor<40xf32>) outs(%y : tensor<?x40xf32>) epsilon = 1.0e-5 -> tensor<?x40xf32>
  return %0 : tensor<?x40xf32>
}
