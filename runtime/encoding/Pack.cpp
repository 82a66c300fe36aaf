// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The packer carries out the moves that follow from the bit map of a unit, four codes at a time; codeBit (Place.cpp) says the
// same thing bit by bit, and the tests compare them.
#include "runtime/encoding/Pack.h"

#include "runtime/encoding/BitMap.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Place.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace whit {
namespace {

/// The moves of a term and where its lines begin in a panel. Codes that are digits are not moved: there are no moves.
struct TermMoves {
  std::vector<WordMove> moves;
  std::vector<LinePlace> lines;
  int64_t elements;
  int32_t radix;

  TermMoves(const Place &place, size_t t, int32_t bits)
      : elements(place.terms[t].unit.elements()), radix(place.terms[t].unit.radix) {
    const CodeUnit &unit = place.terms[t].unit;
    if (!radix)
      moves = wordMoves(contentMap(unit, bits), bits);
    for (int32_t line = 0; line < unit.lines; ++line)
      lines.push_back(placeOfLine(place, t, line));
  }
};

/// Four codes of a column: where, in a panel.
struct Column {
  int64_t panel, group, column;
  int64_t byteOf(const LinePlace &line) const { return panel + line.offset + group * line.perBlock + 4 * column; }
};

uint32_t loadWord(const uint8_t *bytes, int64_t count) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, count);
  return word;
}
void orWord(uint8_t *bytes, uint32_t word, int64_t count) {
  word |= loadWord(bytes, count);
  std::memcpy(bytes, &word, count);
}

void packDigits(const TermMoves &term, const uint8_t *codes, int64_t count, uint8_t *line) {
  for (int64_t k = 0; k < count; k += term.elements, line += term.lines[0].perUnit)
    for (int64_t i = 0, weight = 1; i < term.elements && k + i < count; ++i) {
      line[i % 4] = uint8_t(line[i % 4] + codes[k + i] * weight);
      if (i % 4 == 3)
        weight *= term.radix;
    }
}

void unpackDigits(const TermMoves &term, uint8_t *codes, int64_t count, const uint8_t *line) {
  for (int64_t k = 0; k < count; k += term.elements, line += term.lines[0].perUnit)
    for (int64_t i = 0, weight = 1; i < term.elements && k + i < count; ++i) {
      codes[k + i] = uint8_t(line[i % 4] / weight % term.radix);
      if (i % 4 == 3)
        weight *= term.radix;
    }
}

/// Moves the codes of one column of a block into its lines, four at a time. Bytes do not mix, so their order in a word does
/// not matter. The loop over moves is outside, so that masks and distances are constant in the loop over units.
void packCodes(const TermMoves &term, const uint8_t *codes, int64_t count, const Column &column, uint8_t *out) {
  if (term.radix)
    return packDigits(term, codes, count, out + column.byteOf(term.lines[0]));
  for (const WordMove &move : term.moves) {
    uint8_t *line = out + column.byteOf(term.lines[move.line]);
    for (int64_t k = 4 * move.quad; k < count; k += term.elements, line += term.lines[move.line].perUnit) {
      uint32_t word = loadWord(codes + k, std::min<int64_t>(4, count - k)) & move.mask;
      orWord(line, move.by >= 0 ? word << move.by : word >> -move.by, 4);
    }
  }
}

void unpackCodes(const TermMoves &term, uint8_t *codes, int64_t count, const Column &column, const uint8_t *bytes) {
  if (term.radix)
    return unpackDigits(term, codes, count, bytes + column.byteOf(term.lines[0]));
  for (const WordMove &move : term.moves) {
    const uint8_t *line = bytes + column.byteOf(term.lines[move.line]);
    for (int64_t k = 4 * move.quad; k < count; k += term.elements, line += term.lines[move.line].perUnit) {
      uint32_t word = loadWord(line, 4);
      word = (move.by >= 0 ? word >> move.by : word << -move.by) & move.mask;
      orWord(codes + k, word, std::min<int64_t>(4, count - k));
    }
  }
}

