// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes, the schedule, how both fit together, and the terms of the analytic model: the trees learn where these are wrong.

#include "CostModel/MatmulFeatures.h"

#include "CostModel/ForestTrainer.h"
#include "whit/MatmulSpace.h"

#include <algorithm>
#include <bit>

namespace whit {

uint64_t picoseconds(double seconds) { return std::max<uint64_t>(1, uint64_t(seconds * 1e12)); }

static int32_t logOf(int64_t number) { return log2Q8(uint64_t(std::max<int64_t>(number, 0)) + 1); }
static int32_t logOf(double seconds) { return log2Q8(picoseconds(seconds)); }
/// In 256ths, at most 64.
static int32_t ratio(int64_t x, int64_t y) {
  return int32_t(std::min<int64_t>(x * 256 / std::max<int64_t>(y, 1), 64 * 256));
}

namespace {
struct Feature {
  const char *name;
  int32_t value;
};

/// Blocks of rows that a tile of so many rows is cut into: whole ones, then halves of what is left.
int64_t blocksOf(int64_t rows, int64_t block) {
  int64_t count = rows / block, left = rows % block;
  return count + std::popcount(uint64_t(left));
}

std::vector<Feature> list(const AnalyticCostModel &analytic, const MatmulWork &work, const MatmulTile &asked) {
  MatmulTile tile = sameCode(asked, work.rows);
  MatmulTerms terms = analytic.matmulTerms(work, tile);
  int64_t m = std::max<int64_t>(work.rows, 1), block = std::min(tile.rows, m), sums = tile.rows * tile.panels;
  bool isInteger = work.products == Products::Integer;
  bool isFew = m < kFewMatmulRows && tile.rows >= kFewMatmulRows;
  int64_t unroll = tile.unroll != MatmulTile::kUsual ? tile.unroll : isInteger ? 32 : 8;
  int64_t laidOut = std::min(std::max(unroll, work.unit), std::max<int64_t>(work.group, 1));
  int64_t prefetch = tile.prefetch != MatmulTile::kUsual ? tile.prefetch : work.isStored ? 0 : 2304;
  auto panelBytes = int64_t(double(work.k * 16) * work.bitsPerWeight / 8);
  int64_t activationBytes = work.k * (isInteger ? 1 : work.products == Products::Bfloat ? 2 : 4);
  int64_t live = (block * (work.group ? 2 : 1) + 2) * tile.panels;
  return {{"rows", logOf(m)},
          {"n", logOf(work.n)},
          {"k", logOf(work.k)},
          {"group", logOf(work.group)},
          {"bits", int32_t(work.bitsPerWeight * 16)},
          {"products", int32_t(work.products)},
          {"stored", work.isStored},
          {"unit", int32_t(work.unit)},
          {"columns", int32_t(tile.tileColumns)},
          {"block_rows", int32_t(tile.rows)},
          {"block_panels", int32_t(isFew ? 0 : tile.panels)},
          {"block_sums", int32_t(isFew ? 0 : sums)},
          {"unroll", int32_t(unroll)},
          {"laid_out", int32_t(laidOut)},
          {"code_size", int32_t(std::min<int64_t>(laidOut * block * tile.panels, 1 << 20))},
          {"prefetch", int32_t(prefetch)},
          {"few", isFew},
          {"used_rows", int32_t(block)},
          {"left_rows", int32_t(m % tile.rows)},
          {"row_blocks", logOf(blocksOf(m, tile.rows))},
          {"row_use", ratio(m, blocksOf(m, tile.rows) * block)},
          {"live_sums", ratio(live, work.sums)},
          {"panel_bytes", logOf(panelBytes * tile.panels)},
          {"tile_bytes", logOf(panelBytes * tile.tileColumns / 16)},
          {"weight_bytes", logOf(panelBytes * (work.n / 16))},
          {"activation_bytes", logOf(activationBytes * m)},
          {"block_bytes", logOf(activationBytes * block)},
          {"loads_per_product", ratio(tile.rows + tile.panels, sums)},
          {"t_analytic", logOf(terms.seconds())},
          {"t_memory", logOf(terms.memory)},
          {"t_multiply", logOf(terms.multiply)},
          {"t_decode", logOf(terms.decode)},
          {"t_flush", logOf(terms.flush)},
          {"t_spill", logOf(terms.spill)},
          {"t_broadcasts", logOf(terms.broadcasts)},
          {"t_lines", logOf(terms.lines)}};
}
} // namespace

const std::vector<std::string> &matmulFeatureNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Feature &feature : list(AnalyticCostModel(), MatmulWork(), MatmulTile()))
      all.emplace_back(feature.name);
    return all;
  }();
  return names;
}

std::vector<int32_t> matmulFeatures(const AnalyticCostModel &analytic, const MatmulWork &work, const MatmulTile &tile) {
  std::vector<int32_t> row;
  for (const Feature &feature : list(analytic, work, tile))
    row.push_back(feature.value);
  return row;
}

} // namespace whit
