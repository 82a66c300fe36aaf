// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-quantize-activations=activations=int8 -split-input-file | FileCheck %s
// RUN: whit-opt %s -whit-quantize-activations=activations=f32 -split-input-file | FileCheck %s --check-prefix=F32
// RUN: not whit-opt %s -whit-quantize-activations=activations=int9 -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: activations is 'int9'; it must be auto, f32, bf16, int8, int8_token, int4, int4_token or fp8_token
// RUN: whit-opt %s -whit-quantize-activations=activations=int8_token -split-input-file | FileCheck %s --check-prefix=TOKEN
// RUN: whit-opt %s -whit-quantize-activations=activations=int4 -split-input-file | FileCheck %s --check-prefix=INT4
// RUN: whit-opt %s -whit-quantize-activations=activations=int4_token -split-input-file | FileCheck %s --check-prefix=INT4TOKEN
// RUN: whit-opt %s -whit-quantize-activations=activations=fp8_token -split-input-file | FileCheck %s --check-prefix=FP8
// RUN: whit-opt %s -whit-quantize-activations=activations=fp8_token -split-input-file --remarks-filter-missed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: whit-opt %s -whit-quantize-activations=activations=int8 -split-input-file --remarks-filter-missed=.* --remark-format=emitRemark -o %t 2>&1 | FileCheck %s --check-prefix=MISSED
// RUN: whit-opt %s -whit-quantize-activations=activations=bf16 -split-input-file | FileCheck %s --check-prefix=BF16

// One input of two matmuls is quantized once, in the groups of the weights.
// CHECK-LABEL: func @shared
// F32-LABEL: func @shared
// F32-NOT: whit.quantize
// With bf16 it is rounded once, and codes are multiplied with that.
// BF16-LABEL: func @shared
// BF16: %[[X:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<?x64xf32>) outs(%{{.*}} : tensor<?x64xbf16>)
// BF16-NEXT: ^bb0(%[[IN:.*]]: f32, %{{.*}}: bf16):
// BF16-NEXT: %[[R:.*]] = arith.truncf %[[IN]] : f32 to bf16
// BF16-NEXT: linalg.yield %[[R]]
// BF16-NOT: linalg.generic
// BF16: whit.matmul ins(%[[X]], %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>)
// BF16: whit.matmul ins(%[[X]], %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<uint3_g32>>)
// TOKEN-LABEL: func @shared
// TOKEN: whit.quantize {{.*}} group = 32 per_row
// INT4-LABEL: func @shared
// INT4: whit.quantize {{.*}} group = 32 bits = 4 ->
// INT4TOKEN-LABEL: func @shared
// INT4TOKEN: whit.quantize {{.*}} group = 32 bits = 4 per_row ->
// Floats of 8 bits are scaled and rounded once; each product of bf16 numbers is multiplied with the scale of its row.
// FP8-LABEL: func @shared
// FP8: %[[Q:.*]]:2 = whit.quantize_float ins(%{{.*}} : tensor<?x64xf32>) outs({{.*}} : tensor<?x64xbf16>, tensor<?xf32>)
// FP8-NOT: whit.quantize_float
// FP8: %[[Y:.*]] = whit.matmul ins(%[[Q]]#0, %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>)
// FP8: linalg.generic {{.*}} ins(%[[Y]], %[[Q]]#1 : tensor<?x32xf32>, tensor<?xf32>) outs(%{{.*}} : tensor<?x32xf32>)
// FP8: arith.mulf
// FP8: whit.matmul ins(%[[Q]]#0, %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<uint3_g32>>)
// FP8: linalg.generic
func.func @shared(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: %[[Q:.*]]:3 = whit.quantize ins(%{{.*}} : tensor<?x64xf32>) outs({{.*}} : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) group = 32
  // CHECK-NOT: whit.quantize
  // CHECK: whit.quantized_matmul ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %{{.*}}
  // CHECK: whit.quantized_matmul ins(%[[Q]]#0, %[[Q]]#1, %[[Q]]#2, %{{.*}}
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<int4_g32>>
  %b = whit.constant @b : !whit.tensor<32x64xf32, #whit.format<uint3_g32>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<uint3_g32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 1024 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">]>]
whit.weight @b : !whit.tensor<32x64xf32, #whit.format<uint3_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 768 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">, #whit.blob<"m", 0 : 32 x ui8, "0">]>]

// -----

// A float weight keeps float activations; if it is bf16 they may be so too.
// CHECK-LABEL: func @float_weight
// BF16-LABEL: func @float_weight
// BF16: whit.matmul ins(%{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<bf16>>)
func.func @float_weight(%x: tensor<?x64xf32>, %m: index) -> tensor<?x32xf32> {
  // CHECK-NOT: whit.quantize
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<bf16>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<bf16>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<bf16>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 4096 x bf16, "0">]>]

// -----