/// Every stored number of a matrix with its address, in no order: factors of terms, choices, zeros.
template <typename MatrixType, typename Body> void forStored(const Place &place, MatrixType &rows, Body &&body) {
  const Encoding &encoding = rows.encoding;
  auto walk = [&](const FactorPlace &factor, const Factor &what, auto &values) {
    int64_t blocks = blockCount(what, rows.k);
    for (int64_t n = 0; n < rows.n; ++n)
      for (int64_t block = 0; block < blocks; ++block)
        body(factorByte(place, factor, n, block * factor.span), what.type, values[n * blocks + block]);
  };
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    for (size_t f = 0; f < term.scale.size(); ++f)
      walk(place.terms[t].factors[f], term.scale[f], rows.terms[t].factors[f]);
    if (place.terms[t].choice)
      walk(*place.terms[t].choice, {ScaleType::U8, term.scale.front().block}, rows.terms[t].choices);
  }
  for (size_t f = 0; f < encoding.offset.size(); ++f)
    walk(place.offset[f], encoding.offset[f], rows.offset[f]);
}

/// Calls body(which two, byte, bit in it) for every four elements of a sparse term.
template <typename Kept, typename Body>
void forKept(const Place &place, size_t t, int64_t rows, int64_t k, Kept &kept, Body &&body) {
  int64_t fours = (k + 3) / 4;
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t four = 0; four < fours; ++four) {
      BitPosition at = keptBit(place, t, n, 4 * four);
      body(kept[n * fours + four], at.byte, at.bit);
    }
}

/// The codes of a sparse term side by side, or back: elements 4 q and 4 q + 1 of `pairs` are the two that are kept of four.
template <typename Codes, typename Body>
void forPairs(const TermValues &values, Codes &codes, int64_t n, int64_t k, int64_t begin, int64_t count, Body &&body) {
  for (int64_t j = begin, at = 0; j < begin + count; j += 4)
    for (int64_t i = 0; i < 4; ++i)
      if (keptBits(values.kept[n * ((k + 3) / 4) + j / 4]) >> i & 1) {
        if (j + i < k)
          body(codes[n * k + j + i], at);
        ++at;
      }
}

/// Calls body(code of an element, byte, bit in it) for all elements of a vector term, the first of a block before the others.
template <typename Codes, typename Body>
void forVectors(const Place &place, const Codec &codec, size_t t, int64_t rows, int64_t k, Codes &codes, Body &&body) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t j = 0; j < k; ++j) {
      BitPosition at = vectorBit(place, codec, t, n, j);
      body(codes[n * k + j], codec.at(n, j), at.byte, at.bit);
    }
}

/// Calls body(moves, codes of a column in a block, how many, column) for all there are.
/// sparse(term, row, first element, how many, codes of the elements that are kept, `body` for them) for those of sparse terms.
template <typename Codes, typename Sparse, typename Body>
void forCodes(const Place &place, const Encoding &encoding, int64_t rows, int64_t k, Codes &&codesOf, Sparse &&sparse,
              Body &&body) {
  std::vector<uint8_t> pairs;
  std::vector<TermMoves> terms;
  std::vector<size_t> moved; // terms whose codes are moved four at a time
  for (size_t t = 0; t < encoding.terms.size(); ++t)
    if (encoding.terms[t].codec.kind != CodecKind::Vector) {
      terms.emplace_back(place, t, encoding.terms[t].codec.bits);
      moved.push_back(t);
    }
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t g = 0; g < place.groups; ++g) {
      Column column{n / kPanelColumns * place.panelBytes, g, n % kPanelColumns};
      int64_t begin = g * place.group, count = std::min(place.group, k - begin);
      for (size_t i = 0; i < moved.size(); ++i)
        if (size_t t = moved[i]; place.terms[t].kept) {
          pairs.assign((count + 3) / 4 * 2, 0);
          sparse(t, n, begin, count, pairs,
                 [&](uint8_t *codes) { body(terms[i], codes, int64_t(pairs.size()), column); });
        } else {
          body(terms[i], codesOf(t) + n * k + begin, count, column);
        }
    }
}

/// Where value k of row n of a plain format lies.
int64_t valueByte(const Place &place, ScaleType type, int64_t n, int64_t k) {
  int64_t value = (k / place.run * kPanelColumns + n % kPanelColumns) * place.run + k % place.run;
  return n / kPanelColumns * place.panelBytes + value * scaleBytes(type);
}

} // namespace

