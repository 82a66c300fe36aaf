// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Columns are words, so that applying a map is one XOR for each bit that is set.
#include "runtime/encoding/BitMap.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <map>
#include <tuple>

namespace whit {

BitMap BitMap::identity(int32_t bits) {
  BitMap map(bits, bits);
  for (int32_t i = 0; i < bits; ++i)
    map.columns[i] = uint64_t(1) << i;
  return map;
}

uint64_t BitMap::apply(uint64_t in) const {
  uint64_t out = 0;
  for (; in; in &= in - 1)
    out ^= columns[std::countr_zero(in)];
  return out;
}

BitMap BitMap::after(const BitMap &inner) const {
  assert(inner.outBits == ins());
  BitMap result(inner.ins(), outBits);
  for (int32_t i = 0; i < inner.ins(); ++i)
    result.columns[i] = apply(inner.columns[i]);
  return result;
}

int32_t BitMap::rank() const {
  std::vector<uint64_t> pivots; // each with a leading bit that no other has
  for (uint64_t column : columns) {
    for (uint64_t pivot : pivots)
      column = std::min(column, column ^ pivot);
    if (column)
      pivots.push_back(column);
  }
  return int32_t(pivots.size());
}

std::optional<BitMap> BitMap::inverse() const {
  if (ins() != outBits)
    return std::nullopt;
  // Gauss and Jordan on the columns; the same steps on the identity give the inverse.
  std::vector<uint64_t> left = columns, right = identity(ins()).columns;
  for (int32_t bit = 0; bit < outBits; ++bit) {
    int32_t pivot = bit;
    while (pivot < ins() && !(left[pivot] >> bit & 1))
      ++pivot;
    if (pivot == ins())
      return std::nullopt;
    std::swap(left[pivot], left[bit]);
    std::swap(right[pivot], right[bit]);
    for (int32_t other = 0; other < ins(); ++other)
      if (other != bit && left[other] >> bit & 1) {
        left[other] ^= left[bit];
        right[other] ^= right[bit];
      }
  }
  BitMap result(outBits, ins());
  result.columns = std::move(right);
  return result;
}

int32_t positionOf(const CodeUnit &unit, int32_t quad, int32_t bit) {
  for (const Field &field : unit.fields)
    if (field.quad == quad && bit >= field.shift && bit < field.shift + field.bits)
      return 8 * field.line + field.at + bit - field.shift;
  assert(false && "the code has no such bit");
  return 0;
}

BitMap contentMap(const CodeUnit &unit, int32_t bits) {
  BitMap map(unit.quads * bits, 8 * unit.lines);
  for (int32_t in = 0; in < map.ins(); ++in)
    map.setColumn(in, uint64_t(1) << positionOf(unit, in / bits, in % bits));
  return map;
}

std::optional<BitMap> addressMap(const CodeUnit &unit, int32_t bits) {
  if (!std::has_single_bit(uint32_t(bits)) || !std::has_single_bit(uint32_t(unit.lines)))
    return std::nullopt;
  auto digits = [](int64_t size) { return std::countr_zero(uint64_t(size)); };
  int32_t bitDigits = digits(bits), kDigits = digits(unit.elements()), columnDigits = digits(kPanelColumns);
  BitMap contents = contentMap(unit, bits);
  auto addressOf = [&](uint64_t index) {
    int64_t bit = index & (bits - 1), k = index >> bitDigits & (unit.elements() - 1);
    int64_t column = index >> (bitDigits + kDigits);
    int32_t out = std::countr_zero(contents.column(int32_t(k / 4 * bits + bit)));
    return uint64_t(out % 8 + 8 * (4 * column + k % 4) + 8 * kLineBytes * (out / 8));
  };
  BitMap map(bitDigits + kDigits + columnDigits, digits(8 * kLineBytes * unit.lines));
  for (int32_t i = 0; i < map.ins(); ++i)
    map.setColumn(i, addressOf(uint64_t(1) << i));
  for (uint64_t index = 0; index < uint64_t(1) << map.ins(); ++index)
    if (map.apply(index) != addressOf(index))
      return std::nullopt;
  return map;
}

std::vector<WordMove> wordMoves(const BitMap &contents, int32_t bits) {
  std::map<std::tuple<int32_t, int32_t, int32_t>, uint32_t> masks;
  for (int32_t in = 0; in < contents.ins(); ++in) {
    assert(std::has_single_bit(contents.column(in)) && "not a permutation of bits");
    int32_t out = std::countr_zero(contents.column(in)), bit = in % bits;
    masks[{in / bits, out / 8, out % 8 - bit}] |= 0x01010101u << bit;
  }
  std::vector<WordMove> moves;
  for (auto [move, mask] : masks)
    moves.push_back({std::get<0>(move), std::get<1>(move), std::get<2>(move), mask});
  return moves;
}

} // namespace whit
