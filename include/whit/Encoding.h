// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a matrix of weights is stored: which numbers (Encoding) and where each of their bits lies (Place). Both are plain
// values; a format is data, not a kernel. The compiler lays constants out with these functions and the runtime reads
// them back with the same ones.
//
// Matrices are N x K: N output rows ("columns" of a panel), K the reduction axis along which scales are grouped.
//
// An encoding is a formula. In its text (Formats.def, `#whit.format<"...">`, --formats-file) it is written as it is read:
//
//     (int<4> - 8) * f16/32                            signed 4-bit integers, a half for each 32 of a row
//     (int<4> - u4/32) * f16/32                        with a stored integer zero point
//     int<4> * u6/32 * f16/256 + u6/32 * f16/256       scales and minima that are products (ggml's q4_k)
//     float<e2m1> * e4m3/16 * f32/tensor               NVFP4
//     table<-1 -0.5 0 0.25 ...> * f32/64               any 2^b values
//     choice<-4 0 1 3 | -4 0 1 6> * f16/128            one of up to four tables for each group
//     table<-1 0 1> * f16/128 + table<-1 0 1> * f16/128          a sum of planes, each with scales of its own
//     sparse<2:4> (int<4> - 8) * f16/32                two of each 4 consecutive elements of a row, the others are 0
//     vector<2x2 1 0 0 1 | -1 0 0 -1> * f32/tensor     a code for each block of 2 rows x 2 elements: its four numbers
//     ... + again<2x2 0 -1 1 0 | 0 1 -1 0> * f16/2x64  the same codes once more, with other numbers and scales
//     radix<-1 0 1> * f16/256                          a table whose codes are digits of a byte: five trits, 1.6 bits each
//     (nested<8> - 128) * f16/32                       int<8> in planes, highest bits first
//     (nested<8:4> - 128) * f16/32                     the same bytes, of which the upper 4 bits of each code are read
//
// A factor is a type and the block that shares it: /32 (so many elements of a row), /128x128 (rows x elements), /64x1,
// /channel (a row), /tensor. Blocks along K divide each other.
//
// The panel stream. A packed matrix is ceil(N/16) panels of 16 columns. A panel is a header, which holds the factors of
// blocks larger than the smallest group, and `groups` blocks that follow one another; a block is
//
//     | term 0: codes | factors | term 1: codes | factors | ... | zeros or minima |      codes: 16 x paddedGroup
//
// with 16 of each factor, one per column. Codes are a run of units. A unit is the fewest codes that fill whole lines of 64
// bytes (4 bits: 8 elements of K in one line; 3 bits: 32 in three); byte 4*c + i of a line holds bits of column c and elements
// with k % 4 == i, so that a masked shift of a line yields 16 columns x 4 consecutive k, the operand of a byte dot product
// (vpdpbusd). Which bit of the byte is which bit of which k is searched for the cheapest extraction and kept in
// runtime/encoding/Places.def; `whit-opt --print-place=int3_g32` draws it. Example, 4 bits, group 32:
//
//     line 0   byte 0: k 0 | k 4 << 4 of column 0   byte 1: k 1 | k 5 << 4   ...   byte 4: k 0 | k 4 << 4 of column 1
//     line 1   k 8..15        line 2   k 16..23        line 3   k 24..31        then 16 f16 scales: 288 bytes
//
// Codes of a sparse term are those of the elements that are kept, two for each four, laid out as if they were all there is; behind
// them lie lines of which bit 4 * q + i of the 32 of a column says whether element i of the q-th four is kept.
//
// Codes of a vector term are those of blocks of elements. A column's four consecutive elements have 1 to 8 bits, which lie one behind
// another in the 32 bits that the column has of a line; columns whose rows share codes hold one part of them each.
//
// Codes that are digits have no bits of their own: byte 4*c + i of a line is the sum of the codes of column c and elements i, i + 4,
// i + 8 ... times 1, q, q^2 ..., so that a unit is one line with as many quads as a byte has digits (five trits: 20 elements of K).
//
// Codes in planes lie apart by their bits: the upper two in the blocks, with the factors; the next two of all blocks in a run behind
// the last block of the panel, and the lower four in another behind that. What reads fewer bits passes over the runs it does not need.
//
// Blocks are contiguous and not padded to 64 bytes; everything in a panel is read once, in order. The map from (column,
// k, bit) to a bit of the stream is linear over GF(2) wherever sizes are powers of two (runtime/encoding/BitMap.h). Plain
// formats have one block per panel: [K][16] values; bf16 comes in pairs of k, [K/2][16][2], the operand of a bf16 dot product
// (vdpbf16ps), and a last k without a partner in one with 0.
//
// Thread rule: all functions but addFormat and addFormats are pure. Nothing throws except std::bad_alloc.
#ifndef WHIT_ENCODING_H
#define WHIT_ENCODING_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