void packPanels(const Place &place, const Matrix &rows, uint8_t *out) {
  const Encoding &encoding = rows.encoding;
  assert(rows.k == place.k);
  int64_t panels = (rows.n + kPanelColumns - 1) / kPanelColumns;
  std::fill_n(out, panels * place.panelBytes, uint8_t(0));
  if (encoding.isPlain()) {
    ScaleType type = encoding.scaleType();
    for (int64_t n = 0; n < rows.n; ++n)
      for (int64_t k = 0; k < rows.k; ++k)
        storeScale(type, rows.values[n * rows.k + k], out + valueByte(place, type, n, k));
    return;
  }
  auto codes = [&](size_t t) { return rows.terms[t].codes.data(); };
  auto gather = [&](size_t t, int64_t n, int64_t begin, int64_t count, std::vector<uint8_t> &pairs, auto &&pack) {
    forPairs(rows.terms[t], rows.terms[t].codes, n, rows.k, begin, count,
             [&](uint8_t code, int64_t at) { pairs[at] = code; });
    pack(pairs.data());
  };
  forCodes(place, encoding, rows.n, rows.k, codes, gather,
           [&](const TermMoves &term, auto from, auto count, const Column &column) {
             packCodes(term, from, count, column, out);
           });
  for (size_t t = 0; t < rows.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    if (place.terms[t].kept)
      forKept(place, t, rows.n, rows.k, rows.terms[t].kept,
              [&](uint8_t pair, int64_t byte, int32_t bit) { out[byte] |= uint8_t(keptBits(pair) << bit); });
    if (codec.kind == CodecKind::Vector && !codec.isAgain)
      forVectors(place, codec, t, rows.n, rows.k, rows.terms[t].codes,
                 [&](uint8_t code, int32_t element, int64_t byte, int32_t bit) {
                   out[byte] |= uint8_t((code - element) << bit);
                 });
  }
  forStored(place, rows, [&](int64_t at, ScaleType type, auto value) { storeScale(type, float(value), out + at); });
}

Matrix unpackPanels(const Encoding &encoding, const Place &place, int64_t rowCount, const uint8_t *bytes) {
  Matrix rows = makeMatrix(encoding, rowCount, place.k);
  if (encoding.isPlain()) {
    ScaleType type = encoding.scaleType();
    for (int64_t n = 0; n < rows.n; ++n)
      for (int64_t k = 0; k < rows.k; ++k)
        rows.values[n * rows.k + k] = loadScale(type, bytes + valueByte(place, type, n, k));
    return rows;
  }
  for (size_t t = 0; t < rows.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    if (place.terms[t].kept)
      forKept(place, t, rows.n, rows.k, rows.terms[t].kept,
              [&](uint8_t &pair, int64_t byte, int32_t bit) { pair = keptPair(bytes[byte] >> bit & 15); });
    if (codec.kind == CodecKind::Vector)
      forVectors(place, codec, t, rows.n, rows.k, rows.terms[t].codes,
                 [&](uint8_t &code, int32_t element, int64_t byte, int32_t bit) {
                   code = uint8_t((bytes[byte] >> bit & ((1 << codec.bits) - 1)) + element);
                 });
  }
  auto codes = [&](size_t t) { return rows.terms[t].codes.data(); };
  auto scatter = [&](size_t t, int64_t n, int64_t begin, int64_t count, std::vector<uint8_t> &pairs, auto &&unpack) {
    unpack(pairs.data());
    forPairs(rows.terms[t], rows.terms[t].codes, n, rows.k, begin, count,
             [&](uint8_t &code, int64_t at) { code = pairs[at]; });
  };
  forCodes(place, encoding, rows.n, rows.k, codes, scatter,
           [&](const TermMoves &term, auto to, auto count, const Column &column) {
             unpackCodes(term, to, count, column, bytes);
           });
  forStored(place, rows, [&](int64_t at, ScaleType type, auto &value) {
    value = std::remove_reference_t<decltype(value)>(loadScale(type, bytes + at));
  });
  return rows;
}

} // namespace whit
