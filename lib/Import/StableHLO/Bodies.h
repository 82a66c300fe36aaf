// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The regions of reductions, sorts and scatters: functions of elements, which are copied into the loops that need them.

#pragma once

#include "Import/StableHLO/Program.h"

namespace whit {

class HloBody {
public:
  /// The function that a block computes of its arguments, by elementwise operations on scalars, calls of functions of
  /// such, and scalars from outside. Nothing, and reported, if it does anything else.
  static std::optional<HloBody> of(Program &program, mlir::Operation *op, mlir::Block &block);

  /// What it gives for these elements.
  llvm::SmallVector<mlir::Value> run(mlir::ImplicitLocOpBuilder &b, mlir::ValueRange arguments) const;
  bool uses(unsigned argument) const { return !block->getArgument(argument).use_empty(); }

private:
  HloBody(mlir::Block &block) : block(&block) {}

  mlir::Block *block;
  llvm::DenseMap<mlir::Value, semantics::Tensor> outer;
};

/// Whether an operation stands in a region that HloBody is for.
bool isInHloBody(mlir::Operation *op);
/// The one value of a tensor of rank 0, in the body of an operation.
mlir::Value scalarOf(mlir::ImplicitLocOpBuilder &b, const semantics::Tensor &x);
/// The value of a tensor of rank 0 everywhere, in a tensor of its own that a loop may write to.
semantics::Tensor filledWith(mlir::ImplicitLocOpBuilder &b, const semantics::Tensor &x, const semantics::Sizes &sizes);

} // namespace whit
