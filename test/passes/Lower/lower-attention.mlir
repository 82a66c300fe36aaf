// RUN: whit-opt %s --whit-lower-attention --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

module attributes {whit.target = {cpu = "znver4", features = "+avx2,+avx512f,+f16c,+fma"}} {
// Three query heads share a key head: with AVX-512, tiles of 2 positions x 3 heads, 6 rows x 2 vectors of 16 tokens, and one
// position at a time for the rest. Scores that a row may not see are replaced by -inf before the maximum; values that only
// some rows see are added under a select.

// CHECK-LABEL: @prefill
// CHECK-SAME: %[[Q:[a-z0-9]+]]: memref<?x?x9x64xf32>, %[[K:[a-z0-9]+]]: memref<?x3x?x64x16xf32>, %[[V:[a-z0-9]+]]: memref<?x3x?x64xf32>
// CHECK-DAG: %[[NONE:.*]] = arith.constant dense<0xFF800000> : vector<16xf32>
// CHECK: llvm.intr.stacksave
// CHECK: scf.for %{{.*}} step %c2
// CHECK: scf.for %[[KEYS:.*]] = %c0 to %{{.*}} step %c64
// CHECK: scf.for %[[D:.*]] = %c0 to %c64 step %c1
// CHECK-COUNT-2: vector.load %[[K]]
// CHECK-COUNT-12: math.fma
// CHECK: %[[SEEN:.*]] = arith.cmpi slt
// CHECK: arith.select %[[SEEN]], %{{.*}}, %[[NONE]]
// CHECK: scf.for %[[T:.*]] = %{{.*}} to %{{.*}} step %c1
// CHECK-COUNT-4: vector.load %[[V]]
// CHECK-COUNT-24: math.fma
// CHECK: scf.for
// CHECK-COUNT-24: arith.select
// CHECK: scf.for %{{.*}} step %c1
// CHECK: llvm.intr.stackrestore
func.func @prefill(%q: memref<?x?x9x64xf32>, %k: memref<?x3x?x64x16xf32>, %v: memref<?x3x?x64xf32>, %start: memref<?xi32>,
                   %first: index, %y: memref<?x?x9x64xf32>) {
  whit.attention ins(%q, %k, %v : memref<?x?x9x64xf32>, memref<?x3x?x64x16xf32>, memref<?x3x?x64xf32>)
    from %start + %first : memref<?xi32> outs(%y : memref<?x?x9x64xf32>) scale = 0.125
  return
}
}

// -----

// Without fma in the target: a product and a sum. A window has a lower limit too, a softcap a tanh.
// CHECK-LABEL: @window
// CHECK-NOT: math.fma
// CHECK: arith.cmpi sge
// CHECK-NOT: math.tanh
// CHECK-NOT: math.exp
func.func @window(%q: memref<1x1x2x4xf32>, %k: memref<1x1x2x4x16xf16>, %v: memref<1x1x32x4xbf16>, %start: memref<1xi32>,
                  %first: index, %y: memref<1x1x2x4xf32>) {
  whit.attention ins(%q, %k, %v : memref<1x1x2x4xf32>, memref<1x1x2x4x16xf16>, memref<1x1x32x4xbf16>)
    from %start + %first : memref<1xi32> outs(%y : memref<1x1x2x4xf32>) scale = 0.5 {softcap = 30.0 : f32, window = 8 : i64}
  return
}

// -----

// Keys with a row per token are transposed into a block on the stack: 4 rounds of 16 shuffles.
// CHECK-LABEL: @plain_keys
// CHECK: %[[BLOCK:.*]] = memref.alloca() {{.*}} : memref<4x16x16xf32>
// CHECK-COUNT-16: vector.load %arg1
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: vector.store %{{.*}}, %[[BLOCK]]
func.func @plain_keys(%q: memref<1x1x2x16xf32>, %k: memref<1x1x32x16xf32>, %v: memref<1x1x32x16xf32>, %start: memref<1xi32>,
                      %first: index, %y: memref<1x1x2x16xf32>) {
  whit.attention ins(%q, %k, %v : memref<1x1x2x16xf32>, memref<1x1x32x16xf32>, memref<1x1x32x16xf32>)
    from %start + %first : memref<1xi32> outs(%y : memref<1x1x2x16xf32>) scale = 0.25
  return
}

// -----

// Tokens outside the cache are not written.
// CHECK-LABEL: @append
// CHECK: %[[START:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK: %[[BEHIND:.*]] = arith.subi %c0, %[[START]]
// CHECK: %[[FIRST:.*]] = arith.maxsi %[[BEHIND]], %c0
// CHECK: %[[ROOM:.*]] = arith.subi %{{.*}}, %[[START]]
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %[[ROOM]]
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[LAST]]
// CHECK: vector.store %{{.*}} : memref<?x3x?x64xf32>, vector<16xf32>
func.func @append(%new: memref<?x?x3x64xf32>, %start: memref<?xi32>, %cache: memref<?x3x?x64xf32>) {
  whit.cache_append ins(%new : memref<?x?x3x64xf32>) from %start : memref<?xi32> outs(%cache : memref<?x3x?x64xf32>)
  return
}

