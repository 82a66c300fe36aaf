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

double MatmulTerms::seconds() const {
  double busy = std::max(arithmetic(), loads()) + kUnhidden * std::min(arithmetic(), loads());
  return overhead + std::max(memory, busy);
}

const char *MatmulTerms::binding() const {
  if (memory >= std::max(arithmetic(), loads()))
    return "reading weights from memory";
  if (loads() > arithmetic())
    return broadcasts >= lines ? "loading activations" : "loading weights from the cache";
  double most = std::max({multiply, decode, flush, spill});
  return most == multiply ? "multiplying"
         : most == decode ? "decoding codes"
         : most == flush  ? "scaling sums of groups"
                          : "spilled sums";
}

double AnalyticCostModel::matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const {
  return matmulTerms(work, tile).seconds();
}

MatmulTerms AnalyticCostModel::matmulTerms(const MatmulWork &work, const MatmulTile &tile) const {
  MatmulTerms terms;
  double rows = double(std::max<int64_t>(work.rows, 1)), weights = double(work.n) * double(work.k);
  int64_t tileRows =
      tile.tileRows ? std::min(tile.tileRows, std::max<int64_t>(work.rows, 1)) : std::max<int64_t>(work.rows, 1);
  double rowTiles = std::ceil(rows / double(tileRows));
  double blockRows = double(std::min<int64_t>(tile.rows, tileRows));
  double blocks = std::ceil(double(tileRows) / blockRows) * rowTiles;

  terms.memory = rowTiles * weights * work.bitsPerWeight / 8 / rates.bytesPerSecond;
  terms.multiply = rows * weights / rates.multiplyAdds(work.products);
  bool isInteger = work.products == Products::Integer, isBfloat = work.products == Products::Bfloat;
  double lanes = isInteger ? 64 : isBfloat ? 32 : 16; // weights that one vector holds
  // Vector operations that make such a vector: bf16 is stored as pairs, codes become two vectors of floats and then pairs.
  bool isStored = work.bitsPerWeight >= (isInteger ? 8 : isBfloat ? 16 : 32);
  double perVector = isStored ? 0 : isInteger ? 1 : isBfloat ? 8 : 3;
  terms.decode = blocks * weights / lanes * perVector / rates.vectorOpsPerSecond;
  double groups = work.group ? weights / double(work.group) / 16 : 0;
  terms.flush = rows * groups * (isInteger ? 4 : 1) / rates.vectorOpsPerSecond;
  // A group has sums of its own. Those that do not fit in registers are stored and loaded once per group.
  double live = (blockRows * (work.group ? 2 : 1) + 2) * double(tile.panels);
  double spilled = std::max(0.0, live - double(work.sums));
  terms.spill = blocks * groups * spilled * kSpillOps / rates.vectorOpsPerSecond;
  // Activations are broadcast once per block of panels, lines of weights are loaded once per block of rows. Where there are more rows than
  // addresses in registers, an address is loaded as well.
  double addresses = std::max(0.0, 1 - kAddresses / blockRows);
  terms.broadcasts = rows * weights / lanes / double(tile.panels) * (1 + addresses) / rates.vectorOpsPerSecond;
  terms.lines = kLineLoads * blocks * weights * work.bitsPerWeight / 8 / kLineBytes / rates.vectorOpsPerSecond;
  double chunks = std::ceil(double(work.n) / double(std::max<int64_t>(tile.tileColumns, 16))) * rowTiles;
  terms.overhead = rates.launchSeconds + chunks * 1e-7;
  return terms;
}
