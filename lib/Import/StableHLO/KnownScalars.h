// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integers that are the same in every run: what a loop counts, and with that how often it runs.

#pragma once

#include "Import/StableHLO/Program.h"

#include "llvm/ADT/APInt.h"

namespace whit {

using KnownScalar = std::optional<llvm::APInt>;

/// What a value of the program is in every run, if it is one integer.
KnownScalar constantOf(Program &program, mlir::Value value);

/// The integers of a block whose arguments have values, of which some are known.
class KnownScalars {
public:
  /// `budget`: how many operations may be computed; nothing is known of what is left then.
  KnownScalars(Program &program, mlir::Block &block, llvm::ArrayRef<KnownScalar> arguments, int64_t &budget,
               unsigned depth = 0);

  KnownScalar of(mlir::Value value);
  /// What the terminator hands on.
  llvm::SmallVector<KnownScalar> results();

private:
  KnownScalar compute(mlir::Operation *op, unsigned result);

  Program &program;
  mlir::Block &block;
  int64_t &budget;
  unsigned depth;
  llvm::DenseMap<mlir::Value, KnownScalar> known;
};

} // namespace whit
