// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The stored numbers of one block of a term that lose least, the factors of larger blocks being given: what LeastSquares.h does for
// integers with one float, for any codec and any type of scale.
//
//   1. A coarse search over scales around the one that the extreme values give (and, with a minimum, over where the range is cut).
//      For each the codes are the nearest ones, and the line through (number of the code, value) has the scale and the minimum that
//      suit these codes best.
//   2. The best few are rounded to what the block stores, to the nearest such number and, if it has few bits, to its neighbours.
//   3. What decoding really gives is compared, the numbers of Quantizer::Nearest among the candidates.
//
// Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_BLOCKFIT_H
#define WHIT_RUNTIME_ENCODING_BLOCKFIT_H

#include "runtime/encoding/CodeBook.h"

#include <span>

namespace whit {

/// What a block stores: the first factor of the scale, that of the zero or minimum, and which table its codes are of.
struct BlockNumbers {
  float scale = 0, offset = 0;
  int choice = 0;
};

/// The types of a block's two numbers, and the factors of larger blocks in the order in which they are multiplied on.
struct BlockContext {
  const Encoding &encoding;
  const std::vector<CodeBook> &books;
  CodecKind kind; ///< of the term
  bool hasOffset; ///< the zero or minimum is this block's to choose
  ScaleType scaleType;
  std::vector<float> outerScales, outerOffsets;

  float scaleOf(const BlockNumbers &numbers) const;
  float offsetOf(const BlockNumbers &numbers) const;
  bool hasMinimum() const { return hasOffset && encoding.zero == ZeroKind::Minimum; }
};

/// The code of a value under the scale and offset of a block, and what it decodes to in f32.
struct CodedValue {
  uint8_t code;
  float value;
};
CodedValue codeOf(const BlockContext &context, const CodeBook &book, float scale, float offset, float value);

/// The sum of squared differences between `w` and what its codes decode to; infinite for numbers that are not finite.
double blockError(const BlockContext &context, const BlockNumbers &numbers, std::span<const float> w);

/// The best numbers found; their blockError is not larger than that of `nearest`.
BlockNumbers fitBlock(const BlockContext &context, const BlockNumbers &nearest, std::span<const float> w);

/// Stored numbers beside `number`, for types of so few bits that these may be better; it is among them.
std::vector<float> neighboursOf(ScaleType type, float number);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_BLOCKFIT_H
