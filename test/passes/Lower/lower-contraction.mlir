// RUN: whit-opt %s --whit-lower-contraction --canonicalize --cse | FileCheck %s

// The columns of a factor lie side by side: 2 rows of 2 vectors are summed in registers (4 of 4 where there are 32 of them),
// then the columns that are left, then the last row alone.

// CHECK-LABEL: @columns
// CHECK: scf.for %[[M:.*]] = %c0 to %{{.*}} step %c2
// CHECK: scf.for %[[N:.*]] = %c0 to %c64 step %c32
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: vector.broadcast
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: scf.yield
// CHECK: vector.maskedload
// CHECK-NOT: linalg
func.func @columns(%a: memref<?x?xf32>, %b: memref<?x72xf32>, %y: memref<?x72xf32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x?xf32>, memref<?x72xf32>) outs(%y : memref<?x72xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %p = arith.mulf %x, %w : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  }
  return
}

// Both factors have the summed dimension last: 16 terms of each sum at once. Narrow elements are widened first.
// CHECK-LABEL: @dots
// CHECK: scf.for {{.*}} -> (vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>)
// CHECK: arith.extsi %{{.*}} : vector<16xi8> to vector<16xi32>
// CHECK: arith.extui %{{.*}} : vector<16xi8> to vector<16xi32>
// CHECK: arith.muli
// CHECK: vector.shuffle
// CHECK-NOT: linalg
func.func @dots(%a: memref<?x64xi8>, %b: memref<?x64xi8>, %y: memref<?x?xi32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x64xi8>, memref<?x64xi8>) outs(%y : memref<?x?xi32>) {
  ^bb0(%x: i8, %w: i8, %sum: i32):
    %l = arith.extui %x : i8 to i32
    %r = arith.extsi %w : i8 to i32
    %p = arith.muli %l, %r : i32
    %s = arith.addi %sum, %p : i32
    linalg.yield %s : i32
  }
  return
}

// Named operations are the same; where no dimension suits, and where the body is another one, nothing is done here.
// CHECK-LABEL: @others
// CHECK-NOT: linalg.matmul
// CHECK: linalg.generic
// CHECK: arith.maximumf
// CHECK: linalg.generic
func.func @others(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.matmul ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %p = arith.mulf %x, %w : f32
    %s = arith.maximumf %sum, %p : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %p = arith.mulf %x, %w : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  }
  return
}
