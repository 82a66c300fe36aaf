// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversions by integer arithmetic; tested on all 2^16 codes and all f32 rounding boundaries against numpy and
// ml_dtypes.
#include "runtime/encoding/Half.h"

#include <bit>
#include <cstring>

namespace whit {

float halfToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  if (exponent == 31) // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  float magnitude = float(mantissa) * 0x1p-24f; // subnormal: exact
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = uint16_t(bits >> 16) & 0x8000;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return sign | 0x7e00 | uint16_t((magnitude >> 13) & 1023);
  if (magnitude >= 0x477ff000u) // 65520 and above round to infinity
    return sign | 0x7c00;
  if (magnitude >= 0x38800000u) { // normal in half: rebias, round the low 13 bits, ties to even
    uint32_t rebiased = magnitude - (112u << 23);
    return sign | uint16_t((rebiased + 0xfffu + ((rebiased >> 13) & 1)) >> 13);
  }
  // Subnormal in half: adding 0.5 puts the unit of the sum at 2^-24, so the addition itself rounds to nearest even.
  float sum = std::bit_cast<float>(magnitude) + 0.5f;
  return sign | uint16_t(std::bit_cast<uint32_t>(sum) - 0x3f000000u);
}

float bfloatToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

uint16_t floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return uint16_t(bits >> 16) | 0x40;
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

float loadScale(ScaleType type, const uint8_t *bytes) {
  if (type == ScaleType::F32) {
    float value;
    std::memcpy(&value, bytes, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, bytes, 2);
  return type == ScaleType::F16 ? halfToFloat(half) : bfloatToFloat(half);
}

void storeScale(ScaleType type, float value, uint8_t *bytes) {
  if (type == ScaleType::F32) {
    std::memcpy(bytes, &value, 4);
    return;
  }
  uint16_t half = type == ScaleType::F16 ? floatToHalf(value) : floatToBfloat(value);
  std::memcpy(bytes, &half, 2);
}

float roundToScale(ScaleType type, float value) {
  switch (type) {
  case ScaleType::F32:
    return value;
  case ScaleType::F16:
    return halfToFloat(floatToHalf(value));
  case ScaleType::BF16:
    return bfloatToFloat(floatToBfloat(value));
  }
  return value;
}

} // namespace whit
