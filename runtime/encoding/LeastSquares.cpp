// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums run in eight lanes of floats for some hundred elements, then in doubles: fast, and the same for every vector width.
// They are of residuals, not of values: at 8 bits an error is 1e-5 of the signal, and differences of sums of squares would
// drown in rounding.
#include "runtime/encoding/LeastSquares.h"

#include "runtime/encoding/Half.h"

#include <array>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

constexpr size_t kLanes = 8, kRun = 256;
/// Candidates that are improved after the coarse search.
constexpr size_t kFinalists = 3;
/// Numbers of steps above the full range at most.
constexpr int kSteps = 40;
/// How often codes and scale are chosen in turn at most.
constexpr int kRounds = 4;
/// Cutting off more has no hope once so many errors in a row were larger than the least by this factor.
constexpr int kPatience = 4;
constexpr double kWorse = 1.1;

/// value = scale * q + offset with integers q of [low, high].
struct Grid {
  float scale, offset, low, high;
};

/// Sums over a group of the integers q of a grid and the residuals e that they leave.
struct Sums {
  double count = 0, q = 0, qq = 0, e = 0, eq = 0, ee = 0;
};

Sums measure(const Grid &grid, std::span<const float> w) {
  float inverse = 1 / grid.scale;
  Sums total;
  total.count = double(w.size());
  for (size_t begin = 0; begin < w.size(); begin += kRun) {
    const float *part = w.data() + begin;
    size_t count = std::min(kRun, w.size() - begin), i = 0;
    float q[kLanes] = {}, qq[kLanes] = {}, e[kLanes] = {}, eq[kLanes] = {}, ee[kLanes] = {};
    auto add = [&](float value, size_t lane) {
      float rest = value - grid.offset;
      float code = roundToEven(std::min(std::max(rest * inverse, grid.low), grid.high));
      float residual = rest - grid.scale * code;
      q[lane] += code;
      qq[lane] += code * code;
      e[lane] += residual;
      eq[lane] += residual * code;
      ee[lane] += residual * residual;
    };
    for (; i + kLanes <= count; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane)
        add(part[i + lane], lane);
    for (; i < count; ++i)
      add(part[i], i % kLanes);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      total.q += q[lane];
      total.qq += qq[lane];
      total.e += e[lane];
      total.eq += eq[lane];
      total.ee += ee[lane];
    }
  }
  return total;
}

struct Fit {
  Grid grid{};
  double error = std::numeric_limits<double>::infinity();
};

class Search {
public:
  Search(const Encoding &encoding, std::span<const float> w)
      : encoding(encoding), w(w), levels(float((1 << encoding.bits()) - 1)),
        isAffine(encoding.zero == ZeroKind::Minimum || encoding.zero == ZeroKind::Float) {
    low = high = w[0];
    for (float value : w)
      low = std::min(low, value), high = std::max(high, value);
  }

  GroupCode run(const GroupCode &nearest);

private:
  void searchConstant();
  void searchInteger();
  void searchAffine();
  Fit refit(const Grid &grid) const;
  double consider(const Grid &grid);
  Fit improve(Fit fit) const;
  GroupCode rounded(Grid grid) const;
  /// Calls attempt(p), which gives an error, for numbers of steps p that a range is laid over: a few below `full`, at which
  /// nothing is cut off, and on above it until there is no hope.
  template <typename Try> void forSteps(float full, Try &&attempt);

  const Encoding &encoding;
  std::span<const float> w;
  float levels, low, high;
  bool isAffine;
  std::array<Fit, kFinalists> best; ///< ascending errors
};

/// The grid with the scale (and offset) that suits its codes best, and the error that these codes then have.
Fit Search::refit(const Grid &grid) const {
  Sums s = measure(grid, w);
  Fit fit{grid, s.ee};
  if (!isAffine) {
    if (s.qq > 0) {
      double change = s.eq / s.qq;
      fit.grid.scale = float(grid.scale + change);
      fit.error = s.ee - change * s.eq;
    }
    return fit;
  }
  double variance = s.qq - s.q * s.q / s.count, slope = variance > 0 ? (s.eq - s.q * s.e / s.count) / variance : 0;
  double shift = (s.e - slope * s.q) / s.count;
  fit.grid.scale = float(grid.scale + slope);
  fit.grid.offset = float(grid.offset + shift);
  fit.error = s.ee - slope * s.eq - shift * s.e;
  return fit;
}

/// Keeps a candidate if it is among the best; gives its error.
double Search::consider(const Grid &grid) {
  if (!std::isfinite(grid.scale) || !std::isfinite(1 / grid.scale))
    return std::numeric_limits<double>::infinity();
  Fit fit = refit(grid);
  double error = fit.error;
  for (Fit &place : best)
    if (fit.error < place.error)
      std::swap(fit, place);
  return error;
}

