// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conditions that say that a row sees no token behind it.

#pragma once

#include "Raise/Match.h"

namespace mlir::whit::raise {

/// An integer that is the same in all of the frame: a constant, and elements added or subtracted.
struct Offset {
  int64_t constant = 0;
  SmallVector<Element> added, subtracted;
};

/// If `condition` is t <= row + offset in any form, that offset. `row` and `t` are dimensions of the frame; row is
/// negative where there is one row only.
std::optional<Offset> causalOffset(const Element &condition, int64_t row, unsigned t);

/// The conditions that all must hold for this one, from `depth` conjunctions.
SmallVector<Element> conjunctsOf(const Element &condition, unsigned depth = 6);

/// The offset as an i32.
Value valueOf(ImplicitLocOpBuilder &b, const Offset &offset);

} // namespace mlir::whit::raise
