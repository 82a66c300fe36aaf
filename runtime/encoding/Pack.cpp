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

} // namespace

void packPanels(const Place &place, const Matrix &rows, uint8_t *out) {
  const Encoding &encoding = rows.encoding;
  assert(rows.k == place.k);
  int64_t panels = (rows.n + kPanelColumns - 1) / kPanelColumns;
  std::fill_n(out, panels * place.panelBytes, uint8_t(0));
  int64_t scaleSize = scaleBytes(encoding.scale), groups = rows.groups();
  for (int64_t n = 0; n < rows.n; ++n) {
    uint8_t *panel = out + n / kPanelColumns * place.panelBytes;
    int64_t column = n % kPanelColumns;
    if (encoding.codec == Codec::Plain) {
      for (int64_t k = 0; k < rows.k; ++k)
        storeScale(encoding.scale, rows.values[n * rows.k + k], panel + (k * kPanelColumns + column) * scaleSize);
      continue;
    }
    for (int64_t g = 0; g < groups; ++g) {
      uint8_t *block = panel + g * place.blockBytes;
      int64_t begin = g * place.group, count = std::min(place.group, rows.k - begin);
      for (const Plane &plane : place.planes)
        packCodes(plane, rows.codes.data() + n * rows.k + begin, count, column, block);
      storeScale(encoding.scale, rows.scales[n * groups + g], block + place.scaleOffset + column * scaleSize);
      if (encoding.zero == ZeroKind::Integer)
        block[place.zeroOffset + column] = uint8_t(rows.zeros[n * groups + g]);
      else if (encoding.zero != ZeroKind::Constant)
        storeScale(encoding.scale, rows.zeros[n * groups + g], block + place.zeroOffset + column * scaleSize);
    }
  }
}

Matrix unpackPanels(const Encoding &encoding, const Place &place, int64_t rowCount, const uint8_t *bytes) {
  Matrix rows = makeMatrix(encoding, rowCount, place.k);
  int64_t scaleSize = scaleBytes(encoding.scale), groups = rows.groups();
  for (int64_t n = 0; n < rows.n; ++n) {
    const uint8_t *panel = bytes + n / kPanelColumns * place.panelBytes;
    int64_t column = n % kPanelColumns;
    if (encoding.codec == Codec::Plain) {
      for (int64_t k = 0; k < rows.k; ++k)
        rows.values[n * rows.k + k] = loadScale(encoding.scale, panel + (k * kPanelColumns + column) * scaleSize);
      continue;
    }
    for (int64_t g = 0; g < groups; ++g) {
      const uint8_t *block = panel + g * place.blockBytes;
      int64_t begin = g * place.group, count = std::min(place.group, rows.k - begin);
      for (const Plane &plane : place.planes)
        unpackCodes(plane, rows.codes.data() + n * rows.k + begin, count, column, block);
      rows.scales[n * groups + g] = loadScale(encoding.scale, block + place.scaleOffset + column * scaleSize);
      if (encoding.zero == ZeroKind::Integer)
        rows.zeros[n * groups + g] = block[place.zeroOffset + column];
      else if (encoding.zero != ZeroKind::Constant)
        rows.zeros[n * groups + g] = loadScale(encoding.scale, block + place.zeroOffset + column * scaleSize);
    }
  }
  return rows;
}

} // namespace whit
