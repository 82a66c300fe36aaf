// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// IEEE binary16 and bfloat16 to and from f32. Widening is exact; narrowing rounds to nearest, ties to even, subnormals
// honoured, overflow to infinity, NaN kept quiet with its top payload bits. The same bits on every machine: no hardware
// conversion is used.
#ifndef WHIT_RUNTIME_ENCODING_HALF_H
#define WHIT_RUNTIME_ENCODING_HALF_H

#include "whit/Encoding.h"

#include <cstdint>

namespace whit {

float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value);
float bfloatToFloat(uint16_t bits);
uint16_t floatToBfloat(float value);

/// Reads and writes one stored factor (unaligned, little-endian; integers of few bits fill a byte). Floats of 8 bits are rounded
/// to nearest and saturate, integers too; E8M0 becomes the next power of two that is not smaller.
float loadScale(ScaleType type, const uint8_t *bytes);
void storeScale(ScaleType type, float value, uint8_t *bytes);

/// `value` after a store and a load.
float roundToScale(ScaleType type, float value);

/// The largest finite number of a type, and whether it has negative ones.
float largestScale(ScaleType type);
bool isSigned(ScaleType type);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_HALF_H
