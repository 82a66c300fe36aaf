// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Midpoints are taken in f64, where they are exact, and turned into the largest f32 on their lower side, ties included: finding
// the nearest number is then a search among f32.
#include "runtime/encoding/CodeBook.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace whit {

CodeBook::CodeBook(const Codec &codec, float constant, int choice) {
  std::vector<float> table = codec.table();
  size_t count = size_t(1) << codec.bits;
  numbers.assign(table.begin() + choice * count, table.begin() + (choice + 1) * count);
  std::vector<uint8_t> order;
  for (size_t code = 0; code < count; ++code) {
    numbers[code] -= constant;
    if (std::isfinite(numbers[code]))
      order.push_back(uint8_t(code));
  }
  std::sort(order.begin(), order.end(),
            [&](uint8_t a, uint8_t b) { return numbers[a] != numbers[b] ? numbers[a] < numbers[b] : a < b; });
  for (uint8_t code : order)
    if (values.empty() || numbers[code] != values.back()) {
      values.push_back(numbers[code]);
      codes.push_back(code);
    }
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    double middle = (double(values[i]) + double(values[i + 1])) / 2;
    // A negative float is even if its magnitude is: the sign bit does not change the lowest bit of a code.
    bool tieIsLower = codec.kind != CodecKind::Float || codes[i] % 2 == 0;
    float bound = float(middle);
    if (double(bound) > middle || (double(bound) == middle && !tieIsLower))
      bound = std::nextafter(bound, -std::numeric_limits<float>::infinity());
    bounds.push_back(bound);
  }
  padded = bounds;
  padded.resize(std::bit_ceil(bounds.size() + 1) - 1, std::numeric_limits<float>::infinity());
}

/// Without branches: halves of a tree whose missing bounds are infinite.
uint8_t CodeBook::nearest(float x) const {
  size_t at = 0;
  for (size_t step = (padded.size() + 1) / 2; step; step /= 2)
    at += padded[at + step - 1] < x ? step : 0;
  return codes[at];
}

} // namespace whit