/// What a code means.
///   Plain   the value itself, stored in the type of the only factor; no codes, no scales
///   Int     the unsigned number
///   Float   sign, exponent and fraction, highest bit first
///   Table   an entry of `values`
///   Choice  an entry of one of several tables of equal length; each group of the first factor says which
///   Vector  the numbers of all elements of a block of rows x columns ("AQLM", 2024; "Fairy2i", 2025)
enum class CodecKind : uint8_t { Plain, Int, Float, Table, Choice, Vector };

/// Which codes of a Float are no numbers ("8-bit Floating Point Formats", OCP 2023; names as in LLVM's APFloat).
///   Ieee    the largest exponent is infinity and NaN        Fn    all bits of exponent and fraction set is NaN
///   Finite  every code is a number                          Fnuz  only the code of -0 is NaN
enum class FloatRule : uint8_t { Ieee, Fn, Fnuz, Finite };

/// What a stored factor is: a float, a power of two (E8M0: 2^(code-127), 255 is NaN; Shift: 2^-code), the positive half of
/// an 8-bit float, or an integer: U1..U8 unsigned, I2..I8 two's complement. Each takes whole bytes in the panel stream.
enum class ScaleType : uint8_t {
  F32,
  F16,
  BF16,
  E8M0,
  E4M3,
  UE5M3,
  Shift,
  U1,
  U2,
  U3,
  U4,
  U5,
  U6,
  U7,
  U8,
  I2,
  I3,
  I4,
  I5,
  I6,
  I7,
  I8
};

/// A codec. Two codecs are equal if their codes mean the same and are stored alike.
struct Codec {
  CodecKind kind = CodecKind::Plain;
  uint8_t bits = 32;                          ///< of a code, 1..8; of a stored value for Plain
  uint8_t exponentBits = 0, mantissaBits = 0; ///< Float; bits == 1 + both
  int16_t bias = 0;                           ///< Float
  FloatRule rule = FloatRule::Finite;         ///< Float
  uint8_t choices = 1;                        ///< Choice: tables
  uint8_t rows = 1, columns = 1;              ///< Vector: the block, powers of two up to 4
  bool isAgain = false;                       ///< Vector: the codes are those of the term before
  std::vector<float> values; ///< Table, Choice (table after table), Vector (code after code, row by row)
  bool isSparse = false;     ///< only two of four have codes; the others are 0, whatever the zero of the codes is
  uint8_t perByte = 0;       ///< Table: how many codes are the digits of a byte; 0: each has bits of its own
  uint8_t read = 0;          ///< Int: how many upper bits of a code in planes are read; 0: it does not lie in planes

  bool operator==(const Codec &) const = default;
  /// The number of each code: 2^bits entries; codes without a meaning are NaN. Choice: `choices` tables one after another.
  /// Vector: a table for each element of the block, row by row; `at` gives the element's.
  std::vector<float> table() const;
  /// Vector: what is added to a code to find the number of an element in table(); 0 for others.
  int32_t at(int64_t n, int64_t k) const { return int32_t(n % rows * columns + k % columns) << bits; }
  /// Vector: bits for four elements of a row.
  int32_t bitsOfFour() const { return bits * 4 / columns; }
  /// Whether a code is the number that it means. Of a code in planes that is not read to its end the number is the middle one of those
  /// that begin with the same bits.
  bool isNumber() const { return kind == CodecKind::Int && (!read || read == bits); }
  /// Of the code of one element.
  double storedBits() const {
    return isAgain ? 0 : isSparse ? bits / 2.0 + 1 : perByte ? 8.0 / perByte : double(bits) / (rows * columns);
  }
};

/// The elements that share a factor: `rows` x `columns`; 0 stands for all there are.
struct BlockShape {
  int64_t rows = 1, columns = 0;
  bool operator==(const BlockShape &) const = default;
  bool isTensor() const { return rows == 0 && columns == 0; }
};

