// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solves the panel stream of an encoding and states its bit map.
#include "runtime/encoding/Place.h"

#include <cassert>

namespace whit {

int64_t zeroBytes(const Encoding &encoding) {
  switch (encoding.zero) {
  case ZeroKind::Constant:
    return 0;
  case ZeroKind::Integer:
    return 1;
  case ZeroKind::Float:
  case ZeroKind::Minimum:
    return scaleBytes(encoding.scale);
  }
  return 0;
}

Place solvePlace(const Encoding &encoding, int64_t n, int64_t k) {
  assert(n >= 0 && k >= 0);
  Place place{};
  place.n = n;
  place.k = k;
  place.group = groupSize(encoding, k);
  place.groups = groupCount(encoding, k);
  place.panels = (n + kPanelColumns - 1) / kPanelColumns;
  place.scaleOffset = place.zeroOffset = -1;

  if (encoding.codec == Codec::Plain) {
    place.paddedGroup = k;
    place.blockBytes = place.panelBytes = k * kPanelColumns * scaleBytes(encoding.scale);
    return place;
  }

  // Widths from the binary digits of `bits`, widest first, which puts the low bits of a code in the widest plane.
  int32_t narrowest = encoding.bits & -encoding.bits;
  int64_t unit = 4 * (8 / narrowest); // elements of a column that one line of the narrowest plane holds
  place.paddedGroup = (place.group + unit - 1) / unit * unit;
  int64_t offset = 0;
  int32_t shift = 0;
  for (int32_t width = 8; width >= 1; width /= 2) {
    if (!(encoding.bits & width))
      continue;
    place.planes.push_back({width, shift, offset});
    shift += width;
    offset += kPanelColumns * place.paddedGroup * width / 8;
  }
  place.scaleOffset = offset;
  offset += kPanelColumns * scaleBytes(encoding.scale);
  if (int64_t each = zeroBytes(encoding)) {
    place.zeroOffset = offset;
    offset += kPanelColumns * each;
  }
  place.blockBytes = offset;
  place.panelBytes = offset * place.groups;
  return place;
}

BitPosition codeBit(const Place &place, int64_t n, int64_t k, int32_t bit) {
  int64_t panel = n / kPanelColumns, column = n % kPanelColumns;
  if (place.planes.empty()) {
    int64_t valueBytes = place.k ? place.blockBytes / (place.k * kPanelColumns) : 0;
    return {panel * place.panelBytes + (k * kPanelColumns + column) * valueBytes + bit / 8, bit % 8};
  }
  int64_t group = k / place.group, inGroup = k % place.group;
  for (const Plane &plane : place.planes) {
    if (bit < plane.shift || bit >= plane.shift + plane.bits)
      continue;
    int64_t fields = 8 / plane.bits;
    int64_t quad = inGroup / 4;
    int64_t line = quad / fields, field = quad % fields;
    int64_t byte = panel * place.panelBytes + group * place.blockBytes + plane.offset + line * kLineBytes + 4 * column +
                   inGroup % 4;
    return {byte, int32_t(plane.bits * field + bit - plane.shift)};
  }
  assert(false && "the code has no such bit");
  return {-1, 0};
}

int64_t scaleByte(const Place &place, int64_t n, int64_t group, int64_t scaleBytes) {
  if (place.scaleOffset < 0)
    return -1;
  return n / kPanelColumns * place.panelBytes + group * place.blockBytes + place.scaleOffset +
         n % kPanelColumns * scaleBytes;
}

int64_t zeroByte(const Place &place, int64_t n, int64_t group, int64_t zeroBytes) {
  if (place.zeroOffset < 0)
    return -1;
  return n / kPanelColumns * place.panelBytes + group * place.blockBytes + place.zeroOffset +
         n % kPanelColumns * zeroBytes;
}

} // namespace whit
