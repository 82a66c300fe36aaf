// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Little-endian streams of b-bit codes, and what they are read from.
#include "runtime/encoding/BlockSource.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cstring>

namespace whit {
namespace {

/// Code number `index` of a little-endian stream; a code spans at most two bytes.
uint8_t streamCode(const uint8_t *stream, int64_t index, int32_t bits) {
  int64_t first = index * bits;
  int32_t shift = int32_t(first % 8);
  uint32_t window = stream[first / 8];
  if (shift + bits > 8)
    window |= uint32_t(stream[first / 8 + 1]) << 8;
  return uint8_t((window >> shift) & ((1u << bits) - 1));
}

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return false;
}

/// `count` items of `each` bytes; both may be as large as a file claims, so the product is taken in 128 bits.
bool checkBytes(const char *what, std::span<const uint8_t> found, __int128 count, int64_t each, std::string *why) {
  __int128 needed = count * each;
  if (needed <= __int128(found.size()))
    return true;
  std::string text = needed > INT64_MAX ? "over 2^63" : std::to_string(int64_t(needed));
  return refuse(why, std::string(what) + " has " + std::to_string(found.size()) + " bytes; " + text + " are required");
}

bool fits(const BlockSource &source, const Encoding &encoding) {
  Encoding own = encodingOf(source);
  bool zeroFits = encoding.zero == own.zero ||
                  (source.zero == SourceZero::Absent && encoding.zero != ZeroKind::Minimum) ||
                  (source.zero == SourceZero::Packed && encoding.zero == ZeroKind::Float);
  bool scaleFits = encoding.scaleType() == own.scaleType() || encoding.scaleType() == ScaleType::F32;
  return zeroFits && scaleFits &&
         encoding == intEncoding(source.bits, encoding.zero, encoding.scaleType(), {1, source.blockSize});
}

} // namespace

Encoding encodingOf(const BlockSource &source) {
  bool isFloat = source.zero == SourceZero::Float;
  ZeroKind zero = isFloat                             ? ZeroKind::Float
                  : source.zero == SourceZero::Packed ? ZeroKind::Integer
                                                      : ZeroKind::Constant;
  ScaleType scale = isFloat && source.zeroType != source.scaleType ? ScaleType::F32 : source.scaleType;
  return intEncoding(source.bits, zero, scale, {1, source.blockSize});
}

std::optional<std::vector<int64_t>> orderOfGroups(std::span<const uint8_t> indices, int64_t k, int64_t blockSize,
                                                  std::string *why) {
  auto bad = [&](std::string text) {
    refuse(why, std::move(text));
    return std::nullopt;
  };
  if (k < 0 || blockSize < 1 || int64_t(indices.size() / 4) < k)
    return bad("the group indices have " + std::to_string(indices.size()) + " bytes; " + std::to_string(4 * k) +
               " are required");
  int64_t groups = (k + blockSize - 1) / blockSize;
  std::vector<int64_t> next(groups), order(k);
  for (int64_t g = 0; g < groups; ++g)
    next[g] = g * blockSize;
  std::vector<int64_t> counts(groups);
  for (int64_t i = 0; i < k; ++i) {
    int32_t group;
    std::memcpy(&group, indices.data() + i * 4, 4);
    if (group < 0 || group >= groups)
      return bad("element " + std::to_string(i) + " is of group " + std::to_string(group) + "; groups are 0 to " +
                 std::to_string(groups - 1));
    if (int64_t room = std::min(blockSize, k - group * blockSize); ++counts[group] <= room)
      order[next[group]++] = i;
  }
  for (int64_t g = 0; g < groups; ++g)
    if (int64_t room = std::min(blockSize, k - g * blockSize); counts[g] != room)
      return bad("group " + std::to_string(g) + " has " + std::to_string(counts[g]) + " elements; it must have " +
                 std::to_string(room));
  return order;
}

