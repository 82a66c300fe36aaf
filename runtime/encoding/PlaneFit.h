// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums of planes whose scales belong to the same blocks: the numbers of all planes of a block are found together, by choosing in
// turn the combination of codes that is nearest to each value and the scales that suit these codes best (ELUTQ, 2025; PTQTP, 2025).
// Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_PLANEFIT_H
#define WHIT_RUNTIME_ENCODING_PLANEFIT_H

#include "runtime/encoding/CodeBook.h"

#include <span>

namespace whit {

/// Whether all terms, and the minimum if there is one, have one factor of the same block in a row, and few combinations of codes.
bool isPlanes(const Encoding &encoding);

class PlaneFit {
public:
  explicit PlaneFit(const Encoding &encoding);

  /// A scale for each term, then the minimum if there is one, exact in their types.
  using Numbers = std::vector<float>;

  /// The planes as the digits of one number, laid over the range of `w`: uniform steps.
  Numbers nearest(std::span<const float> w) const;
  /// The best found; never worse than `nearest`.
  Numbers fit(std::span<const float> w, const Numbers &nearest) const;
  /// The code of each term for each value: codes[t][i].
  void encode(const Numbers &numbers, std::span<const float> w, std::span<uint8_t *const> codes) const;

private:
  struct Levels;
  Levels levelsOf(const Numbers &numbers) const;
  Numbers rounded(const Numbers &numbers) const;
  double error(const Numbers &numbers, std::span<const float> w) const;

  const Encoding &encoding;
  std::vector<CodeBook> books;
  std::vector<std::vector<uint8_t>> combinations; ///< [combination][term]: codes
  bool hasMinimum;
};

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_PLANEFIT_H
