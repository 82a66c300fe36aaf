// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes come from the reference quantizer. Bounds ask twice: could the scale, or the zero, have been rounded to its neighbour?
// And if not, which codes lie so near to a tie that they could be the next one?

#include "Interpret/CacheRows.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace whit::interpret {

void multiplyByHadamardMatrix(std::vector<Scalar> &row, double unit) {
  std::vector<Scalar> result(row.size());
  double factor = 1 / std::sqrt(double(row.size())), error = 0, magnitude = 0;
  for (const Scalar &x : row) {
    error += x.bound * factor;
    magnitude += std::fabs(x.f) * factor;
  }
  double roundings = std::bit_width(row.size()) + kOtherRoundings;
  for (size_t i = 0; i < row.size(); ++i) {
    for (size_t j = 0; j < row.size(); ++j)
      result[i].f += std::popcount(i & j) % 2 ? -row[j].f : row[j].f;
    result[i].f *= factor;
    result[i].bound = error + roundings * unit * magnitude;
  }
  row = std::move(result);
}

namespace {
/// The scale and the zero of a row, and whether errors of its elements up to `error` cannot change them.
struct RowCode {
  const Encoding &encoding;
  double least = 0, most = 0, error = 0, unit = 0;
  bool isSure = true;

  static bool isStored(ScaleType type, double value, double around) {
    return roundToScale(type, float(value - around)) == roundToScale(type, float(value + around));
  }
  void judge(const std::vector<Scalar> &row, double scale);
};
} // namespace

void RowCode::judge(const std::vector<Scalar> &row, double scale) {
  for (const Scalar &x : row) {
    least = std::min(least, x.f);
    most = std::max(most, x.f);
    error = std::max(error, x.bound);
  }
  if (encoding.zero == ZeroKind::Constant) {
    // Which of two elements of opposite signs is the larger one decides about the sign of the scale.
    double extreme = std::max(-least, most), half = double(1 << (encoding.bits() - 1));
    isSure = std::fabs(most + least) > 2 * error &&
             isStored(encoding.scaleType(), extreme / half, error / half + unit * extreme);
    return;
  }
  double levels = double((1 << encoding.bits()) - 1), range = most - least,
         around = 2 * error / levels + 2 * unit * range;
  isSure = isStored(encoding.scaleType(), range / levels, around);
  if (encoding.zero == ZeroKind::Minimum) {
    isSure &= isStored(encoding.offset.front().type, least, error);
    return;
  }
  double zero = scale ? -least / scale : 0, off = scale ? error / scale + 2 * unit * zero : 0;
  isSure &= encoding.zero == ZeroKind::Integer ? std::nearbyint(zero - off) == std::nearbyint(zero + off)
                                               : isStored(encoding.offset.front().type, zero, off);
}

void storeInFormat(const Encoding &encoding, std::vector<Scalar> &row, double unit) {
  std::vector<float> floats;
  for (const Scalar &x : row)
    floats.push_back(float(x.f));
  Matrix matrix;
  if (!quantize(encoding, floats.data(), 1, int64_t(row.size()), matrix, nullptr)) {
    for (Scalar &x : row)
      x = Scalar{std::numeric_limits<double>::quiet_NaN(), 0, 0};
    return;
  }
  std::vector<double> values(row.size());
  dequantize(matrix, values.data());
  bool isExact = std::all_of(row.begin(), row.end(), [](const Scalar &x) { return x.bound == 0; });
  double scale = matrix.scales()[0], zero = matrix.offset.empty() ? 0 : matrix.zeros()[0], step = std::fabs(scale);
  RowCode code{encoding, 0, 0, 0, unit, true};
  if (!isExact)
    code.judge(row, scale);
  double coarse = encoding.scaleType() == ScaleType::F32   ? 0x1p-23
                  : encoding.scaleType() == ScaleType::F16 ? 0x1p-10
                                                           : 0x1p-7;
  for (size_t i = 0; i < row.size(); ++i) {
    double bound = 0;
    if (!isExact && !code.isSure) {
      // Both are within a step of the element, and so is what the neighbouring scale makes of it.
      bound = 2 * step + row[i].bound + 4 * coarse * std::max(code.most, -code.least);
    } else if (!isExact && step > 0) {
      double offset = encoding.zero == ZeroKind::Minimum ? -zero / scale : encoding.zero == ZeroKind::Float ? zero : 0;
      double quotient = row[i].f / scale + offset;
      double around = row[i].bound / step + 4 * unit * (std::fabs(row[i].f / scale) + std::fabs(offset));
      bound = std::nearbyint(quotient - around) == std::nearbyint(quotient + around) ? 0 : step;
    }
    row[i] = Scalar{values[i], 0, bound};
  }
}

} // namespace whit::interpret
