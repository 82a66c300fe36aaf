// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-lower-matmul -split-input-file | FileCheck %s

// Codes of 6 bits, a unit of 4 quads in three lines: one instruction for each quad that lies in one line, a selection and a
// matrix for each of the others. With GFNI a matrix of bits moves and masks at once.
// CHECK-LABEL: @gfni
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.vgf2p8affineqb.512"
// CHECK-NOT: vgf2p8affineqb
// CHECK: return
module attributes {whit.target = {cpu = "icelake-server", features = "+avx512f,+avx512vbmi,+gfni,+avx512vnni"}} {
  func.func @gfni(%codes: memref<1x1x16xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x224xi8>, %y: memref<1x16xf32>) {
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x16xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x224xi8>)
      outs(%y : memref<1x16xf32>) at <<int6_g16>, 16 by 16>
    return
  }
}

// -----

// Without: a shift and a mask, or two shifts and selections where the bits of a code lie in two lines.
// CHECK-LABEL: @shifts
// CHECK-NOT: vgf2p8affineqb
// CHECK: arith.shrui
// CHECK: arith.ori
// CHECK: return
module attributes {whit.target = {cpu = "skylake-avx512", features = "+avx512f"}} {
  func.func @shifts(%codes: memref<1x1x16xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x224xi8>, %y: memref<1x16xf32>) {
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x16xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x224xi8>)
      outs(%y : memref<1x16xf32>) at <<int6_g16>, 16 by 16>
    return
  }
}

// -----

// Five trits of a byte: two comparisons for the highest, one look-up for the others.
// CHECK-LABEL: @trits
// CHECK-COUNT-2: arith.cmpi uge
// CHECK: whit.lookup {{.*}}tensor<128xi8>
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.vgf2p8affineqb.512"
// CHECK-COUNT-5: whit.dot
// CHECK: return
module attributes {whit.target = {cpu = "icelake-server", features = "+avx512f,+avx512bw,+avx512vbmi,+gfni,+avx512vnni"}} {
  func.func @trits(%codes: memref<1x1x20xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x96xi8>, %y: memref<1x16xf32>) {
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x20xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x96xi8>)
      outs(%y : memref<1x16xf32>) at <<trit5_channel>, 16 by 20>
    return
  }
}

// -----

// Elsewhere the carries of multiplications by 3, of even and of odd bytes; 32 words are two registers of AVX2.
// CHECK-LABEL: @carries
// CHECK-NOT: whit.lookup
// CHECK-COUNT-20: llvm.call_intrinsic "llvm.x86.avx2.pmulhu.w"
// CHECK-NOT: pmulhu
// CHECK-COUNT-5: whit.dot
module attributes {whit.target = {cpu = "haswell", features = "+sse2,+avx2"}} {
  func.func @carries(%codes: memref<1x1x20xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x96xi8>, %y: memref<1x16xf32>) {
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x20xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x96xi8>)
      outs(%y : memref<1x16xf32>) at <<trit5_channel>, 16 by 20>
    return
  }
}

// -----

// Two of eight bits lie in one line of the four that a unit has; no other is read.
// CHECK-LABEL: @planes
// CHECK: vector.load {{.*}} vector<64xi8>
// CHECK-NOT: vector.load {{.*}} vector<64xi8>
// CHECK-COUNT-4: whit.dot
// CHECK: return
module attributes {whit.target = {cpu = "icelake-server", features = "+avx512f,+avx512bw,+avx512vbmi,+gfni,+avx512vnni"}} {
  func.func @planes(%codes: memref<1x1x16xi8>, %scales: memref<1x1xf32>, %sums: memref<1x1xi32>, %w: memref<1x288xi8>, %y: memref<1x16xf32>) {
    whit.quantized_matmul ins(%codes, %scales, %sums, %w : memref<1x1x16xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<1x288xi8>)
      outs(%y : memref<1x16xf32>) at <<nested8to2_channel>, 16 by 16>
    return
  }
}
