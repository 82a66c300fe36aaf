// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solves the panel stream of an encoding and states its bit map.
#include "runtime/encoding/Place.h"

#include "runtime/encoding/BitMap.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace whit {

CodeUse useOf(const Codec &codec) { return codec.kind == CodecKind::Int ? CodeUse::Number : CodeUse::Index; }

std::vector<std::string> picture(const CodeUnit &unit) {
  std::vector<std::string> lines(unit.lines, std::string(16, '.'));
  for (const Field &field : unit.fields)
    for (int32_t i = 0; i < field.bits; ++i) {
      char *at = &lines[field.line][2 * (7 - field.at - i)];
      at[0] = char('a' + field.quad);
      at[1] = char('0' + field.shift + i);
    }
  return lines;
}

CodeUnit unitFrom(const std::vector<std::string> &picture) {
  CodeUnit unit;
  unit.lines = int32_t(picture.size());
  for (int32_t line = 0; line < unit.lines; ++line) {
    assert(picture[line].size() == 16);
    for (int32_t at = 0; at < 8; ++at) {
      const char *text = &picture[line][2 * (7 - at)];
      int32_t quad = text[0] - 'a', bit = text[1] - '0';
      assert(quad >= 0 && quad < 8 && bit >= 0 && bit < 8);
      unit.quads = std::max(unit.quads, quad + 1);
      Field *last = unit.fields.empty() ? nullptr : &unit.fields.back();
      if (at && last->quad == quad && last->shift + last->bits == bit)
        ++last->bits;
      else
        unit.fields.push_back({quad, line, at, bit, 1});
    }
  }
  std::sort(unit.fields.begin(), unit.fields.end(),
            [](const Field &x, const Field &y) { return std::pair(x.quad, x.shift) < std::pair(y.quad, y.shift); });
  return unit;
}

const CodeUnit &codeUnit(int32_t bits, CodeUse use) {
  struct Row {
    int32_t bits;
    CodeUse use;
    CodeUnit unit;
  };
  static const std::vector<Row> rows = {
#define WHIT_PLACE(bits, use, ...) {bits, CodeUse::use, unitFrom({__VA_ARGS__})},
#include "runtime/encoding/Places.def"
  };
  for (const Row &row : rows)
    if (row.bits == bits && row.use == use)
      return row.unit;
  assert(false && "no such width");
  return rows.front().unit;
}

/// Bits of the planes of a nested codec, highest first. Reading 2, 4 or 8 bits needs as many whole planes.
static const std::vector<int32_t> kPlaneBits = {2, 2, 4};

/// Four quads, so that two bits of each fill a line.
static CodeUnit unitOfPlanes(int32_t bits) {
  CodeUnit unit;
  unit.quads = 4;
  unit.lines = bits / 2;
  for (int32_t quad = 0; quad < unit.quads; ++quad)
    for (int32_t plane = 0, line = 0, shift = bits; shift; line += kPlaneBits[plane++] / 2) {
      int32_t each = kPlaneBits[plane], perLine = 8 / each;
      shift -= each;
      unit.fields.push_back({quad, line + quad / perLine, quad % perLine * each, shift, each});
    }
  std::sort(unit.fields.begin(), unit.fields.end(),
            [](const Field &x, const Field &y) { return std::pair(x.quad, x.shift) < std::pair(y.quad, y.shift); });
  return unit;
}

CodeUnit unitOf(const Codec &codec) {
  if (codec.read)
    return unitOfPlanes(codec.bits);
  CodeUnit unit;
  if (codec.kind == CodecKind::Vector) {
    unit.quads = codec.rows * 32 / codec.bitsOfFour();
    unit.lines = 1;
    return unit;
  }
  if (!codec.perByte)
    return codeUnit(codec.bits, useOf(codec));
  unit.quads = codec.perByte;
  unit.lines = 1;
  unit.radix = int32_t(codec.values.size());
  return unit;
}

