// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Zero points and minima whose blocks are not those of the scales.
#include "runtime/encoding/Quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace whit;

namespace {

double lost(const std::string &formula, const std::vector<float> &w, int64_t n, int64_t k, Quantizer quantizer) {
  std::string why;
  auto encoding = parseEncoding(formula, &why);
  EXPECT_TRUE(encoding) << why;
  Matrix matrix;
  EXPECT_TRUE(quantize(*encoding, w.data(), n, k, matrix, &why, quantizer)) << formula << ": " << why;
  std::vector<float> decoded(n * k);
  dequantize(matrix, decoded.data());
  double sum = 0;
  for (int64_t i = 0; i < n * k; ++i)
    sum += std::pow(double(w[i]) - double(decoded[i]), 2);
  return sum;
}

/// By hand: what a block of zeros and the blocks of scales in it, or around it, come to.
TEST(ZerosApart, FollowFromTheRanges) {
  // The minimum of four is 1; from there the first two reach 4 in steps of 1, the others 2 in steps of 1/3.
  EXPECT_LT(lost("int<2> * f32/2 + f32/4", {1, 4, 2, 1}, 1, 4, Quantizer::Nearest), 1e-12);
  // Two minima, 1 and -3, and the scale that both halves need: (4 - 1) / 3.
  EXPECT_LT(lost("int<2> * f32/4 + f32/2", {1, 4, -3, -1}, 1, 4, Quantizer::Nearest), 1e-12);
  // From -1 to 2 zero is code 1 of 4, with steps of 1 and of 1/2.
  EXPECT_LT(lost("(int<2> - u2/4) * f32/2", {-1, 2, -0.5, 1}, 1, 4, Quantizer::Nearest), 1e-12);
  EXPECT_LT(lost("(int<2> - u2/2) * f32/4", {-1, 2, 0, 3}, 1, 4, Quantizer::Nearest), 1e-12);
  // Blocks of rows: a zero for both rows, a scale for each; a scale for both columns, a zero for each.
  EXPECT_LT(lost("(int<2> - u2/2x2) * f32/2", {-1, 2, -0.5, 1}, 2, 2, Quantizer::Nearest), 1e-12);
  EXPECT_LT(lost("int<2> * f32/2x1 + f32/2", {-3, -1, 0, 3}, 2, 2, Quantizer::Nearest), 1e-12);
}

/// Blocks of either that contain the other's, that cross them, that are products; tails along N and K.
TEST(ZerosApart, LeastSquaresIsNeverWorse) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0.02f, 0.05f);
  for (auto [n, k] : {std::pair<int64_t, int64_t>(6, 130), {33, 64}}) {
    std::vector<float> w(n * k);
    for (float &value : w)
      value = normal(random);
    double signal = 0;
    for (float value : w)
      signal += double(value) * value;
    for (const char *formula :
         {"(int<4> - u4/64) * f16/32", "(int<4> - u4/16) * f16/64", "(int<4> - u4/channel) * f16/32",
          "(int<4> - f16/tensor) * f16/32", "(int<4> - u4/32) * f16/16x16", "int<4> * f16/32 + f16/128",
          "int<4> * f16/64 + f16/16", "int<4> * f16/16x1 + f16/32", "int<4> * u6/32 * f16/256 + i6/64 * f16/256",
          "(int<4> - u4/64) * shift/32 * f32/channel", "(float<e2m1> - f16/64) * f16/32",
          "(choice<0 1 2 3 | 0 1 3 7 > - f16/64) * f16/32", "int<4> * f16/32 + table<-1 1> * f16/16 + f16/64"}) {
      double nearest = lost(formula, w, n, k, Quantizer::Nearest),
             least = lost(formula, w, n, k, Quantizer::LeastSquares);
      EXPECT_LT(least, nearest) << formula;
      // Four bits leave 1 % of the squares or so, choices of two bits and powers of two more.
      EXPECT_LT(nearest, signal * 0.2) << formula;
    }
    // Both blocks alike are the other quantizers' business, and not far away.
    double apart = lost("(int<4> - u4/64) * f16/32", w, n, k, Quantizer::LeastSquares),
           alike = lost("(int<4> - u4/32) * f16/32", w, n, k, Quantizer::LeastSquares);
    EXPECT_LT(alike, apart);
    EXPECT_LT(apart, alike * 1.5);
  }
}

TEST(ZerosApart, HoldsNothingAndRefusesTooMuch) {
  EXPECT_EQ(lost("(int<4> - u4/64) * f16/32", std::vector<float>(256), 2, 128, Quantizer::LeastSquares), 0);
  Matrix matrix;
  std::string why;
  std::vector<float> large(64, 1e30f);
  EXPECT_FALSE(quantize(*parseEncoding("int<4> * f16/32 + f16/64", nullptr), large.data(), 1, 64, matrix, &why));
  EXPECT_NE(why.find("does not fit its type"), why.npos) << why;
}

} // namespace
