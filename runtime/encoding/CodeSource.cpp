// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Transposed codes are read in the order of the file, for all rows at once.
#include "runtime/encoding/CodeSource.h"

#include "runtime/encoding/Half.h"

namespace whit {
namespace {

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return false;
}

/// `count` items of `bits` bits; both may be as large as a file claims, so the product is taken in 128 bits.
bool checkBits(const char *what, std::span<const uint8_t> found, __int128 count, int64_t bits, std::string *why) {
  __int128 needed = (count * bits + 7) / 8;
  if (needed == __int128(found.size()))
    return true;
  std::string text = needed > INT64_MAX ? "over 2^63" : std::to_string(int64_t(needed));
  return refuse(why, std::string(what) + " has " + std::to_string(found.size()) + " bytes; " + text + " are required");
}

/// Number `index` of a packed tensor, moved up by `offset`; a code lies in one byte.
uint8_t codeAt(std::span<const uint8_t> bytes, int64_t index, int32_t bits, uint32_t offset) {
  int64_t perByte = 8 / bits;
  uint32_t code = uint32_t(bytes[index / perByte]) >> (index % perByte * bits);
  return uint8_t((code + offset) & ((1u << bits) - 1));
}

} // namespace

Encoding encodingOf(const CodeSource &source) {
  return intEncoding(source.bits, source.zero == CodeZero::Middle ? ZeroKind::Constant : ZeroKind::Integer,
                     source.scaleType, source.block);
}

bool readCodes(const CodeSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
               std::string *why) {
  if (source.bits != 2 && source.bits != 4 && source.bits != 8)
    return refuse(why, "bits is " + std::to_string(source.bits) + "; it must be 2, 4 or 8");
  constexpr int64_t limit = int64_t(1) << 40;
  if (source.n < 0 || source.k < 0 || source.n > limit || source.k > limit)
    return refuse(why, "shape " + std::to_string(source.n) + "x" + std::to_string(source.k) +
                           " is out of range; a dimension may be at most 2^40");
  int64_t blockSize = source.block.columns;
  bool isOne = source.block.isTensor();
  if (blockSize < 0 || blockSize > kMaxGroup)
    return refuse(why,
                  "block size is " + std::to_string(blockSize) + "; it must be from 1 to " + std::to_string(kMaxGroup));
  Encoding encoding = encodingOf(source);
  int64_t groups = groupCount(encoding, source.k);
  __int128 scales = isOne ? 1 : __int128(source.n) * groups;
  if (source.isUnscaled && !isOne)
    return refuse(why, "codes without scales have blocks; they must have one scale for all");
  if (!checkBits("the code tensor", source.codes, __int128(source.n) * source.k, source.bits, why) ||
      !checkBits("the scale tensor", source.scales, source.isUnscaled ? 0 : scales, 8 * scaleBytes(source.scaleType),
                 why) ||
      (source.zero == CodeZero::Stored && !checkBits("the zero point tensor", source.zeros, scales, source.bits, why)))
    return false;
  if (out.encoding != encoding)
    return refuse(why, "a source of format " + nameOf(encoding) + " cannot be read into " + nameOf(out.encoding));
  if (rowBegin < 0 || rowEnd < rowBegin || rowEnd > source.n || out.k != source.k || outRow < 0 ||
      outRow + (rowEnd - rowBegin) > out.n)
    return refuse(why, "rows " + std::to_string(rowBegin) + " to " + std::to_string(rowEnd) + " of a " +
                           std::to_string(source.n) + "x" + std::to_string(source.k) + " source do not fit at row " +
                           std::to_string(outRow) + " of " + std::to_string(out.n) + "x" + std::to_string(out.k));

  uint32_t offset = source.isSigned ? 1u << (source.bits - 1) : 0;
  int64_t rows = rowEnd - rowBegin;
  uint8_t *codes = out.codes().data() + outRow * out.k;
  if (source.isTransposed) {
    for (int64_t j = 0; j < source.k; ++j)
      for (int64_t i = 0; i < rows; ++i)
        codes[i * out.k + j] = codeAt(source.codes, j * source.n + rowBegin + i, source.bits, offset);
  } else {
    for (int64_t i = 0; i < rows * source.k; ++i)
      codes[i] = codeAt(source.codes, rowBegin * source.k + i, source.bits, offset);
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t g = 0; g < groups; ++g) {
      int64_t row = rowBegin + i, to = (outRow + i) * groups + g;
      int64_t at = isOne ? 0 : source.isTransposed ? g * source.n + row : row * groups + g;
      out.scales()[to] =
          source.isUnscaled ? 1 : loadScale(source.scaleType, source.scales.data() + at * scaleBytes(source.scaleType));
      if (source.zero != CodeZero::Middle)
        out.zeros()[to] = source.zero == CodeZero::Stored ? codeAt(source.zeros, at, source.bits, offset) : 0;
    }
  return true;
}

} // namespace whit