Encoding readPart(const Encoding &encoding) {
  Encoding result = encoding;
  for (Term &term : result.terms) {
    Codec &codec = term.codec;
    if (!codec.read)
      continue;
    Codec whole = codec;
    codec = Codec();
    codec.bits = whole.read;
    codec.kind = whole.isNumber() ? CodecKind::Int : CodecKind::Table;
    if (whole.isNumber())
      continue;
    std::vector<float> numbers = whole.table();
    for (int32_t code = 0; code < 1 << whole.read; ++code)
      codec.values.push_back(numbers[code << (whole.bits - whole.read)]);
  }
  return result;
}

Place readPart(const Encoding &encoding, Place place) {
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    if (!codec.read)
      continue;
    CodeUnit &unit = place.terms[t].unit;
    int32_t unread = codec.bits - codec.read;
    std::erase_if(unit.fields, [&](const Field &field) { return field.shift < unread; });
    for (Field &field : unit.fields)
      field.shift -= unread;
    unit.lines = codec.read / 2;
    std::vector<PlanePlace> &planes = place.terms[t].planes;
    for (int32_t lines = 0, read = 0; size_t(read) < planes.size(); ++read) {
      if (lines == unit.lines) {
        planes.resize(read);
        break;
      }
      lines += planes[read].lines;
    }
  }
  return place;
}

Place solvePlace(const Encoding &encoding, int64_t n, int64_t k) {
  assert(n >= 0 && k >= 0);
  Place place{};
  place.n = n;
  place.k = k;
  place.group = groupSize(encoding, k);
  place.groups = groupCount(encoding, k);
  place.panels = (n + kPanelColumns - 1) / kPanelColumns;
  place.terms.resize(encoding.terms.size());
  if (encoding.isPlain()) {
    place.run = encoding.scaleType() == ScaleType::BF16 ? 2 : 1;
    place.paddedGroup = (k + place.run - 1) / place.run * place.run;
    place.blockBytes = place.panelBytes = place.paddedGroup * kPanelColumns * scaleBytes(encoding.scaleType());
    return place;
  }
  place.run = 4;

  int64_t unit = 1; // elements
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    place.terms[t].unit = unitOf(codec);
    int64_t elements = place.terms[t].unit.elements();
    unit = std::lcm(unit, codec.isSparse ? std::max(2 * elements, kKeptPerLine) : elements);
  }
  place.paddedGroup = (place.group + unit - 1) / unit * unit;

  int64_t inBlock = 0, inHeader = 0;
  auto placeFactors = [&](const std::vector<Factor> &factors) {
    std::vector<FactorPlace> result;
    for (const Factor &factor : factors) {
      int64_t span = factor.block.columns ? factor.block.columns / place.group : place.groups;
      int64_t bytes = scaleBytes(factor.type), blocks = blockCount(factor, k);
      int64_t &at = span <= 1 ? inBlock : inHeader;
      result.push_back({at, std::max<int64_t>(span, 1), bytes});
      at += kPanelColumns * bytes * (span <= 1 ? 1 : blocks);
    }
    return result;
  };
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    TermPlace &term = place.terms[t];
    term.offset = codec.isAgain ? place.terms[t - 1].offset : inBlock;
    int64_t coded = codec.isAgain ? 0 : codec.isSparse ? place.paddedGroup / 2 : place.paddedGroup;
    int64_t lines = codec.read ? kPlaneBits.front() / 2 : term.unit.lines; // the other planes lie behind the blocks
    inBlock += coded / term.unit.elements() * lines * kLineBytes;
    if (codec.isSparse) {
      term.kept = inBlock;
      inBlock += place.paddedGroup / kKeptPerLine * kLineBytes;
    }
    term.factors = placeFactors(encoding.terms[t].scale);
    if (codec.kind == CodecKind::Choice) {
      term.choice = placeFactors({{ScaleType::U8, encoding.terms[t].scale.front().block}}).front();
    }
  }
  place.offset = placeFactors(encoding.offset);
  place.headerBytes = inHeader;
  place.blockBytes = inBlock;
  place.panelBytes = inHeader + inBlock * place.groups;
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    TermPlace &term = place.terms[t];
    for (int32_t plane = 0, lines = 0; codec.read && lines < term.unit.lines; ++plane) {
      int32_t here = kPlaneBits[plane] / 2;
      int64_t bytes = place.paddedGroup / term.unit.elements() * here * kLineBytes;
      term.planes.push_back(plane ? PlanePlace{here, place.panelBytes, bytes}
                                  : PlanePlace{here, inHeader + term.offset, inBlock});
      place.panelBytes += plane ? bytes * place.groups : 0;
      lines += here;
    }
  }
  return place;
}

