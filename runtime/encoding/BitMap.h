// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linear maps over GF(2) between words of up to 64 bits, and what they say about places ("Linear Layouts: Robust Code
// Generation of Efficient Tensor Computation Using F2", 2025). A place is such a map in two senses. The contents: the bits of
// the codes that share one byte of every line of a unit, moved to the bits of those bytes; this holds for all widths. The
// addresses: the binary digits of (bit, k, column), sent to those of (bit of a byte, byte of a line); this holds where the
// sizes are powers of two.
#ifndef WHIT_RUNTIME_ENCODING_BITMAP_H
#define WHIT_RUNTIME_ENCODING_BITMAP_H

#include "whit/Encoding.h"

namespace whit {

/// out = M * in over GF(2).
class BitMap {
public:
  /// The zero map.
  BitMap(int32_t inBits, int32_t outBits) : outBits(outBits), columns(inBits, 0) {}
  static BitMap identity(int32_t bits);

  int32_t ins() const { return int32_t(columns.size()); }
  int32_t outs() const { return outBits; }
  /// What input bit `in` alone becomes.
  uint64_t column(int32_t in) const { return columns[in]; }
  void setColumn(int32_t in, uint64_t out) { columns[in] = out; }

  uint64_t apply(uint64_t in) const;
  /// First `inner`, then this map.
  BitMap after(const BitMap &inner) const;
  int32_t rank() const;
  /// Nothing if two inputs have the same output, or some output has no input.
  std::optional<BitMap> inverse() const;

  bool operator==(const BitMap &) const = default;

private:
  int32_t outBits;
  std::vector<uint64_t> columns;
};

/// Where bit `bit` of the code of a quad lies: 8 * line + bit of the byte.
int32_t positionOf(const CodeUnit &unit, int32_t quad, int32_t bit);

/// The contents of one byte of each line, all positions at once: bit quad * bits + i of the input is bit i of the code of a quad, bit 8 * line + at of
/// the output is bit `at` of that line's byte. Codes have `bits` bits.
BitMap contentMap(const CodeUnit &unit, int32_t bits);

/// The addresses, for widths that are a power of two: from the digits of (bit of the code, k, column), lowest first, to those
/// of (bit of the byte, byte of the line, line). Nothing if the place is not linear in them.
std::optional<BitMap> addressMap(const CodeUnit &unit, int32_t bits);

/// A step of packing four bytes at once: the bits `mask` of the four codes of a quad, shifted to the left by `by` (to the right
/// if negative), are ORed to four bytes of a line. Unpacking is the same backwards.
struct WordMove {
  int32_t quad, line, by;
  uint32_t mask;

  bool operator==(const WordMove &) const = default;
};
/// The moves that carry out a content map in which every output bit is one input bit.
std::vector<WordMove> wordMoves(const BitMap &contents, int32_t bits);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_BITMAP_H
