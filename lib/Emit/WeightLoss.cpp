// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors are summed in doubles from what decoding gives in f32, the values that kernels start from.

#include "Emit/WeightLoss.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace whit {

static double decibels(double signal, double noise) {
  return noise > 0 ? 10 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
}

static double relative(double signal, double noise) { return signal > 0 ? std::sqrt(noise / signal) : noise > 0; }

int64_t WeightLoss::values() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

double WeightLoss::snr() const { return decibels(signal, noise); }
double WeightLoss::relativeError() const { return relative(signal, noise); }
double WeightLossTotal::snr() const { return decibels(signal, noise); }
double WeightLossTotal::relativeError() const { return relative(signal, noise); }

void WeightLoss::measure(const float *w, const Matrix &encoded, int64_t at, int64_t rows, int64_t firstRow,
                         const LowRankFactors *factors) {
  int64_t k = encoded.k, groups = encoded.groups(), group = groupSize(encoded.encoding, k);
  std::vector<float> decoded(encoded.n * k), scales;
  if (!encoded.terms.empty())
    scales = productPerGroup(encoded, encoded.encoding.terms.front().scale, encoded.terms.front().factors);
  dequantize(encoded, decoded.data());
  std::vector<double> sum(factors ? k : 0);
  for (int64_t i = 0; factors && i < rows; ++i) {
    float *row = decoded.data() + (at + i) * k;
    std::copy_n(row, k, sum.begin());
    factors->addRow(firstRow + i, sum.data());
    std::copy(sum.begin(), sum.end(), row);
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t g = 0; g < groups; ++g) {
      float scale = scales.empty() ? 0 : std::fabs(scales[(at + i) * groups + g]);
      float bins = scale > 0 ? kBins / (2 * kHistogramReach * scale) : 0;
      double groupSignal = 0, groupNoise = 0, groupLargest = 0;
      for (int64_t j = g * group; j < std::min((g + 1) * group, k); ++j) {
        double value = w[i * k + j], change = double(decoded[(at + i) * k + j]) - value;
        groupSignal += value * value;
        groupNoise += change * change;
        groupLargest = std::max(groupLargest, std::fabs(change));
        if (bins > 0)
          ++histogram[size_t(std::clamp(float(change) * bins + kBins / 2, 0.0f, float(kBins - 1)))];
      }
      signal += groupSignal;
      noise += groupNoise;
      if (groupLargest > largest) {
        largest = groupLargest;
        row = firstRow + i;
        for (int64_t j = g * group; j < std::min((g + 1) * group, k); ++j)
          if (std::fabs(double(decoded[(at + i) * k + j]) - double(w[i * k + j])) == groupLargest)
            column = j;
      }
    }
}

void joinFactors(std::vector<WeightLoss> &losses) {
  for (const WeightLoss &factor : losses) {
    if (!factor.isFactor)
      continue;
    for (WeightLoss &loss : losses)
      if (!loss.isFactor && loss.origin == factor.origin) {
        loss.bytesAfter += factor.bytesAfter;
        if (!factor.isConverted)
          break;
        loss.rank = factor.rank;
        loss.signal = factor.signal, loss.noise = factor.noise;
        loss.largest = factor.largest, loss.row = factor.row, loss.column = factor.column;
        loss.histogram = factor.histogram;
        break;
      }
  }
  std::erase_if(losses, [](const WeightLoss &loss) { return loss.isFactor; });
}

WeightLossTotal totalOf(llvm::ArrayRef<WeightLoss> losses) {
  WeightLossTotal total;
  for (const WeightLoss &loss : losses) {
    total.bytesBefore += loss.bytesBefore;
    total.bytesAfter += loss.bytesAfter;
    if (!loss.isMatrix)
      continue;
    ++total.matrices;
    total.values += loss.values();
    total.matrixBytes += loss.bytesAfter;
    if (!loss.isConverted)
      continue;
    ++total.converted;
    total.signal += loss.signal;
    total.noise += loss.noise;
    if (!total.worst || loss.snr() < total.worst->snr())
      total.worst = &loss;
  }
  return total;
}

} // namespace whit
