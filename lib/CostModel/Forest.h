// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A sum of regression trees over whole numbers. All arithmetic is in integers, so that every machine predicts the same bits.
//
// A tree is a list of nodes in preorder; the left child of an inner node is the next one:
//
//   {feature 3, threshold 40, right 2, value 5}, {leaf, value -60}, {leaf, value 70}       row[3] <= 40 ? -60 : 70

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

class Forest {
public:
  struct Node {
    int32_t feature = -1;  ///< -1: a leaf
    int32_t threshold = 0; ///< at most that goes left
    int32_t right = 0;     ///< nodes from here to the right child
    int32_t value = 0;     ///< mean of what is below, in 256ths of the label's unit
    bool operator==(const Node &) const = default;
  };
  using Tree = std::vector<Node>;

  Forest(std::vector<std::string> names, int64_t base, std::vector<Tree> trees)
      : names(std::move(names)), base(base), trees(std::move(trees)) {}

  /// Reads and validates a model file: JSON, every field checked, with a checksum. Nothing and `why` if it is none of this version.
  static std::optional<Forest> parse(std::string_view text, std::string *why);
  /// Canonical JSON: the same bytes for the same forest.
  std::string print() const;

  /// Names of the features, in the order of a row.
  const std::vector<std::string> &features() const { return names; }
  /// In the label's unit, rounded.
  int32_t predict(std::span<const int32_t> row) const;
  /// What each feature adds on the ways that the row takes through the trees (Saabas), in the same unit. With what the roots hold they add up
  /// to the prediction, but for rounding.
  std::vector<int32_t> contributions(std::span<const int32_t> row) const;

private:
  std::vector<std::string> names;
  int64_t base; ///< in 256ths
  std::vector<Tree> trees;
};

/// 256 * log2(numerator / denominator), rounded, by squaring; 0 counts as 2^-64.
int32_t log2Q8(uint64_t numerator, uint64_t denominator = 1);

} // namespace whit
