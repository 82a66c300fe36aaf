// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The analytic model behind include/whit/CostModel.h: a roofline with terms for decoding and for flushing groups.

#pragma once

#include "whit/CostModel.h"

namespace whit {

/// Rates of one thread. The defaults are a 2.5 GHz core with 512-bit vectors; only their ratios matter for choices.
struct AnalyticRates {
  double bytesPerSecond = 16e9;       ///< streaming from memory
  double cacheBytesPerSecond = 80e9;  ///< activations that the last region left in the second-level cache
  double integerMultiplyAdds = 320e9; ///< vpdpbusd at two a cycle
  double bfloatMultiplyAdds = 160e9;  ///< vdpbf16ps at two a cycle
  double floatMultiplyAdds = 80e9;    ///< fma at two a cycle
  double vectorOpsPerSecond = 5e9;    ///< other vector instructions of 16 lanes, two a cycle
  double launchSeconds = 1e-6;        ///< wake, claim and join

  double multiplyAdds(Products products) const;
};

/// What the seconds of a matmul are made of.
struct MatmulTerms {
  double memory = 0;                                     ///< reading weights
  double multiply = 0, decode = 0, flush = 0, spill = 0; ///< arithmetic
  double broadcasts = 0, lines = 0;                      ///< loads of activations and of weights
  double overhead = 0;                                   ///< of the launch and of chunks

  double arithmetic() const { return multiply + decode + flush + spill; }
  double loads() const { return broadcasts + lines; }
  /// Arithmetic and loads beside each other, and the memory beside both.
  double seconds() const;
  /// What takes longest, in words.
  const char *binding() const;
};

class AnalyticCostModel final : public CostModel {
public:
  explicit AnalyticCostModel(AnalyticRates rates = {}) : rates(rates) {}

  double regionSeconds(const RegionWork &work) const override;
  double edgeSeconds(double bytes) const override;
  double matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const override;
  std::string binding(const MatmulWork &work, const MatmulTile &tile) const override {
    return matmulTerms(work, tile).binding();
  }
  MatmulTerms matmulTerms(const MatmulWork &work, const MatmulTile &tile) const;

private:
  AnalyticRates rates;
};

} // namespace whit
