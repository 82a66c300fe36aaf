// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The scales of given codes solve normal equations of as many unknowns as there are planes, and a minimum. The equations are summed
// by level, of which there are few, not by value.
#include "runtime/encoding/PlaneFit.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#pragma clang fp contract(off)

namespace whit {
namespace {

constexpr size_t kMaxCombinations = 64, kMaxUnknowns = 8;
constexpr int kRounds = 10;

/// Solves the symmetric system in place by elimination with the largest pivot; unknowns without a pivot keep `start`.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  size_t n = b.size();
  double largest = 0;
  for (size_t i = 0; i < n; ++i)
    largest = std::max(largest, a[i][i]);
  for (size_t i = 0; i < n; ++i)
    a[i][i] += 1e-9 * largest + 1e-300; // codes that always go together share what they explain
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) {
      double factor = a[j][i] / a[i][i];
      for (size_t c = i; c < n; ++c)
        a[j][c] -= factor * a[i][c];
      b[j] -= factor * b[i];
    }
  for (size_t i = n; i-- > 0;) {
    for (size_t c = i + 1; c < n; ++c)
      b[i] -= a[i][c] * b[c];
    b[i] /= a[i][i];
  }
  return b;
}

size_t combinationsOf(const Encoding &encoding) {
  size_t count = 1;
  for (const Term &term : encoding.terms) {
    if (count > kMaxCombinations)
      return count;
    size_t numbers = 0;
    for (float value : term.codec.table())
      numbers += std::isfinite(value);
    count *= numbers;
  }
  return count;
}

} // namespace

bool isPlanes(const Encoding &encoding) {
  const BlockShape &block = encoding.terms.front().scale.front().block;
  bool hasMinimum = encoding.zero == ZeroKind::Minimum;
  if (encoding.terms.size() < 2 || encoding.terms.size() >= kMaxUnknowns || block.rows != 1 ||
      (encoding.zero != ZeroKind::Constant && !hasMinimum) || combinationsOf(encoding) > kMaxCombinations)
    return false;
  auto isAlike = [&](const std::vector<Factor> &factors) { return factors.size() == 1 && factors[0].block == block; };
  for (const Term &term : encoding.terms)
    if (!isAlike(term.scale) || term.codec.kind == CodecKind::Choice || term.codec.kind == CodecKind::Vector ||
        term.codec.isSparse)
      return false;
  return !hasMinimum || isAlike(encoding.offset);
}

/// The value of every combination of codes, ascending.
struct PlaneFit::Levels {
  std::vector<float> values;
  std::vector<size_t> combination;
  std::vector<float> bounds;

  size_t nearest(float x) const {
    size_t at = 0;
    for (float bound : bounds)
      at += x > bound;
    return at;
  }
};

PlaneFit::PlaneFit(const Encoding &encoding) : encoding(encoding), hasMinimum(encoding.zero == ZeroKind::Minimum) {
  combinations = {{}};
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    books.emplace_back(encoding.terms[t].codec, t == 0 ? encoding.constant : 0);
    std::vector<std::vector<uint8_t>> longer;
    std::vector<float> table = encoding.terms[t].codec.table();
    for (const std::vector<uint8_t> &combination : combinations)
      for (size_t code = 0; code < table.size(); ++code)
        if (std::isfinite(table[code])) {
          longer.push_back(combination);
          longer.back().push_back(uint8_t(code));
        }
    combinations = std::move(longer);
  }
}

