// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a cache in a low-bit format makes of the features of a token, with bounds: a number whose rounding the errors of its
// inputs do not touch is exact.

#pragma once

#include "Interpret/Values.h"

#include "whit/Encoding.h"

namespace whit::interpret {

/// The row times the normalized Hadamard matrix of its size, by its definition: H[i][j] is negative where i and j have an odd
/// number of ones in common.
void multiplyByHadamardMatrix(std::vector<Scalar> &row, double unit);

/// Each value as its format holds it: quantized by the nearest quantizer and decoded. NaN if one of them is not finite, or if
/// the scale does not fit its type.
void storeInFormat(const Encoding &encoding, std::vector<Scalar> &row, double unit);

} // namespace whit::interpret
