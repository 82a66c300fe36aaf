// RUN: whit-opt %s --whit-lower-matmul --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

module attributes {whit.target = {cpu = "znver4", features = "+avx2,+avx512f,+f16c,+fma,+avx512vnni"}} {
// One row, one panel: two groups of 32. The sum of a group starts at -8 * (sum of the activations), four lines of codes
// give eight dot products, and the flush is rounded multiplications and an addition.

// CHECK-LABEL: @int4
// CHECK-SAME: %[[C:[a-z0-9]+]]: memref<1x2x32xi8>, %[[S:[a-z0-9]+]]: memref<1x2xf32>, %[[T:[a-z0-9]+]]: memref<1x2xi32>, %[[W:[a-z0-9]+]]: memref<1x576xi8>
// CHECK-DAG: %[[MASK:.*]] = arith.constant dense<252645135> : vector<16xi32>
// CHECK: scf.for %[[G:.*]] = %c0 to %c2 step %c1 iter_args(%[[ACC:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK: %[[SUM:.*]] = memref.load %[[T]][%c0, %[[G]]]
// CHECK: %[[START:.*]] = arith.muli %[[SUM]], %c-8_i32
// CHECK: %[[BLOCK:.*]] = arith.muli %[[G]], %c288
// CHECK: %[[LINE:.*]] = vector.load %[[W]][%c0, %[[BLOCK]]] : memref<1x576xi8>, vector<64xi8>
// CHECK: %[[LANES:.*]] = vector.bitcast %[[LINE]] : vector<64xi8> to vector<16xi32>
// CHECK: arith.andi %[[LANES]], %[[MASK]]
// CHECK: vector.load %[[C]][%c0, %[[G]], %c0] : memref<1x2x32xi8>, vector<4xi8>
// CHECK: whit.dot
// CHECK: %[[HIGH:.*]] = arith.shrui %[[LANES]]
// CHECK: arith.andi %[[HIGH]], %[[MASK]]
// CHECK-COUNT-7: whit.dot
// CHECK-DAG: %[[SX:.*]] = vector.broadcast %{{.*}} : f32 to vector<16xf32>
// CHECK-DAG: %[[SW:.*]] = arith.extf %{{.*}} : vector<16xf16> to vector<16xf32>
// CHECK-DAG: %[[DOT:.*]] = arith.sitofp %{{.*}} : vector<16xi32> to vector<16xf32>
// CHECK: %[[SCALE:.*]] = arith.mulf %[[SX]], %[[SW]]
// CHECK: %[[PART:.*]] = arith.mulf %[[SCALE]], %[[DOT]]
// CHECK: %[[NEXT:.*]] = arith.addf %[[ACC]], %[[PART]]
// CHECK: scf.yield %[[NEXT]]
// CHECK: vector.store %{{.*}} : memref<1x16xf32>, vector<16xf32>
func.func @int4(%codes: memref<1x2x32xi8>, %scales: memref<1x2xf32>, %sums: memref<1x2xi32>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x2x32xi8>, memref<1x2xf32>, memref<1x2xi32>, memref<1x576xi8>)
    outs(%y : memref<1x16xf32>) at <<int4_g32>, 16 by 64>
  return
}

// Codes of 3 bits whose bits lie in several lines are joined; the integer zero is multiplied once per group.
// CHECK-LABEL: @planes
// CHECK: arith.extui %{{.*}} : vector<16xi8> to vector<16xi32>
// CHECK: arith.ori
// CHECK: whit.dot
func.func @planes(%codes: memref<1x1x32xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x240xi8>, %y: memref<1x16xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x32xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x240xi8>)
    outs(%y : memref<1x16xf32>) at <<uint3_g32>, 16 by 32>
  return
}

