// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations on single elements: arith, math and affine.apply. Used for scalars, elementwise for tensors, and inside
// the bodies of linalg operations.

#pragma once

#include "Interpret/Values.h"

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Operation.h"

#include <functional>

namespace whit::interpret {

/// From the operands to the one result.
using ScalarFunction = std::function<Scalar(const Scalar *)>;

/// What `op` does to single elements, or null if it is not such an operation. `bounds` switches the error analysis on.
ScalarFunction scalarFunction(mlir::Operation *op, bool bounds);

/// The value of a constant attribute.
Scalar scalarOf(mlir::Attribute attribute);

int64_t evaluate(mlir::AffineExpr expr, llvm::ArrayRef<int64_t> dims, llvm::ArrayRef<int64_t> symbols);

} // namespace whit::interpret
