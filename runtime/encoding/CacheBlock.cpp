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
  bool fits = encoding.isPlain();
  for (ScaleType type : {ScaleType::F16, ScaleType::F32, ScaleType::BF16})
    fits |= encoding.codec().kind == CodecKind::Int && encoding.bits() >= 2 &&
            encoding == intEncoding(encoding.bits(), encoding.zero, type, {1, 0});
  if (!fits && why)
    *why = "format '" + nameOf(encoding) +
           "' cannot store keys and values; they need f32, f16, bf16, or integers of 2 to 8 bits with one scale per "
           "channel (a token of a head), as in int8_channel or uint4_channel_min";
  return fits;
}

std::optional<Encoding> parseCacheFormat(std::string_view name, std::string *why) {
  std::optional<Encoding> encoding = parseEncoding(name, nullptr);
  if (!encoding) {
    size_t stem = std::min(name.find('_'), name.size());
    encoding = parseEncoding(std::string(name.substr(0, stem)) + "_channel" + std::string(name.substr(stem)), nullptr);
  }
  if (!encoding)
    return parseEncoding(name, why);
  if (!checkCacheFormat(*encoding, why))
    return std::nullopt;
  return encoding;
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