template <typename Try> void Search::forSteps(float full, Try &&attempt) {
  constexpr float kRatios[] = {1.12f, 1.09f, 1.07f, 1.045f, 1.033f, 1.02f, 1.012f, 1.008f};
  float ratio = kRatios[encoding.bits() - 1], least = full - 1;
  if (least > 0) // one step is not used: the codes of values that were encoded so before are found again
    attempt(least);
  for (float steps = full / ratio; steps > least && steps > 0.8f * full; steps /= ratio)
    attempt(steps);
  float steps = full;
  for (int i = 0, worse = 0; i < kSteps && worse < kPatience; ++i, steps *= ratio)
    worse = attempt(steps) > kWorse * best[0].error ? worse + 1 : 0;
}

/// The extreme value may lie at either end of the codes, of which the negative one has a code more.
void Search::searchConstant() {
  float half = encoding.constant, extreme = std::max(high, -low);
  for (float sign : {-1.0f, 1.0f})
    forSteps(half, [&](float steps) { return consider({sign * extreme / steps, 0, -half, levels - half}); });
}

/// For each scale all zeros between "nothing is cut off below" and "nothing is cut off above".
void Search::searchInteger() {
  float bottom = std::min(low, 0.0f), top = std::max(high, 0.0f);
  forSteps(levels, [&](float steps) {
    float scale = (top - bottom) / steps;
    int first = int(std::clamp(roundToEven(-bottom / scale), 0.0f, levels));
    int last = int(std::clamp(levels - roundToEven(top / scale), 0.0f, levels));
    if (first > last)
      std::swap(first, last);
    double error = std::numeric_limits<double>::infinity();
    for (int zero = first, stride = (last - first + 3) / 4; zero <= last; zero += std::max(stride, 1))
      error = std::min(error, consider({scale, 0, -float(zero), levels - float(zero)}));
    return error;
  });
}

void Search::searchAffine() {
  forSteps(levels, [&](float steps) {
    float scale = (high - low) / steps;
    double error = std::numeric_limits<double>::infinity();
    for (float below : {0.0f, 0.5f, 1.0f}) // the share of what is cut off that is cut off below
      error = std::min(error, consider({scale, low + below * (steps - levels) * scale, 0, levels}));
    return error;
  });
}

Fit Search::improve(Fit fit) const {
  for (int round = 0; round < kRounds; ++round) {
    Fit next = refit(fit.grid);
    if (!(next.error < fit.error))
      break;
    fit = next;
  }
  return fit;
}

/// A grid as it is stored: what is rounded first is made up for by the scale.
GroupCode Search::rounded(Grid grid) const {
  GroupCode code;
  if (encoding.zero == ZeroKind::Integer)
    code.zero = -grid.low;
  if (encoding.zero == ZeroKind::Minimum) {
    grid.offset = code.zero = roundToScale(encoding.scaleType(), grid.offset);
    Sums s = measure(grid, w);
    if (s.qq > 0)
      grid.scale = float(grid.scale + s.eq / s.qq);
  }
  if (encoding.zero == ZeroKind::Float) {
    code.zero = roundToScale(encoding.scaleType(), -grid.offset / grid.scale);
    grid.offset = -code.zero * grid.scale;
    Sums s = measure(grid, w);
    double z = code.zero, square = s.qq - 2 * z * s.q + z * z * s.count;
    if (square > 0)
      grid.scale = float(grid.scale + (s.eq - z * s.e) / square);
  }
  code.scale = roundToScale(encoding.scaleType(), grid.scale);
  return code;
}

GroupCode Search::run(const GroupCode &nearest) {
  GroupCode result = nearest;
  double least = groupError(encoding, nearest, w);
  auto compare = [&](const GroupCode &code) {
    if (double error = groupError(encoding, code, w); error < least)
      least = error, result = code;
  };
  if (low == 0 && high == 0)
    return result;
  if (isAffine && low == high) {
    if (encoding.zero == ZeroKind::Minimum)
      compare({0, roundToScale(encoding.scaleType(), low)});
    return result;
  }
  if (isAffine)
    searchAffine();
  else
    encoding.zero == ZeroKind::Integer ? searchInteger() : searchConstant();
  for (const Fit &fit : best)
    if (std::isfinite(fit.error))
      compare(rounded(improve(fit).grid));
  return result;
}

} // namespace

GroupCode fitLeastSquares(const Encoding &encoding, std::span<const float> w, const GroupCode &nearest) {
  return w.empty() ? nearest : Search(encoding, w).run(nearest);
}

} // namespace whit
