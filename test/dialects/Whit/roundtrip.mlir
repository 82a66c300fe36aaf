// RUN: whit-opt %s --verify-roundtrip | FileCheck %s
//
// Every type, attribute and operation, written as it prints.

// Another spelling of a format is the same attribute.
// CHECK-LABEL: func.func private @formats
// CHECK-SAME: !whit.tensor<8x32xf32, #whit.format<int4_g32>>
// CHECK-SAME: !whit.tensor<8x32xf32, #whit.format<uint4_g32_min>>
// CHECK-SAME: !whit.tensor<8x32xf16, #whit.format<uint3_channel_float_f32>>
// CHECK-SAME: !whit.tensor<8x32xbf16, #whit.format<bf16>>
func.func private @formats(!whit.tensor<8x32xf32, #whit.format<q4_0>>, !whit.tensor<8x32xf32, #whit.format<q4_1>>,
                           !whit.tensor<8x32xf16, #whit.format<uint3_channel_float_f32>>,
                           !whit.tensor<8x32xbf16, #whit.format<bf16>>)

// CHECK: whit.weight @blocks : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
// CHECK-SAME: [#whit.source<"blocks", 8, [<"m.data", 0 : 128 x ui8, "0123456789abcdef">, <"m.data", 128 : 32 x f32, "fedcba9876543210">]>]
whit.weight @blocks : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
  = [#whit.source<"blocks", 8, [#whit.blob<"m.data", 0 : 128 x ui8, "0123456789abcdef">,
                                #whit.blob<"m.data", 128 : 32 x f32, "fedcba9876543210">]>]

// CHECK: whit.weight @quantized : {{.*}} by "least-squares"
whit.weight @quantized : !whit.tensor<8x32xf32, #whit.format<int4_g32>>
  = [#whit.source<"rows", 8, [#whit.blob<"m.data", 0 : 1024 x f32, "0123456789abcdef">]>] by "least-squares"

// CHECK: whit.weight @joined : !whit.tensor<8x32xf32, #whit.format<f32>>
// CHECK-SAME: #whit.source<"rows", 2, {{.*}}, #whit.source<"columns", 6
whit.weight @joined : !whit.tensor<8x32xf32, #whit.format<f32>>
  = [#whit.source<"rows", 2, [#whit.blob<"m.data", 0 : 256 x f32, "0123456789abcdef">]>,
     #whit.source<"columns", 6, [#whit.blob<"m.data", 256 : 384 x f16, "0123456789abcdef">]>]

// CHECK: whit.weight @coded : {{.*}} = [#whit.source<"coded_columns", 8, [<"m.data", 0 : 128 x ui4, "0123456789abcdef">, {{.*}} x f32, {{.*}} : 4 x ui4,
whit.weight @coded : !whit.tensor<8x32xf32, #whit.format<uint4_g32_f32>>
  = [#whit.source<"coded_columns", 8, [#whit.blob<"m.data", 0 : 128 x ui4, "0123456789abcdef">,
                                       #whit.blob<"m.data", 128 : 32 x f32, "fedcba9876543210">,
                                       #whit.blob<"m.data", 160 : 4 x ui4, "fedcba9876543210">]>]

// CHECK: whit.weight @packed : tensor<1x288xi8> = {{.*}} at <<int4_g32>, 8 by 32>
whit.weight @packed : tensor<1x288xi8>
  = [#whit.source<"rows", 8, [#whit.blob<"m.data", 0 : 1024 x f32, "0123456789abcdef">]>] at #whit.place<#whit.format<int4_g32>, 8 by 32>

whit.weight @norm : tensor<32xf32> = [#whit.source<"rows", 32, [#whit.blob<"m.data", 0 : 128 x f32, "0123456789abcdef">]>]

// CHECK-LABEL: func.func @weights
func.func @weights() -> (!whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>, tensor<1x288xi8>, tensor<32xf32>) {
  // CHECK: whit.constant @blocks : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
  %0 = whit.constant @blocks : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
  // CHECK: whit.constant @packed : tensor<1x288xi8>
  %1 = whit.constant @packed : tensor<1x288xi8>
  // CHECK: whit.constant @norm : tensor<32xf32>
  %2 = whit.constant @norm : tensor<32xf32>
  return %0, %1, %2 : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>, tensor<1x288xi8>, tensor<32xf32>
}

// CHECK-LABEL: func.func @matmuls
func.func @matmuls(%x: tensor<?x32xf32>, %w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %p: tensor<1x288xi8>,
                   %e: tensor<?x8xf32>, %c: tensor<?x1x32xi8>, %s: tensor<?x1xf32>, %m: tensor<?x1xi32>,
                   %h: tensor<?x32xbf16>, %l: tensor<?xf32>) {
  // CHECK: whit.matmul ins(%{{.*}}, %{{.*}} : tensor<?x32xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>)
  // CHECK-SAME: outs(%{{.*}} : tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = whit.matmul ins(%x, %w : tensor<?x32xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x8xf32>)
    -> tensor<?x8xf32>
  // CHECK: whit.matmul ins(%{{.*}}, %{{.*}} : tensor<?x32xf32>, tensor<1x288xi8>) outs(%{{.*}} : tensor<?x8xf32>)
  // CHECK-SAME: at <<int4_g32>, 8 by 32> schedule <tile = [0, 64], rows = 8, panels = 2, unroll = 16, prefetch = 0> -> tensor<?x8xf32>
  %1 = whit.matmul ins(%x, %p : tensor<?x32xf32>, tensor<1x288xi8>) outs(%e : tensor<?x8xf32>)
    at #whit.place<#whit.format<int4_g32>, 8 by 32> schedule #whit.schedule<tile = [0, 64], rows = 8, panels = 2, unroll = 16, prefetch = 0> -> tensor<?x8xf32>
  // CHECK: whit.quantize ins(%{{.*}} : tensor<?x32xf32>) outs(%{{.*}}, %{{.*}}, %{{.*}} : tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>) group = 32
  %q:3 = whit.quantize ins(%x : tensor<?x32xf32>) outs(%c, %s, %m : tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>) group = 32
    -> tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>
  // CHECK: whit.quantize ins(%{{.*}} : tensor<?x32xf32>) {{.*}} group = 32 bits = 4 per_row ->
  %r:3 = whit.quantize ins(%x : tensor<?x32xf32>) outs(%c, %s, %m : tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>) group = 32
    bits = 4 per_row -> tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>
  // CHECK: whit.quantize_float ins(%{{.*}} : tensor<?x32xf32>) outs(%{{.*}}, %{{.*}} : tensor<?x32xbf16>, tensor<?xf32>) -> tensor<?x32xbf16>, tensor<?xf32>
  %f:2 = whit.quantize_float ins(%x : tensor<?x32xf32>) outs(%h, %l : tensor<?x32xbf16>, tensor<?xf32>) -> tensor<?x32xbf16>, tensor<?xf32>
  // CHECK: whit.quantized_matmul ins(%{{.*}} : tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>)
  %2 = whit.quantized_matmul ins(%q#0, %q#1, %q#2, %w : tensor<?x1x32xi8>, tensor<?x1xf32>, tensor<?x1xi32>,
    !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @tables
func.func @tables(%w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %i: tensor<2x?xi64>, %e: tensor<2x?x32xf32>, %f: tensor<8x32xf32>) {
  // CHECK: whit.gather ins(%{{.*}}, %{{.*}} : !whit.tensor<8x32xf32, #whit.format<int4_g32>>, tensor<2x?xi64>) outs(%{{.*}} : tensor<2x?x32xf32>)
  %0 = whit.gather ins(%w, %i : !whit.tensor<8x32xf32, #whit.format<int4_g32>>, tensor<2x?xi64>) outs(%e : tensor<2x?x32xf32>)
    -> tensor<2x?x32xf32>
  // CHECK: whit.dequantize ins(%{{.*}} : !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%{{.*}} : tensor<8x32xf32>)
  %1 = whit.dequantize ins(%w : !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%f : tensor<8x32xf32>) -> tensor<8x32xf32>
  return
}

// CHECK-LABEL: func.func @norms
func.func @norms(%x: tensor<?x32xf32>, %v: tensor<32xf32>) {
  // CHECK: whit.rms_norm ins({{.*}}) outs({{.*}}) epsilon = 9.99999974E-6 -> tensor<?x32xf32>
  %0 = whit.rms_norm ins(%x, %v : tensor<?x32xf32>, tensor<32xf32>) outs(%x : tensor<?x32xf32>) epsilon = 1.0e-5 -> tensor<?x32xf32>
  // CHECK: whit.softmax ins({{.*}}) outs({{.*}}) -> tensor<?x32xf32>
  %s = whit.softmax ins(%x : tensor<?x32xf32>) outs(%x : tensor<?x32xf32>) -> tensor<?x32xf32>
  // CHECK: whit.layer_norm ins({{.*}}) outs({{.*}}) epsilon = 1.250000e-01 -> tensor<?x32xf32>
  %1 = whit.layer_norm ins(%x, %v, %v : tensor<?x32xf32>, tensor<32xf32>, tensor<32xf32>) outs(%x : tensor<?x32xf32>) epsilon = 0.125
    -> tensor<?x32xf32>
  return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%x: tensor<1x?x4x8xf32>, %t: tensor<64x4xf32>, %start: tensor<1xi32>, %first: index,
                     %new: tensor<1x?x2x8xf32>, %past: tensor<1x2x?x8xf32>, %k: tensor<1x2x4x8x16xf16>, %v: tensor<1x2x64x8xf32>,
                     %mask: tensor<1x4x?x60xf32>) {
  // CHECK: whit.rotary ins({{.*}}) from %{{.*}} + %{{.*}} : tensor<1xi32> outs({{.*}}) interleaved -> tensor<1x?x4x8xf32>
  %0 = whit.rotary ins(%x, %t, %t : tensor<1x?x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>) from %start + %first : tensor<1xi32>
    outs(%x : tensor<1x?x4x8xf32>) interleaved -> tensor<1x?x4x8xf32>
  // CHECK: whit.cache_append ins(%{{.*}} after %{{.*}} : tensor<1x?x2x8xf32>, tensor<1x2x?x8xf32>) from %{{.*}} : tensor<1xi32>
  %1 = whit.cache_append ins(%new after %past : tensor<1x?x2x8xf32>, tensor<1x2x?x8xf32>) from %start : tensor<1xi32>
    outs(%v : tensor<1x2x64x8xf32>) -> tensor<1x2x64x8xf32>
  // CHECK: whit.cache_append ins(%{{.*}} : tensor<1x?x2x8xf32>) from %{{.*}} : tensor<1xi32> outs(%{{.*}} : tensor<1x2x4x8x16xf16>)
  %2 = whit.cache_append ins(%new : tensor<1x?x2x8xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x8x16xf16>)
    -> tensor<1x2x4x8x16xf16>
  // CHECK: whit.attention ins({{.*}}) from %{{.*}} + %{{.*}} : tensor<1xi32> outs({{.*}}) scale = 1.250000e-01
  // CHECK-SAME: {softcap = 5.000000e+01 : f32, window = 128 : i64} -> tensor<1x?x4x8xf32>
  %3 = whit.attention ins(%x, %2, %1 : tensor<1x?x4x8xf32>, tensor<1x2x4x8x16xf16>, tensor<1x2x64x8xf32>) from %start + %first
    : tensor<1xi32> outs(%x : tensor<1x?x4x8xf32>) scale = 0.125 {softcap = 50.0 : f32, window = 128 : i64} -> tensor<1x?x4x8xf32>
  // CHECK: whit.attention ins(%{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} : tensor<1x?x4x8xf32>, {{.*}}, {{.*}}, tensor<1x4x?x60xf32>)
  // CHECK-SAME: scale = 1.250000e-01 bidirectional -> tensor<1x?x4x8xf32>
  %4 = whit.attention ins(%x, %2, %1 mask %mask : tensor<1x?x4x8xf32>, tensor<1x2x4x8x16xf16>, tensor<1x2x64x8xf32>, tensor<1x4x?x60xf32>)
    from %start + %first : tensor<1xi32> outs(%x : tensor<1x?x4x8xf32>) scale = 0.125 bidirectional -> tensor<1x?x4x8xf32>
  return
}

// CHECK-LABEL: func.func @region
func.func @region(%x: tensor<?x32xf32>, %v: tensor<32xf32>) -> tensor<?x32xf32> {
  // CHECK: whit.region "norm"(%{{.*}}, %{{.*}} : tensor<?x32xf32>, tensor<32xf32>) schedule <tile = [4], few = [1], panels = 2, splits = 4>
  // CHECK: whit.yield %{{.*}} : tensor<?x32xf32>
  // CHECK: -> tensor<?x32xf32>
  %0 = whit.region "norm"(%x, %v : tensor<?x32xf32>, tensor<32xf32>) schedule #whit.schedule<tile = [4], few = [1], panels = 2, splits = 4> {
    %1 = whit.rms_norm ins(%x, %v : tensor<?x32xf32>, tensor<32xf32>) outs(%x : tensor<?x32xf32>) epsilon = 1.0e-5 -> tensor<?x32xf32>
    whit.yield %1 : tensor<?x32xf32>
  } -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// After bufferization: the same operations on memrefs, without results.
// CHECK-LABEL: func.func @memrefs
func.func @memrefs(%x: memref<?x32xf32, strided<[32, 1], offset: ?>>, %p: memref<1x288xi8>, %y: memref<?x8xf32>, %count: index) {
  // CHECK: whit.matmul ins(%{{.*}}, %{{.*}} : memref<?x32xf32, strided<[32, 1], offset: ?>>, memref<1x288xi8>)
  // CHECK-SAME: outs(%{{.*}} : memref<?x8xf32>) at <<int4_g32>, 8 by 32>{{$}}
  whit.matmul ins(%x, %p : memref<?x32xf32, strided<[32, 1], offset: ?>>, memref<1x288xi8>) outs(%y : memref<?x8xf32>)
    at #whit.place<#whit.format<int4_g32>, 8 by 32>
  // CHECK: whit.parallel @body(%{{.*}} : memref<?x8xf32>) over %{{.*}}
  whit.parallel @body(%y : memref<?x8xf32>) over %count
  return
}
func.func private @body(memref<?x8xf32>, index, index)

// CHECK-LABEL: func.func @dot
func.func @dot(%a: vector<16xi32>, %u: vector<64xi8>) -> vector<16xi32> {
  // CHECK: whit.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<64xi8>, vector<64xi8>
  %0 = whit.dot %a, %u, %u : vector<16xi32>, vector<64xi8>, vector<64xi8>
  return %0 : vector<16xi32>
}

// CHECK-LABEL: func.func @gelu
func.func @gelu(%x: f32, %v: vector<16xf32>) -> (f32, vector<16xf32>) {
  // CHECK: whit.gelu %{{.*}} : f32
  %0 = whit.gelu %x : f32
  // CHECK: whit.gelu tanh %{{.*}} : vector<16xf32>
  %1 = whit.gelu tanh %v : vector<16xf32>
  return %0, %1 : f32, vector<16xf32>
}
