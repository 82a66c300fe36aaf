// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floats of 8 bits and fewer. Programs hold them as their codes, one in each i8, and compute with f32, which has all of
// them.

#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace whit::semantics {

/// Whether a type is one of f8E4M3FN, f8E4M3FNUZ, f8E5M2, f8E5M2FNUZ, f8E8M0FNU, f4E2M1FN.
bool isSmallFloat(mlir::Type numbers);

/// What becomes of numbers that a small float does not have.
struct SmallRounding {
  bool saturates = true; ///< those beyond the largest become it; else infinity, or NaN where there is none
  enum Mode { Up, Down, Nearest } powers = Up; ///< how f8E8M0FNU, which has powers of two only, is rounded to
};

/// The f32 that a code in an i8 stands for.
mlir::Value fromSmallFloat(mlir::ImplicitLocOpBuilder &b, mlir::Value code, mlir::FloatType type);
/// The code of an f32, rounded to nearest even. NaN is 0 where there is none.
mlir::Value toSmallFloat(mlir::ImplicitLocOpBuilder &b, mlir::Value x, mlir::FloatType type,
                         SmallRounding rounding = {});

} // namespace whit::semantics
