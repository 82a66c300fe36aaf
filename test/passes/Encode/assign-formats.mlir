// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s "-whit-assign-formats=weights=int4_g32 keep=*norm* format-map=head*=int8_channel" | FileCheck %s
// RUN: not whit-opt %s -whit-assign-formats=weights=int9_g32 2>&1 | FileCheck %s --check-prefix=FORMAT
// RUN: not whit-opt %s -whit-assign-formats=format-map=head 2>&1 | FileCheck %s --check-prefix=MAP
// RUN: not whit-opt %s -whit-assign-formats=keep=hat* 2>&1 | FileCheck %s --check-prefix=UNUSED
// RUN: not whit-opt %s "-whit-assign-formats=weights=int4_g32 quantizer=best" 2>&1 | FileCheck %s --check-prefix=QUANTIZER
// RUN: whit-opt %s "-whit-assign-formats=format-map=quant*=int8_channel" 2>&1 >%t | FileCheck %s --check-prefix=STAYS
// FORMAT: error: --weights: format 'int9_g32' is not known{{.*}}did you mean 'int{{[0-9]}}_g32'
// MAP: error: --format-map: 'head' is not GLOB=FORMAT
// UNUSED: error: --keep: no weight and no node with a weight matches 'hat*'; similar names are 'head',
// QUANTIZER: error: quantizer is 'best'; it must be nearest or least-squares
// STAYS: warning: weight 'quantized' stays uint4_g32: the model has quantized it

