// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Both quantizers on every format: what they must not lose, what they must agree on, and what they refuse.
#include "AllEncodings.h"

#include "runtime/encoding/GroupCode.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Quantize.h"

#include <gtest/gtest.h>

#include <random>

using namespace whit;

namespace {

/// Groups of every kind that quantizers have been wrong about, as rows of k values.
std::vector<float> awkwardRows(int64_t k, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> rows;
  auto add = [&](auto &&value) {
    for (int64_t i = 0; i < k; ++i)
      rows.push_back(value(i));
  };
  for (int i = 0; i < 6; ++i)
    add([&](int64_t) { return normal(random); });
  add([&](int64_t i) { return normal(random) * (i % 29 == 0 ? 20 : 1); }); // outliers
  add([&](int64_t) { return std::fabs(normal(random)); });                 // one sign
  add([&](int64_t) { return -0.3f - std::fabs(normal(random)); });         // far from zero
  add([&](int64_t) { return 0.0f; });
  add([&](int64_t) { return 0.7f; });
  add([&](int64_t) { return -0.7f; });
  add([&](int64_t i) { return i % 7 ? 0.0f : normal(random); }); // mostly zeros
  add([&](int64_t i) { return i == 3 ? 1.0f : 0.0f; });          // one value
  add([&](int64_t i) { return i % 2 ? 0.125f : -0.125f; });      // two values, both extreme
  add([&](int64_t) { return normal(random) * 1e-6f; });          // f16 scales are subnormal
  add([&](int64_t) { return normal(random) * 1e-12f; });         // f16 scales are zero
  add([&](int64_t) { return normal(random) * 1e5f; });
  return rows;
}

double squaredDifference(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

TEST(Quantizers, HaveNames) {
  EXPECT_EQ(parseQuantizer("nearest"), Quantizer::Nearest);
  EXPECT_EQ(parseQuantizer("least-squares"), Quantizer::LeastSquares);
  EXPECT_EQ(parseQuantizer("mse"), std::nullopt);
}

/// Ragged tails among them: no group loses by the search.
TEST(Quantizers, LeastSquaresIsNeverWorseInAnyGroup) {
  int64_t better = 0;
  for (int64_t k : {1, 13, 64, 300}) {
    std::vector<float> w = awkwardRows(k, uint32_t(k));
    int64_t n = w.size() / k;
    for (const Encoding &encoding : integerEncodings({"g5", "g32", "channel", "tensor"})) {
      Matrix nearest, least;
      std::string why;
      ASSERT_TRUE(quantize(encoding, w.data(), n, k, nearest, &why)) << nameOf(encoding) << ": " << why;
      ASSERT_TRUE(quantize(encoding, w.data(), n, k, least, &why, Quantizer::LeastSquares)) << why;
      std::vector<float> a(n * k), b(n * k);
      dequantize(nearest, a.data());
      dequantize(least, b.data());
      // The error of a tensor is one sum; sums of its parts may go either way.
      bool isWhole = encoding.isWhole();
      int64_t size = isWhole ? n * k : groupSize(encoding, k);
      for (int64_t row = 0; row < (isWhole ? 1 : n); ++row)
        for (int64_t begin = 0; begin < (isWhole ? n * k : k); begin += size) {
          int64_t at = row * k + begin, count = isWhole ? size : std::min(size, k - begin);
          double before = squaredDifference(&w[at], &a[at], count), after = squaredDifference(&w[at], &b[at], count);
          ASSERT_LE(after, before * (1 + 1e-12)) << nameOf(encoding) << " k " << k << " row " << row << " at " << begin;
          better += after < before;
        }
    }
  }
  EXPECT_GT(better, 10000);
}

/// The same for every row, in its smallest blocks; and the search is worth its time where codes are few.
TEST(Quantizers, LeastSquaresIsNeverWorseInAnyBlockOfAnyRow) {
  for (int64_t k : {13, 300}) {
    std::vector<float> w = awkwardRows(k, uint32_t(k));
    int64_t n = w.size() / k;
    for (const Encoding &encoding : allEncodings({"g5", "g32", "channel"})) {
      if (encoding.codec().read && !encoding.codec().isNumber())
        continue; // codes are chosen for all of their bits
      Matrix nearest, least;
      std::string why;
      ASSERT_TRUE(quantize(encoding, w.data(), n, k, nearest, &why)) << nameOf(encoding) << ": " << why;
      ASSERT_TRUE(quantize(encoding, w.data(), n, k, least, &why, Quantizer::LeastSquares)) << why;
      std::vector<float> a(n * k), b(n * k);
      dequantize(nearest, a.data());
      dequantize(least, b.data());
      int64_t size = encoding.terms.front().scale.front().block.isTensor() ? n * k : groupSize(encoding, k);
      double before = 0, after = 0;
      for (int64_t row = 0; row < n; ++row)
        for (int64_t begin = 0; begin < k; begin += size) {
          int64_t at = row * k + begin, count = std::min(size, k - begin);
          double one = squaredDifference(&w[at], &a[at], count), other = squaredDifference(&w[at], &b[at], count);
          before += one, after += other;
          if (size < n * k) {
            ASSERT_TRUE(std::isfinite(one)) << nameOf(encoding);
            ASSERT_LE(other, one * (1 + 1e-12)) << nameOf(encoding) << " k " << k << " row " << row << " at " << begin;
          }
        }
      EXPECT_LE(after, before * (1 + 1e-12)) << nameOf(encoding);
    }
  }
}

/// What the search wins on ordinary numbers, in decibels: a search that is broken would win nothing.
TEST(Quantizers, LeastSquaresWins) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.05f);
  int64_t n = 16, k = 512;
  std::vector<float> w(n * k), back(n * k);
  for (float &value : w)
    value = normal(random);
  auto decibels = [&](const char *name, Quantizer quantizer) {
    Matrix matrix;
    std::string why;
    EXPECT_TRUE(quantize(*parseEncoding(name, nullptr), w.data(), n, k, matrix, &why, quantizer)) << name << why;
    dequantize(matrix, back.data());
    double signal = 0;
    for (float value : w)
      signal += double(value) * value;
    return 10 * std::log10(signal / squaredDifference(w.data(), back.data(), n * k));
  };
  struct {
    const char *name;
    double nearest, leastSquares;
  } bounds[] = {
      {"nf4_g64", 20, 20.3},    {"mxfp4", 17, 18.5},      {"nvfp4", 19.8, 20.6},    {"q2_k", 7, 10},
      {"q3_k", 13.5, 15.3},     {"q4_k", 20, 21.3},       {"q6_k", 32.5, 33},       {"iq4_nl", 20, 21.2},
      {"hlq2_g128", 1, 9.2},    {"hlq4_g128", 18, 20},    {"ptqtp2_g128", 8, 14.9}, {"bitmod3_g128", 11, 13.5},
      {"bitmod4_g128", 18, 19}, {"ternary_g128", 5.9, 7}, {"w4s4_g32", 18, 20},     {"zqfp4_m2_g128", 15, 17.5}};
  for (auto &each : bounds) {
    EXPECT_GT(decibels(each.name, Quantizer::Nearest), each.nearest) << each.name;
    EXPECT_GT(decibels(each.name, Quantizer::LeastSquares), each.leastSquares) << each.name;
  }
  // A Gaussian group of 128 on two trit planes: the solver of PTQTP (2025) has a relative error near 0.178.
  EXPECT_GT(decibels("ptqtp2_g128", Quantizer::LeastSquares), -20 * std::log10(0.178));
}

