// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-verify-stage=stage=fused -split-input-file -verify-diagnostics -o /dev/null
// RUN: not whit-opt %s -whit-verify-stage=stage=lowered -split-input-file 2>&1 | FileCheck %s --check-prefix=LOWERED
// RUN: not whit-opt %s -whit-verify-stage=stage=baked -split-input-file 2>&1 | FileCheck %s --check-prefix=STAGE
// STAGE: error: stage is 'baked'; it must be imported, raised, encoded, fused, laid-out, tiled or lowered
// LOWERED: is left after stage 'lowered'; whit-convert-to-llvm should have converted it

// A compute operation that no region holds breaks the promise of the fuse stage.
func.func private @loose(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @below {{is outside of any region after stage 'fused'; whit-form-regions should have placed it}}
  %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
  return %n : tensor<?x64xf32>
}

// -----

// expected-error @below {{output 'y' has no destination after stage 'encoded'; whit-add-destinations should have added it}}
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32> {whit.name = "y"}) {
  return %x : tensor<4xf32>
}

// -----

// In a region it is where it belongs.
func.func private @placed(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %r = whit.region "norm" {
    %n = whit.rms_norm ins(%x, %w : tensor<?x64xf32>, tensor<64xf32>) outs(%y : tensor<?x64xf32>) epsilon = 1.0e-5 -> tensor<?x64xf32>
    whit.yield %n : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
