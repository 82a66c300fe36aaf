// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Roofline over memory and arithmetic, plus the two costs that generic rooflines leave out for low-bit kernels: decoding codes
// once per row block, and flushing integer sums once per group.

#include "CostModel/Analytic.h"

#include <algorithm>
#include <cmath>

using namespace whit;

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

  // Accumulators that do not fit in registers are spilled once per group of weights: two memory operations each.
  double live = blockRows * double(tile.panels) + 2 * double(tile.panels) + 2;
  double spilled = std::max(0.0, live - rates.vectorRegisters);

  double memory = rowTiles * weights * work.bitsPerWeight / 8 / rates.bytesPerSecond;
  double multiply = rows * weights / rates.multiplyAdds(work.products);
  bool isInteger = work.products == Products::Integer, isBfloat = work.products == Products::Bfloat;
  double lanes = isInteger ? 64 : isBfloat ? 32 : 16; // weights that one vector holds
  // Vector operations that make such a vector: bf16 is stored as pairs, codes become two vectors of floats and then pairs.
  double perVector = isInteger ? 1 : !isBfloat ? 3 : work.bitsPerWeight >= 16 ? 1 : 8;
  double decode = blocks * weights / lanes * perVector / rates.vectorOpsPerSecond;
  double groups = weights / double(std::max<int64_t>(work.group, 1)) / 16;
  double flush = rows * groups * (isInteger ? 4 : 1) / rates.vectorOpsPerSecond;
  double spill = blocks * groups * spilled * 2 / rates.vectorOpsPerSecond;
  // Activations are broadcast once per panel block; one load per multiply limits a block of few panels.
  double broadcast = rows * weights / lanes / double(tile.panels) / rates.vectorOpsPerSecond;
  double chunks = std::ceil(double(work.n) / double(std::max<int64_t>(tile.tileColumns, 16))) * rowTiles;
  return rates.launchSeconds + chunks * 1e-7 + std::max(memory, multiply + decode + flush + spill + broadcast);
}
