// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators that do one thing after another. Compiled models have no loops between operations, so each step stands in
// the program.

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

/// More steps than this are refused.
inline constexpr int64_t kMaxIterations = 4096;

/// The number of elements of x along an axis, each of which is one step; reports a symbolic size, and too many.
mlir::FailureOr<int64_t> stepsOf(Node &node, const semantics::Tensor &x, llvm::StringRef role, int64_t axis);

/// x at one place of an axis, without it.
semantics::Tensor pick(mlir::ImplicitLocOpBuilder &b, const semantics::Tensor &x, int64_t axis, int64_t place);
/// Tensors of one shape along a new axis.
semantics::Tensor stack(mlir::ImplicitLocOpBuilder &b, llvm::ArrayRef<semantics::Tensor> parts, int64_t axis);

} // namespace whit