/// What a format holds exactly comes back exactly, when its group uses the code of largest magnitude.
TEST(Quantizers, GridPointsAreExact) {
  std::mt19937 random(11);
  int64_t n = 6, k = 45;
  for (const Encoding &encoding : integerEncodings({"g9", "channel"})) {
    if (encoding.isPlain())
      continue;
    Matrix matrix = makeMatrix(encoding, n, k);
    int64_t group = groupSize(encoding, k);
    uint32_t levels = (1u << encoding.bits()) - 1;
    for (int64_t i = 0; i < n * k; ++i) {
      matrix.codes()[i] = uint8_t(random() & levels);
      if (i % k % group < 2) // the two ends of the range
        matrix.codes()[i] = uint8_t(i % k % group ? levels : 0);
    }
    for (float &scale : matrix.scales())
      scale = roundToScale(encoding.scaleType(), (1 + float(random() % 64) / 64) / 16 * (random() % 2 ? 1 : 0.5f));
    for (size_t g = 0; !matrix.offset.empty() && g < matrix.zeros().size(); ++g) {
      float zero = float(random() & levels); // in the range, so that zero is among the values
      matrix.zeros()[g] =
          encoding.zero == ZeroKind::Minimum ? roundToScale(encoding.scaleType(), -zero * matrix.scales()[g]) : zero;
    }
    std::vector<float> w(n * k), back(n * k);
    dequantize(matrix, w.data());
    // Rounding may have moved a minimum away from a multiple of the scale, which Nearest cannot find again.
    bool isExact = encoding.zero != ZeroKind::Minimum;
    for (Quantizer quantizer : {Quantizer::Nearest, Quantizer::LeastSquares}) {
      if (quantizer == Quantizer::Nearest && !isExact)
        continue;
      Matrix again;
      std::string why;
      ASSERT_TRUE(quantize(encoding, w.data(), n, k, again, &why, quantizer)) << why;
      dequantize(again, back.data());
      EXPECT_EQ(back, w) << nameOf(encoding) << " " << nameOf(quantizer);
    }
  }
}

