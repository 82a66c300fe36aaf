// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a weight cost and lost on its way from the model file into the artifact.

#pragma once

#include "runtime/encoding/LowRank.h"

#include "llvm/ADT/ArrayRef.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace whit {

/// One weight of the model. (The artifact may hold several of them joined into one.)
struct WeightLoss {
  std::string name;
  std::vector<int64_t> shape; ///< [N, K] of a matrix
  std::string before, after;  ///< formats in the file and in the artifact
  std::string quantizer;      ///< empty if values were not quantized here
  bool isMatrix = false;      ///< may have any format: what a matmul contracts or a gather picks
  bool isConverted = false;   ///< the numbers below are known: the artifact's values were made here from the file's
  int64_t bytesBefore = 0, bytesAfter = 0;
  double signal = 0, noise = 0; ///< sums of squares of the values, and of what they changed by
  double largest = 0;           ///< absolute change, at
  int64_t row = 0, column = 0;
  /// Changes in units of the group's scale, from -kHistogramReach to kHistogramReach; the outer bins hold what lies beyond.
  static constexpr int kBins = 48;
  static constexpr float kHistogramReach = 1.5f;
  std::array<int64_t, kBins> histogram{};

  int64_t values() const;
  double bitsPerWeight() const { return values() ? 8.0 * double(bytesAfter) / double(values()) : 0; }
  /// Decibels; infinite where nothing was lost.
  double snr() const;
  /// Root of noise / signal.
  double relativeError() const;

  std::string origin; ///< of the values in the file; a factor has that of the matrix which it corrects
  int64_t rank = 0;   ///< of a correction beside the matrix, whose bytes and gain are in the numbers above
  bool isFactor = false;

  /// Compares rows of the file's values with what `encoded`, from its row `at`, decodes to, plus the rows of `factors` from `firstRow` on.
  void measure(const float *w, const Matrix &encoded, int64_t at, int64_t rows, int64_t firstRow,
               const LowRankFactors *factors = nullptr);
};

/// Counts the factors of a correction with the matrix that they correct.
void joinFactors(std::vector<WeightLoss> &losses);

/// The weights of a model together. Points into the list that it was made of.
struct WeightLossTotal {
  int64_t matrices = 0, converted = 0, bytesBefore = 0, bytesAfter = 0, values = 0, matrixBytes = 0;
  double signal = 0, noise = 0;
  const WeightLoss *worst = nullptr; ///< least SNR among the converted

  double snr() const;
  double relativeError() const;
  /// Of the matrices.
  double bitsPerWeight() const { return values ? 8.0 * double(matrixBytes) / double(values) : 0; }
};
WeightLossTotal totalOf(llvm::ArrayRef<WeightLoss> losses);

} // namespace whit
