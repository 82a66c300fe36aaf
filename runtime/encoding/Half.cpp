// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversions by integer arithmetic; tested on all 2^16 codes and all f32 rounding boundaries against numpy and
// ml_dtypes.
#include "runtime/encoding/Half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

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

namespace {

/// The positive half of an 8-bit float: exponent and fraction fill the byte but for its top bit (E4M3) or all of it (UE5M3);
/// the last code is NaN.
struct SmallFloat {
  int mantissaBits, bias, last;
};
constexpr SmallFloat kE4M3{3, 7, 0x7f}, kUE5M3{3, 15, 0xff};

float decodeSmall(const SmallFloat &type, int code) {
  if (code >= type.last)
    return std::numeric_limits<float>::quiet_NaN();
  int exponent = code >> type.mantissaBits, fraction = code & ((1 << type.mantissaBits) - 1);
  return exponent ? std::ldexp(float((1 << type.mantissaBits) + fraction), exponent - type.bias - type.mantissaBits)
                  : std::ldexp(float(fraction), 1 - type.bias - type.mantissaBits);
}

/// To nearest, ties to even, saturating; numbers that are not positive become 0.
int encodeSmall(const SmallFloat &type, float value) {
  if (!(value > 0))
    return 0;
  int exponent = std::max(std::ilogb(value), 1 - type.bias);
  float steps = std::nearbyint(std::ldexp(value, type.mantissaBits - exponent));
  int code = int(steps) + ((exponent + type.bias - 1) << type.mantissaBits);
  return std::isfinite(value) && std::ldexp(value, -20) < 1 ? std::min(code, type.last - 1) : type.last - 1;
}

int encodeInteger(ScaleType type, float value) {
  int bits = scaleBits(type);
  bool isSigned = type >= ScaleType::I2;
  float low = isSigned ? -float(1 << (bits - 1)) : 0, high = float((1 << (isSigned ? bits - 1 : bits)) - 1);
  return int(std::nearbyint(std::clamp(std::isnan(value) ? 0 : value, low, high)));
}

/// The smallest power of two that is not below the value, so that nothing is cut off.
int encodePower(float value) {
  if (!(value > 0))
    return 0;
  int exponent = 0;
  float fraction = std::frexp(value, &exponent); // [0.5, 1)
  return std::clamp(exponent - (fraction == 0.5f) + 127, 0, 254);
}

/// ZeroQuant-FP (2023): 2^-ceil(log2(1 / value)). The codes above 149 are 0.
int encodeShift(float value) {
  if (!(value > 0))
    return 255;
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::clamp(1 - exponent, 0, 149);
}

} // namespace

float loadScale(ScaleType type, const uint8_t *bytes) {
  switch (type) {
  case ScaleType::F32: {
    float value;
    std::memcpy(&value, bytes, 4);
    return value;
  }
  case ScaleType::F16:
  case ScaleType::BF16: {
    uint16_t half;
    std::memcpy(&half, bytes, 2);
    return type == ScaleType::F16 ? halfToFloat(half) : bfloatToFloat(half);
  }
  case ScaleType::E8M0:
    return *bytes == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, *bytes - 127);
  case ScaleType::E4M3:
    return decodeSmall(kE4M3, *bytes & 0x7f);
  case ScaleType::UE5M3:
    return decodeSmall(kUE5M3, *bytes);
  case ScaleType::Shift:
    return std::ldexp(1.0f, -int(*bytes));
  default:
    return type >= ScaleType::I2 ? float(int8_t(*bytes)) : float(*bytes);
  }
}

void storeScale(ScaleType type, float value, uint8_t *bytes) {
  switch (type) {
  case ScaleType::F32:
    std::memcpy(bytes, &value, 4);
    return;
  case ScaleType::F16:
  case ScaleType::BF16: {
    uint16_t half = type == ScaleType::F16 ? floatToHalf(value) : floatToBfloat(value);
    std::memcpy(bytes, &half, 2);
    return;
  }
  case ScaleType::E8M0:
    *bytes = std::isnan(value) ? 0xff : uint8_t(encodePower(value));
    return;
  case ScaleType::E4M3:
    *bytes = std::isnan(value) ? 0x7f : uint8_t(encodeSmall(kE4M3, value));
    return;
  case ScaleType::UE5M3:
    *bytes = std::isnan(value) ? 0xff : uint8_t(encodeSmall(kUE5M3, value));
    return;
  case ScaleType::Shift:
    *bytes = uint8_t(encodeShift(value));
    return;
  default:
    *bytes = uint8_t(encodeInteger(type, value));
  }
}

float roundToScale(ScaleType type, float value) {
  switch (type) {
  case ScaleType::F32:
    return value;
  case ScaleType::F16:
    return halfToFloat(floatToHalf(value));
  case ScaleType::BF16:
    return bfloatToFloat(floatToBfloat(value));
  default: {
    uint8_t byte;
    storeScale(type, value, &byte);
    return loadScale(type, &byte);
  }
  }
}

float largestScale(ScaleType type) {
  switch (type) {
  case ScaleType::F32:
    return std::numeric_limits<float>::max();
  case ScaleType::F16:
    return 65504;
  case ScaleType::BF16:
    return bfloatToFloat(0x7f7f);
  case ScaleType::E8M0:
    return 0x1p127f;
  case ScaleType::E4M3:
    return 448;
  case ScaleType::UE5M3:
    return decodeSmall(kUE5M3, 0xfe);
  case ScaleType::Shift:
    return 1;
  default: {
    int bits = scaleBits(type);
    return float((1 << (type >= ScaleType::I2 ? bits - 1 : bits)) - 1);
  }
  }
}

bool isSigned(ScaleType type) {
  return type == ScaleType::F32 || type == ScaleType::F16 || type == ScaleType::BF16 || type >= ScaleType::I2;
}

} // namespace whit
