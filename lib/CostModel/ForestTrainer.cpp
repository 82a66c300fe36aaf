// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each tree is grown depth first on what the trees before it have left over, in 256ths of the label's unit. A split is the one that takes
// away most of the squared error: with sums S of residuals and W of weights, S^2/W of both halves. S has less than 63 bits (2^28 for a
// residual, 2^16 for a weight, 2^18 rows), its square fits in 128.

#include "CostModel/ForestTrainer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>

namespace whit {

using Wide = __int128;

namespace {
/// splitmix64.
uint64_t scramble(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

struct Sum {
  int64_t residual = 0, weight = 0;
  int count = 0;

  void add(const Sum &other) {
    residual += other.residual;
    weight += other.weight;
    count += other.count;
  }
  Sum without(const Sum &other) const {
    return {residual - other.residual, weight - other.weight, count - other.count};
  }
  Wide score() const { return weight ? Wide(residual) * residual / weight : 0; }
  int64_t mean() const { return weight ? residual / weight : 0; }
};

struct Split {
  int feature = -1, bin = 0;
  Wide gain = 0;
};

class Trainer {
public:
  Trainer(size_t featureCount, std::span<const ForestRow> rows, const ForestOptions &options)
      : rows(rows), options(options), cuts(featureCount), bins(rows.size() * featureCount), residuals(rows.size()) {
    for (size_t feature = 0; feature < featureCount; ++feature)
      cut(feature);
  }

  Forest train(std::vector<std::string> names) {
    Sum all;
    for (const ForestRow &row : rows)
      all.add({int64_t(row.label) * 256 * row.weight, row.weight, 1});
    int64_t base = all.mean();
    for (size_t i = 0; i < rows.size(); ++i)
      residuals[i] = int64_t(rows[i].label) * 256 - base;
    std::vector<Forest::Tree> trees;
    for (int number = 0; number < options.trees; ++number) {
      std::vector<uint32_t> used, left;
      for (uint32_t i = 0; i < rows.size(); ++i)
        (scramble(options.seed * 0x10001 + uint64_t(number) * 0x100000001 + i) % 8 ? used : left).push_back(i);
      tree.clear();
      grow(used, left, 0, -kFree, kFree);
      trees.push_back(tree);
    }
    return Forest(std::move(names), base, std::move(trees));
  }

private:
  static constexpr int64_t kFree = std::numeric_limits<int64_t>::max() / 4;

  /// Values that part the rows into bins of about the same size.
  void cut(size_t feature) {
    std::vector<int32_t> values;
    for (const ForestRow &row : rows)
      values.push_back(row.features[feature]);
    std::sort(values.begin(), values.end());
    std::vector<int32_t> distinct = values;
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    std::vector<int32_t> &found = cuts[feature];
    if (distinct.size() <= size_t(options.bins)) {
      for (size_t i = 0; i + 1 < distinct.size(); ++i)
        found.push_back(int32_t(distinct[i] + (int64_t(distinct[i + 1]) - distinct[i]) / 2));
    } else {
      for (int bin = 1; bin < options.bins; ++bin)
        if (int32_t value = values[values.size() * size_t(bin) / size_t(options.bins)];
            value != values.back() && (found.empty() || found.back() < value))
          found.push_back(value);
    }
    for (size_t i = 0; i < rows.size(); ++i)
      bins[i * cuts.size() + feature] =
          uint8_t(std::lower_bound(found.begin(), found.end(), rows[i].features[feature]) - found.begin());
  }

  Sum sumOf(const std::vector<uint32_t> &at) const {
    Sum sum;
    for (uint32_t i : at)
      sum.add({residuals[i] * rows[i].weight, rows[i].weight, 1});
    return sum;
  }

  int directionOf(size_t feature) const { return feature < options.monotone.size() ? options.monotone[feature] : 0; }

  Split bestSplit(const std::vector<uint32_t> &at, const Sum &all) const {
    Split best;
    std::vector<Sum> histogram(256);
    for (size_t feature = 0; feature < cuts.size(); ++feature) {
      size_t count = cuts[feature].size() + 1;
      if (count == 1)
        continue;
      std::fill_n(histogram.begin(), count, Sum());
      for (uint32_t i : at)
        histogram[bins[i * cuts.size() + feature]].add({residuals[i] * rows[i].weight, rows[i].weight, 1});
      Sum left;
      for (size_t bin = 0; bin + 1 < count; ++bin) {
        left.add(histogram[bin]);
        Sum right = all.without(left);
        if (left.count < options.leastRows || right.count < options.leastRows)
          continue;
        if (directionOf(feature) * (right.mean() - left.mean()) < 0)
          continue;
        if (Wide gain = left.score() + right.score() - all.score(); gain > best.gain)
          best = {int(feature), int(bin), gain};
      }
    }
    return best;
  }

  /// Adds the tree over `used`; its leaves lie in low .. high, which is before the learning rate. `left` rows follow, without a say.
  void grow(const std::vector<uint32_t> &used, const std::vector<uint32_t> &left, int depth, int64_t low,
            int64_t high) {
    size_t place = tree.size();
    Sum all = sumOf(used);
    int64_t mean = std::clamp(all.mean(), low, high);
    tree.push_back({-1, 0, 0, int32_t(mean * options.learningRateQ8 / 256)});
    Split split;
    if (depth < options.depth)
      split = bestSplit(used, all);
    if (split.feature < 0) {
      for (const std::vector<uint32_t> *list : {&used, &left})
        for (uint32_t i : *list)
          residuals[i] -= tree[place].value;
      return;
    }
    auto feature = size_t(split.feature);
    std::vector<uint32_t> usedBy[2], leftBy[2];
    auto part = [&](const std::vector<uint32_t> &from, std::vector<uint32_t> *to) {
      for (uint32_t i : from)
        to[bins[i * cuts.size() + feature] > split.bin].push_back(i);
    };
    part(used, usedBy);
    part(left, leftBy);
    int64_t lows[2] = {low, low}, highs[2] = {high, high};
    if (int direction = directionOf(feature)) {
      int64_t middle = std::clamp((sumOf(usedBy[0]).mean() + sumOf(usedBy[1]).mean()) / 2, low, high);
      (direction > 0 ? highs[0] : lows[0]) = middle;
      (direction > 0 ? lows[1] : highs[1]) = middle;
    }
    tree[place].feature = split.feature;
    tree[place].threshold = cuts[feature][size_t(split.bin)];
    grow(usedBy[0], leftBy[0], depth + 1, lows[0], highs[0]);
    tree[place].right = int32_t(tree.size() - place);
    grow(usedBy[1], leftBy[1], depth + 1, lows[1], highs[1]);
  }

  std::span<const ForestRow> rows;
  const ForestOptions &options;
  std::vector<std::vector<int32_t>> cuts; ///< by feature, ascending
  std::vector<uint8_t> bins;              ///< [row][feature]
  std::vector<int64_t> residuals;
  Forest::Tree tree; ///< that is being grown
};
} // namespace

Forest trainForest(std::span<const std::string> features, std::span<const ForestRow> rows,
                   const ForestOptions &options) {
  assert(options.bins >= 2 && options.bins <= 256);
  return Trainer(features.size(), rows, options).train({features.begin(), features.end()});
}

} // namespace whit
