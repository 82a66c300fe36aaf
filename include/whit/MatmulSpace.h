// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The schedules that a matmul on a CPU may have: what can be chosen, as data, and which choices fit together. The compiler judges them by a
// cost model and whit-tune by the clock; both see the same list in the same order.
//
// Thread rule: all functions are pure.
#ifndef WHIT_MATMUL_SPACE_H
#define WHIT_MATMUL_SPACE_H

#include "whit/CostModel.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace whit {

/// Something that can be chosen, and the values it is chosen from, in ascending order.
struct MatmulKnob {
  std::string_view name;
  int64_t MatmulTile::*value;
  std::vector<int64_t> options;
};

/// Columns of a panel of weights; chunks that a matmul should at least have, so that threads finish together; and the columns that no chunk
/// goes below.
inline constexpr int64_t kMatmulPanel = 16, kMatmulChunks = 8, kLeastMatmulColumns = 32;

/// The least that may be unrolled; less than a unit of codes is a unit.
inline constexpr int64_t leastUnroll(Products products) { return products == Products::Integer ? 8 : 4; }

inline std::vector<MatmulKnob> matmulKnobs(const MatmulWork &work) {
  std::vector<int64_t> unroll{leastUnroll(work.products), 32};
  unroll.insert(unroll.begin() + (work.products == Products::Integer ? 2 : 1),
                work.products == Products::Integer ? 128 : 8);
  std::vector<int64_t> prefetch{0, 2304};
  if (work.isStored) // nothing is decoded that a fetch could hide behind
    prefetch = {MatmulTile::kUsual};
  return {{"columns", &MatmulTile::tileColumns, {32, 64, 128, 192, 256}},
          {"rows", &MatmulTile::rows, {1, 2, 4, 6, 8, 12, 16, 24}},
          {"panels", &MatmulTile::panels, {1, 2, 3, 4, 6}},
          {"unroll", &MatmulTile::unroll, unroll},
          {"prefetch", &MatmulTile::prefetch, prefetch}};
}

/// Why a schedule is none of this matmul; null if it is one. Two schedules that are compiled to the same code are one: the first.
inline const char *whyNotMatmulTile(const MatmulWork &work, const MatmulTile &tile) {
  if (tile.rows < 1 || tile.panels < 1 || tile.tileColumns < 1)
    return "sizes must be at least 1";
  if (tile.rows * tile.panels > work.sums)
    return "the sums do not fit in registers";
  if (tile.tileColumns % (tile.panels * kMatmulPanel) != 0)
    return "columns are no whole number of blocks of panels";
  if (tile.tileColumns > kLeastMatmulColumns && work.n / tile.tileColumns < kMatmulChunks)
    return "too few chunks for threads to share";
  int64_t unit = std::max<int64_t>(work.unit, 1), whole = work.group ? work.group : work.k;
  if (tile.unroll == MatmulTile::kUsual || tile.unroll == leastUnroll(work.products))
    return nullptr;
  if (tile.unroll <= unit)
    return "a unit of codes is unrolled already by less";
  if (tile.unroll > (whole + unit - 1) / unit * unit)
    return "a group is unrolled already by less";
  return nullptr;
}

/// Fewer rows than this take a path of their own, with blocks that do not depend on the schedule's, unless those are as small.
inline constexpr int64_t kFewMatmulRows = 4;

/// The schedule that stands for all those which run the same code for so many rows.
inline MatmulTile sameCode(MatmulTile tile, int64_t rows) {
  if (rows < kFewMatmulRows && tile.rows >= kFewMatmulRows) {
    tile.rows = kFewMatmulRows;
    tile.panels = 1;
  }
  return tile;
}

/// All schedules of a matmul, the last knob fastest.
inline std::vector<MatmulTile> matmulTiles(const MatmulWork &work) {
  std::vector<MatmulTile> tiles{MatmulTile()};
  for (const MatmulKnob &knob : matmulKnobs(work)) {
    std::vector<MatmulTile> next;
    for (const MatmulTile &tile : tiles)
      for (int64_t option : knob.options) {
        next.push_back(tile);
        next.back().*knob.value = option;
      }
    tiles = std::move(next);
  }
  std::erase_if(tiles, [&](const MatmulTile &tile) { return whyNotMatmulTile(work, tile); });
  return tiles;
}

} // namespace whit

#endif // WHIT_MATMUL_SPACE_H
