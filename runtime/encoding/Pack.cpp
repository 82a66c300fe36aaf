// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The packer walks codes and planes in storage order; the bit map of Place.cpp says the same thing bit by bit, and the
// tests compare them.
#include "runtime/encoding/Pack.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Place.h"

#include <algorithm>
#include <cassert>

namespace whit {
namespace {

void packCodes(const Plane &plane, const uint8_t *codes, int64_t count, int64_t column, uint8_t *block) {
  int64_t fields = 8 / plane.bits;
  uint8_t mask = uint8_t((1 << plane.bits) - 1);
  uint8_t *lines = block + plane.offset + 4 * column;
  for (int64_t k = 0; k < count; ++k) {
    int64_t quad = k / 4;
    lines[quad / fields * kLineBytes + k % 4] |=
        uint8_t(((codes[k] >> plane.shift) & mask) << (plane.bits * (quad % fields)));
  }
}

void unpackCodes(const Plane &plane, uint8_t *codes, int64_t count, int64_t column, const uint8_t *block) {
  int64_t fields = 8 / plane.bits;
  uint8_t mask = uint8_t((1 << plane.bits) - 1);
  const uint8_t *lines = block + plane.offset + 4 * column;
  for (int64_t k = 0; k < count; ++k) {
    int64_t quad = k / 4;
    codes[k] |=
        uint8_t(((lines[quad / fields * kLineBytes + k % 4] >> (plane.bits * (quad % fields))) & mask) << plane.shift);
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

/// Calls body(plane, codes of a column in a block, how many, column, block) for all there are.
template <typename Codes, typename Body>
void forCodes(const Place &place, const Encoding &encoding, int64_t rows, int64_t k, Codes &&codesOf, Body &&body) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t g = 0; g < place.groups; ++g) {
      int64_t block = n / kPanelColumns * place.panelBytes + place.headerBytes + g * place.blockBytes;
      int64_t begin = g * place.group, count = std::min(place.group, k - begin);
      for (size_t t = 0; t < encoding.terms.size(); ++t)
        for (const Plane &plane : place.terms[t].planes)
          body(plane, codesOf(t) + n * k + begin, count, n % kPanelColumns, block);
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
  forCodes(place, encoding, rows.n, rows.k, codes,
           [&](const Plane &plane, auto from, auto count, auto column, auto block) {
             packCodes(plane, from, count, column, out + block);
           });
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
  auto codes = [&](size_t t) { return rows.terms[t].codes.data(); };
  forCodes(place, encoding, rows.n, rows.k, codes,
           [&](const Plane &plane, auto to, auto count, auto column, auto block) {
             unpackCodes(plane, to, count, column, bytes + block);
           });
  forStored(place, rows, [&](int64_t at, ScaleType type, auto &value) {
    value = std::remove_reference_t<decltype(value)>(loadScale(type, bytes + at));
  });
  return rows;
}

} // namespace whit
