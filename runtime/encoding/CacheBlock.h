// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How keys and values are stored in a cache with a format. A cache is a matrix of weights that grows: a token of a head
// is one channel of `depth` features with one scale, and 16 tokens are a block of bytes. No byte holds codes of two
// tokens, so that appending one writes nothing of another.
//
//   Panel   the panel stream (include/whit/Encoding.h) of 16 columns: 16 tokens side by side, as scores are computed
//   Rows    | row of token 0 | row of token 1 | ... | 16 scales | 16 zeros |
//           a row is its planes, low bits first, each of them the codes' bits in the order of the features, from the low
//           end of a byte: feature d of a plane of width w lies at bit w * d. Rows are padded to whole 16 features.
#ifndef WHIT_RUNTIME_ENCODING_CACHEBLOCK_H
#define WHIT_RUNTIME_ENCODING_CACHEBLOCK_H

#include "runtime/encoding/Matrix.h"

#include <string>
#include <string_view>

namespace whit {

/// Tokens of a block.
inline constexpr int64_t kBlockTokens = kPanelColumns;

enum class CacheOrder : uint8_t { Panel, Rows };

/// A plane of a row: bits shift .. shift+bits-1 (1, 2, 4 or 8 of them) of every code, from byte `offset` of the row.
struct RowPlane {
  int32_t bits, shift;
  int64_t offset;
};

/// Where everything lies in a block. Offsets and sizes in bytes.
struct CacheBlock {
  CacheBlock(const Encoding &encoding, CacheOrder order, int64_t depth);

  Encoding encoding;
  CacheOrder order;
  int64_t depth;
  std::vector<RowPlane> planes; ///< Rows: low bits first, from the binary digits of the width (7 = 4+2+1)
  int64_t rowBytes = 0;         ///< Rows
  int64_t scaleOffset;          ///< of 16 scales
  int64_t zeroOffset = -1;      ///< of 16 zeros or minima, if there are some
  ScaleType scaleType, zeroType = ScaleType::F32;
  int64_t bytes;

  bool hasZeros() const { return encoding.zero != ZeroKind::Constant; }
  /// Codes are integers around the middle of their range, or with a zero or a minimum: no table is needed for them.
  bool hasIntegers() const { return encoding == intEncoding(encoding.bits(), encoding.zero, scaleType, {1, 0}); }
};

/// Whether keys and values can be stored so: integers, floats or a table of 2 to 8 bits, one scale per channel; or plain.
bool checkCacheFormat(const Encoding &encoding, std::string *why);

/// Reads the name of a format for caches. The grouping may be left out: "int8" is "int8_channel".
std::optional<Encoding> parseCacheFormat(std::string_view name, std::string *why);

/// Formats of keys and of values.
struct CacheFormats {
  Encoding keys, values;
};
/// Reads "FORMAT" or "FORMAT OF KEYS,FORMAT OF VALUES".
std::optional<CacheFormats> parseCacheFormats(std::string_view text, std::string *why);

/// Multiplies x by the Hadamard matrix of size `size`, a power of two, over its square root. Its own inverse.
template <typename Number> void multiplyByHadamard(Number *x, int64_t size);

/// Quantizes tokens ([tokens][depth]) from the start of a block on, rotated first if wanted; the rest of the last block
/// becomes zero. False with `why` as `quantize` does.
bool encodeTokens(const CacheBlock &block, bool hadamard, const float *values, int64_t tokens, uint8_t *bytes,
                  std::string *why);

/// The canonical form of the first tokens.
Matrix unpackTokens(const CacheBlock &block, int64_t tokens, const uint8_t *bytes);

/// The values of the first tokens, rotated back if wanted.
void decodeTokens(const CacheBlock &block, bool hadamard, const uint8_t *bytes, int64_t tokens, float *values);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_CACHEBLOCK_H