/// One factor of a scale, a zero point or a minimum.
struct Factor {
  ScaleType type = ScaleType::F32;
  BlockShape block;
  bool operator==(const Factor &) const = default;
};

/// codec(code) * product of the factors, smallest block first. f32, factors multiplied left to right, then by the code.
struct Term {
  Codec codec;
  std::vector<Factor> scale;
  bool operator==(const Term &) const = default;
};

/// What is subtracted from a code or added to the product:
///   Constant  value = scale * (code - `constant`)
///   Integer   value = scale * (code - zero)        zero: one unsigned factor; GPTQ (2022), AWQ (2023)
///   Float     value = scale * (code - zero)        zero: a float factor; HQQ (2023), GGUF blocks as ONNX
///   Minimum   value = scale * code + minimum       minimum: a product of factors; ggml blocks, KIVI (2024)
enum class ZeroKind : uint8_t { Constant, Integer, Float, Minimum };

/// A number format. Several terms are added, in order; only the first may have a zero, and a Minimum comes last.
struct Encoding {
  std::vector<Term> terms{Term{Codec{}, {Factor{ScaleType::F32, {0, 0}}}}};
  ZeroKind zero = ZeroKind::Constant;
  float constant = 0;         ///< zero == Constant
  std::vector<Factor> offset; ///< the zero or the minimum; empty for Constant

  bool operator==(const Encoding &) const = default;
  bool isPlain() const { return terms.front().codec.kind == CodecKind::Plain; }
  const Codec &codec() const { return terms.front().codec; }
  int bits() const { return terms.front().codec.bits; }
  /// Type of the first factor of the first term; for plain formats the stored type of the values.
  ScaleType scaleType() const { return terms.front().scale.front().type; }
  /// One term, one factor, one factor at most for the zero, all of the same block of one row: what
  /// MatMulNBits or DequantizeLinear can say.
  bool isSimple() const;
  /// Whether a factor is shared by all rows, so that rows cannot be encoded one by one.
  bool isWhole() const;
};

/// A plain format.
Encoding plainEncoding(ScaleType type);
/// Integer codes in groups of `columns` of a row (0: channel; `rows` 0 too: tensor). `constant` for ZeroKind::Constant is
/// 2^(bits-1), the zeros of Integer are `bits` wide, those of Float and minima have the scale's type.
Encoding intEncoding(int bits, ZeroKind zero, ScaleType scale, BlockShape block);

/// Whether integer activations can be multiplied with the codes as they are.
bool hasIntegerCodes(const Encoding &encoding);

/// Columns of a panel.
inline constexpr int64_t kPanelColumns = 16;
/// Bytes of a line of a plane.
inline constexpr int64_t kLineBytes = 64;
/// The largest block a formula may ask for, along either axis.
inline constexpr int64_t kMaxGroup = int64_t(1) << 24;

/// Reads a name such as "int4_g32", "uint4_channel_float_f32", "bf16", an alias of Formats.def ("q4_0"), or a formula.
/// Returns nothing on error; `why` (if not null) then says what was found and what is allowed.
std::optional<Encoding> parseEncoding(std::string_view name, std::string *why);

/// The one canonical name; parseEncoding(nameOf(e)) == e. An encoding that no row of Formats.def describes is called by its
/// formula.
std::string nameOf(const Encoding &encoding);
/// The formula in its one canonical spelling.
std::string formulaOf(const Encoding &encoding);

/// A row of Formats.def. `$T` and `$S` in the formula of a family stand for the type and the block of its scales.
struct FormatRow {
  std::string_view stem, suffix, formula;
  bool isFamily;
  std::string_view aliases; ///< separated by spaces
  std::string_view source;  ///< paper or specification, title and year
};
const std::vector<FormatRow> &formatRows();

/// A format that a user named. parseEncoding knows the name; nameOf gives the formula, so that what is written needs no file.
struct AddedFormat {
  std::string name, formula, source;
};
const std::vector<AddedFormat> &addedFormats();
/// Adds a format, or those of the text of a --formats-file (docs/adding-a-format.md). Nothing is added on error; `why` names line,
/// key and field. Not while another thread uses any function of this header.
bool addFormat(std::string_view name, std::string_view formula, std::string_view source, std::string *why);
bool addFormats(std::string_view text, std::string *why);

/// The stems with their zero suffix, in table order, grouping left out: "f32", ..., "uint4_min". For messages, tests
/// and documentation.
std::vector<std::string> formatStems();