// A float weight gets the default, the head the format of its name, and what is to be kept is kept.
// CHECK: whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<int4_g32>> ={{.*}} by "least-squares"
whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// CHECK: whit.weight @head : !whit.tensor<32x64xf32, #whit.format<int8_channel>>
whit.weight @head : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// The name of a node counts as the name of the weight that it uses.
// RUN: whit-opt %s "-whit-assign-formats=format-map=/layers/0/*=int3_g16 quantizer=nearest" | FileCheck %s --check-prefix=NODE
// NODE: whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<int3_g16>> ={{.*}} by "nearest"
// NODE: whit.weight @head : !whit.tensor<32x64xf32, #whit.format<f32>>
// Equal signs and commas inside a formula belong to it.
// RUN: whit-opt %s "-whit-assign-formats=format-map='pr*=float<e4m3 fnuz bias=11> * f16/32,he*=(int<4> - 7) * f16/64x1'" | FileCheck %s --check-prefix=FORMULA
// FORMULA: whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<fp8_e4m3b11fnuz_g32>>
// FORMULA: whit.weight @head : !whit.tensor<32x64xf32, #whit.format<"(int<4> - 7) * f16/64x1">>
// Blocks along N take whole lines of codes for each element of K.
// RUN: whit-opt %s "-whit-assign-formats=format-map='pr*=(int<4> - 8) * f16/16x1'" --remarks-filter-missed=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=PADDED
// PADDED: remark{{.*}}weight 'proj' takes 48.00 bits for each of its elements, not 5.00: blocks of 1 along K are filled up to 8
// A correction: two factors of 16 bits, two thin matmuls and a sum beside the one with the weight. Tables have none.
// RUN: whit-opt %s "-whit-assign-formats=weights=int4_g32+lowrank4" | FileCheck %s --check-prefix=RANK
// RANK: whit.weight @proj : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = {{.*}} by "least-squares"
// RANK-DAG: whit.weight @proj.low_rank_left : !whit.tensor<32x4xf32, #whit.format<bf16>> = [#whit.source<"low_rank_left:4:32x64:least-squares:int4_g32 of rows", 32,
// RANK-DAG: whit.weight @proj.low_rank_right : !whit.tensor<4x64xf32, #whit.format<bf16>> = [#whit.source<"low_rank_right:4:32x64:least-squares:int4_g32 of rows", 4,
// RANK: func @main(%[[X:.*]]: tensor<?x64xf32>
// RANK: %[[Y:.*]] = whit.matmul ins(%[[X]], %{{.*}}<int4_g32>>)
// RANK: %[[RX:.*]] = whit.matmul ins(%[[X]], %{{.*}}<4x64xf32
// RANK: %[[LRX:.*]] = whit.matmul ins(%[[RX]], %{{.*}}<32x4xf32
// RANK: linalg.generic {{.*}} ins(%[[Y]], %[[LRX]] :
// RANK-NOT: @table.low_rank
// RUN: not whit-opt %s -whit-assign-formats=weights=int4_g32+lowrank999 2>&1 | FileCheck %s --check-prefix=NORANK
// NORANK: error: --weights: 'int4_g32+lowrank999' has a correction of rank '999'; it must be from 1 to 128
// CHECK: whit.weight @norm_proj : !whit.tensor<32x64xf32, #whit.format<f32>>
whit.weight @norm_proj : !whit.tensor<32x64xf32, #whit.format<f32>> = [#whit.source<"rows", 32, [#whit.blob<"m", 0 : 8192 x f32, "0">]>]
// What the model has quantized stays as it is.
// CHECK: whit.weight @quantized : !whit.tensor<32x64xf32, #whit.format<uint4_g32>>
whit.weight @quantized : !whit.tensor<32x64xf32, #whit.format<uint4_g32>> = [#whit.source<"blocks", 32, [#whit.blob<"m", 0 : 1024 x ui8, "0">, #whit.blob<"m", 0 : 128 x f16, "0">, #whit.blob<"m", 0 : 32 x ui8, "0">]>]
// So do blocks of a GGUF file, unless they are to be decoded for it.
// RUN: whit-opt %s "-whit-assign-formats=weights=nf4 requantize" | FileCheck %s --check-prefix=AGAIN
// RUN: whit-opt %s "-whit-assign-formats=format-map=blocks=nf4" 2>&1 | FileCheck %s --check-prefix=HELP
// HELP: warning: weight 'blocks' stays int4_g32: the model has quantized it; --requantize decodes and quantizes it again
// CHECK: whit.weight @blocks : !whit.tensor<32x64xf32, #whit.format<int4_g32>>
// AGAIN: whit.weight @quantized : !whit.tensor<32x64xf32, #whit.format<uint4_g32>>
// AGAIN: whit.weight @blocks : !whit.tensor<32x64xf32, #whit.format<nf4_g64_f32>>{{.*}} by "least-squares"
whit.weight @blocks : !whit.tensor<32x64xf32, #whit.format<int4_g32>> = [#whit.source<"gguf:2", 32, [#whit.blob<"m", 0 : 1152 x i8, "0">]>]
// A table of rows that only gathers read may have any format; a plain tensor that anybody else reads keeps its type.
// CHECK: whit.weight @table : !whit.tensor<10x64xf32, #whit.format<int4_g32>>
whit.weight @table : tensor<10x64xf32> = [#whit.source<"rows", 10, [#whit.blob<"m", 0 : 2560 x f32, "0">]>]
// A head that shares the table's bytes becomes the same weight.
// CHECK-NOT: whit.weight @tied
whit.weight @tied : !whit.tensor<10x64xf32, #whit.format<f32>> = [#whit.source<"rows", 10, [#whit.blob<"m", 0 : 2560 x f32, "0">]>]
// CHECK: whit.weight @bias : tensor<1x32xf32>
whit.weight @bias : tensor<1x32xf32> = [#whit.source<"rows", 1, [#whit.blob<"m", 0 : 128 x f32, "0">]>]
// CHECK-LABEL: func @main
func.func @main(%x: tensor<?x64xf32>, %y: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // CHECK: whit.matmul ins(%{{.*}}, %{{.*}} : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<int4_g32>>)
  %w = whit.constant @proj : !whit.tensor<32x64xf32, #whit.format<f32>>
  %r = whit.matmul ins(%x, %w : tensor<?x64xf32>, !whit.tensor<32x64xf32, #whit.format<f32>>) outs(%y : tensor<?x32xf32>) -> tensor<?x32xf32> loc("/layers/0/MatMul")
  return %r : tensor<?x32xf32>
}
// CHECK-LABEL: func @rows
func.func @rows(%ids: tensor<?xi64>, %y: tensor<?x64xf32>, %v: tensor<?x10xf32>, %z: tensor<1x32xf32>) -> (tensor<?x10xf32>, tensor<1x32xf32>) {
  %t = whit.constant @table : tensor<10x64xf32>
  // CHECK: %[[TABLE:.*]] = whit.constant @table
  // CHECK: whit.gather ins(%[[TABLE]], %{{.*}} : !whit.tensor<10x64xf32, #whit.format<int4_g32>>, tensor<?xi64>)
  %r = whit.gather ins(%t, %ids : tensor<10x64xf32>, tensor<?xi64>) outs(%y : tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = whit.constant @tied : !whit.tensor<10x64xf32, #whit.format<f32>>
  // CHECK: %[[HEAD:.*]] = whit.constant @table
  // CHECK: whit.matmul ins(%{{.*}}, %[[HEAD]] :
  %l = whit.matmul ins(%r, %h : tensor<?x64xf32>, !whit.tensor<10x64xf32, #whit.format<f32>>) outs(%v : tensor<?x10xf32>) -> tensor<?x10xf32>
  %b = whit.constant @bias : tensor<1x32xf32>
  %c = linalg.copy ins(%b : tensor<1x32xf32>) outs(%z : tensor<1x32xf32>) -> tensor<1x32xf32>
  return %l, %c : tensor<?x10xf32>, tensor<1x32xf32>
}
