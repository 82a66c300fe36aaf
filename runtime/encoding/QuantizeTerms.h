// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The quantizer for every encoding that Quantize.cpp and LeastSquares.cpp have no loops for: tables, floats of few bits, scales
// that are products, sums of terms. Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_QUANTIZETERMS_H
#define WHIT_RUNTIME_ENCODING_QUANTIZETERMS_H

#include "runtime/encoding/Quantize.h"

namespace whit {

/// Encodes w, finite, [n][k], into `result`, which makeMatrix has made. Errors as quantize().
bool quantizeTerms(const float *w, Matrix &result, std::string *why, Quantizer quantizer);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_QUANTIZETERMS_H
