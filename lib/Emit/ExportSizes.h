// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the sizes of tensors in a model are, as expressions of its symbols; and what a kernel that sees only some of the tensors has to be
// told to know the sizes that it needs.

#pragma once

#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/AffineMap.h"
#include "llvm/ADT/DenseMap.h"

#include <string>
#include <vector>

namespace whit {

/// Expressions in affine symbols; symbol i is names()[i].
class ModelSizes {
public:
  explicit ModelSizes(mlir::func::FuncOp main) : main(main) {}

  mlir::AffineExpr of(mlir::Value index);
  mlir::AffineExpr ofDimension(mlir::Value tensor, int64_t dimension);
  /// A size of which nothing is known has an empty name.
  const std::vector<std::string> &names() const { return symbolNames; }
  /// "batch_size * sequence_length".
  std::string text(mlir::AffineExpr expression) const;

private:
  mlir::AffineExpr symbol(llvm::StringRef name);
  mlir::AffineExpr unknown(mlir::Value value, int64_t dimension);

  mlir::func::FuncOp main;
  std::vector<std::string> symbolNames;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, mlir::AffineExpr> unknowns;
};

/// The value from outside of `body` in whose memory `value`, computed inside, lies; null if it lies in none.
mlir::Value destinationOf(mlir::Value value, mlir::Region &body);

/// The numbers that a kernel is given, found from the sizes of its tensors and the sizes that its code needs.
class KernelSizes {
public:
  explicit KernelSizes(mlir::MLIRContext *context) : context(context) {}

  /// All dimensions first, then what else is needed; no more dimensions after that.
  void addDimension(mlir::AffineExpr ofModel);
  void chooseParameters();
  /// In the kernel's parameters: affine symbol i is parameter i. What no dimension says becomes a parameter of its own.
  mlir::AffineExpr inParameters(mlir::AffineExpr ofModel);
  /// The expression of the model that each parameter is.
  llvm::ArrayRef<mlir::AffineExpr> parameters() const { return chosen; }

private:
  void addParameter(mlir::AffineExpr ofModel);
  mlir::AffineExpr replaced(mlir::AffineExpr ofModel) const;

  mlir::MLIRContext *context;
  std::vector<mlir::AffineExpr> dimensions, chosen;
  llvm::DenseMap<mlir::AffineExpr, mlir::AffineExpr> replacements;
};

} // namespace whit