// Any number of rows: fewer than four go two and one at a time, four panels side by side; more go in blocks of 8, 4, 2
// and 1. The last panel of 24 columns is stored under a mask.
// CHECK-LABEL: @rows
// CHECK: scf.if
// CHECK: vector.maskedstore
// CHECK: else
// CHECK: scf.for {{.*}} step %c8
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: scf.for {{.*}} step %c4
// CHECK: vector.maskedstore
func.func @rows(%codes: memref<?x2x32xi8>, %scales: memref<?x2xf32>, %sums: memref<?x2xi32>, %w: memref<2x576xi8>, %y: memref<?x24xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<?x2x32xi8>, memref<?x2xf32>, memref<?x2xi32>, memref<2x576xi8>)
    outs(%y : memref<?x24xf32>) at <<int4_g32>, 24 by 64> schedule <tile = [0, 0], rows = 8, panels = 1>
  return
}

// A schedule may say how many elements of K are laid out without a loop, here 8 of the 32 of a group, and how far ahead codes are fetched,
// here not at all.
// CHECK-LABEL: @knobs
// CHECK-NOT: memref.prefetch
// CHECK: scf.for {{.*}} to %c2
// CHECK: scf.for {{.*}} to %c4
// CHECK-COUNT-2: whit.dot
// CHECK-NOT: whit.dot
func.func @knobs(%codes: memref<1x2x32xi8>, %scales: memref<1x2xf32>, %sums: memref<1x2xi32>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x2x32xi8>, memref<1x2xf32>, memref<1x2xi32>, memref<1x576xi8>)
    outs(%y : memref<1x16xf32>) at <<int4_g32>, 16 by 64> schedule <tile = [0, 0], rows = 1, panels = 1, unroll = 8, prefetch = 0>
  return
}

// One panel is one stream of four: 4 * 512 bytes ahead.
// CHECK-LABEL: @fetched
// CHECK: %[[AHEAD:.*]] = arith.addi %{{.*}}, %c2048
// CHECK: memref.prefetch %{{.*}}[%{{.*}}, %[[AHEAD]]], read
func.func @fetched(%codes: memref<1x2x32xi8>, %scales: memref<1x2xf32>, %sums: memref<1x2xi32>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x2x32xi8>, memref<1x2xf32>, memref<1x2xi32>, memref<1x576xi8>)
    outs(%y : memref<1x16xf32>) at <<int4_g32>, 16 by 64> schedule <tile = [0, 0], rows = 1, panels = 1, prefetch = 512>
  return
}

// f32 activations: code - zero is exact (a code is the low mantissa bits of 2^23 + code), the scale comes once per group.
// CHECK-LABEL: @floats
// CHECK-DAG: arith.constant dense<0x4B000008> : vector<16xf32>
// CHECK: arith.subf
// CHECK: math.fma
func.func @floats(%x: memref<1x48xf32>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x48xf32>, memref<1x576xi8>) outs(%y : memref<1x16xf32>) at <<int4_g32>, 16 by 48>
  return
}

// Weights stored as floats: each line that a block of rows reads, the same line of the next panels is fetched, here one of
// 64 bytes per element of K for each of two panels. One row is over too soon for that.
// CHECK-LABEL: @stored_floats
// CHECK-SAME: %[[W:[a-z0-9]+]]: memref<4x1024xi8>
// CHECK: vector.load %[[W]][%{{.*}}, %[[AT:.*]]] : memref<4x1024xi8>, vector<64xi8>
// CHECK: %[[NEXT:.*]] = arith.addi %{{.*}}, %c2
// CHECK: memref.prefetch %[[W]][%[[NEXT]], %[[AT]]], read, locality<2>, data
func.func @stored_floats(%w: memref<4x1024xi8>, %x: memref<4x16xf32>, %y: memref<4x64xf32>) {
  whit.matmul ins(%x, %w : memref<4x16xf32>, memref<4x1024xi8>) outs(%y : memref<4x64xf32>)
    at <<f32>, 64 by 16> schedule <tile = [0, 0], rows = 4, panels = 2>
  return
}

