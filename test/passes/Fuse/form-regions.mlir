// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-form-regions -split-input-file | FileCheck %s
// RUN: whit-opt %s -whit-form-regions -split-input-file -o /dev/null --remarks-filter="whit-form-regions" 2>&1 | FileCheck %s --check-prefix=WHY

// Norm and quantization run over the same rows: one region, whose inner result exists only as tiles.
// CHECK-LABEL: func @prologue
// WHY: fused with its producer
func.func @prologue(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %m: index) -> (tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) {
  // CHECK: %[[R:.*]]:3 = whit.region "quantize"(%{{.*}})
  // CHECK-NEXT: %[[E:.*]] = tensor.empty
  // CHECK-NEXT: %[[N:.*]] = whit.rms_norm {{.*}} outs(%[[E]]
  // CHECK-NEXT: %[[Q:.*]]:3 = whit.quantize ins(%[[N]]
  // CHECK-NEXT: whit.yield %[[Q]]#0, %[[Q]]#1, %[[Q]]#2
  // CHECK: return %[[R]]#0
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %c = tensor.empty(%m) : tensor<?x2x32xi8>
  %s = tensor.empty(%m) : tensor<?x2xf32>
  %t = tensor.empty(%m) : tensor<?x2xi32>
  %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
  %q:3 = whit.quantize ins(%n : tensor<?x64xf32>) outs(%c, %s, %t : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>) group = 32 -> tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>
  return %q#0, %q#1, %q#2 : tensor<?x2x32xi8>, tensor<?x2xf32>, tensor<?x2xi32>
}

// -----

// A softmax runs over rows too, and what is done to its values element by element comes with it.
// CHECK-LABEL: func @softmax
func.func @softmax(%x: tensor<?x64xf32>, %m: index) -> tensor<?x64xf32> {
  // CHECK: whit.region
  // CHECK: whit.softmax
  // CHECK: linalg.generic
  // CHECK-NOT: whit.region
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %s = whit.softmax ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %v = arith.mulf %l, %l : f32
    linalg.yield %v : f32
  } -> tensor<?x64xf32>
  return %p : tensor<?x64xf32>
}

// -----

