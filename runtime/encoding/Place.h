// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference map of the panel stream (include/whit/Encoding.h): for one bit of one code, the one place it has in the
// packed bytes, from the content map of its unit (BitMap.h). Slow and obvious; the packer, the unpacker and the code generator
// are all tested against it.
#ifndef WHIT_RUNTIME_ENCODING_PLACE_H
#define WHIT_RUNTIME_ENCODING_PLACE_H

#include "whit/Encoding.h"

namespace whit {

/// What becomes of codes once they are in registers, which decides where their bits lie best.
///   Number  they are operands: bits above the code must be 0
///   Index   they choose entries of a table; an instruction that ignores the bits above takes them as they are
enum class CodeUse : uint8_t { Number, Index };
CodeUse useOf(const Codec &codec);
/// A row of Places.def.
const CodeUnit &codeUnit(int32_t bits, CodeUse use);
/// The unit of a codec: a row of Places.def, a line of digits, or planes of 2, 2 and 4 bits.
CodeUnit unitOf(const Codec &codec);
/// The bits of each line of a unit, as Places.def writes them; unitFrom is the inverse and asserts that it is given one.
std::vector<std::string> picture(const CodeUnit &unit);
CodeUnit unitFrom(const std::vector<std::string> &picture);

/// Bit `bit` (0 = lowest) of byte `byte` of the packed matrix.
struct BitPosition {
  int64_t byte;
  int32_t bit;

  bool operator==(const BitPosition &) const = default;
};

/// Where a line of the first unit of the first block lies in a panel, and how far behind it those of the next ones do.
struct LinePlace {
  int64_t offset, perUnit, perBlock;
};
LinePlace placeOfLine(const Place &place, size_t term, int32_t line);

/// What kernels read of an encoding and of its place: in the place of codes in planes, shorter codes without those planes that the format
/// does not read. Its codes are those of the encoding without their lower bits.
Encoding readPart(const Encoding &encoding);
Place readPart(const Encoding &encoding, Place place);

/// Where bit `bit` of the code of row n, element k of a term lies. Codes exist for n < 16 * panels and k < groups * paddedGroup
/// in the padded sense: pass k as group * groupSize + offset for real elements. Plain formats: bit `bit` of the stored
/// value. Sparse terms: elements 4 q and 4 q + 1 stand for the two codes of the q-th four.
BitPosition codeBit(const Place &place, size_t term, int64_t n, int64_t k, int32_t bit);

/// Of a vector term: the lowest bit of the code of the block that row n, element k belongs to. A code does not leave its byte.
BitPosition vectorBit(const Place &place, const Codec &codec, size_t term, int64_t n, int64_t k);

/// A digit of a byte of the packed matrix: what a code adds to it is the code times `weight`.
struct DigitPosition {
  int64_t byte;
  int32_t weight;
};
/// The same for terms whose codes are digits.
DigitPosition codeDigit(const Place &place, size_t term, int64_t n, int64_t k);

/// Of a sparse term: the bit that says whether row n keeps element k.
BitPosition keptBit(const Place &place, size_t term, int64_t n, int64_t k);

/// First byte of what is stored of a factor (of TermPlace::factors, choice or Place::offset) for row n, group g.
int64_t factorByte(const Place &place, const FactorPlace &factor, int64_t n, int64_t group);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_PLACE_H
