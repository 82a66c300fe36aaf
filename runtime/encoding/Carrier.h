// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which formats integer activations can be multiplied with. The numbers of a codec are often multiples of one number, of
// which a byte holds the multiple: e2m1 in halves is -12 .. 12, e2m3 in eighths -60 .. 60, a table of ggml -127 .. 113. Then a
// sum of products of bytes, times that one number, is the sum of products of numbers, exactly. And which formats are made of
// floats of 8 bits, so that these can be multiplied.
#ifndef WHIT_RUNTIME_ENCODING_CARRIER_H
#define WHIT_RUNTIME_ENCODING_CARRIER_H

#include "whit/Encoding.h"

namespace whit {

/// How bytes stand for the numbers of a term: number - constant zero == (byte - offset) * scale.
struct IntegerCarrier {
  std::vector<uint8_t> table; ///< the byte of each code, tables of a choice one after another; empty: the code itself
  int32_t offset = 0;
  float scale = 1;
};

/// The carrier of each term, or nothing if one of them has none.
std::optional<std::vector<IntegerCarrier>> integerCarriers(const Encoding &encoding);

/// For floats of 8 bits (4 of exponent, 3 of fraction, no infinity): the byte of each code is such a float, number - constant zero. Nothing if
/// one of the numbers is none.
std::optional<std::vector<IntegerCarrier>> float8Carriers(const Encoding &encoding);

/// How many products of a number of a term and an activation in -127 .. 127 an int32 holds, whatever they are.
int64_t longestIntegerGroup(const std::vector<IntegerCarrier> &carriers);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_CARRIER_H
