// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floating-point numbers of 8 bits, from their definition: sign, exponent, mantissa.

#include "Sim/Floats.h"

#include <algorithm>

namespace whit::sim {

float decode(const Float8 &format, uint8_t bits) {
  int exponent = bits >> format.mantissaBits & ((1 << format.exponentBits) - 1),
      mantissa = bits & ((1 << format.mantissaBits) - 1);
  bool negative = bits >> 7;
  int top = (1 << format.exponentBits) - 1;
  if (format.fnuz) {
    if (bits == 0x80)
      return NAN;
  } else if (format.finite) {
    if ((bits & 0x7f) == 0x7f)
      return NAN;
  } else if (exponent == top) {
    return mantissa ? NAN : negative ? -INFINITY : INFINITY;
  }
  float magnitude =
      exponent ? std::ldexp(float((1 << format.mantissaBits) + mantissa), exponent - format.bias - format.mantissaBits)
               : std::ldexp(float(mantissa), 1 - format.bias - format.mantissaBits);
  return negative ? -magnitude : magnitude;
}

uint8_t encode(const Float8 &format, float value, bool saturate) {
  uint8_t sign = std::signbit(value) ? 0x80 : 0;
  uint8_t nan = format.fnuz ? 0x80 : 0x7f;
  int largestExponent = (1 << format.exponentBits) - 1 - (format.finite ? 0 : 1);
  int largestMantissa = (1 << format.mantissaBits) - 1 - (format.finite && !format.fnuz ? 1 : 0);
  uint8_t largest = uint8_t(largestExponent << format.mantissaBits | largestMantissa);
  if (std::isnan(value))
    return nan;
  float magnitude = std::fabs(value);
  if (std::isinf(value))
    return uint8_t(saturate ? largest | sign : format.finite ? (format.fnuz ? nan : nan | sign) : 0x7c | sign);
  int exponent = 0;
  std::frexp(magnitude, &exponent); // magnitude < 2^exponent
  int least = 1 - format.bias, step = std::max(exponent - 1, least) - format.mantissaBits;
  float scaled = std::nearbyint(std::ldexp(magnitude, -step));
  uint32_t code = uint32_t(scaled);
  if (magnitude != 0 && exponent - 1 >= least)
    code += uint32_t(exponent - 1 - least)
            << format.mantissaBits; // 1.m has its leading one where the exponent's lowest bit is
  if (code > largest)
    return uint8_t(saturate ? largest | sign : format.finite ? (format.fnuz ? nan : nan | sign) : 0x7c | sign);
  if (!code && format.fnuz)
    return 0;
  return uint8_t(code | sign);
}

} // namespace whit::sim