// Numbers that are not bf16 stay with f32: nothing would be saved.
// CHECK-LABEL: func @wider
// F32-LABEL: func @wider
// BF16-LABEL: func @wider
// FP8-LABEL: func @wider
// FP8-NOT: whit.quantize_float
// REMARK: activations stay f32: the numbers of f32 do not fit in bf16
// REMARK: activations stay f32: the numbers of uint4_g32_min do not fit in bf16
func.func @wider(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // BF16-NOT: truncf
  // BF16: whit.matmul ins(%{{.*}} : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>)
  // BF16: whit.matmul ins(%{{.*}} : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<uint4_g32_min>>)
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<f32>>
  %b = whit.constant @b : !whit.tensor<32x64xf32, #whit.format<uint4_g32_min>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<uint4_g32_min>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
whit.weight @b : !whit.tensor<32x64xf32, #whit.format<uint4_g32_min>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]

// -----

// What the model has in bf16 need not be widened for a weight in bf16, whatever is asked for but f32.
// CHECK-LABEL: func @stored
// CHECK: whit.matmul ins(%arg0, %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<bf16>>)
// BF16-LABEL: func @stored
// BF16-NOT: truncf
// BF16: whit.matmul ins(%arg0, %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<bf16>>)
// F32-LABEL: func @stored
// F32: whit.matmul ins(%{{.*}} : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<bf16>>)
// FP8-LABEL: func @stored
// FP8: whit.quantize_float ins(%{{.*}} : tensor<?x64xf32>)
func.func @stored(%x: tensor<?x64xbf16>, %m: index) -> tensor<?x32xf32> {
  %s = tensor.empty(%m) : tensor<?x64xf32>
  %wide = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x64xbf16>) outs(%s : tensor<?x64xf32>) {
  ^bb0(%in: bf16, %out: f32):
    %v = arith.extf %in : bf16 to f32
    linalg.yield %v : f32
  } -> tensor<?x64xf32>
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<bf16>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%wide, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<bf16>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<bf16>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 4096 x bf16, "0">]>]

// -----

// Numbers that are bytes times one number are multiplied as these: e2m1 in halves. Those of e3m2 reach too far, which a remark says.
// MISSED: activations stay f32: the weight is stored as floats
// MISSED: activations stay f32: the numbers of float<e3m2> * e8m0/16 are not all bytes times one number
// CHECK-LABEL: func @carried
// F32-LABEL: func @carried
// BF16-LABEL: func @carried
func.func @carried(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: whit.quantized_matmul {{.*}} #whit.format<zqfp4_m1_g16>
  // CHECK: whit.matmul {{.*}} #whit.format<"float<e3m2> * e8m0/16">
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<"float<e2m1> * e8m0/16">>
  %b = whit.constant @b : !whit.tensor<32x64xf32, #whit.format<"float<e3m2> * e8m0/16">>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<"float<e2m1> * e8m0/16">>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<"float<e3m2> * e8m0/16">>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<"float<e2m1> * e8m0/16">> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
whit.weight @b : !whit.tensor<32x64xf32, #whit.format<"float<e3m2> * e8m0/16">> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]

// -----

// Codes of one bit fill more k before a line is full than codes of four: the padding of a group differs, and so do the copies.
// CHECK-LABEL: func @padded
// CHECK-DAG: whit.quantize {{.*}} tensor<?x4x16xi8>
// CHECK-DAG: whit.quantize {{.*}} tensor<?x4x32xi8>
func.func @padded(%x: tensor<?x64xf32>, %m: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %a = whit.constant @a : !whit.tensor<32x64xf32, #whit.format<int4_g16>>
  %b = whit.constant @b : !whit.tensor<32x64xf32, #whit.format<int1_g16>>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %y = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g16>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %z = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int1_g16>>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y, %z : tensor<?x32xf32>, tensor<?x32xf32>
}
whit.weight @a : !whit.tensor<32x64xf32, #whit.format<int4_g16>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
whit.weight @b : !whit.tensor<32x64xf32, #whit.format<int1_g16>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]

// -----

// A GPU that multiplies floats of 8 bits gets them as they are, for a weight whose codes are such numbers.
// FP8-LABEL: module attributes {whit.target
module attributes {whit.target = {cpu = "sm_90a", kind = "nvptx", machine = "h100", name = "sm_90a", features = "+sm_90a,+mma-e4m3"}} {
  // FP8: func.func @floats8
  // FP8-DAG: %[[Q:.*]]:2 = whit.quantize_float ins(%{{.*}} : tensor<?x64xf32>) outs({{.*}} : tensor<?x64xf8E4M3FN>, tensor<?xf32>)
  // FP8-DAG: %[[B:.*]]:2 = whit.quantize_float ins(%{{.*}} : tensor<?x64xf32>) outs({{.*}} : tensor<?x64xbf16>, tensor<?xf32>)
  // FP8: %[[Y:.*]] = whit.matmul ins(%[[Q]]#0, %{{.*}} : tensor<?x64xf8E4M3FN>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>)
  // FP8: linalg.generic {{.*}} ins(%[[Y]], %[[Q]]#1
  // FP8: whit.matmul ins(%[[B]]#0, %{{.*}} : tensor<?x64xbf16>, !whit.tensor<32x64xf32, #whit.format<int8_g32>>)
  // REMARK: activations of 8 bits are multiplied as bf16: the numbers of int8_g32 are not floats of 8 bits
  func.func @floats8(%x: tensor<?x64xf32>, %a: !whit.tensor<32x64xf32, #whit.format<int4_g32>>,
                     %b: !whit.tensor<32x64xf32, #whit.format<int8_g32>>, %y: tensor<?x32xf32>)
      -> (tensor<?x32xf32>, tensor<?x32xf32>) {
    %0 = whit.matmul ins(%x, %a : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>) outs(%y : tensor<?x32xf32>) -> tensor<?x32xf32>
    %1 = whit.matmul ins(%x, %b : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int8_g32>>) outs(%y : tensor<?x32xf32>) -> tensor<?x32xf32>
    return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
  }
}