PlaneFit::Levels PlaneFit::levelsOf(const Numbers &numbers) const {
  std::vector<float> values;
  for (const std::vector<uint8_t> &combination : combinations) {
    float sum = 0; // as the reference decodes: term after term, then the minimum
    for (size_t t = 0; t < combination.size(); ++t) {
      float part = books[t].number(combination[t]) * numbers[t];
      sum = t ? sum + part : part;
    }
    values.push_back(hasMinimum ? sum + numbers.back() : sum);
  }
  Levels levels;
  levels.combination.resize(values.size());
  std::iota(levels.combination.begin(), levels.combination.end(), size_t(0));
  std::stable_sort(levels.combination.begin(), levels.combination.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  for (size_t at : levels.combination)
    levels.values.push_back(values[at]);
  for (size_t i = 0; i + 1 < values.size(); ++i)
    levels.bounds.push_back(float((double(levels.values[i]) + double(levels.values[i + 1])) / 2));
  return levels;
}

PlaneFit::Numbers PlaneFit::rounded(const Numbers &numbers) const {
  Numbers result;
  for (size_t t = 0; t < encoding.terms.size(); ++t)
    result.push_back(roundToScale(encoding.terms[t].scale.front().type, numbers[t]));
  if (hasMinimum)
    result.push_back(roundToScale(encoding.offset.front().type, numbers.back()));
  return result;
}

double PlaneFit::error(const Numbers &numbers, std::span<const float> w) const {
  for (float number : numbers)
    if (!std::isfinite(number))
      return std::numeric_limits<double>::infinity();
  Levels levels = levelsOf(numbers);
  double sum = 0;
  for (float value : w) {
    double difference = double(value) - double(levels.values[levels.nearest(value)]);
    sum += difference * difference;
  }
  return sum;
}

PlaneFit::Numbers PlaneFit::nearest(std::span<const float> w) const {
  float low = w[0], high = w[0];
  for (float value : w)
    low = std::min(low, value), high = std::max(high, value);
  std::vector<float> weights;
  float weight = 1, below = 0, above = 0;
  for (const CodeBook &book : books) {
    weights.push_back(weight);
    below += weight * book.lowest();
    above += weight * book.highest();
    weight *= float(book.ascending().size());
  }
  float step = 0;
  if (hasMinimum) {
    step = (high - low) / (above - below);
    low -= below * step;
  } else {
    step = std::max(above > 0 ? std::max(high, 0.0f) / above : 0, below < 0 ? std::min(low, 0.0f) / below : 0);
  }
  Numbers numbers;
  for (float each : weights)
    numbers.push_back(each * step);
  if (hasMinimum)
    numbers.push_back(low);
  return rounded(numbers);
}

PlaneFit::Numbers PlaneFit::fit(std::span<const float> w, const Numbers &nearest) const {
  Numbers best = nearest;
  double least = error(nearest, w);
  double mean = 0, magnitude = 0;
  for (float value : w)
    mean += value / double(w.size());
  for (float value : w)
    magnitude += std::fabs(value - (hasMinimum ? mean : 0)) / double(w.size());
  if (magnitude == 0 || !std::isfinite(least))
    return best;
  // From uniform steps, and from steps of half their size around the mean: the second often ends better.
  size_t terms = encoding.terms.size(), unknowns = terms + hasMinimum;
  Numbers inner = nearest;
  for (size_t t = 0; t < terms; ++t)
    inner[t] *= 0.6f;
  if (hasMinimum) {
    float middle = 0;
    for (size_t t = 0; t < terms; ++t)
      middle += inner[t] * (books[t].lowest() + books[t].highest()) / 2;
    inner.back() = float(mean) - middle;
  }
  for (Numbers numbers : {nearest, inner}) {
    double last = std::numeric_limits<double>::infinity();
    for (int round = 0; round < kRounds; ++round) {
      Levels levels = levelsOf(numbers);
      std::vector<double> counts(levels.values.size()), sums(levels.values.size());
      double now = 0;
      for (float value : w) {
        size_t at = levels.nearest(value);
        counts[at] += 1;
        sums[at] += value;
        double difference = double(value) - double(levels.values[at]);
        now += difference * difference;
      }
      if (!(now < last * (1 - 1e-3)))
        break;
      last = now;
      std::vector<std::vector<double>> matrix(unknowns, std::vector<double>(unknowns));
      std::vector<double> right(unknowns);
      for (size_t at = 0; at < counts.size(); ++at) {
        if (counts[at] == 0)
          continue;
        double features[kMaxUnknowns];
        for (size_t t = 0; t < terms; ++t)
          features[t] = books[t].number(combinations[levels.combination[at]][t]);
        features[terms] = 1;
        for (size_t i = 0; i < unknowns; ++i) {
          right[i] += sums[at] * features[i];
          for (size_t j = 0; j < unknowns; ++j)
            matrix[i][j] += counts[at] * features[i] * features[j];
        }
      }
      std::vector<double> solution = solve(std::move(matrix), std::move(right));
      numbers.assign(solution.begin(), solution.end());
    }
    Numbers candidate = rounded(numbers);
    if (double found = error(candidate, w); found < least)
      least = found, best = candidate;
  }
  return best;
}

void PlaneFit::encode(const Numbers &numbers, std::span<const float> w, std::span<uint8_t *const> codes) const {
  Levels levels = levelsOf(numbers);
  for (size_t i = 0; i < w.size(); ++i) {
    const std::vector<uint8_t> &combination = combinations[levels.combination[levels.nearest(w[i])]];
    for (size_t t = 0; t < combination.size(); ++t)
      codes[t][i] = combination[t];
  }
}

} // namespace whit
