// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes and small factors of a block are numbers cut into bit fields, and every such cut of ggml is one pattern: a run of bytes
// is filled one field after the other. Only the scales of 6 bits in 12 bytes need a second pattern.
#include "runtime/encoding/GgufSource.h"

#include "runtime/encoding/Half.h"

#include <charconv>
#include <cmath>

namespace whit {
namespace {

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return false;
}

/// Fields of `width` bits. Number i is the field (i + first) of runs of `run` bytes: all bytes of a run give their lowest field
/// before any gives the next, and a run that is used up is followed by another.
struct Fields {
  int16_t offset = 0;
  int16_t width = 0; ///< 0: there are none
  int16_t run = 1;
  int16_t first = 0;

  uint32_t at(const uint8_t *block, int64_t i) const {
    int64_t perByte = 8 / width, number = i + first, runs = number / (run * perByte);
    uint32_t byte = block[offset + run * runs + number % run];
    return (byte >> (number / run % perByte * width)) & ((1u << width) - 1);
  }
};

/// How a factor lies in a block.
///   None     there is none
///   Number   in its own type, little-endian
///   Negated  the same, to be subtracted
///   Bits     unsigned fields, `high` above `low`, plus `bias`
///   Packed   fields of 6 bits, 8 scales and 8 minima in 12 bytes: the lower 4 of scale 4..7 are the lower half of byte j + 4, of
///            minimum 4..7 its upper half; `low` has the lower 4 of numbers 0..3, `high` the upper 2 of all
enum class Stored : uint8_t { None, Number, Negated, Bits, Packed };

struct FactorFields {
  Stored stored = Stored::None;
  int16_t offset = 0; ///< Number, Negated; Packed: of bytes 8..11 of the 12
  Fields low, high;
  int16_t bias = 0; ///< Bits
};

struct BlockType {
  int32_t number; ///< of ggml
  int32_t elements, bytes;
  Fields low, high; ///< of the codes
  uint8_t flip;     ///< exclusive-or of a code: two's complement to unsigned
  FactorFields scale[2], offset[2];
  bool areTrits = false; ///< codes are digits, see tritOf
};

using enum Stored;

constexpr FactorFields number(int16_t offset) { return {Number, offset, {}, {}, 0}; }
constexpr FactorFields negated(int16_t offset) { return {Negated, offset, {}, {}, 0}; }
constexpr FactorFields bits(Fields low, Fields high, int16_t bias) { return {Bits, 0, low, high, bias}; }
/// The scales (`half` 0) or minima (1) of 12 bytes at `offset`.
constexpr FactorFields packed(int16_t offset, int16_t half) {
  return {
      Packed, int16_t(offset + 8), {int16_t(offset + 4 * half), 8, 4, 0}, {int16_t(offset + 4 * half), 2, 4, 8}, half};
}

//   number, elements, bytes   codes {offset, width, run}: low, high   flip   scale smallest block first   offset
constexpr BlockType kTypes[] = {
    {0, 1, 4, {}, {}, 0, {}, {}},                                    // f32
    {1, 1, 2, {}, {}, 0, {}, {}},                                    // f16
    {2, 32, 18, {2, 4, 16}, {}, 0, {number(0)}, {}},                 // q4_0
    {3, 32, 20, {4, 4, 16}, {}, 0, {number(0)}, {number(2)}},        // q4_1
    {6, 32, 22, {6, 4, 16}, {2, 1, 1}, 0, {number(0)}, {}},          // q5_0
    {7, 32, 24, {8, 4, 16}, {4, 1, 1}, 0, {number(0)}, {number(2)}}, // q5_1
    {8, 32, 34, {2, 8, 1}, {}, 128, {number(0)}, {}},                // q8_0
    {10,
     256,
     84,
     {16, 2, 32},
     {},
     0,
     {bits({0, 4, 16}, {}, 0), number(80)},
     {bits({0, 4, 16, 16}, {}, 0), negated(82)}},
    {11, 256, 110, {32, 2, 32}, {0, 1, 32}, 0, {bits({96, 4, 8}, {104, 2, 4}, -32), number(108)}, {}},  // q3_k
    {12, 256, 144, {16, 4, 32}, {}, 0, {packed(4, 0), number(0)}, {packed(4, 1), negated(2)}},          // q4_k
    {13, 256, 176, {48, 4, 32}, {16, 1, 32}, 0, {packed(4, 0), number(0)}, {packed(4, 1), negated(2)}}, // q5_k
    {14, 256, 210, {0, 4, 64}, {128, 2, 32}, 0, {number(192), number(208)}, {}},                        // q6_k
    {20, 32, 18, {2, 4, 16}, {}, 0, {number(0)}, {}},                                                   // iq4_nl
    {23, 256, 136, {8, 4, 16}, {}, 0, {bits({4, 4, 1}, {2, 2, 1}, -32), number(0)}, {}},                // iq4_xs
    {30, 1, 2, {}, {}, 0, {}, {}},                                                                      // bf16
    {34, 256, 54, {}, {}, 0, {number(52)}, {}, true},                                                   // tq1_0
    {35, 256, 66, {0, 2, 32}, {}, 0, {number(64)}, {}},                                                 // tq2_0
    {39, 32, 17, {1, 4, 16}, {}, 0, {number(0)}, {}},                                                   // mxfp4
};

const BlockType *findType(int32_t number) {
  for (const BlockType &type : kTypes)
    if (type.number == number)
      return &type;
  return nullptr;
}

/// Code i of a block of TQ1_0. Bytes hold binary fractions of 3^5 whose digits come out highest first, as carries of multiplications by 3:
/// 32 bytes with element i in digit i / 32, 16 with the next 80 in the same way, and 4 bytes of 4 digits.
uint8_t tritOf(const uint8_t *block, int64_t i) {
  struct Run {
    int64_t offset, bytes, end;
  };
  int64_t begin = 0;
  for (Run run : {Run{0, 32, 160}, Run{32, 16, 240}, Run{48, 4, 256}}) {
    if (i < run.end) {
      uint8_t fraction = block[run.offset + (i - begin) % run.bytes];
      for (int64_t digit = (i - begin) / run.bytes; digit; --digit)
        fraction = uint8_t(fraction * 3);
      return uint8_t(fraction * 3 >> 8);
    }
    begin = run.end;
  }
  return 0;
}

float readFactor(const FactorFields &fields, ScaleType type, const uint8_t *block, int64_t i) {
  switch (fields.stored) {
  case None:
    return 0;
  case Number:
    return loadScale(type, block + fields.offset + i * scaleBytes(type));
  case Negated:
    return -loadScale(type, block + fields.offset + i * scaleBytes(type));
  case Bits: {
    uint32_t high = fields.high.width ? fields.high.at(block, i) << fields.low.width : 0;
    return float(int32_t(fields.low.at(block, i) | high) + fields.bias);
  }
  case Packed: {
    uint32_t low = i < 4 ? fields.low.at(block, i) : block[fields.offset + i - 4] >> (4 * fields.bias);
    return float((low & 15) | fields.high.at(block, i) << 4);
  }
  }
  return 0;
}

/// Where row `row` of the model is in the file.
int64_t storedRow(const GgufLayout &layout, int64_t row) {
  if (!layout.headRows)
    return row;
  int64_t half = layout.headRows / 2, head = row / layout.headRows, within = row % layout.headRows;
  return head * layout.headRows + within % half * 2 + within / half;
}

std::string sizeText(__int128 size) { return size > INT64_MAX ? "over 2^63" : std::to_string(int64_t(size)); }

} // namespace