// CHECK-LABEL: @one_row_of_stored_floats
// CHECK-NOT: memref.prefetch
func.func @one_row_of_stored_floats(%w: memref<4x1024xi8>, %x: memref<1x16xf32>, %y: memref<1x64xf32>) {
  whit.matmul ins(%x, %w : memref<1x16xf32>, memref<4x1024xi8>) outs(%y : memref<1x64xf32>)
    at <<f32>, 64 by 16> schedule <tile = [0, 0], rows = 4, panels = 2>
  return
}

// bf16 on both sides: a line of the weight is 16 pairs, the pair of a row is in all lanes, and the fifth of five elements
// stands beside 0 and is read alone.
// CHECK-LABEL: @pairs
// CHECK-SAME: %[[X:[a-z0-9]+]]: memref<1x5xbf16>, %[[W:[a-z0-9]+]]: memref<1x192xi8>
// CHECK: %[[LINE:.*]] = vector.load %[[W]][%c0, %c0] : memref<1x192xi8>, vector<64xi8>
// CHECK: %[[TWO:.*]] = vector.load %[[X]][%c0, %c0] : memref<1x5xbf16>, vector<2xbf16>
// CHECK: %[[ALL:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// CHECK: %[[PAIRS:.*]] = vector.bitcast %[[ALL]] : vector<16xi32> to vector<32xbf16>
// CHECK: whit.dot %{{.*}}, %{{.*}}, %[[PAIRS]] : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
// CHECK: vector.load %[[X]][%c0, %c2] : memref<1x5xbf16>, vector<2xbf16>
// CHECK: whit.dot
// CHECK-NOT: vector<2xbf16>
// CHECK: memref.load %[[X]][%c0, %c4] : memref<1x5xbf16>
// CHECK: arith.extui %{{.*}} : i16 to i32
// CHECK: whit.dot
// CHECK-NOT: whit.dot
func.func @pairs(%x: memref<1x5xbf16>, %w: memref<1x192xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x5xbf16>, memref<1x192xi8>) outs(%y : memref<1x16xf32>) at <<bf16>, 16 by 5>
  return
}

// f32 beside bf16 stays f32: the halves of a line are the weights of two elements.
// CHECK-LABEL: @halves
// CHECK: %[[LANES:.*]] = vector.bitcast %{{.*}} : vector<64xi8> to vector<16xi32>
// CHECK-NOT: whit.dot
// CHECK: arith.shli %[[LANES]]
// CHECK: math.fma
// CHECK: arith.andi %[[LANES]]
// CHECK: math.fma
func.func @halves(%x: memref<1x2xf32>, %w: memref<1x64xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x2xf32>, memref<1x64xi8>) outs(%y : memref<1x16xf32>) at <<bf16>, 16 by 2>
  return
}

// Codes less their zero are bf16: the upper halves of two vectors of floats become pairs. The scale stays f32.
// CHECK-LABEL: @pairs_of_codes
// CHECK: %[[FIRST:.*]] = arith.subf
// CHECK: %[[SECOND:.*]] = arith.subf
// CHECK: arith.shrui
// CHECK: arith.ori
// CHECK: whit.dot
// CHECK: math.fma
func.func @pairs_of_codes(%x: memref<1x64xbf16>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x64xbf16>, memref<1x576xi8>) outs(%y : memref<1x16xf32>) at <<int4_g32>, 16 by 64>
  return
}

// A minimum is part of each weight, which is no bf16 number: the activation is widened.
// CHECK-LABEL: @widened
// CHECK-NOT: whit.dot
// CHECK: %[[ONE:.*]] = memref.load %{{.*}} : memref<1x32xbf16>
// CHECK: arith.bitcast %[[ONE]] : bf16 to i16
// CHECK: math.fma
// CHECK-NOT: whit.dot
func.func @widened(%x: memref<1x32xbf16>, %w: memref<1x320xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x32xbf16>, memref<1x320xi8>) outs(%y : memref<1x16xf32>) at <<uint4_g32_min>, 16 by 32>
  return
}

