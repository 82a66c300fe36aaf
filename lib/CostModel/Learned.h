// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The analytic model, corrected by trees that were trained on measured kernels of one CPU: its seconds times 2^(prediction / 256).
//
// A model file is a line of JSON that says what it is of and was trained on, and the forest behind it.

#pragma once

#include "CostModel/Analytic.h"
#include "CostModel/Forest.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

/// Those of the features that the lowering of kernels asks for, sorted, with commas: machines that have the same get the same code.
std::string kernelFeatures(const std::vector<std::string> &features);

/// What a model was trained on, and for which machine it is.
struct ModelOrigin {
  std::string cpu, features; ///< LLVM's name of the CPU, and those of its features that kernels make use of
  std::string llvm, lowering;
  std::string data; ///< SHA-256 of the rows
  int64_t rows = 0;
};

class LearnedCostModel final : public CostModel {
public:
  /// Of the formats that are measured (docs/tuning.md).
  static constexpr int64_t kLargestGroup = 128;

  LearnedCostModel(ModelOrigin origin, Forest forest) : origin(std::move(origin)), forest(std::move(forest)) {}

  /// Nothing and `why` if the text is no model of this catalogue of features.
  static std::optional<LearnedCostModel> parse(std::string_view text, std::string *why);
  std::string print() const;

  double regionSeconds(const RegionWork &work) const override { return analytic.regionSeconds(work); }
  double edgeSeconds(double bytes) const override { return analytic.edgeSeconds(bytes); }
  double matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const override;
  /// Of weights like those it was shown: all else, as int8 with a scale for each channel, is left to the analytic model.
  bool knowsAllKnobs(const MatmulWork &work) const override {
    return work.products != Products::Bfloat && (work.isStored || (work.group > 0 && work.group <= kLargestGroup));
  }
  std::string source(const MatmulWork &work) const override {
    return knowsAllKnobs(work) ? "the model learned on " + origin.cpu : analytic.source(work);
  }
  std::string binding(const MatmulWork &work, const MatmulTile &tile) const override {
    return analytic.binding(work, tile);
  }

  /// 256 * log2 of what the analytic seconds are multiplied by.
  int32_t correction(const MatmulWork &work, const MatmulTile &tile) const;

  const ModelOrigin origin;
  const AnalyticCostModel analytic;
  const Forest forest;
};

} // namespace whit