bool isGgufLayout(std::string_view layout) { return layout.starts_with("gguf:"); }

std::optional<GgufLayout> parseGgufLayout(std::string_view layout, std::string *why) {
  GgufLayout result;
  const char *end = layout.data() + layout.size();
  auto bad = [&](std::string text) {
    refuse(why, "layout '" + std::string(layout) + "' " + text);
    return std::nullopt;
  };
  if (!isGgufLayout(layout))
    return bad("is none of GGUF; it must be gguf:TYPE or gguf:TYPE:ROWS");
  auto type = std::from_chars(layout.data() + 5, end, result.type);
  if (type.ec != std::errc())
    return bad("has no number of a type; it must be gguf:TYPE or gguf:TYPE:ROWS");
  if (type.ptr != end) {
    auto rows = *type.ptr == ':' ? std::from_chars(type.ptr + 1, end, result.headRows)
                                 : std::from_chars_result{type.ptr, std::errc::invalid_argument};
    if (rows.ec != std::errc() || rows.ptr != end || result.headRows < 2 || result.headRows % 2)
      return bad("has no even number of rows in a head behind its type");
  }
  if (!findType(result.type))
    return bad("has type " + std::to_string(result.type) + ", which is not read");
  return result;
}

std::string textOf(const GgufLayout &layout) {
  return "gguf:" + std::to_string(layout.type) + (layout.headRows ? ":" + std::to_string(layout.headRows) : "");
}

