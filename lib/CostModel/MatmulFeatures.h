// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a learned model sees of a matmul under a schedule: whole numbers only, logarithms as 256 * log2, so that every machine sees the same.

#pragma once

#include "CostModel/Analytic.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit {

/// Names of the features, in order. Adding one, or changing what it means, makes another catalogue: models of the old one are refused.
const std::vector<std::string> &matmulFeatureNames();

std::vector<int32_t> matmulFeatures(const AnalyticCostModel &analytic, const MatmulWork &work, const MatmulTile &tile);

/// Seconds as whole picoseconds, at least one.
uint64_t picoseconds(double seconds);

} // namespace whit
