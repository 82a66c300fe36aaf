// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes of blocks of elements, and the scales of all terms that share them. Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_VECTORFIT_H
#define WHIT_RUNTIME_ENCODING_VECTORFIT_H

#include "runtime/encoding/Quantize.h"

namespace whit {

/// Encodes `rest` ([n][k]) in term `first` of `result`, which has codes, and the terms that share them, and takes from it what they
/// decode to. Returns the term behind them, or 0 where a scale does not fit its type.
size_t fitVectors(Matrix &result, size_t first, std::vector<float> &rest, Quantizer quantizer);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_VECTORFIT_H
