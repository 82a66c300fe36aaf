// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Emits the sequences of Layout/Extraction.h: lines of a unit in, the codes of a quad out.

#pragma once

#include "Layout/Extraction.h"
#include "Lower/KernelBuilder.h"

namespace mlir::whit {

/// The first row of Targets.def whose features the machine has.
const ExtractionTarget &extractionTargetOf(const TargetFacts &facts);

/// Codes 4*quad .. 4*quad+3 of a unit for 16 columns, as bytes of 16 x i32. `lines` has lane c of each line in lane c. For an
/// Index, the bits above the code may be anything where the target's lookups ignore them.
Value extractCodes(KernelBuilder &k, const ::whit::CodeUnit &unit, ArrayRef<Value> lines, int64_t quad, CodeUse use);

} // namespace mlir::whit