/// Bytes of one stored factor in the panel stream, and bits that its type needs.
int64_t scaleBytes(ScaleType type);
int32_t scaleBits(ScaleType type);
/// "f16", "e8m0", "u4" ...
std::string_view nameOf(ScaleType type);

/// Elements along K of the smallest block of any factor: the group of the panel stream; k if none is smaller. The last group
/// of a row may be shorter.
int64_t groupSize(const Encoding &encoding, int64_t k);
/// ceil(k / groupSize), at least 1.
int64_t groupCount(const Encoding &encoding, int64_t k);
/// Blocks of one factor along K, at least 1.
int64_t blockCount(const Factor &factor, int64_t k);
/// Bits per weight of an n x k matrix: codes and factors as the formula says, before any padding.
double bitsPerWeight(const Encoding &encoding, int64_t n, int64_t k);

/// Whether what codes stand for before they are scaled, code - zero or the stored value, is a bf16 number.
bool hasBfloatNumbers(const Encoding &encoding);

/// A run of bits of a code that lies in one byte: bits shift .. shift+bits-1 of the codes of a quad (four consecutive k) are
/// bits at .. at+bits-1 of the bytes of a line.
struct Field {
  int32_t quad, line; ///< of the unit
  int32_t at, shift, bits;

  bool operator==(const Field &) const = default;
};

/// The smallest run of codes that fills whole lines: `quads` x 4 elements of 16 columns in `lines` lines. Byte 4*c + i of a
/// line holds bits of column c and elements with k % 4 == i.
struct CodeUnit {
  int32_t quads = 1, lines = 0;
  std::vector<Field> fields; ///< by quad, then by shift
  int32_t radix = 0;         ///< not 0: there are no fields, bytes are sums of the codes of each quad times radix^quad

  bool operator==(const CodeUnit &) const = default;
  int64_t elements() const { return 4 * int64_t(quads); }
  int64_t bytes() const { return kLineBytes * lines; }
};

/// Where the 16 stored numbers of a factor lie: in every block at `offset`, if `span` is 1; else one for `span` blocks in a
/// row in the panel's header, from byte `offset` of the panel on.
struct FactorPlace {
  int64_t offset;
  int64_t span;
  int64_t bytes; ///< of one stored number

  bool operator==(const FactorPlace &) const = default;
};

/// Lines of a unit that lie apart from the others: those of unit 0 of block 0 from byte `offset` of the panel on, the units of a
/// block one after another, those of the next block `stride` later.
struct PlanePlace {
  int32_t lines;
  int64_t offset, stride;

  bool operator==(const PlanePlace &) const = default;
};

/// Where a term lies in a block.
struct TermPlace {
  int64_t offset = 0;                ///< of its first unit in a block; the others follow it
  CodeUnit unit;                     ///< no lines for plain formats
  std::vector<PlanePlace> planes;    ///< of codes in planes: where the lines of the unit lie, instead of at `offset`
  std::optional<int64_t> kept;       ///< of the first line that says which elements of a sparse term are kept
  std::vector<FactorPlace> factors;  ///< as Term::scale
  std::optional<FactorPlace> choice; ///< of the bytes that choose a table

  bool operator==(const TermPlace &) const = default;
};

/// Elements of K that a line of kept bits is about.
inline constexpr int64_t kKeptPerLine = 32;

/// Where everything lies in the packed bytes of an n x k matrix. Offsets and sizes in bytes.
struct Place {
  int64_t n, k;
  int64_t group;       ///< elements along K per block (k for plain formats)
  int64_t paddedGroup; ///< group rounded up to whole units of every term (to whole runs for plain formats)
  int64_t run;         ///< consecutive k of one column that lie side by side: 4 codes, 2 bf16, 1 of other plain formats
  int64_t groups;      ///< blocks per panel
  int64_t panels;      ///< ceil(n / 16)
  std::vector<TermPlace> terms;
  std::vector<FactorPlace> offset; ///< as Encoding::offset
  int64_t headerBytes;             ///< before the first block of a panel
  int64_t blockBytes;
  int64_t panelBytes;

  int64_t bytes() const { return panels * panelBytes; }
  bool operator==(const Place &) const = default;
};

/// Lays out an n x k matrix (n, k >= 0, at most 2^40 each).
Place solvePlace(const Encoding &encoding, int64_t n, int64_t k);

} // namespace whit

#endif // WHIT_ENCODING_H
