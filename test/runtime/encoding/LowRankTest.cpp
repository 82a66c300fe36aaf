// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Factors of low rank on matrices whose singular values are known, and the text of their layouts.
#include "runtime/encoding/LowRank.h"

#include "runtime/encoding/Half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace whit;

namespace {

/// The sum of (diagonal[i] * u_i v_i'), where u_i and v_i are columns of Hadamard matrices over their length: its singular values are
/// the diagonal. n and k are powers of two.
std::vector<float> withSingularValues(const std::vector<double> &diagonal, int64_t n, int64_t k) {
  auto sign = [](int64_t i, int64_t j) { return __builtin_popcountll(uint64_t(i & j)) % 2 ? -1.0 : 1.0; };
  std::vector<float> result(n * k);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double sum = 0;
      for (size_t r = 0; r < diagonal.size(); ++r)
        sum += diagonal[r] * sign(i, r) * sign(j, r + 1);
      result[i * k + j] = float(sum / std::sqrt(double(n * k)));
    }
  return result;
}

double lostBy(const std::vector<float> &matrix, const LowRankFactors &factors) {
  double sum = 0;
  std::vector<double> row(factors.k);
  for (int64_t i = 0; i < factors.n; ++i) {
    std::fill(row.begin(), row.end(), 0.0);
    factors.addRow(i, row.data());
    for (int64_t j = 0; j < factors.k; ++j)
      sum += std::pow(matrix[i * factors.k + j] - row[j], 2);
  }
  return sum;
}

/// What the best factors of a rank leave is the sum of the squares of the other singular values (Eckart and Young, 1936).
TEST(LowRank, LeavesTheLeast) {
  std::vector<double> flat(64), steep(64);
  for (size_t i = 0; i < flat.size(); ++i)
    flat[i] = 1 - 0.01 * double(i), steep[i] = std::pow(0.7, double(i));
  for (const std::vector<double> &diagonal : {flat, steep})
    for (auto [n, k] : {std::pair<int64_t, int64_t>(64, 256), {256, 64}, {64, 64}}) {
      std::vector<float> matrix = withSingularValues(diagonal, n, k);
      double last = INFINITY;
      for (int64_t rank : {1, 4, 16, 32}) {
        double least = 0, all = 0;
        for (size_t i = 0; i < diagonal.size(); ++i)
          (int64_t(i) < rank ? all : least) += diagonal[i] * diagonal[i];
        all += least;
        double lost = lostBy(matrix, factorLowRank(matrix.data(), n, k, rank));
        EXPECT_LT(lost, last);
        // bf16 has eight bits: what it rounds is about 2^-17 of what is said.
        EXPECT_LE(lost, least * 1.01 + all * 0x1p-15) << n << "x" << k << " rank " << rank;
        EXPECT_GE(lost, least * 0.9999);
        last = lost;
      }
    }
}

TEST(LowRank, SaysNothingOfNothing) {
  std::vector<float> zeros(12 * 20), one(12 * 20);
  EXPECT_EQ(lostBy(zeros, factorLowRank(zeros.data(), 12, 20, 5)), 0);
  one[25] = 0.75; // one direction, but rank 5
  LowRankFactors factors = factorLowRank(one.data(), 12, 20, 5);
  EXPECT_LE(lostBy(one, factors), 0x1p-14);
  for (float value : factors.left)
    EXPECT_EQ(value, roundToScale(ScaleType::BF16, value));
  for (float value : factors.right)
    EXPECT_EQ(value, roundToScale(ScaleType::BF16, value));
}

TEST(LowRank, LayoutsRoundTrip) {
  for (const char *text : {"low_rank_left:16:384x1536:least-squares:int4_g32 of rows",
                           "low_rank_right:1:3x2:nearest:float<e3m2> * e8m0/64 of gguf:1:96"}) {
    std::string why;
    auto layout = parseLowRankLayout(text, &why);
    ASSERT_TRUE(layout) << why;
    EXPECT_EQ(textOf(*layout), text);
  }
  for (auto [text, expected] : {std::pair("rows", "is not low_rank_left"),
                                {"low_rank_left:0:4x4:nearest:int4_g32 of rows", "has no RANK:NxK"},
                                {"low_rank_left:5:4x8:nearest:int4_g32 of rows", "has rank 5; at most 4"},
                                {"low_rank_left:200:400x800:nearest:int4_g32 of rows", "has rank 200; at most 128"},
                                {"low_rank_left:2:4x8:best:int4_g32 of rows", "names no quantizer"},
                                {"low_rank_left:2:4x8:nearest:int4_g32", "does not end in FORMAT of LAYOUT"},
                                {"low_rank_left:2:4x8:nearest:int44 of rows", "names no format"},
                                {"low_rank_left:2:4x8:nearest:int4_g32 of low_rank_left:1", "corrects a correction"}}) {
    std::string why;
    EXPECT_FALSE(parseLowRankLayout(text, &why)) << text;
    EXPECT_NE(why.find(expected), why.npos) << why;
  }
}

} // namespace
