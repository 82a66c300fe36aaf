// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops over a group, one instance for each kind of zero so that they become vector code. Contraction of a*b+c is off:
// a fused multiply-add would round once where the definition rounds twice.
#include "runtime/encoding/GroupCode.h"

#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

template <ZeroKind kind>
void encode(const Encoding &encoding, const GroupCode &group, std::span<const float> w, uint8_t *codes) {
  float half = encoding.constant, levels = float((1 << encoding.bits()) - 1);
  if (group.scale == 0) {
    std::fill_n(codes, w.size(),
                uint8_t(kind == ZeroKind::Constant  ? half
                        : kind == ZeroKind::Integer ? group.zero
                                                    : 0));
    return;
  }
  for (size_t i = 0; i < w.size(); ++i)
    codes[i] = uint8_t(int(nearestCode<kind>(group, half, levels, w[i])));
}

/// Sums stand side by side, so that they become vector code without any of them changing its order.
constexpr size_t kLanes = 8;

template <ZeroKind kind>
double squaredError(const Encoding &encoding, const GroupCode &group, std::span<const float> w) {
  uint8_t codes[512];
  double sums[kLanes] = {};
  for (size_t begin = 0; begin < w.size(); begin += sizeof(codes)) {
    std::span<const float> part = w.subspan(begin, std::min(sizeof(codes), w.size() - begin));
    encode<kind>(encoding, group, part, codes);
    auto add = [&](size_t i, size_t lane) {
      double difference =
          double(part[i]) - double(decode<kind, float>(encoding.constant, codes[i], group.scale, group.zero));
      sums[lane] += difference * difference;
    };
    size_t i = 0;
    for (; i + kLanes <= part.size(); i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane)
        add(i + lane, lane);
    for (; i < part.size(); ++i)
      add(i, i % kLanes);
  }
  double total = 0;
  for (double sum : sums)
    total += sum;
  return total;
}

} // namespace

void encodeGroup(const Encoding &encoding, const GroupCode &group, std::span<const float> w, uint8_t *codes) {
  withKind(encoding.zero, [&]<ZeroKind kind> { encode<kind>(encoding, group, w, codes); });
}

double groupError(const Encoding &encoding, const GroupCode &group, std::span<const float> w) {
  if (!group.isFinite())
    return std::numeric_limits<double>::infinity();
  return withKind(encoding.zero, [&]<ZeroKind kind> { return squaredError<kind>(encoding, group, w); });
}

} // namespace whit
