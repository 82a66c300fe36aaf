// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Gradient boosting of squared errors, in integers from histograms to leaves: the same rows in the same order give the same bytes on every
// machine.

#pragma once

#include "CostModel/Forest.h"

namespace whit {

struct ForestRow {
  std::vector<int32_t> features;
  int32_t label;
  int32_t weight;     ///< 1 .. 65536
  uint64_t shape = 0; ///< what rows have in common that belong together; nothing is drawn by it here
};

struct ForestOptions {
  int trees = 200, depth = 6;
  int leastRows = 8;            ///< of a leaf
  int bins = 64;                ///< values of a feature that are told apart, 2 .. 256
  int32_t learningRateQ8 = 26;  ///< of 256
  uint64_t seed = 1;            ///< each tree leaves out an eighth of the rows
  std::vector<int8_t> monotone; ///< for each feature: 1 never falls, -1 never rises, 0 either; empty: 0 for all
};

Forest trainForest(std::span<const std::string> features, std::span<const ForestRow> rows,
                   const ForestOptions &options);

} // namespace whit