bool readBlocks(const BlockSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
                std::string *why) {
  if (source.bits < 1 || source.bits > 8)
    return refuse(why, "bits is " + std::to_string(source.bits) + "; it must be from 1 to 8");
  constexpr int64_t limit = int64_t(1) << 40;
  if (source.blockSize < 1 || source.blockSize > kMaxGroup || source.blockSize * source.bits % 8 != 0)
    return refuse(why, "block size is " + std::to_string(source.blockSize) + "; it must be from 1 to " +
                           std::to_string(kMaxGroup) + ", and a block of " + std::to_string(source.bits) +
                           "-bit codes must be whole bytes");
  if (source.n < 0 || source.k < 0 || source.n > limit || source.k > limit)
    return refuse(why, "shape " + std::to_string(source.n) + "x" + std::to_string(source.k) +
                           " is out of range; a dimension may be at most 2^40");
  int64_t blocks = (source.k + source.blockSize - 1) / source.blockSize;
  int64_t blockBytes = source.blockSize * source.bits / 8;
  int64_t zeroRowBytes = (blocks * source.bits + 7) / 8;
  __int128 allBlocks = __int128(source.n) * blocks;
  if (!checkBytes("the code tensor", source.codes, allBlocks, blockBytes, why) ||
      !checkBytes("the scale tensor", source.scales, allBlocks, scaleBytes(source.scaleType), why))
    return false;
  if (source.zero == SourceZero::Packed &&
      !checkBytes("the zero point tensor", source.zeros, source.n, zeroRowBytes, why))
    return false;
  if (source.zero == SourceZero::Float &&
      !checkBytes("the zero point tensor", source.zeros, allBlocks, scaleBytes(source.zeroType), why))
    return false;
  if (!fits(source, out.encoding))
    return refuse(why,
                  "a source of format " + nameOf(encodingOf(source)) + " cannot be read into " + nameOf(out.encoding));
  if (rowBegin < 0 || rowEnd < rowBegin || rowEnd > source.n || out.k != source.k || outRow < 0 ||
      outRow + (rowEnd - rowBegin) > out.n)
    return refuse(why, "rows " + std::to_string(rowBegin) + " to " + std::to_string(rowEnd) + " of a " +
                           std::to_string(source.n) + "x" + std::to_string(source.k) + " source do not fit at row " +
                           std::to_string(outRow) + " of " + std::to_string(out.n) + "x" + std::to_string(out.k));

  std::vector<int64_t> order;
  if (!source.indices.empty()) {
    auto found = orderOfGroups(source.indices, source.k, source.blockSize, why);
    if (!found)
      return false;
    order = std::move(*found);
  }
  for (int64_t row = rowBegin; row < rowEnd; ++row) {
    int64_t to = outRow + row - rowBegin;
    for (int64_t b = 0; b < blocks; ++b) {
      const uint8_t *stream = source.codes.data() + (row * blocks + b) * blockBytes;
      int64_t begin = b * source.blockSize, count = std::min(source.blockSize, source.k - begin);
      uint8_t *codes = out.codes().data() + to * out.k + begin;
      if (order.empty())
        for (int64_t i = 0; i < count; ++i)
          codes[i] = streamCode(stream, i, source.bits);
      else
        for (int64_t i = 0; i < count; ++i)
          codes[i] = streamCode(source.codes.data() + (row * blocks + order[begin + i] / source.blockSize) * blockBytes,
                                order[begin + i] % source.blockSize, source.bits);

      int64_t at = row * blocks + b;
      out.scales()[to * blocks + b] =
          loadScale(source.scaleType, source.scales.data() + at * scaleBytes(source.scaleType));
      if (out.offset.empty())
        continue;
      float zero = float(1 << (source.bits - 1));
      if (source.zero == SourceZero::Packed)
        zero = streamCode(source.zeros.data() + row * zeroRowBytes, b, source.bits);
      else if (source.zero == SourceZero::Float)
        zero = loadScale(source.zeroType, source.zeros.data() + at * scaleBytes(source.zeroType));
      out.zeros()[to * blocks + b] = zero;
    }
  }
  return true;
}

} // namespace whit