// Batches of tiles: rows are walked together if strides allow it when the code runs.
// CHECK-LABEL: @batches
// CHECK: memref.extract_strided_metadata
// CHECK: arith.select
// CHECK: memref.reinterpret_cast
func.func @batches(%x: memref<?x?x4xf32, strided<[?, 4, 1], offset: ?>>, %w: memref<1x256xi8>, %y: memref<?x?x16xf32, strided<[?, 16, 1]>>) {
  whit.matmul ins(%x, %w : memref<?x?x4xf32, strided<[?, 4, 1], offset: ?>>, memref<1x256xi8>)
    outs(%y : memref<?x?x16xf32, strided<[?, 16, 1]>>) at <<f32>, 16 by 4>
  return
}

// Codes that stand for numbers of a table are looked up; with int8 activations by the bytes that carry them, twice e2m1 from
// -12 on, and the 12 is part of what the sums start from. The scale is a product: one factor in the block, one in the header.
// CHECK-LABEL: @looked_up
// CHECK-SAME: %[[W:[a-z0-9]+]]: memref<1x640xi8>
// CHECK-DAG: arith.constant -12 : i32
// CHECK: whit.lookup %{{.*}} in dense<[12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0]> : tensor<16xi8>
// CHECK: whit.dot
// CHECK-DAG: vector.load %[[W]][%c0, %{{.*}}] : memref<1x640xi8>, vector<16xi8>
// CHECK-DAG: vector.load %[[W]][%c0, %c0] : memref<1x640xi8>, vector<64xi8>
func.func @looked_up(%w: memref<1x640xi8>, %codes: memref<1x4x16xi8>, %scales: memref<1x4xf32>, %sums: memref<1x4xi32>, %y: memref<1x16xf32>) {
  whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x4x16xi8>, memref<1x4xf32>, memref<1x4xi32>, memref<1x640xi8>)
    outs(%y : memref<1x16xf32>) at <<"float<e2m1> * e4m3/16 * f32/tensor">, 16 by 64>
  return
}

// A float of eight bits is decoded by arithmetic: exponent and fraction move up, and one exact product corrects the bias.
// CHECK-LABEL: @small_floats
// CHECK: arith.constant dense<1.329228{{.*}}+36> : vector<16xf32>
// CHECK-NOT: whit.lookup
func.func @small_floats(%x: memref<1x32xf32>, %w: memref<1x576xi8>, %y: memref<1x16xf32>) {
  whit.matmul ins(%x, %w : memref<1x32xf32>, memref<1x576xi8>) outs(%y : memref<1x16xf32>) at <<"float<e4m3 fn> * f32/32">, 16 by 32>
  return
}
}

// -----

func.func @tensors(%x: tensor<1x4xf32>, %w: tensor<1x256xi8>, %y: tensor<1x16xf32>) -> tensor<1x16xf32> {
  // expected-error@+1 {{operand 0 has type 'tensor<1x4xf32>'; it must be a memref, bufferize first}}
  %r = whit.matmul ins(%x, %w : tensor<1x4xf32>, tensor<1x256xi8>) outs(%y : tensor<1x16xf32>) at <<f32>, 16 by 4> -> tensor<1x16xf32>
  return %r : tensor<1x16xf32>
}

// -----

func.func @strided(%x: memref<1x4xf32, strided<[8, 2]>>, %w: memref<1x256xi8>, %y: memref<1x16xf32>) {
  // expected-error@+1 {{the stride of its last dimension must be 1, copy it first}}
  whit.matmul ins(%x, %w : memref<1x4xf32, strided<[8, 2]>>, memref<1x256xi8>) outs(%y : memref<1x16xf32>) at <<f32>, 16 by 4>
  return
}