LinePlace placeOfLine(const Place &place, size_t term, int32_t line) {
  const TermPlace &codes = place.terms[term];
  for (const PlanePlace &plane : codes.planes) {
    if (line < plane.lines)
      return {plane.offset + line * kLineBytes, plane.lines * kLineBytes, plane.stride};
    line -= plane.lines;
  }
  return {place.headerBytes + codes.offset + line * kLineBytes, codes.unit.bytes(), place.blockBytes};
}

BitPosition codeBit(const Place &place, size_t term, int64_t n, int64_t k, int32_t bit) {
  int64_t panel = n / kPanelColumns, column = n % kPanelColumns;
  const TermPlace &codes = place.terms[term];
  if (!codes.unit.lines) {
    int64_t valueBytes = place.k ? place.blockBytes / (place.paddedGroup * kPanelColumns) : 0;
    int64_t value = (k / place.run * kPanelColumns + column) * place.run + k % place.run;
    return {panel * place.panelBytes + value * valueBytes + bit / 8, bit % 8};
  }
  int64_t inGroup = k % place.group;
  if (codes.kept) {
    assert(inGroup % 4 < 2 && "four elements have two codes");
    inGroup = inGroup / 4 * 2 + inGroup % 4;
  }
  int64_t unit = inGroup / codes.unit.elements(), inUnit = inGroup % codes.unit.elements();
  int32_t out = positionOf(codes.unit, int32_t(inUnit / 4), bit);
  LinePlace line = placeOfLine(place, term, out / 8);
  return {panel * place.panelBytes + line.offset + k / place.group * line.perBlock + unit * line.perUnit + 4 * column +
              inUnit % 4,
          out % 8};
}

BitPosition vectorBit(const Place &place, const Codec &codec, size_t term, int64_t n, int64_t k) {
  const TermPlace &codes = place.terms[term];
  int64_t inGroup = k % place.group, inUnit = inGroup % codes.unit.elements(), fours = codes.unit.quads / codec.rows;
  int64_t column = n % kPanelColumns / codec.rows * codec.rows + inUnit / 4 / fours;
  int64_t bit = inUnit / 4 % fours * codec.bitsOfFour() + inUnit % 4 / codec.columns * codec.bits;
  return {n / kPanelColumns * place.panelBytes + place.headerBytes + k / place.group * place.blockBytes + codes.offset +
              inGroup / codes.unit.elements() * kLineBytes + 4 * column + bit / 8,
          int32_t(bit % 8)};
}

DigitPosition codeDigit(const Place &place, size_t term, int64_t n, int64_t k) {
  const CodeUnit &unit = place.terms[term].unit;
  int64_t inGroup = k % place.group, inUnit = inGroup % unit.elements();
  LinePlace line = placeOfLine(place, term, 0);
  int32_t weight = 1;
  for (int64_t quad = inUnit / 4; quad; --quad)
    weight *= unit.radix;
  return {n / kPanelColumns * place.panelBytes + line.offset + k / place.group * line.perBlock +
              inGroup / unit.elements() * line.perUnit + 4 * (n % kPanelColumns) + inUnit % 4,
          weight};
}

BitPosition keptBit(const Place &place, size_t term, int64_t n, int64_t k) {
  int64_t inGroup = k % place.group, block = n / kPanelColumns * place.panelBytes + place.headerBytes;
  return {block + k / place.group * place.blockBytes + *place.terms[term].kept + inGroup / kKeptPerLine * kLineBytes +
              4 * (n % kPanelColumns) + inGroup % kKeptPerLine / 8,
          int32_t(inGroup % 8)};
}

int64_t factorByte(const Place &place, const FactorPlace &factor, int64_t n, int64_t group) {
  int64_t start = n / kPanelColumns * place.panelBytes + factor.offset + n % kPanelColumns * factor.bytes;
  if (factor.span == 1)
    return start + place.headerBytes + group * place.blockBytes;
  return start + group / factor.span * kPanelColumns * factor.bytes;
}

} // namespace whit
