// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of codes of 8 bits with constants, exact in i32.

#pragma once

#include "Import/ONNX/Ops/Constants.h"

namespace whit {

/// sum over k of (x[r, k] - zero) * w[n, k], in i32; x [R, K] is of uint8 or int8, and so is `zero`, of rank 0 (absent: 0).
semantics::Tensor multiplyCodes(mlir::ImplicitLocOpBuilder &b, const semantics::Tensor &x,
                                const std::optional<semantics::Tensor> &zero, const CodeMatrix &w);

/// x [N, C, spatial...] less `zero` convolved with a constant kernel, as the attributes of Conv say, in i32. `finish` takes the sums
/// and the dimension of theirs that is the channel, and makes codes of them; the result is [N, F, spatial...]. Nothing where the kernel
/// is no constant matrix, and no kernel for each channel.
using Finish = llvm::function_ref<mlir::FailureOr<semantics::Tensor>(const semantics::Tensor &sums, int64_t channel)>;
/// The inputs of the node by number; zeros may be absent.
struct CodeConvolution {
  unsigned x, xZero, w, wZero;
};
mlir::FailureOr<std::optional<semantics::Tensor>> convolveCodes(Node &node, const CodeConvolution &inputs,
                                                                Finish finish);

} // namespace whit
