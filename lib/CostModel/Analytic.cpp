// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Roofline over memory and arithmetic, plus the two costs that generic rooflines leave out for low-bit kernels: decoding codes
// once per row block, and flushing integer sums once per group.

#include "CostModel/Analytic.h"

#include <algorithm>
#include <cmath>

using namespace whit;

// Fitted to blocks of 1 to 12 rows and 1 to 4 panels of seven formats (docs/performance/cpu.md): operations that a spilled sum costs in a
// group, loads that a line of weights from the second-level cache counts for, and what does not overlap of loads and arithmetic.
static constexpr double kSpillOps = 4, kLineLoads = 3, kUnhidden = 0.25;
static constexpr double kLineBytes = 64, kAddresses = 8;

double AnalyticRates::multiplyAdds(Products products) const {
  return products == Products::Integer  ? integerMultiplyAdds
         : products == Products::Bfloat ? bfloatMultiplyAdds
                                        : floatMultiplyAdds;
}

double AnalyticCostModel::regionSeconds(const RegionWork &work) const {
  double memory =
      work.weightBytes / rates.bytesPerSecond + (work.bytesRead + work.bytesWritten) / rates.cacheBytesPerSecond;
  double arithmetic =
      work.multiplyAdds / rates.multiplyAdds(work.products) + work.otherOps / 16 / rates.vectorOpsPerSecond;
  return rates.launchSeconds + std::max(memory, arithmetic);
}

double AnalyticCostModel::edgeSeconds(double bytes) const {
  return rates.launchSeconds + 2 * bytes / rates.cacheBytesPerSecond;
}

double AnalyticCostModel::matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const {
  double rows = double(std::max<int64_t>(work.rows, 1)), weights = double(work.n) * double(work.k);
  int64_t tileRows =
      tile.tileRows ? std::min(tile.tileRows, std::max<int64_t>(work.rows, 1)) : std::max<int64_t>(work.rows, 1);
  double rowTiles = std::ceil(rows / double(tileRows));
  double blockRows = double(std::min<int64_t>(tile.rows, tileRows));
  double blocks = std::ceil(double(tileRows) / blockRows) * rowTiles;

  double memory = rowTiles * weights * work.bitsPerWeight / 8 / rates.bytesPerSecond;
  double multiply = rows * weights / rates.multiplyAdds(work.products);
  bool isInteger = work.products == Products::Integer, isBfloat = work.products == Products::Bfloat;
  double lanes = isInteger ? 64 : isBfloat ? 32 : 16; // weights that one vector holds
  // Vector operations that make such a vector: bf16 is stored as pairs, codes become two vectors of floats and then pairs.
  bool isStored = work.bitsPerWeight >= (isInteger ? 8 : isBfloat ? 16 : 32);
  double perVector = isStored ? 0 : isInteger ? 1 : isBfloat ? 8 : 3;
  double decode = blocks * weights / lanes * perVector / rates.vectorOpsPerSecond;
  double groups = work.group ? weights / double(work.group) / 16 : 0;
  double flush = rows * groups * (isInteger ? 4 : 1) / rates.vectorOpsPerSecond;
  // A group has sums of its own. Those that do not fit in registers are stored and loaded once per group.
  double live = (blockRows * (work.group ? 2 : 1) + 2) * double(tile.panels);
  double spilled = std::max(0.0, live - double(work.sums));
  double spill = blocks * groups * spilled * kSpillOps / rates.vectorOpsPerSecond;
  double arithmetic = multiply + decode + flush + spill;
  // Activations are broadcast once per block of panels, lines of weights are loaded once per block of rows. Where there are more rows than
  // addresses in registers, an address is loaded as well.
  double addresses = std::max(0.0, 1 - kAddresses / blockRows);
  double broadcasts = rows * weights / lanes / double(tile.panels) * (1 + addresses);
  double lines = blocks * weights * work.bitsPerWeight / 8 / kLineBytes;
  double loads = (broadcasts + kLineLoads * lines) / rates.vectorOpsPerSecond;
  double busy = std::max(arithmetic, loads) + kUnhidden * std::min(arithmetic, loads);
  double chunks = std::ceil(double(work.n) / double(std::max<int64_t>(tile.tileColumns, 16))) * rowTiles;
  return rates.launchSeconds + chunks * 1e-7 + std::max(memory, busy);
}