std::optional<GgufBlock> blockOfGguf(int32_t type) {
  const BlockType *found = findType(type);
  return found ? std::optional(GgufBlock{found->elements, found->bytes}) : std::nullopt;
}

std::optional<Encoding> encodingOfGguf(int32_t type) {
  return findType(type) ? parseEncoding("gguf:" + std::to_string(type), nullptr) : std::nullopt;
}

std::vector<int32_t> ggufTypes() {
  std::vector<int32_t> numbers;
  for (const BlockType &type : kTypes)
    numbers.push_back(type.number);
  return numbers;
}

bool readGguf(const GgufSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
              std::string *why) {
  const BlockType *type = findType(source.layout.type);
  std::optional<Encoding> encoding = encodingOfGguf(source.layout.type);
  if (!type || !encoding)
    return refuse(why, "GGUF type " + std::to_string(source.layout.type) + " is not read");
  constexpr int64_t limit = int64_t(1) << 40;
  if (source.n < 0 || source.k < 0 || source.n > limit || source.k > limit)
    return refuse(why, "shape " + std::to_string(source.n) + "x" + std::to_string(source.k) +
                           " is out of range; a dimension may be at most 2^40");
  if (source.k % type->elements)
    return refuse(why, "a row has " + std::to_string(source.k) + " elements; blocks of " + nameOf(*encoding) +
                           " need a multiple of " + std::to_string(type->elements));
  if (source.layout.headRows && source.n % source.layout.headRows)
    return refuse(why, std::to_string(source.n) + " rows are no whole number of heads of " +
                           std::to_string(source.layout.headRows));
  int64_t blocks = source.k / type->elements;
  __int128 needed = __int128(source.n) * blocks * type->bytes;
  if (needed != __int128(source.bytes.size()))
    return refuse(why, "a tensor of GGUF has " + std::to_string(source.bytes.size()) + " bytes; " + sizeText(needed) +
                           " are required");
  if (out.encoding != *encoding)
    return refuse(why, "a source of format " + nameOf(*encoding) + " cannot be read into " + nameOf(out.encoding));
  if (rowBegin < 0 || rowEnd < rowBegin || rowEnd > source.n || out.k != source.k || outRow < 0 ||
      outRow + (rowEnd - rowBegin) > out.n)
    return refuse(why, "rows " + std::to_string(rowBegin) + " to " + std::to_string(rowEnd) + " of a " +
                           std::to_string(source.n) + "x" + std::to_string(source.k) + " source do not fit at row " +
                           std::to_string(outRow) + " of " + std::to_string(out.n) + "x" + std::to_string(out.k));

  for (int64_t row = rowBegin; row < rowEnd; ++row) {
    int64_t to = outRow + row - rowBegin;
    const uint8_t *stored = source.bytes.data() + storedRow(source.layout, row) * blocks * type->bytes;
    if (encoding->isPlain()) {
      for (int64_t i = 0; i < source.k; ++i)
        out.values[to * out.k + i] = loadScale(encoding->scaleType(), stored + i * type->bytes);
      continue;
    }
    for (int64_t b = 0; b < blocks; ++b) {
      const uint8_t *block = stored + b * type->bytes;
      uint8_t *codes = out.codes().data() + to * out.k + b * type->elements;
      for (int64_t i = 0; i < type->elements; ++i) {
        if (type->areTrits) {
          codes[i] = tritOf(block, i);
          continue;
        }
        uint32_t high = type->high.width ? type->high.at(block, i) << type->low.width : 0;
        codes[i] = uint8_t((type->low.at(block, i) | high) ^ type->flip);
      }
      auto readFactors = [&](const FactorFields *fields, const std::vector<Factor> &factors,
                             std::vector<FactorValues> &values) {
        for (size_t f = 0; f < factors.size(); ++f) {
          int64_t count = type->elements / factors[f].block.columns;
          for (int64_t i = 0; i < count; ++i)
            values[f][(to * blocks + b) * count + i] = readFactor(fields[f], factors[f].type, block, i);
        }
      };
      readFactors(type->scale, encoding->terms.front().scale, out.terms.front().factors);
      readFactors(type->offset, encoding->offset, out.offset);
      if (encoding->scaleType() == ScaleType::E8M0 && std::isnan(out.scales()[to * blocks + b]))
        return refuse(why, "block " + std::to_string(b) + " of row " + std::to_string(row) +
                               " has the scale 255, which is no number");
    }
  }
  return true;
}

} // namespace whit
