// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One group of a matrix of integer codes under a given scale: the code of each value, and what the codes lose. Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_GROUPCODE_H
#define WHIT_RUNTIME_ENCODING_GROUPCODE_H

#include "runtime/encoding/Matrix.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace whit {

/// The scale of a group and its zero or minimum (unused for Constant).
struct GroupCode {
  float scale = 0, zero = 0;
  bool isFinite() const { return std::isfinite(scale) && std::isfinite(zero); }
};

/// Rounds half to even by what an addition does to the last bits: exact up to 2^22, and vector code on every machine.
inline float roundToEven(float value) {
  constexpr float kShift = 0x1.8p23f;
  return (value + kShift) - kShift;
}

/// The code nearest to `value`. No a * b + c of these functions may be contracted.
template <ZeroKind kind> inline float nearestCode(const GroupCode &group, float half, float levels, float value) {
  float code, offset = 0;
  if constexpr (kind == ZeroKind::Constant)
    code = value / group.scale, offset = half;
  else if constexpr (kind == ZeroKind::Integer)
    code = value / group.scale, offset = group.zero;
  else if constexpr (kind == ZeroKind::Float)
    code = value / group.scale + group.zero;
  else
    code = (value - group.zero) / group.scale;
  // Clamped first: rounding is exact only for numbers that are not large, and the bounds are integers.
  code = std::min(std::max(code, 0 - offset), levels - offset);
  return roundToEven(code) + offset;
}

/// One element's value in `Number` (float or double). The order of operations is the definition; do not simplify.
template <ZeroKind kind, typename Number>
inline Number decode(float constant, uint8_t code, float scale, [[maybe_unused]] float zero) {
  if constexpr (kind == ZeroKind::Constant)
    return (Number(code) - Number(constant)) * Number(scale);
  else if constexpr (kind == ZeroKind::Integer)
    return Number(int(code) - int(zero)) * Number(scale);
  else if constexpr (kind == ZeroKind::Float)
    return (Number(code) - Number(zero)) * Number(scale);
  else
    return Number(scale) * Number(code) + Number(zero);
}

/// Calls body.operator()<kind>() for a kind that is known when the program runs.
template <typename Body> auto withKind(ZeroKind kind, Body &&body) {
  switch (kind) {
  case ZeroKind::Constant:
    return body.template operator()<ZeroKind::Constant>();
  case ZeroKind::Integer:
    return body.template operator()<ZeroKind::Integer>();
  case ZeroKind::Float:
    return body.template operator()<ZeroKind::Float>();
  case ZeroKind::Minimum:
    break;
  }
  return body.template operator()<ZeroKind::Minimum>();
}

/// The codes of `w` under `group`.
void encodeGroup(const Encoding &encoding, const GroupCode &group, std::span<const float> w, uint8_t *codes);

/// The sum of the squared differences between `w` and what its codes decode to in f32; infinite if `group` is not finite.
double groupError(const Encoding &encoding, const GroupCode &group, std::span<const float> w);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_GROUPCODE_H
