// RUN: sed 's/FEATURES/+avx2,+avx512f,+avx512vnni/' %s | whit-opt --whit-lower-dot | FileCheck %s --check-prefixes=ALL,VNNI
// RUN: sed 's/FEATURES/+avx2,+avxvnni/' %s | whit-opt --whit-lower-dot | FileCheck %s --check-prefixes=ALL,AVXVNNI
// RUN: sed 's/FEATURES/+sse2,+avx2/' %s | whit-opt --whit-lower-dot --cse | FileCheck %s --check-prefixes=ALL,AVX2
// RUN: sed 's/FEATURES/+sse2/' %s | whit-opt --whit-lower-dot --cse | FileCheck %s --check-prefixes=ALL,SSE2
// RUN: sed 's/FEATURES/+avx512f,+avx512bf16/' %s | whit-opt --whit-lower-dot --cse | FileCheck %s --check-prefix=BF16
// RUN: sed 's/FEATURES/+neon/' %s | whit-opt --whit-lower-dot --cse | FileCheck %s --check-prefixes=ALL,GENERIC

module attributes {whit.target = {cpu = "any", features = "FEATURES"}} {
// ALL-LABEL: @dot
// ALL-SAME: %[[ACC:.*]]: vector<16xi32>, %[[U:.*]]: vector<64xi8>, %[[S:.*]]: vector<64xi8>
// VNNI: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%[[ACC]], %[[U]], %[[S]]) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
// AVXVNNI-COUNT-2: llvm.x86.avx512.vpdpbusd.256
// Even and odd bytes as 16-bit numbers: the unsigned ones by mask and logical shift, the signed ones by arithmetic shifts.
// AVX2-DAG: arith.andi %{{.*}} : vector<32xi16>
// AVX2-DAG: arith.shrui %{{.*}} : vector<32xi16>
// AVX2-DAG: arith.shrsi %{{.*}} : vector<32xi16>
// AVX2-COUNT-4: llvm.x86.avx2.pmadd.wd
// AVX2-NOT: pmadd.ub
// SSE2-COUNT-8: llvm.x86.sse2.pmadd.wd
// GENERIC-NOT: llvm
// GENERIC-COUNT-2: arith.muli %{{.*}} : vector<32xi16>
// GENERIC-NOT: whit.dot
func.func @dot(%acc: vector<16xi32>, %u: vector<64xi8>, %s: vector<64xi8>) -> vector<16xi32> {
  %r = whit.dot %acc, %u, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %r : vector<16xi32>
}

// The operand that two products share is widened once.
// ALL-LABEL: @shared
// SSE2-COUNT-3: arith.andi
// SSE2-NOT: arith.andi
func.func @shared(%acc: vector<16xi32>, %u: vector<64xi8>, %v: vector<64xi8>, %w: vector<64xi8>, %s: vector<64xi8>) -> vector<16xi32> {
  %0 = whit.dot %acc, %u, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %1 = whit.dot %0, %v, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %2 = whit.dot %1, %w, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %2 : vector<16xi32>
}

// Codes that a mask keeps below 128 cannot saturate 16 bits.
// ALL-LABEL: @masked
// VNNI: vpdpbusd.512
// AVX2: llvm.x86.avx2.pmadd.ub.sw
// AVX2: llvm.x86.avx2.pmadd.wd
// SSE2-NOT: pmadd.ub
func.func @masked(%acc: vector<16xi32>, %line: vector<16xi32>, %s: vector<64xi8>) -> vector<16xi32> {
  %low = arith.constant dense<0x0F0F0F0F> : vector<16xi32>
  %high = arith.constant dense<0x70707070> : vector<16xi32>
  %0 = arith.andi %line, %low : vector<16xi32>
  %1 = arith.andi %line, %high : vector<16xi32>
  %2 = arith.ori %0, %1 : vector<16xi32>
  %u = vector.bitcast %2 : vector<16xi32> to vector<64xi8>
  %r = whit.dot %acc, %u, %s : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %r : vector<16xi32>
}

// Vectors that are narrower than the instruction take the next narrower one.
// ALL-LABEL: @narrow
// VNNI: llvm.x86.avx2.pmadd.wd
// AVXVNNI: llvm.x86.avx512.vpdpbusd.256
func.func @narrow(%acc: vector<8xi32>, %u: vector<32xi8>, %s: vector<32xi8>) -> vector<8xi32> {
  %r = whit.dot %acc, %u, %s : vector<8xi32>, vector<32xi8>, vector<32xi8>
  return %r : vector<8xi32>
}

// Pairs of bf16: one instruction, or two multiply-adds of the halves, the odd ones first.
// ALL-LABEL: @pairs
// ALL-SAME: %[[ACC:.*]]: vector<16xf32>, %[[U:.*]]: vector<32xbf16>, %[[S:.*]]: vector<32xbf16>
// BF16-LABEL: @pairs
// BF16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"({{.*}}) : (vector<16xf32>, vector<32xbf16>, vector<32xbf16>) -> vector<16xf32>
// AVX2-DAG: arith.constant dense<-65536> : vector<16xi32>
// VNNI: %[[ODD:.*]] = math.fma %{{.*}}, %{{.*}}, %[[ACC]] : vector<16xf32>
// VNNI: math.fma %{{.*}}, %{{.*}}, %[[ODD]] : vector<16xf32>
// SSE2: arith.mulf
// SSE2: arith.addf
// SSE2: arith.mulf
// SSE2: arith.addf
// ALL-NOT: whit.dot
func.func @pairs(%acc: vector<16xf32>, %u: vector<32xbf16>, %s: vector<32xbf16>) -> vector<16xf32> {
  %r = whit.dot %acc, %u, %s : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
  return %r : vector<16xf32>
}
}
