// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a matrix of weights is stored: which numbers (Encoding) and where each of their bits lies (Place). Both are plain
// values; a format is data, not a kernel. The compiler lays constants out with these functions and the runtime reads
// them back with the same ones.
//
// Matrices are N x K: N output rows ("columns" of a panel), K the reduction axis along which scales are grouped.
//
// The panel stream. A packed matrix is ceil(N/16) panels of 16 columns; a panel is `groups` blocks that follow one
// another; a block is
//
//     | plane 0 | plane 1 | ... | 16 scales | 16 zeros |          16 x paddedGroup codes, low bits in the first plane
//
// A b-bit code is cut in planes of 8, 4, 2 and 1 bits (7 = 4+2+1), so that every field lies inside a byte. A plane of
// width w is a run of 64-byte lines; line l, byte 4*c + i holds in field f (bits w*f .. w*f+w-1) column c, element k =
// 4*(l*(8/w) + f) + i of the group: one masked shift of a line yields 16 columns x 4 consecutive k, the operand of a
// byte dot product (vpdpbusd). Example, 4 bits, group 32:
//
//     line 0   byte 0: k 0 | k 4 << 4 of column 0   byte 1: k 1 | k 5 << 4   ...   byte 4: k 0 | k 4 << 4 of column 1
//     line 1   k 8..15        line 2   k 16..23        line 3   k 24..31        then 16 f16 scales: 288 bytes
//
// Blocks are contiguous and not padded to 64 bytes; everything in a panel is read once, in order. The map from (column,
// k, bit) to a bit of the stream is linear over GF(2) wherever sizes are powers of two ("Linear Layouts: Robust Code
// Generation of Efficient Tensor Computation Using F2", 2025). Plain formats have one block per panel: [K][16] values.
//
// Thread rule: all functions are pure. Nothing throws except std::bad_alloc.
#ifndef WHIT_ENCODING_H
#define WHIT_ENCODING_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

/// What a code means. Plain: the value itself, in the type of `Encoding::scale`. Int: an unsigned number of `bits`
/// bits.
enum class Codec : uint8_t { Plain, Int };

/// What is subtracted from a code (or added to the product); see Formats.def for the formulas.
enum class ZeroKind : uint8_t { Constant, Integer, Float, Minimum };

/// The stored type of scales, of Float zeros and of minima; for plain formats the stored type of the values.
enum class ScaleType : uint8_t { F32, F16, BF16 };

/// Which elements share a scale: `group` consecutive k of a row, a whole row, the whole matrix.
enum class Grouping : uint8_t { Group, Channel, Tensor };

/// A number format with its grouping. A plain format has zero == Constant, grouping == Tensor and group == 0.
struct Encoding {
  Codec codec = Codec::Plain;
  uint8_t bits = 32;
  ZeroKind zero = ZeroKind::Constant;
  ScaleType scale = ScaleType::F32;
  Grouping grouping = Grouping::Tensor;
  int64_t group = 0; ///< elements along K per scale; 0 unless grouping == Group

  bool operator==(const Encoding &) const = default;
};

/// Columns of a panel.
inline constexpr int64_t kPanelColumns = 16;
/// Bytes of a line of a plane.
inline constexpr int64_t kLineBytes = 64;
/// The largest group a name may ask for.
inline constexpr int64_t kMaxGroup = int64_t(1) << 24;

/// Reads a name such as "int4_g32", "uint4_channel_float_f32", "bf16" or a GGUF alias of Formats.def ("q4_0").
/// Returns nothing on error; `why` (if not null) then says what was found and what is allowed.
std::optional<Encoding> parseEncoding(std::string_view name, std::string *why);

/// The one canonical name; parseEncoding(nameOf(e)) == e. An encoding that no row of Formats.def describes gives "".
std::string nameOf(const Encoding &encoding);

/// The stems with their zero suffix, in table order, grouping left out: "f32", ..., "uint4_min". For messages, tests
/// and documentation.
std::vector<std::string> formatStems();

/// Bytes of one stored scale.
int64_t scaleBytes(ScaleType type);

/// Scales per row: ceil(k / group), or 1 for channel, tensor and plain formats.
int64_t groupCount(const Encoding &encoding, int64_t k);

/// Elements along K that share a scale: the group, or k for channel, tensor and plain formats. The last group of a row
/// may be shorter.
int64_t groupSize(const Encoding &encoding, int64_t k);

/// A plane of a block: `bits` (1, 2, 4 or 8) wide fields that hold bits shift .. shift+bits-1 of every code, from byte
/// `offset` of the block.
struct Plane {
  int32_t bits;
  int32_t shift;
  int64_t offset;

  bool operator==(const Plane &) const = default;
};

/// Where everything lies in the packed bytes of an n x k matrix. Offsets and sizes in bytes.
struct Place {
  int64_t n, k;
  int64_t group;             ///< elements along K per block (k for plain formats)
  int64_t paddedGroup;       ///< group rounded up so that every plane is whole lines (k for plain formats)
  int64_t groups;            ///< blocks per panel
  int64_t panels;            ///< ceil(n / 16)
  std::vector<Plane> planes; ///< low bits first; empty for plain formats
  int64_t scaleOffset;       ///< of the 16 scales, from the block's start; -1: none
  int64_t zeroOffset;        ///< of the 16 zeros (u8 for Integer, else the scale's type); -1: none
  int64_t blockBytes;
  int64_t panelBytes;

  int64_t bytes() const { return panels * panelBytes; }
  bool operator==(const Place &) const = default;
};

/// Lays out an n x k matrix (n, k >= 0, at most 2^40 each).
Place solvePlace(const Encoding &encoding, int64_t n, int64_t k);

} // namespace whit

#endif // WHIT_ENCODING_H
