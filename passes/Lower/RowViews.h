// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Leading dimensions of an activation are rows. Kernels want one dimension of rows.

#pragma once

#include "Lower/KernelBuilder.h"

namespace mlir::whit {

/// A memref of shape [rows..., trailing...]; all operands of an operation have the same leading dimensions.
struct RowOperand {
  Value memref;
  int64_t trailing;
};

/// Calls `body` once with views of shape [rows, trailing...]. If the leading dimensions are not known to lie so that they
/// can be collapsed, strides are compared at run time, and a loop over all but the last one surrounds the body.
void forRowViews(KernelBuilder &k, ArrayRef<RowOperand> operands, function_ref<void(ValueRange)> body);

} // namespace mlir::whit
