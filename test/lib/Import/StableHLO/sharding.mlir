// RUN: whit-compile %s --stop-after=imported -o - | FileCheck %s
//
// How JAX would spread a program over devices means nothing here, and is dropped.

// CHECK-NOT: sdy
// CHECK-NOT: mhlo
// CHECK: func.func @main(%[[X:.+]]: tensor<4xf32> {whit.dims = [4], whit.name = "arg0"}
// CHECK: %[[Y:.+]] = linalg.generic
// CHECK: return %[[Y]]
module @jit_f attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  sdy.mesh @mesh = <["x"=1]> {stablehlo.mesh = {axes = [{name = "x", size = 1 : i64}]}}
  func.func public @main(%arg0: tensor<4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>}) -> (tensor<4xf32> {jax.result_info = "result", sdy.sharding = #sdy.sharding<@mesh, [{"x"}]>}) {
    %0 = stablehlo.add %arg0, %arg0 {mhlo.sharding = "{replicated}"} : tensor<4xf32>
    %1 = sdy.sharding_constraint %0 <@mesh, [{"x"}, {?}]> : tensor<4xf32>
    %2 = stablehlo.custom_call @Sharding(%1) {mhlo.sharding = "{replicated}"} : (tensor<4xf32>) -> tensor<4xf32>
    return %2 : tensor<4xf32>
  }
}
