// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Finds where the bits of a code should lie so that extracting 64 codes takes the fewest uops. runtime/encoding/Places.def
// holds what it found; the test of this file finds it again.

#pragma once

#include "Layout/Extraction.h"

namespace mlir::whit {

struct PlaceSolution {
  ::whit::CodeUnit unit;
  int32_t cost = 0;     ///< the sum of uops over the quads of a unit, weighted over all targets
  int64_t searched = 0; ///< ways in which one quad can lie
};

/// All places are covered in which a code is cut into at most kMostFields runs of bits, each in one byte, in the line of any
/// of its bits. Deterministic.
PlaceSolution searchPlace(int32_t bits, CodeUse use);
inline constexpr int32_t kMostFields = 5;

/// The weighted uops of a unit, as PlaceSolution::cost.
int32_t costOf(const ::whit::CodeUnit &unit, CodeUse use);
/// Uops for 64 codes on one target.
double uopsPer64(const ::whit::CodeUnit &unit, const ExtractionTarget &target, CodeUse use);

/// The text of runtime/encoding/Places.def, found anew.
std::string placeTable();

/// Planes whose widths are the binary digits of `bits`, low bits in the widest: what the search is compared with.
::whit::CodeUnit binaryPlanes(int32_t bits);

} // namespace mlir::whit
