// RUN: whit-opt %s --split-input-file --verify-diagnostics
//
// One broken rule per case, with the message it gets.

// expected-error@+1 {{unknown format 'int9_g32'}}
func.func private @f(!whit.tensor<8x32xf32, #whit.format<int9_g32>>)

// -----

// expected-error@+1 {{encoded tensor has rank 3; it must have rank 2, N x K}}
func.func private @f(!whit.tensor<2x8x32xf32, #whit.format<int4_g32>>)

// -----

// expected-error@+1 {{encoded tensor has element type 'i32'; it must be f32, f16 or bf16}}
func.func private @f(!whit.tensor<8x32xi32, #whit.format<int4_g32>>)

// -----

// expected-error@+1 {{encoded tensor has a dimension of 0; every dimension must be at least 1}}
func.func private @f(!whit.tensor<0x32xf32, #whit.format<int4_g32>>)

// -----

// expected-error@+1 {{source layout is 'diagonal'; it must be rows, columns, blocks, coded_rows, coded_columns, gguf:TYPE, low_rank_left:... or low_rank_right:...}}
#s = #whit.source<"diagonal", 8, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source layout 'gguf:99' has type 99, which is not read}}
#s = #whit.source<"gguf:99", 8, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source layout 'blocks' has 1 blobs; it needs 2 or 3}}
#s = #whit.source<"blocks", 8, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source layout 'coded_rows' has 3 blobs, but scales of type 'i4'; they must be floats}}
#s = #whit.source<"coded_rows", 8, [#whit.blob<"m", 0 : 4 x i4, "">, #whit.blob<"m", 4 : 4 x i4, "">, #whit.blob<"m", 8 : 4 x i4, "">]>

// -----

// expected-error@+1 {{source layout 'coded_rows' has codes of type 'i3'; they must be integers of 2, 4 or 8 bits}}
#s = #whit.source<"coded_rows", 8, [#whit.blob<"m", 0 : 4 x i3, "">, #whit.blob<"m", 4 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source layout 'coded_columns' has zeros of type 'ui4'; they must have the codes' type, 'i4'}}
#s = #whit.source<"coded_columns", 8, [#whit.blob<"m", 0 : 4 x i4, "">, #whit.blob<"m", 4 : 4 x f32, "">, #whit.blob<"m", 8 : 1 x ui4, "">]>

// -----

// expected-error@+1 {{source layout 'low_rank_left:9:8x16:nearest:int4_g16 of rows' has rank 9; at most 8 is possible}}
#s = #whit.source<"low_rank_left:9:8x16:nearest:int4_g16 of rows", 8, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source count is 8; layout 'low_rank_right:2:8x16:nearest:int4_g16 of rows' has 2 rows}}
#s = #whit.source<"low_rank_right:2:8x16:nearest:int4_g16 of rows", 8, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{source count is 0; it must be positive}}
#s = #whit.source<"rows", 0, [#whit.blob<"m", 0 : 4 x f32, "">]>

// -----

// expected-error@+1 {{'whit.weight' op parts hold 6 rows; the type '!whit.tensor<8x32xf32, #whit.format<f32>>' needs 8}}
whit.weight @w : !whit.tensor<8x32xf32, #whit.format<f32>> = [#whit.source<"rows", 6, [#whit.blob<"m", 0 : 768 x f32, "">]>]

// -----

// expected-error@+1 {{'whit.weight' op type is 'tensor<?xf32>'; it must be a !whit.tensor or a tensor of static shape}}
whit.weight @w : tensor<?xf32> = [#whit.source<"rows", 6, [#whit.blob<"m", 0 : 24 x f32, "">]>]

// -----

func.func @f() {
  // expected-error@+1 {{'whit.constant' op names 'w', which is no whit.weight of this module}}
  %0 = whit.constant @w : tensor<6xf32>
  return
}

// -----

whit.weight @w : tensor<6xf32> = [#whit.source<"rows", 6, [#whit.blob<"m", 0 : 24 x f32, "">]>]
func.func @f() {
  // expected-error@+1 {{'whit.constant' op has type 'tensor<7xf32>'; weight 'w' has type 'tensor<6xf32>'}}
  %0 = whit.constant @w : tensor<7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x31xf32>, %w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.matmul' op x has size 31 in dimension 1; it must be 32}}
  %0 = whit.matmul ins(%x, %w : tensor<2x31xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %e: tensor<2x7xf32>) {
  // expected-error@+1 {{'whit.matmul' op y has size 7 in dimension 1; it must be 8}}
  %0 = whit.matmul ins(%x, %w : tensor<2x32xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<2x7xf32>) -> tensor<2x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3x32xf32>, %w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.matmul' op y has rank 2; it must have rank 3}}
  %0 = whit.matmul ins(%x, %w : tensor<2x3x32xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %w: tensor<1x288xi8>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.matmul' op w is packed bytes; the operation needs `at #whit.place<...>` to say what they mean}}
  %0 = whit.matmul ins(%x, %w : tensor<2x32xf32>, tensor<1x288xi8>) outs(%e : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %w: tensor<1x256xi8>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.matmul' op w has 256 bytes per panel; its place needs 288}}
  %0 = whit.matmul ins(%x, %w : tensor<2x32xf32>, tensor<1x256xi8>) outs(%e : tensor<2x8xf32>)
    at #whit.place<#whit.format<int4_g32>, 8 by 32> -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %w: !whit.tensor<8x32xf32, #whit.format<int4_g32>>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.matmul' op w is not packed, but the operation has a place; remove one of the two}}
  %0 = whit.matmul ins(%x, %w : tensor<2x32xf32>, !whit.tensor<8x32xf32, #whit.format<int4_g32>>) outs(%e : tensor<2x8xf32>)
    at #whit.place<#whit.format<int4_g32>, 8 by 32> -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%c: tensor<2x1x32xi8>, %s: tensor<2x1xf32>, %m: tensor<2x1xi32>, %w: !whit.tensor<8x32xf32, #whit.format<f16>>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.quantized_matmul' op w has format 'f16'; integer activations need numbers that are bytes times one number, use whit.matmul}}
  %0 = whit.quantized_matmul ins(%c, %s, %m, %w : tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>, !whit.tensor<8x32xf32, #whit.format<f16>>)
    outs(%e : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%c: tensor<2x1x32xi8>, %s: tensor<2x1xf32>, %m: tensor<2x1xi32>, %w: !whit.tensor<8x64xf32, #whit.format<int4_g32>>, %e: tensor<2x8xf32>) {
  // expected-error@+1 {{'whit.quantized_matmul' op codes has size 1 in dimension 1; it must be 2}}
  %0 = whit.quantized_matmul ins(%c, %s, %m, %w : tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>, !whit.tensor<8x64xf32, #whit.format<int4_g32>>)
    outs(%e : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %c: tensor<2x1x32xi8>, %s: tensor<2x1xf32>, %m: tensor<2x1xi32>) {
  // expected-error@+1 {{'whit.quantize' op group is 0; it must be at least 1}}
  %0:3 = whit.quantize ins(%x : tensor<2x32xf32>) outs(%c, %s, %m : tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>) group = 0
    -> tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %c: tensor<2x1x32xi8>, %s: tensor<2x1xf32>, %m: tensor<2x1xi32>) {
  // expected-error@+1 {{'whit.quantize' op bits is 9; it must be from 2 to 8}}
  %0:3 = whit.quantize ins(%x : tensor<2x32xf32>) outs(%c, %s, %m : tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>) group = 32
    bits = 9 -> tensor<2x1x32xi8>, tensor<2x1xf32>, tensor<2x1xi32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %n: tensor<2x32xbf16>, %s: tensor<2x1xf32>) {
  // expected-error@+1 {{'whit.quantize_float' op scales has rank 2; it must have rank 1}}
  %0:2 = whit.quantize_float ins(%x : tensor<2x32xf32>) outs(%n, %s : tensor<2x32xbf16>, tensor<2x1xf32>) -> tensor<2x32xbf16>, tensor<2x1xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %n: tensor<2x31xbf16>, %s: tensor<2xf32>) {
  // expected-error@+1 {{'whit.quantize_float' op numbers has size 31 in dimension 1; it must be 32}}
  %0:2 = whit.quantize_float ins(%x : tensor<2x32xf32>) outs(%n, %s : tensor<2x31xbf16>, tensor<2xf32>) -> tensor<2x31xbf16>, tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %c: tensor<2x2x8xi8>, %s: tensor<2x2xf32>, %m: tensor<2x2xi32>) {
  // expected-error@+1 {{'whit.quantize' op codes has size 8 in its last dimension; it must be static and at least the group, 16}}
  %0:3 = whit.quantize ins(%x : tensor<2x32xf32>) outs(%c, %s, %m : tensor<2x2x8xi8>, tensor<2x2xf32>, tensor<2x2xi32>) group = 16
    -> tensor<2x2x8xi8>, tensor<2x2xf32>, tensor<2x2xi32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %v: tensor<31xf32>) {
  // expected-error@+1 {{'whit.rms_norm' op weight has size 31 in dimension 0; it must be 32}}
  %0 = whit.rms_norm ins(%x, %v : tensor<2x32xf32>, tensor<31xf32>) outs(%x : tensor<2x32xf32>) epsilon = 1.0e-5 -> tensor<2x32xf32>
  return
}

// -----

func.func @f(%x: tensor<2x32xf32>, %y: tensor<3x32xf32>) {
  // expected-error@+1 {{'whit.softmax' op y has size 3 in dimension 0; it must be 2}}
  %0 = whit.softmax ins(%x : tensor<2x32xf32>) outs(%y : tensor<3x32xf32>) -> tensor<3x32xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x4x7xf32>, %t: tensor<64x3xf32>, %start: tensor<1xi32>, %first: index) {
  // expected-error@+1 {{'whit.rotary' op x has size 7 in dimension 3; it must be static and even}}
  %0 = whit.rotary ins(%x, %t, %t : tensor<1x2x4x7xf32>, tensor<64x3xf32>, tensor<64x3xf32>) from %start + %first : tensor<1xi32>
    outs(%x : tensor<1x2x4x7xf32>) -> tensor<1x2x4x7xf32>
  return
}

// -----

func.func @f(%new: tensor<1x2x2x8xf32>, %start: tensor<1xi32>, %k: tensor<1x2x4x8x8xf32>) {
  // expected-error@+1 {{'whit.cache_append' op cache is 'tensor<1x2x4x8x8xf32>'; it must be [B, H, T, D] or [B, H, T/16, D, 16]}}
  %0 = whit.cache_append ins(%new : tensor<1x2x2x8xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x8x8xf32>) -> tensor<1x2x4x8x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x2x5x8xf32>, %k: tensor<1x2x64x8xf32>, %start: tensor<1xi32>, %first: index) {
  // expected-error@+1 {{'whit.attention' op q has 5 heads and v has 2; both must be static and the first a multiple of the second}}
  %0 = whit.attention ins(%q, %k, %k : tensor<1x2x5x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>) from %start + %first : tensor<1xi32>
    outs(%q : tensor<1x2x5x8xf32>) scale = 1.0 -> tensor<1x2x5x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x2x4x8xf32>, %k: tensor<1x2x64x8xf32>, %start: tensor<1xi32>, %first: index) {
  // expected-error@+1 {{'whit.attention' op window is -1; it must be 0 (unlimited) or positive}}
  %0 = whit.attention ins(%q, %k, %k : tensor<1x2x4x8xf32>, tensor<1x2x64x8xf32>, tensor<1x2x64x8xf32>) from %start + %first : tensor<1xi32>
    outs(%q : tensor<1x2x4x8xf32>) scale = 1.0 {window = -1 : i64} -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x8xf32>, %k: tensor<2x2x64x8xf32>, %m: tensor<3x64xf32>, %start: tensor<2xi32>, %first: index) {
  // expected-error@+1 {{'whit.attention' op mask has rank 2; it must have rank 4}}
  %0 = whit.attention ins(%q, %k, %k mask %m : tensor<2x3x4x8xf32>, tensor<2x2x64x8xf32>, tensor<2x2x64x8xf32>, tensor<3x64xf32>)
    from %start + %first : tensor<2xi32> outs(%q : tensor<2x3x4x8xf32>) scale = 1.0 -> tensor<2x3x4x8xf32>
  return
}

// -----

// The heads of a mask are those of the queries, not those of the keys.
func.func @f(%q: tensor<2x3x4x8xf32>, %k: tensor<2x2x64x8xf32>, %m: tensor<1x2x3x64xf32>, %start: tensor<2xi32>, %first: index) {
  // expected-error@+1 {{'whit.attention' op mask has size 2 in dimension 1; it must be 4}}
  %0 = whit.attention ins(%q, %k, %k mask %m : tensor<2x3x4x8xf32>, tensor<2x2x64x8xf32>, tensor<2x2x64x8xf32>, tensor<1x2x3x64xf32>)
    from %start + %first : tensor<2xi32> outs(%q : tensor<2x3x4x8xf32>) scale = 1.0 -> tensor<2x3x4x8xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x8xf32>, %k: tensor<2x2x64x8xf32>, %m: tensor<1x1x1x65xf32>, %start: tensor<2xi32>, %first: index) {
  // expected-error@+1 {{'whit.attention' op mask has size 65 in dimension 3; v has 64 tokens, and it must have no more than those}}
  %0 = whit.attention ins(%q, %k, %k mask %m : tensor<2x3x4x8xf32>, tensor<2x2x64x8xf32>, tensor<2x2x64x8xf32>, tensor<1x1x1x65xf32>)
    from %start + %first : tensor<2xi32> outs(%q : tensor<2x3x4x8xf32>) scale = 1.0 -> tensor<2x3x4x8xf32>
  return
}

// -----

func.func @f(%a: vector<16xi32>, %u: vector<32xi8>, %s: vector<64xi8>) {
  // expected-error@+1 {{'whit.dot' op u has 32 elements; it must have 4 for each of the 16 lanes of acc}}
  %0 = whit.dot %a, %u, %s : vector<16xi32>, vector<32xi8>, vector<64xi8>
  return
}

// -----

func.func @f(%a: vector<16xf32>, %u: vector<32xbf16>, %s: vector<64xi8>) {
  // expected-error@+1 {{'whit.dot' op s has elements of 'i8'; sums in 'f32' are of bf16}}
  %0 = whit.dot %a, %u, %s : vector<16xf32>, vector<32xbf16>, vector<64xi8>
  return
}

// -----

func.func @f(%a: vector<16xf32>, %u: vector<32xbf16>, %s: vector<64xbf16>) {
  // expected-error@+1 {{'whit.dot' op s has 64 elements; it must have 2 for each of the 16 lanes of acc}}
  %0 = whit.dot %a, %u, %s : vector<16xf32>, vector<32xbf16>, vector<64xbf16>
  return
}

// -----

func.func @f(%t: memref<8x32xf32>, %i: memref<2xi64>, %y: memref<2x32xf32>) {
  // expected-error@+1 {{'whit.gather' op table is rows of 'f32', but the operation has a place; remove it}}
  whit.gather ins(%t, %i : memref<8x32xf32>, memref<2xi64>) outs(%y : memref<2x32xf32>) at <<f32>, 8 by 32>
  return
}

// -----

// expected-error@+1 {{'whit.weight' op quantizer is 'best'; it must be 'nearest' or 'least-squares'}}
whit.weight @w : !whit.tensor<8x32xf32, #whit.format<int4_g32>> = [#whit.source<"rows", 8, [#whit.blob<"m", 0 : 1024 x f32, "0">]>] by "best"

// -----

func.func @cache_format(%new: tensor<1x2x2x8xf32>, %start: tensor<1xi32>, %k: tensor<1x2x4x8xf32>) {
  // expected-error@+1 {{'whit.cache_append' op format 'int4_g32' cannot store keys and values; they need f32, f16, bf16, or integers, floats or a table of 4 and more numbers of 2 to 8 bits with one scale (f16, bf16 or f32) per channel (a token of a head), as in int8_channel, uint4_channel_min, fp8_e4m3_channel or nf4_channel}}
  %0 = whit.cache_append ins(%new : tensor<1x2x2x8xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x8xf32>) as <int4_g32> -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @cache_bytes(%new: tensor<1x2x2x8xf32>, %start: tensor<1xi32>, %k: tensor<1x2x4x96xi8>) {
  // expected-error@+1 {{'whit.cache_append' op cache has size 96 in dimension 3; it must be 160}}
  %0 = whit.cache_append ins(%new : tensor<1x2x2x8xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x96xi8>) as <int4_channel> -> tensor<1x2x4x96xi8>
  return
}

// -----

func.func @cache_without_format(%new: tensor<1x2x2x8xf32>, %start: tensor<1xi32>, %k: tensor<1x2x4x160xi8>) {
  // expected-error@+1 {{'whit.cache_append' op cache is packed bytes; the operation must say in which format}}
  %0 = whit.cache_append ins(%new : tensor<1x2x2x8xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x160xi8>) -> tensor<1x2x4x160xi8>
  return
}

// -----

func.func @rotated_odd_head(%new: tensor<1x2x2x20xf32>, %start: tensor<1xi32>, %k: tensor<1x2x4x20xf32>) {
  // expected-error@+1 {{'whit.cache_append' op has 20 features; a Hadamard matrix needs a power of two}}
  %0 = whit.cache_append ins(%new : tensor<1x2x2x20xf32>) from %start : tensor<1xi32> outs(%k : tensor<1x2x4x20xf32>) as <int4_channel> hadamard -> tensor<1x2x4x20xf32>
  return
}

// -----

func.func @lookup_of_three(%c: vector<16xi32>) -> vector<16xf32> {
  // expected-error@+1 {{'whit.lookup' op table has type 'tensor<3xf32>'; it must be a tensor of 2^b 'f32'}}
  %r = whit.lookup %c in dense<[0.0, 1.0, 2.0]> : tensor<3xf32> : vector<16xi32> -> vector<16xf32>
  return %r : vector<16xf32>
}

// -----

func.func @lookup_of_other_lanes(%c: vector<16xi32>) -> vector<8xf32> {
  // expected-error@+1 {{'whit.lookup' op codes have 16 lanes; the result has 8}}
  %r = whit.lookup %c in dense<[0.0, 1.0]> : tensor<2xf32> : vector<16xi32> -> vector<8xf32>
  return %r : vector<8xf32>
}

// -----

func.func @lookup_of_bytes(%c: vector<16xi8>) -> vector<16xf32> {
  // expected-error@+1 {{bytes are looked up by bytes and f32 by i32}}
  %r = whit.lookup %c in dense<[0.0, 1.0]> : tensor<2xf32> : vector<16xi8> -> vector<16xf32>
  return %r : vector<16xf32>
}

// -----

// expected-error @below {{a schedule has no 'columns'; known are tile, few, rows, panels, splits, unroll and prefetch}}
#schedule = #whit.schedule<tile = [4], columns = 2>

// -----

// expected-error @below {{a schedule has unroll = 0; it must be at least 1}}
#schedule = #whit.schedule<tile = [4], unroll = 0>

// -----

// expected-error @below {{a schedule has prefetch = -64; it must be at least 0}}
#schedule = #whit.schedule<tile = [4], prefetch = -64>
