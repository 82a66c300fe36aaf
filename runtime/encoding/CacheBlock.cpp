// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks of a cache in terms of the packer of weights; only rows have an order of their own.
#include "runtime/encoding/CacheBlock.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Quantize.h"

#include <algorithm>
#include <cmath>

namespace whit {
namespace {

int64_t blocksOf(int64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

/// Where a number of a token stands in its block.
template <typename Byte> Byte *scaleOf(const CacheBlock &block, Byte *base, int64_t token) {
  return base + block.scaleOffset + token % kBlockTokens * scaleBytes(block.scaleType);
}
template <typename Byte> Byte *zeroOf(const CacheBlock &block, Byte *base, int64_t token) {
  return base + block.zeroOffset + token % kBlockTokens * scaleBytes(block.zeroType);
}

void packRows(const CacheBlock &block, const Matrix &rows, uint8_t *out) {
  std::fill_n(out, blocksOf(rows.n) * block.bytes, uint8_t(0));
  for (int64_t t = 0; t < rows.n; ++t) {
    uint8_t *base = out + t / kBlockTokens * block.bytes, *row = base + t % kBlockTokens * block.rowBytes;
    for (const RowPlane &plane : block.planes)
      for (int64_t d = 0; d < rows.k; ++d) {
        int code = (rows.codes()[t * rows.k + d] >> plane.shift) & ((1 << plane.bits) - 1);
        row[plane.offset + d * plane.bits / 8] |= uint8_t(code << (d * plane.bits % 8));
      }
    storeScale(block.scaleType, rows.scales()[t], scaleOf(block, base, t));
    if (block.hasZeros())
      storeScale(block.zeroType, rows.zeros()[t], zeroOf(block, base, t));
  }
}

Matrix unpackRows(const CacheBlock &block, int64_t tokens, const uint8_t *bytes) {
  Matrix rows = makeMatrix(block.encoding, tokens, block.depth);
  for (int64_t t = 0; t < tokens; ++t) {
    const uint8_t *base = bytes + t / kBlockTokens * block.bytes, *row = base + t % kBlockTokens * block.rowBytes;
    for (const RowPlane &plane : block.planes)
      for (int64_t d = 0; d < rows.k; ++d) {
        int code = (row[plane.offset + d * plane.bits / 8] >> (d * plane.bits % 8)) & ((1 << plane.bits) - 1);
        rows.codes()[t * rows.k + d] |= uint8_t(code << plane.shift);
      }
    rows.scales()[t] = loadScale(block.scaleType, scaleOf(block, base, t));
    if (block.hasZeros())
      rows.zeros()[t] = loadScale(block.zeroType, zeroOf(block, base, t));
  }
  return rows;
}

} // namespace

CacheBlock::CacheBlock(const Encoding &encoding, CacheOrder order, int64_t depth)
    : encoding(encoding), order(order), depth(depth), scaleType(encoding.scaleType()) {
  Place place = solvePlace(encoding, kBlockTokens, depth);
  const TermPlace &term = place.terms.front();
  scaleOffset = term.factors.front().offset;
  bytes = place.blockBytes;
  if (hasZeros()) {
    zeroOffset = place.offset.front().offset;
    zeroType = encoding.offset.front().type;
  }
  if (order == CacheOrder::Panel)
    return;
  int64_t padded = (depth + 15) / 16 * 16;
  for (int32_t width = 8, shift = 0; width >= 1; width /= 2) {
    if (!(encoding.bits() & width))
      continue;
    planes.push_back({width, shift, rowBytes});
    shift += width;
    rowBytes += padded * width / 8;
  }
  int64_t moved = kBlockTokens * rowBytes - scaleOffset;
  scaleOffset += moved;
  bytes += moved;
  if (zeroOffset >= 0)
    zeroOffset += moved;
}

bool checkCacheFormat(const Encoding &encoding, std::string *why) {
  if (encoding.isPlain())
    return true;
  const Codec &codec = encoding.codec();
  bool isHalf = encoding.scaleType() == ScaleType::F16 || encoding.scaleType() == ScaleType::BF16;
  bool fits = encoding.isSimple() && (isHalf || encoding.scaleType() == ScaleType::F32) && codec.bits >= 2 &&
              encoding.terms.front().scale.front().block == BlockShape{1, 0};
  if (encoding.zero != ZeroKind::Constant)
    fits &= encoding == intEncoding(codec.bits, encoding.zero, encoding.scaleType(), {1, 0});
  // The scale of fewer numbers is a mean, in f64 and in the order of the features: no work for lanes.
  fits &= codec.kind != CodecKind::Choice && (codec.kind != CodecKind::Table || codec.values.size() > 3);
  if (!fits && why)
    *why = "format '" + nameOf(encoding) +
           "' cannot store keys and values; they need f32, f16, bf16, or integers, floats or a table of 4 and more "
           "numbers "
           "of 2 to 8 bits with one scale (f16, bf16 or f32) per channel (a token of a head), as in int8_channel, "
           "uint4_channel_min, fp8_e4m3_channel or nf4_channel";
  return fits;
}

std::optional<Encoding> parseCacheFormat(std::string_view name, std::string *why) {
  std::optional<Encoding> given = parseEncoding(name, why);
  if (given && checkCacheFormat(*given, why))
    return given;
  // The grouping stands behind the stem, which may have a part of its own: uint4_channel_min, fp8_e4m3_channel.
  for (size_t at = name.find('_');; at = name.find('_', at + 1)) {
    at = std::min(at, name.size());
    std::string whole = std::string(name.substr(0, at)) + "_channel" + std::string(name.substr(at));
    if (std::optional<Encoding> encoding = parseEncoding(whole, nullptr))
      if (checkCacheFormat(*encoding, given ? nullptr : why))
        return encoding;
    if (at == name.size())
      return std::nullopt;
  }
}

std::optional<CacheFormats> parseCacheFormats(std::string_view text, std::string *why) {
  size_t comma = text.find(',');
  std::optional<Encoding> keys = parseCacheFormat(text.substr(0, comma), why);
  std::optional<Encoding> values = keys && comma != text.npos ? parseCacheFormat(text.substr(comma + 1), why) : keys;
  if (!values)
    return std::nullopt;
  return CacheFormats{*keys, *values};
}

// Neighbours at a distance of 1, 2, 4, ...: x[i] + x[j] and x[i] - x[j]. The compiled kernel adds in the same order.
template <typename Number> void multiplyByHadamard(Number *x, int64_t size) {
  for (int64_t distance = 1; distance < size; distance *= 2)
    for (int64_t i = 0; i < size; ++i)
      if (!(i & distance)) {
        Number a = x[i], b = x[i + distance];
        x[i] = a + b;
        x[i + distance] = a - b;
      }
  Number factor = Number(1 / std::sqrt(double(size)));
  for (int64_t i = 0; i < size; ++i)
    x[i] *= factor;
}
template void multiplyByHadamard(float *, int64_t);
template void multiplyByHadamard(double *, int64_t);

bool encodeTokens(const CacheBlock &block, bool hadamard, const float *values, int64_t tokens, uint8_t *bytes,
                  std::string *why) {
  std::vector<float> rotated;
  if (hadamard) {
    rotated.assign(values, values + tokens * block.depth);
    for (int64_t t = 0; t < tokens; ++t)
      multiplyByHadamard(rotated.data() + t * block.depth, block.depth);
    values = rotated.data();
  }
  Matrix rows;
  if (!quantize(block.encoding, values, tokens, block.depth, rows, why))
    return false;
  if (block.order == CacheOrder::Panel)
    packPanels(solvePlace(block.encoding, tokens, block.depth), rows, bytes);
  else
    packRows(block, rows, bytes);
  return true;
}

Matrix unpackTokens(const CacheBlock &block, int64_t tokens, const uint8_t *bytes) {
  if (block.order == CacheOrder::Rows)
    return unpackRows(block, tokens, bytes);
  return unpackPanels(block.encoding, solvePlace(block.encoding, tokens, block.depth), tokens, bytes);
}

void decodeTokens(const CacheBlock &block, bool hadamard, const uint8_t *bytes, int64_t tokens, float *values) {
  dequantize(unpackTokens(block, tokens, bytes), values);
  for (int64_t t = 0; hadamard && t < tokens; ++t)
    multiplyByHadamard(values + t * block.depth, block.depth);
}

} // namespace whit
