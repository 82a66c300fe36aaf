// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of factors on the blocks of the smallest of them: from the numbers that blocks would like to have to those that factors
// store, and back. Internal to the room.
#ifndef WHIT_RUNTIME_ENCODING_FACTORGRID_H
#define WHIT_RUNTIME_ENCODING_FACTORGRID_H

#include "runtime/encoding/Matrix.h"

#include <algorithm>

namespace whit {

/// The blocks of one factor, laid over an n x k matrix.
struct Blocks {
  int64_t rows, columns, perRow;
  Blocks(const BlockShape &shape, int64_t n, int64_t k)
      : rows(shape.rows ? shape.rows : std::max<int64_t>(n, 1)),
        columns(shape.columns ? shape.columns : std::max<int64_t>(k, 1)),
        perRow(std::max<int64_t>((k + columns - 1) / columns, 1)) {}
};

/// The blocks of the smallest factor of a product. Arrays over it are [n][perRow].
class FactorGrid {
public:
  FactorGrid(const BlockShape &shape, int64_t n, int64_t k) : block(shape, n, k), n(n), k(k) {}

  /// Calls body(row, b) for each block, `row` its first.
  template <typename Body> void forBlocks(Body &&body) const {
    for (int64_t row = 0; row < n; row += block.rows)
      for (int64_t b = 0; b < block.perRow; ++b)
        body(row, b);
  }
  /// Calls body(r) for the rows of the block that starts at `row`.
  template <typename Body> void forRows(int64_t row, Body &&body) const {
    for (int64_t r = row; r < std::min(row + block.rows, n); ++r)
      body(r);
  }
  /// Calls body(r, j) for the elements of a block.
  template <typename Body> void forElements(int64_t row, int64_t b, Body &&body) const {
    for (int64_t r = row; r < std::min(row + block.rows, n); ++r)
      for (int64_t j = b * block.columns; j < std::min((b + 1) * block.columns, k); ++j)
        body(r, j);
  }

  size_t index(int64_t row, int64_t b) const { return size_t(row * block.perRow + b); }
  size_t indexOfElement(int64_t row, int64_t j) const { return index(row, j / block.columns); }
  /// Where a factor keeps its number for block b of a row.
  size_t indexIn(const Factor &factor, int64_t row, int64_t b) const;

  /// Chooses stored numbers whose product is near `ideal`, from the factor of the largest blocks down; gives the products.
  std::vector<float> factorize(const std::vector<float> &ideal, const std::vector<Factor> &factors,
                               std::vector<FactorValues> &stored) const;
  /// What a reader computes: from the smallest block up.
  std::vector<float> products(const std::vector<Factor> &factors, const std::vector<FactorValues> &stored) const;

  const Blocks block;

private:
  int64_t n, k;
};

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_FACTORGRID_H
