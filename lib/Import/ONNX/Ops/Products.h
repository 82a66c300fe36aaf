// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of activations, for operators that have more to do than multiply.

#pragma once

#include "Import/ONNX/Node.h"

namespace whit {

/// x times y as MatMul multiplies them, in their type; reports sizes that do not fit.
mlir::FailureOr<semantics::Tensor> multiplyMatrices(Node &node, semantics::Tensor x, semantics::Tensor y);

/// x convolved with w in their type, as the attributes of Conv say.
mlir::FailureOr<semantics::Tensor> convolve(Node &node, const semantics::Tensor &x, const semantics::Tensor &w);

} // namespace whit
