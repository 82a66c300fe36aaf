// RUN: sed 's/FEATURES/+avx2,+avx512f,+avx512bw,+avx512vbmi/' %s | whit-opt --whit-lower-lookup | FileCheck %s --check-prefixes=ALL,VBMI,AVX512
// RUN: sed 's/FEATURES/+avx2,+avx512f,+avx512bw/' %s | whit-opt --whit-lower-lookup | FileCheck %s --check-prefixes=ALL,AVX512BW,AVX512
// RUN: sed 's/FEATURES/+sse2,+ssse3,+avx2/' %s | whit-opt --whit-lower-lookup | FileCheck %s --check-prefixes=ALL,AVX2
// RUN: sed 's/FEATURES/+sse2/' %s | whit-opt --whit-lower-lookup | FileCheck %s --check-prefixes=ALL,SSE2

module attributes {whit.target = {cpu = "any", features = "FEATURES"}} {
// A table of four stands four times in a register of sixteen.
// ALL-LABEL: @numbers
// ALL-SAME: %[[C:.*]]: vector<16xi32>
// AVX512: %[[T:.*]] = arith.constant dense<[-1.000000e+00, 0.000000e+00, 1.000000e+00, 2.500000e+00, -1.000000e+00, {{.*}}]> : vector<16xf32>
// AVX512: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%[[T]], %[[C]])
// AVX2-COUNT-2: llvm.x86.avx2.permps
// Elsewhere it is a constant in memory.
// SSE2: %[[M:.*]] = memref.get_global @whit_table : memref<4xf32>
// SSE2: vector.gather %[[M]][%{{.*}}] [%[[C]]]
// ALL-NOT: whit.lookup
func.func @numbers(%c: vector<16xi32>) -> vector<16xf32> {
  %r = whit.lookup %c in dense<[-1.0, 0.0, 1.0, 2.5]> : tensor<4xf32> : vector<16xi32> -> vector<16xf32>
  return %r : vector<16xf32>
}

// Two registers hold 32 entries; of 64, the highest bit of a code says which half has its entry. Without such registers a table
// as long as that is read.
// ALL-LABEL: @long
// AVX512-COUNT-2: llvm.x86.avx512.vpermi2var.ps.512
// AVX512: arith.andi
// AVX512: arith.select
// AVX2: vector.gather
func.func @long(%c: vector<16xi32>) -> vector<16xf32> {
  %r = whit.lookup %c in dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
    16.0, 17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 30.0, 31.0,
    32.0, 33.0, 34.0, 35.0, 36.0, 37.0, 38.0, 39.0, 40.0, 41.0, 42.0, 43.0, 44.0, 45.0, 46.0, 47.0,
    48.0, 49.0, 50.0, 51.0, 52.0, 53.0, 54.0, 55.0, 56.0, 57.0, 58.0, 59.0, 60.0, 61.0, 62.0, 63.0]>
    : tensor<64xf32> : vector<16xi32> -> vector<16xf32>
  return %r : vector<16xf32>
}

// ALL-LABEL: @bytes
// VBMI: llvm.x86.avx512.permvar.qi.512
// VBMI-NOT: arith.select
// A byte shuffle has 16 entries; the fifth bit of a code must not clear its answer.
// AVX512BW: arith.andi
// AVX512BW-COUNT-2: llvm.x86.avx512.pshuf.b.512
// AVX512BW: arith.select
// AVX2-COUNT-4: llvm.x86.avx2.pshuf.b
// SSE2: arith.extui %{{.*}} : vector<64xi8> to vector<64xi32>
// SSE2: vector.gather
func.func @bytes(%c: vector<64xi8>) -> vector<64xi8> {
  %r = whit.lookup %c in dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35]> : tensor<32xi8> : vector<64xi8> -> vector<64xi8>
  return %r : vector<64xi8>
}

// One constant for all that read it.
// ALL-LABEL: @again
// SSE2: memref.get_global @whit_table : memref<4xf32>
func.func @again(%c: vector<16xi32>) -> vector<16xf32> {
  %r = whit.lookup %c in dense<[-1.0, 0.0, 1.0, 2.5]> : tensor<4xf32> : vector<16xi32> -> vector<16xf32>
  return %r : vector<16xf32>
}
// SSE2: memref.global "private" constant @whit_table : memref<4xf32>
// SSE2-NOT: tensor<4xf32>
}