// Floats of 8 bits come out of the region of the norm; the scale of a row meets the sums of a matmul where these are made.
// CHECK-LABEL: func @float8
func.func @float8(%x: tensor<?x64xf32>, %v: tensor<64xf32>, %m: index) -> tensor<?x64xf32> {
  // CHECK: %[[Q:.*]]:2 = whit.region "quantize_float"
  // CHECK: whit.rms_norm
  // CHECK: whit.quantize_float
  // CHECK: whit.region
  // CHECK: whit.matmul
  // CHECK-NOT: whit.region
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[Q]]#1
  // CHECK-NOT: whit.region
  %w = whit.constant @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>>
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %h = tensor.empty(%m) : tensor<?x64xbf16>
  %s = tensor.empty(%m) : tensor<?xf32>
  %n = whit.rms_norm ins(%x, %v : tensor<?x64xf32>, tensor<64xf32>) outs(%e : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
  %q:2 = whit.quantize_float ins(%n : tensor<?x64xf32>) outs(%h, %s : tensor<?x64xbf16>, tensor<?xf32>) -> tensor<?x64xbf16>, tensor<?xf32>
  %y = whit.matmul ins(%q#0, %w : tensor<?x64xbf16>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %q#1 : tensor<?x64xf32>, tensor<?xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %p = arith.mulf %l, %r : f32
    linalg.yield %p : f32
  } -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
whit.weight @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 64, [#whit.blob<"m", 0 : 2048 x ui8, "0">, #whit.blob<"m", 0 : 256 x f16, "0">]>]

// -----

// Two matmuls and the product behind them share tiles of columns; a matmul behind that needs whole rows and stands alone.
// CHECK-LABEL: func @gate_up_down
// WHY: not fused: a matmul reads its whole input for every tile
func.func @gate_up_down(%x: tensor<?x64xf32>, %m: index) -> tensor<?x64xf32> {
  // CHECK: whit.region
  // CHECK: whit.matmul
  // CHECK: whit.matmul
  // CHECK: linalg.generic
  // CHECK: whit.yield
  // CHECK: whit.region
  // CHECK: whit.matmul
  // CHECK-NOT: linalg.generic
  %wg = whit.constant @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>>
  %wu = whit.constant @u : !whit.tensor<64x64xf32, #whit.format<int4_g32>>
  %e = tensor.empty(%m) : tensor<?x64xf32>
  %g = whit.matmul ins(%x, %wg : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %u = whit.matmul ins(%x, %wu : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%g, %u : tensor<?x64xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %v = arith.mulf %l, %r : f32
    linalg.yield %v : f32
  } -> tensor<?x64xf32>
  %d = whit.matmul ins(%p, %wg : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<int4_g32>>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %d : tensor<?x64xf32>
}
whit.weight @w : !whit.tensor<64x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 64, [#whit.blob<"m", 0 : 2048 x ui8, "0">, #whit.blob<"m", 0 : 256 x f16, "0">]>]
whit.weight @u : !whit.tensor<64x64xf32, #whit.format<int4_g32>> = [#whit.source<"blocks", 64, [#whit.blob<"m", 0 : 2048 x ui8, "0">, #whit.blob<"m", 0 : 256 x f16, "0">]>]

// -----

// Index arithmetic is no compute operation and stays outside.
// CHECK-LABEL: func @scalars
// CHECK-NOT: whit.region
func.func @scalars(%x: tensor<?x64xf32>) -> index {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x64xf32>
  return %d : index
}

// -----

// A reduction and the constant that it starts from are one region; what is done to the result comes with it.
// CHECK-LABEL: func @mean
func.func @mean(%x: tensor<?x64xf32>, %m: index) -> tensor<?xf32> {
  // CHECK: whit.region
  // CHECK: %[[Z:.*]] = linalg.fill
  // CHECK: linalg.generic {{.*}} outs(%[[Z]]
  // CHECK: linalg.generic
  // CHECK: whit.yield
  // CHECK-NOT: whit.region
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.015625 : f32
  %e = tensor.empty(%m) : tensor<?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x64xf32>) outs(%z : tensor<?xf32>) {
  ^bb0(%a: f32, %s: f32):
    %0 = arith.addf %s, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%sum : tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.mulf %a, %scale : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----

// Parts of one tensor: the first is computed in its place, the second, which exists already, is copied there; both into
// the output, without memory between.
// CHECK-LABEL: func @parts
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>, %[[OUT:.*]]: tensor<4x16xf32>
func.func @parts(%x: tensor<4x8xf32>, %out: tensor<4x16xf32>) -> tensor<4x16xf32> {
  // CHECK: %[[A:.*]] = whit.region "generic"(%{{.*}}, %{{.*}} : {{.*}})
  // CHECK: %[[S:.*]] = tensor.extract_slice %[[OUT]][0, 0] [4, 8] [1, 1]
  // CHECK: %[[N:.*]] = linalg.generic {{.*}} outs(%[[S]]
  // CHECK: tensor.insert_slice %[[N]] into %[[OUT]][0, 0] [4, 8] [1, 1]
  // CHECK: whit.region "copy"
  // CHECK: %[[T:.*]] = tensor.extract_slice %[[A]][0, 8] [4, 8] [1, 1]
  // CHECK: %[[C:.*]] = linalg.copy ins(%[[X]] : {{.*}}) outs(%[[T]]
  // CHECK: tensor.insert_slice %[[C]] into %[[A]][0, 8] [4, 8] [1, 1]
  // CHECK-NOT: materialize_in_destination
  %e = tensor.empty() : tensor<4x8xf32>
  %f = tensor.empty() : tensor<4x16xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %a = tensor.insert_slice %n into %f[0, 0] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
  %b = tensor.insert_slice %x into %a[0, 8] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<4x16xf32>
  %r = bufferization.materialize_in_destination %b in %out : (tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x16xf32>
  return %r : tensor<4x16xf32>
}

// -----

// Rows of unknown length have no tile buffer that surely holds them: two regions.
// CHECK-LABEL: func @long_rows
// WHY: a row may be too long for a tile buffer
// CHECK-COUNT-2: whit.region
func.func @long_rows(%x: tensor<?x?xf32>, %m: index, %n: index) -> tensor<?x?xf32> {
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %p = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%l: f32, %o: f32):
    %v = arith.mulf %l, %l : f32
    linalg.yield %v : f32
  } -> tensor<?x?xf32>
  %s = whit.softmax ins(%p : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %s : tensor<?x?xf32>
}

// -----

// Bodies read tensors through views as well: the value is computed before the first of them, the view stands beside it.
// CHECK-LABEL: func @captured_view
func.func @captured_view(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<1x4x8xf32>) {
  // CHECK: %[[R:.*]]:2 = whit.region
  // CHECK: %[[V:.*]] = tensor.expand_shape %[[R]]#
  // CHECK: whit.region {{.*}}(%[[V]]
  %e = tensor.empty() : tensor<4x8xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %v = tensor.expand_shape %n [[0, 1], [2]] output_shape [1, 4, 8] : tensor<4x8xf32> into tensor<1x4x8xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%n : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.addf %a, %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %f = tensor.empty() : tensor<1x4x8xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%f : tensor<1x4x8xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %k = linalg.index 2 : index
    %0 = tensor.extract %v[%i, %j, %k] : tensor<1x4x8xf32>
    linalg.yield %0 : f32
  } -> tensor<1x4x8xf32>
  return %m, %g : tensor<4x8xf32>, tensor<1x4x8xf32>
}

// -----

// A part that is copied into an output is taken behind the region that computes it.
// CHECK-LABEL: func @copied
// CHECK: %[[R:.+]]:2 = whit.region
// CHECK: extract_slice %[[R]]#0
func.func @copied(%x: tensor<4x8xf32>, %out: tensor<2x8xf32> {whit.output, whit.name = "y"}) -> (tensor<2x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x8xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %v = tensor.extract_slice %n[1, 0] [2, 8] [2, 1] : tensor<4x8xf32> to tensor<2x8xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%n : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = math.absf %a : f32
    linalg.yield %0 : f32
  } -> tensor<4x8xf32>
  %c = bufferization.materialize_in_destination %v in %out : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return %c, %m : tensor<2x8xf32>, tensor<4x8xf32>
}
