// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The numbers that a codec has, in order, and which of them is nearest to a value.
#ifndef WHIT_RUNTIME_ENCODING_CODEBOOK_H
#define WHIT_RUNTIME_ENCODING_CODEBOOK_H

#include "whit/Encoding.h"

#include <span>

namespace whit {

/// One table of a codec: its finite numbers (minus a constant zero point), ascending, each with its lowest code.
class CodeBook {
public:
  /// `choice` selects a table of a Choice.
  CodeBook(const Codec &codec, float constant, int choice = 0);

  /// The code whose number is nearest to x. Ties: to the even code for floats, to the lower number for all others.
  uint8_t nearest(float x) const;
  /// Number of a code that `nearest` gave, or any other that is finite.
  float number(uint8_t code) const { return numbers[code]; }
  float lowest() const { return values.front(); }
  float highest() const { return values.back(); }
  /// Distinct numbers, ascending, and for each but the last the largest x to which it or a lower one is nearest.
  const std::vector<float> &ascending() const { return values; }
  const std::vector<float> &ceilings() const { return bounds; }
  /// The code of each of them; `nearest` finds its place in `tree`, a search in halves: ceilings, then infinity up to 2^n - 1.
  const std::vector<uint8_t> &ascendingCodes() const { return codes; }
  const std::vector<float> &tree() const { return padded; }
  /// The number of largest magnitude; the positive one of two.
  float extreme() const { return highest() >= -lowest() ? highest() : lowest(); }

private:
  std::vector<float> numbers; ///< by code
  std::vector<float> values;  ///< ascending, distinct
  std::vector<uint8_t> codes; ///< of values
  std::vector<float> bounds;  ///< bounds[i]: the largest float that is nearest to values[i] or lower
  std::vector<float> padded;  ///< bounds, then infinity up to one less than a power of two
};

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_CODEBOOK_H