/// Encoding what was decoded changes nothing where the scale can be read off the extreme value; elsewhere scales that were rounded
/// in between cost less than the first encoding did.
TEST(Quantizers, AreIdempotent) {
  for (int64_t k : {13, 64}) {
    std::vector<float> w = awkwardRows(k, 5);
    int64_t n = 9; // the rows of ordinary numbers
    for (const Encoding &encoding : integerEncodings({"g5", "g32", "channel"}))
      for (Quantizer quantizer : {Quantizer::Nearest, Quantizer::LeastSquares}) {
        Matrix first, second;
        std::string why;
        ASSERT_TRUE(quantize(encoding, w.data(), n, k, first, &why, quantizer)) << why;
        std::vector<float> once(n * k), twice(n * k);
        dequantize(first, once.data());
        ASSERT_TRUE(quantize(encoding, once.data(), n, k, second, &why, quantizer)) << why;
        dequantize(second, twice.data());
        std::string what = nameOf(encoding) + " " + std::string(nameOf(quantizer));
        if (encoding.zero == ZeroKind::Constant && quantizer == Quantizer::Nearest) {
          ASSERT_EQ(twice, once) << what;
        } else if (encoding.scaleType() != ScaleType::BF16 ||
                   encoding.bits() < 7) { // else the codes are as fine as the scale
          ASSERT_LE(squaredDifference(twice.data(), once.data(), n * k),
                    squaredDifference(once.data(), w.data(), n * k))
              << what;
        }
      }
  }
}

/// Quantizing what a format can hold exactly changes nothing; the error of anything else is at most a step.
TEST(Quantizers, ErrorIsWithinHalfAStep) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 0.05f);
  int64_t n = 5, k = 77;
  std::vector<float> w(n * k);
  for (float &value : w)
    value = normal(random);
  for (const Encoding &encoding : integerEncodings({"g1", "g32", "channel", "tensor"})) {
    Matrix matrix;
    std::string why;
    ASSERT_TRUE(quantize(encoding, w.data(), n, k, matrix, &why)) << nameOf(encoding) << ": " << why;
    std::vector<float> back(n * k), again(n * k);
    dequantize(matrix, back.data());
    for (int64_t i = 0; i < n * k; ++i) {
      float step = 0x1p-8f * std::fabs(w[i]);
      if (!encoding.isPlain()) {
        // The signed formats lose one level at the end opposite to the extreme; rounded scales and zeros move the range
        // by up to 1/128.
        float scale = std::fabs(matrix.scales()[i / k * matrix.groups() + i % k / groupSize(encoding, k)]);
        float levels = float((1 << encoding.bits()) - 1);
        step = scale * ((encoding.zero == ZeroKind::Constant ? 1.0f : 0.5f) + levels / 64 +
                        (encoding.zero == ZeroKind::Integer ? 0.5f : 0));
        if (encoding.bits() == 1 && encoding.zero == ZeroKind::Constant)
          continue; // one sign only
      }
      ASSERT_LE(std::fabs(back[i] - w[i]), step * 1.01f) << nameOf(encoding) << " element " << i;
    }
  }
}

TEST(Quantizers, RefusesWhatItCannotHold) {
  Matrix matrix;
  std::string why;
  std::vector<float> w(64, 1.0f);
  w[40] = NAN;
  EXPECT_FALSE(quantize(*parseEncoding("int4_g32", nullptr), w.data(), 2, 32, matrix, &why));
  EXPECT_NE(why.find("row 1, column 8"), why.npos) << why;
  w[40] = 1e30f;
  EXPECT_FALSE(quantize(*parseEncoding("int4_g32", nullptr), w.data(), 2, 32, matrix, &why));
  EXPECT_TRUE(quantize(*parseEncoding("int4_g32_f32", nullptr), w.data(), 2, 32, matrix, &why)) << why;
  EXPECT_FALSE(quantize(*parseEncoding("f16", nullptr), w.data(), 2, 32, matrix, &why));
  EXPECT_TRUE(quantize(*parseEncoding("bf16", nullptr), w.data(), 2, 32, matrix, &why)) << why;
}

} // namespace