// -----

// Whole blocks of 16 tokens are transposed; what stands before and behind them is written token by token.
// CHECK-LABEL: @append_blocked
// CHECK: memref.store %{{.*}} : memref<?x3x?x16x16xf32>
// CHECK: scf.for %{{.*}} step %c16
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: vector.store %{{.*}} : memref<?x3x?x16x16xf32>, vector<16xf32>
// CHECK: memref.store %{{.*}} : memref<?x3x?x16x16xf32>
func.func @append_blocked(%new: memref<?x?x3x16xf32>, %start: memref<?xi32>, %cache: memref<?x3x?x16x16xf32>) {
  whit.cache_append ins(%new : memref<?x?x3x16xf32>) from %start : memref<?xi32> outs(%cache : memref<?x3x?x16x16xf32>)
  return
}

// -----

func.func @depth(%q: memref<1x1x2x?xf32>, %k: memref<1x1x32x?xf32>, %v: memref<1x1x32x?xf32>, %start: memref<1xi32>,
                 %first: index, %y: memref<1x1x2x?xf32>) {
  // expected-error @below {{q has a dynamic size in dimension 3; the size of a head must be static}}
  whit.attention ins(%q, %k, %v : memref<1x1x2x?xf32>, memref<1x1x32x?xf32>, memref<1x1x32x?xf32>)
    from %start + %first : memref<1xi32> outs(%y : memref<1x1x2x?xf32>) scale = 0.25
  return
}

// -----

module attributes {whit.target = {cpu = "znver4", features = "+avx2,+avx512f,+f16c,+fma"}} {
// Keys in 4 bits: two lines of 8 features x 16 tokens, whose codes become floats by a shift, a mask and a difference; the scale of a
// token comes after the dot. The scale of a value is part of its weight, so a value is its codes.
// CHECK-LABEL: @codes
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1
// CHECK-COUNT-4: vector.load %{{.*}} : memref<?x160xi8, strided<[160, 1], offset: ?>>, vector<64xi8>
// CHECK: arith.shrui
// CHECK: math.fma
// CHECK: arith.extf %{{.*}} : vector<16xf16> to vector<16xf32>
// CHECK: arith.mulf
// CHECK: scf.for %[[T:.*]] = %{{.*}} to %{{.*}} step %c1
// CHECK: %[[BYTES:.*]] = vector.load %{{.*}} : memref<?x160xi8, strided<[160, 1], offset: ?>>, vector<8xi8>
// CHECK: vector.bitcast %[[BYTES]] : vector<8xi8> to vector<2xi32>
// CHECK: arith.shrui %{{.*}}, %{{.*}} : vector<16xi32>
// CHECK: math.fma
func.func @codes(%q: memref<?x?x3x16xf32>, %k: memref<?x1x?x160xi8>, %v: memref<?x1x?x160xi8>, %start: memref<?xi32>,
                 %first: index, %y: memref<?x?x3x16xf32>) {
  whit.attention ins(%q, %k, %v : memref<?x?x3x16xf32>, memref<?x1x?x160xi8>, memref<?x1x?x160xi8>)
    from %start + %first : memref<?xi32> outs(%y : memref<?x?x3x16xf32>) scale = 0.25 keys <int4_channel> values <int4_channel>
  return
}

// A token of 16 features: its largest magnitude and where that is, the scale, then 8 bytes of codes and 2 of scale.
// CHECK-LABEL: @append_codes
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: vector.store %{{.*}}, %{{.*}} : memref<?x1x?x160xi8>, vector<8xi8>
// CHECK: vector.store %{{.*}}, %{{.*}} : memref<?x1x?x160xi8>, vector<2xi8>
func.func @append_codes(%new: memref<?x?x1x16xf32>, %start: memref<?xi32>, %cache: memref<?x1x?x160xi8>) {
  whit.cache_append ins(%new : memref<?x?x1x16xf32>) from %start : memref<?xi32> outs(%cache : memref<?x1x?x160xi8>) as <int4_channel>
  return
}
}

// -----

func.func @append_without_bytes(%new: memref<?x?x1x16xf32>, %start: memref<?xi32>, %cache: memref<?x1x?x16xf32>) {
  // expected-error@+1 {{has a format and a cache of 'f32'; run whit-solve-places, which makes it bytes}}
  whit.cache_append ins(%new : memref<?x?x1x16xf32>) from %start : memref<?xi32> outs(%cache : memref<?x1x?x16xf32>) as <int4_channel>
  return
}
