// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A first term whose zero points or minima have other blocks than its scales: either may be the larger, along K and along N. Internal
// to the room.
#ifndef WHIT_RUNTIME_ENCODING_ZEROFIT_H
#define WHIT_RUNTIME_ENCODING_ZEROFIT_H

#include "runtime/encoding/Quantize.h"

namespace whit {

/// Whether the zero or minimum of an encoding has other smallest blocks than the scale of its first term.
bool hasZerosApart(const Encoding &encoding);

/// Encodes the first term and the zero or minimum of `rest`, finite, [n][k], into `result`, and leaves there what later terms are to
/// say. The errors of quantize().
bool quantizeApart(std::vector<float> &rest, Matrix &result, std::string *why, Quantizer quantizer);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_ZEROFIT_H
