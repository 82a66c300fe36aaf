// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Small floating-point numbers by their bits. The loops over lanes are vectorized by the host's compiler, so that the conversions have no
// branches where it matters.
#ifndef SIM_FLOATS_H
#define SIM_FLOATS_H

#include <bit>
#include <cmath>
#include <cstdint>

namespace whit::sim {

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

inline float toFloat(Half h) {
  uint32_t magnitude = h.bits & 0x7fffu;
  // Scaling by a power of two puts the exponent right, for subnormal numbers too.
  uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
  bits |= magnitude >= 0x7c00 ? 0x7f800000u : 0u;
  return std::bit_cast<float>(bits | uint32_t(h.bits & 0x8000u) << 16);
}
inline float toFloat(BFloat b) { return std::bit_cast<float>(uint32_t(b.bits) << 16); }
inline float toFloat(float f) { return f; }
inline double toFloat(double d) { return d; }

inline Half roundToHalf(float f) {
  uint32_t bits = std::bit_cast<uint32_t>(f), sign = bits >> 16 & 0x8000u;
  bits &= 0x7fffffffu;
  // Below 2^-14: an addition aligns the bits as a subnormal number has them, and rounds.
  uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + 0.5f) - 0x3f000000u;
  uint32_t normal = (bits + 0xc8000fffu + (bits >> 13 & 1)) >> 13;
  uint32_t result = bits < 0x38800000u ? small : normal;
  result = bits >= 0x477ff000u ? 0x7c00u : result;
  result = bits > 0x7f800000u ? 0x7e00u : result;
  return {uint16_t(result | sign)};
}
inline BFloat roundToBFloat(float f) {
  uint32_t bits = std::bit_cast<uint32_t>(f);
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  return {uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16 | 0x40u) : rounded)};
}
/// Rounds so that a second rounding, to half or bfloat, gives what one rounding of `d` would have given.
inline float roundToOdd(double d) {
  float f = float(d);
  if (double(f) == d || !std::isfinite(f))
    return f;
  uint32_t bits = std::bit_cast<uint32_t>(f);
  if (std::fabs(double(f)) > std::fabs(d))
    --bits;
  return std::bit_cast<float>(bits | 1u);
}
template <class T> T fromFloat(float f);
template <> inline Half fromFloat<Half>(float f) { return roundToHalf(f); }
template <> inline BFloat fromFloat<BFloat>(float f) { return roundToBFloat(f); }
template <> inline float fromFloat<float>(float f) { return f; }
template <> inline double fromFloat<double>(float f) { return f; }
template <class T> T fromDouble(double d);
template <> inline Half fromDouble<Half>(double d) { return roundToHalf(roundToOdd(d)); }
template <> inline BFloat fromDouble<BFloat>(double d) { return roundToBFloat(roundToOdd(d)); }
template <> inline float fromDouble<float>(double d) { return float(d); }
template <> inline double fromDouble<double>(double d) { return d; }

/// The formats of 8 bits. `finite`: no infinities, and one NaN (OCP e4m3); `fnuz`: that, one zero, NaN where -0 would be, and a larger bias.
struct Float8 {
  int exponentBits, mantissaBits, bias;
  bool finite, fnuz;
};
inline constexpr Float8 E4M3 = {4, 3, 7, true, false}, E5M2 = {5, 2, 15, false, false},
                        E4M3_FNUZ = {4, 3, 8, true, true}, E5M2_FNUZ = {5, 2, 16, true, true};

float decode(const Float8 &format, uint8_t bits);
/// Nearest, ties to even; what is too large becomes the largest number if `saturate`, else infinity or NaN.
uint8_t encode(const Float8 &format, float value, bool saturate);

} // namespace whit::sim

#endif // SIM_FLOATS_H
