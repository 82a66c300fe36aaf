// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solves the panel stream of an encoding and states its bit map.
#include "runtime/encoding/Place.h"

#include <algorithm>
#include <cassert>

namespace whit {

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

  int64_t unit = 1; // elements of a column that one line of the narrowest plane holds
  for (const Term &term : encoding.terms)
    unit = std::max<int64_t>(unit, 4 * (8 / (term.codec.bits & -term.codec.bits)));
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
    // Widths from the binary digits of `bits`, widest first, which puts the low bits of a code in the widest plane.
    int32_t shift = 0;
    for (int32_t width = 8; width >= 1; width /= 2) {
      if (!(codec.bits & width))
        continue;
      term.planes.push_back({width, shift, inBlock});
      shift += width;
      inBlock += kPanelColumns * place.paddedGroup * width / 8;
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
  return place;
}

BitPosition codeBit(const Place &place, size_t term, int64_t n, int64_t k, int32_t bit) {
  int64_t panel = n / kPanelColumns, column = n % kPanelColumns;
  if (place.terms[term].planes.empty()) {
    int64_t valueBytes = place.k ? place.blockBytes / (place.paddedGroup * kPanelColumns) : 0;
    int64_t value = (k / place.run * kPanelColumns + column) * place.run + k % place.run;
    return {panel * place.panelBytes + value * valueBytes + bit / 8, bit % 8};
  }
  int64_t group = k / place.group, inGroup = k % place.group;
  for (const Plane &plane : place.terms[term].planes) {
    if (bit < plane.shift || bit >= plane.shift + plane.bits)
      continue;
    int64_t fields = 8 / plane.bits;
    int64_t quad = inGroup / 4;
    int64_t line = quad / fields, field = quad % fields;
    int64_t byte = panel * place.panelBytes + place.headerBytes + group * place.blockBytes + plane.offset +
                   line * kLineBytes + 4 * column + inGroup % 4;
    return {byte, int32_t(plane.bits * field + bit - plane.shift)};
  }
  assert(false && "the code has no such bit");
  return {-1, 0};
}

int64_t factorByte(const Place &place, const FactorPlace &factor, int64_t n, int64_t group) {
  int64_t start = n / kPanelColumns * place.panelBytes + factor.offset + n % kPanelColumns * factor.bytes;
  if (factor.span == 1)
    return start + place.headerBytes + group * place.blockBytes;
  return start + group / factor.span * kPanelColumns * factor.bytes;
}

} // namespace whit
