// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Row kernels against the reference codecs and f64, on every machine below this one; the bits must be the same on all.

#include "Jit.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Quantize.h"
#include "test/runtime/encoding/RandomEncodings.h"
#include "whit/Encoding.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace whit::test;

namespace {
constexpr double kUnit = 0x1p-24;
const char *kPasses = "func.func(whit-lower-rowwise),whit-lower-lookup";

std::vector<float> randomFloats(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

std::string str(int64_t value) { return std::to_string(value); }

std::string function(const std::string &arguments, const std::string &body) {
  return "func.func @f(" + arguments + ") attributes {llvm.emit_c_interface} {\n  " + body + "\n  return\n}\n";
}

/// Remembers what the first machine computed; the others must compute the same.
template <typename T> struct SameBits {
  std::vector<T> first;
  void check(const std::vector<T> &found, const Machine &machine) {
    if (machine.isGpu()) // lanes are others
      return;
    if (first.empty())
      first = found;
    ASSERT_EQ(std::memcmp(first.data(), found.data(), found.size() * sizeof(T)), 0) << "bits depend on the machine";
  }
};
} // namespace

// ---------------------------------------------------------------------------------------------------- quantize

namespace {
/// x * (1 / scale), where both are raised if the inverse is not finite otherwise.
float quotientOf(float x, float scale, float limit) {
  float raise = scale < 0x1p-64f ? 0x1p100f : 1.0f;
  float inverse = std::min(1.0f / (scale * raise), std::numeric_limits<float>::max());
  return std::clamp(x * raise * inverse, -limit, limit);
}

void checkQuantize(int64_t rows, int64_t k, int64_t group, int64_t padded, std::vector<float> x, bool dynamic = false,
                   int bits = 8, bool perRow = false) {
  int64_t groups = (k + group - 1) / group;
  std::string size = dynamic ? "?" : str(k), count = dynamic ? "?" : str(groups);
  std::string xType = "memref<?x" + size + "xf32, strided<[?, 1], offset: ?>>",
              codeType = "memref<?x" + count + "x" + str(padded) + "xi8>";
  std::string scaleType = "memref<?x" + count + "xf32>", sumType = "memref<?x" + count + "xi32>";
  const float limit = (1 << (bits - 1)) - 1;
  SameBits<int8_t> codeBits;
  SameBits<float> scaleBits;
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(machine.name + " K " + str(k) + " group " + str(group) + (dynamic ? " dynamic" : ""));
    auto kernel = Kernel::compile(
        function("%x: " + xType + ", %c: " + codeType + ", %s: " + scaleType + ", %u: " + sumType,
                 "whit.quantize ins(%x : " + xType + ") outs(%c, %s, %u : " + codeType + ", " + scaleType + ", " +
                     sumType + ") group = " + str(group) + " bits = " + str(bits) + (perRow ? " per_row" : "")),
        kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<int8_t> codes(rows * groups * padded + 1, 55);
    std::vector<float> scales(rows * groups, -1);
    std::vector<int32_t> sums(rows * groups, -1);
    kernel->call("f", {MemRef(x.data(), {rows, k}, {k + 3, 1}, 1), MemRef(codes.data(), {rows, groups, padded}),
                       MemRef(scales.data(), {rows, groups}), MemRef(sums.data(), {rows, groups})});
    ASSERT_EQ(codes.back(), 55);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t g = 0; g < groups; ++g) {
        const float *from = &x[r * (k + 3) + 1 + g * group];
        int64_t length = std::min(group, k - g * group);
        float largest = 0;
        const float *row = &x[r * (k + 3) + 1];
        for (const float *at = perRow ? row : from; at < (perRow ? row + k : from + length); ++at)
          largest = std::max(largest, std::fabs(*at));
        float scale = largest / limit;
        ASSERT_EQ(scales[r * groups + g], scale) << r << " " << g;
        int32_t sum = 0;
        for (int64_t i = 0; i < padded; ++i) {
          int expected = i < length ? int(std::nearbyint(quotientOf(from[i], scale, limit))) : 0;
          ASSERT_EQ(codes[(r * groups + g) * padded + i], expected) << r << " " << g << " " << i;
          sum += expected;
        }
        ASSERT_EQ(sums[r * groups + g], sum);
      }
    ASSERT_NO_FATAL_FAILURE(codeBits.check(codes, machine));
    ASSERT_NO_FATAL_FAILURE(scaleBits.check(scales, machine));
  }
}

void checkQuantize(int64_t rows, int64_t k, int64_t group, int64_t padded, int bits = 8, bool perRow = false) {
  std::vector<float> x = randomFloats(rows * (k + 3), 1);
  for (int64_t i = 0; i < k; ++i) {
    x[i + 1] = 0;                            // a row of zeros
    x[(k + 3) + 1 + i] = int(i % 255) - 127; // ties and exact codes
    if (rows > 2)
      x[2 * (k + 3) + 1 + i] *= 0x1p-140f; // subnormal
  }
  checkQuantize(rows, k, group, padded, x, false, bits, perRow);
  checkQuantize(rows, k, group, padded, x, true, bits, perRow);
}
} // namespace

TEST(LowerQuantize, Group32) { checkQuantize(5, 576, 32, 32); }
TEST(LowerQuantize, ShortLastGroup) { checkQuantize(3, 72, 32, 32); }
TEST(LowerQuantize, PaddedGroup) { checkQuantize(3, 100, 20, 32); }
TEST(LowerQuantize, PaddedByFour) { checkQuantize(3, 63, 21, 24); }
TEST(LowerQuantize, WholeRow) { checkQuantize(3, 200, 200, 200); }
TEST(LowerQuantize, LongRow) { checkQuantize(2, 1537, 1537, 1544); }
TEST(LowerQuantize, GroupOfOne) { checkQuantize(2, 5, 1, 4); }

TEST(LowerQuantize, FourBits) { checkQuantize(3, 100, 32, 32, 4); }
TEST(LowerQuantize, OneScaleForARow) { checkQuantize(3, 100, 20, 32, 8, true); }
TEST(LowerQuantize, FourBitsAndOneScaleForARow) { checkQuantize(3, 576, 32, 32, 4, true); }

namespace {
/// The nearest number of the codec, the one with an even code where two are equally near.
float nearest(const std::vector<float> &table, float x) {
  size_t best = 0;
  for (size_t code = 0; code < table.size(); ++code) {
    double distance = std::fabs(double(table[code]) - x), least = std::fabs(double(table[best]) - x);
    if (distance < least || (distance == least && code % 2 == 0)) // never where the entry is NaN
      best = code;
  }
  return table[best];
}

void checkQuantizeFloat(int64_t rows, int64_t k, std::vector<float> x, bool dynamic) {
  std::vector<float> table = whit::parseEncoding("float<e4m3 fn> * f32/channel", nullptr)->codec().table();
  std::string size = dynamic ? "?" : str(k);
  std::string xType = "memref<?x" + size + "xf32, strided<[?, 1], offset: ?>>", nType = "memref<?x" + size + "xbf16>";
  SameBits<uint16_t> bits;
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(machine.name + " K " + str(k) + (dynamic ? " dynamic" : ""));
    auto kernel = Kernel::compile(
        function("%x: " + xType + ", %n: " + nType + ", %s: memref<?xf32>",
                 "whit.quantize_float ins(%x : " + xType + ") outs(%n, %s : " + nType + ", memref<?xf32>)"),
        kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<uint16_t> numbers(rows * k + 1, 55);
    std::vector<float> scales(rows, -1);
    kernel->call("f", {MemRef(x.data(), {rows, k}, {k + 3, 1}, 1), MemRef(numbers.data(), {rows, k}),
                       MemRef(scales.data(), {rows})});
    ASSERT_EQ(numbers.back(), 55);
    for (int64_t r = 0; r < rows; ++r) {
      const float *from = &x[r * (k + 3) + 1];
      float largest = 0;
      for (int64_t i = 0; i < k; ++i)
        largest = std::max(largest, std::fabs(from[i]));
      ASSERT_EQ(scales[r], largest / 448.0f) << r;
      for (int64_t i = 0; i < k; ++i) {
        float quotient = quotientOf(from[i], scales[r], 448);
        ASSERT_EQ(whit::bfloatToFloat(numbers[r * k + i]), nearest(table, quotient))
            << r << " " << i << " " << quotient;
      }
    }
    ASSERT_NO_FATAL_FAILURE(bits.check(numbers, machine));

    if (dynamic)
      continue;
    // The same numbers as bytes.
    std::string bType = "memref<?x" + size + "xf8E4M3FN>";
    kernel = Kernel::compile(
        function("%x: " + xType + ", %n: " + bType + ", %s: memref<?xf32>",
                 "whit.quantize_float ins(%x : " + xType + ") outs(%n, %s : " + bType + ", memref<?xf32>)"),
        kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<uint8_t> bytes(rows * k + 1, 55);
    kernel->call("f", {MemRef(x.data(), {rows, k}, {k + 3, 1}, 1), MemRef(bytes.data(), {rows, k}),
                       MemRef(scales.data(), {rows})});
    ASSERT_EQ(bytes.back(), 55);
    for (int64_t i = 0; i < rows * k; ++i)
      ASSERT_EQ(table[bytes[i]], whit::bfloatToFloat(numbers[i])) << i;
  }
}
} // namespace

TEST(LowerQuantizeFloat, NearestNumbers) {
  for (int64_t k : {5, 64, 576}) {
    std::vector<float> x = randomFloats(4 * (k + 3), 1);
    for (int64_t i = 0; i < k; ++i) {
      x[i + 1] = 0;
      x[2 * (k + 3) + 1 + i] *= 0x1p-140f; // subnormal
      // Numbers, the middles between them, and what is next to these, down to less than the smallest; the scale is 1.
      float magnitude = std::ldexp(float(32 + i % 32), 3 - int(i / 24)) * (i % 3 == 2 ? 1 + 0x1p-20f : 1);
      x[(k + 3) + 1 + i] = i == 0 ? 448 : std::min(magnitude, 448.0f) * (i % 5 == 1 ? -1 : 1);
    }
    checkQuantizeFloat(4, k, x, false);
    checkQuantizeFloat(4, k, x, true);
  }
}

TEST(LowerQuantize, NotANumber) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(
        function("%x: memref<1x64xf32>, %c: memref<1x2x32xi8>, %s: memref<1x2xf32>, %u: memref<1x2xi32>",
                 "whit.quantize ins(%x : memref<1x64xf32>) outs(%c, %s, %u : memref<1x2x32xi8>, memref<1x2xf32>, "
                 "memref<1x2xi32>) group = 32"),
        kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> x(64, 1), scales(2);
    std::vector<int8_t> codes(64);
    std::vector<int32_t> sums(2);
    x[5] = NAN, x[40] = INFINITY;
    kernel->call("f", {MemRef(x.data(), {1, 64}), MemRef(codes.data(), {1, 2, 32}), MemRef(scales.data(), {1, 2}),
                       MemRef(sums.data(), {1, 2})});
    EXPECT_TRUE(std::isnan(scales[0])) << machine.name;
    EXPECT_TRUE(std::isinf(scales[1])) << machine.name;
  }
}

// ---------------------------------------------------------------------------------------------------- decoding

namespace {
/// Every stem of Formats.def, with groups that divide K, do not, or are the whole row, and each scale type; then other formulas.
std::vector<std::string> formats() {
  std::vector<std::string> names = whit::oneOfEachRow({"g32", "channel", "g20", "tensor"});
  for (const std::string &formula : whit::formulasOfEveryKind())
    names.push_back(formula);
  std::mt19937 random(9);
  for (int i = 0; i < 30; ++i)
    names.push_back(whit::randomFormula(random));
  return names;
}

/// Codes and bytes of factors are anything that can be stored: infinity, NaN and subnormal numbers too.
whit::Matrix anyMatrix(const whit::Encoding &encoding, int64_t n, int64_t k, std::mt19937 &random) {
  whit::Matrix matrix = whit::randomMatrix(encoding, n, k, false, random);
  auto fill = [&](const std::vector<whit::Factor> &factors, std::vector<whit::FactorValues> &values) {
    for (size_t f = 0; f < factors.size(); ++f)
      for (float &value : values[f])
        if (whit::scaleBytes(factors[f].type) == 1 && whit::scaleBits(factors[f].type) == 8 && random() % 2) {
          uint8_t byte = random();
          value = whit::roundToScale(factors[f].type, whit::loadScale(factors[f].type, &byte));
        }
  };
  for (size_t t = 0; t < encoding.terms.size() && !encoding.isPlain(); ++t) {
    const whit::Codec &codec = encoding.terms[t].codec;
    for (uint8_t &code : matrix.terms[t].codes)
      if (codec.kind == whit::CodecKind::Float)
        code = random() & ((1 << codec.bits) - 1);
    fill(encoding.terms[t].scale, matrix.terms[t].factors);
  }
  fill(encoding.offset, matrix.offset);
  return matrix;
}

/// NaN is NaN, whatever its bits.
void expectSameBits(const float *found, const float *expected, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isnan(found[i]) || !std::isnan(expected[i]))
      ASSERT_EQ(std::memcmp(&found[i], &expected[i], 4), 0) << i << ": " << found[i] << ", not " << expected[i];
}

void checkDecoding(const std::string &name, int64_t n, int64_t k) {
  SCOPED_TRACE(name + " " + str(n) + " x " + str(k));
  std::string why;
  auto encoding = whit::parseEncoding(name, &why);
  ASSERT_TRUE(encoding) << why;
  std::vector<float> expected(n * k);
  std::mt19937 random(7);
  whit::Matrix matrix = anyMatrix(*encoding, n, k, random);
  whit::dequantize(matrix, expected.data());
  whit::Place place = whit::solvePlace(*encoding, n, k);
  std::vector<uint8_t> packed(place.bytes());
  whit::packPanels(place, matrix, packed.data());

  std::string table = "memref<" + str(place.panels) + "x" + str(place.panelBytes) + "xi8>",
              y = "memref<?x" + str(k) + "xf32>";
  std::string at = " at <<\"" + name + "\">, " + str(n) + " by " + str(k) + ">";
  std::string decoded = "memref<" + str(n) + "x" + str(k) + "xf32>";
  std::string text = "func.func @f(%t: " + table + ", %i: memref<?xi64>, %y: " + y + ", %w: " + decoded +
                     ") attributes {llvm.emit_c_interface} {\n" + "  whit.gather ins(%t, %i : " + table +
                     ", memref<?xi64>) outs(%y : " + y + ")" + at + "\n" + "  whit.dequantize ins(%t : " + table +
                     ") outs(%w : " + decoded + ")" + at + "\n  return\n}\n";
  for (const Machine &machine : machinesWithoutByteDots()) {
    bool isBest = machine.name == machinesWithoutByteDots().front().name;
    if (!isBest && machine.name != (name.size() % 2 ? "x86-64" : "avx2"))
      continue;
    SCOPED_TRACE(machine.name);
    auto kernel = Kernel::compile(text, kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<int64_t> indices{
        0, n - 1, 1, -1, -n, n, -n - 1, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
    int64_t count = indices.size();
    std::vector<float> found(count * k, 3), all(n * k, 3);
    kernel->call("f", {MemRef(packed.data(), {place.panels, place.panelBytes}), MemRef(indices.data(), {count}),
                       MemRef(found.data(), {count, k}), MemRef(all.data(), {n, k})});
    ASSERT_NO_FATAL_FAILURE(expectSameBits(all.data(), expected.data(), n * k));
    const std::vector<float> outside(k);
    for (int64_t i = 0; i < count; ++i) {
      SCOPED_TRACE(indices[i]);
      int64_t row = indices[i] < 0 ? indices[i] + n : indices[i];
      const float *wanted = indices[i] >= -n && row >= 0 && row < n ? &expected[row * k] : outside.data();
      ASSERT_NO_FATAL_FAILURE(expectSameBits(&found[i * k], wanted, k));
    }
  }
}
} // namespace

TEST(LowerGather, EveryFormat) {
  for (const std::string &name : formats())
    ASSERT_NO_FATAL_FAILURE(checkDecoding(name, 21, 72));
}
/// As the sweep of LowerMatmul.
TEST(LowerGather, SweepOfRows) {
  if (!std::getenv("WHIT_LONG"))
    GTEST_SKIP() << "set WHIT_LONG=1";
  int64_t kernels = 0;
  for (const std::string &name : whit::oneOfEachRow({"g32"}))
    for (auto [n, k] : {std::pair(1, 1), {3, 31}, {16, 33}, {17, 93}, {40, 256}, {23, 519}}) {
      ASSERT_NO_FATAL_FAILURE(checkDecoding(name, n, k));
      ++kernels;
    }
  std::printf("%lld kernels\n", (long long)kernels);
}
TEST(LowerGather, OneRowOneGroup) {
  for (const std::string &name : {"int4_g32", "uint3_g32_min", "f16"})
    ASSERT_NO_FATAL_FAILURE(checkDecoding(name, 2, 32));
}

TEST(LowerGather, Rows) {
  for (const Machine &machine : machinesWithoutByteDots())
    for (std::string type : {"f32", "f16", "bf16"}) {
      std::string table = "memref<7x21x" + type + ">";
      auto kernel = Kernel::compile(
          function("%t: " + table + ", %i: memref<?x?xi32>, %y: memref<?x?x21xf32>",
                   "whit.gather ins(%t, %i : " + table + ", memref<?x?xi32>) outs(%y : memref<?x?x21xf32>)"),
          kPasses, machine);
      ASSERT_TRUE(kernel);
      auto scale = type == "f32" ? whit::ScaleType::F32 : type == "f16" ? whit::ScaleType::F16 : whit::ScaleType::BF16;
      int64_t size = whit::scaleBytes(scale);
      std::vector<uint8_t> rows(7 * 21 * size);
      for (int i = 0; i < 7 * 21; ++i)
        whit::storeScale(scale, i, &rows[i * size]);
      std::vector<int32_t> indices{0, 6, -7, 7, -8, 3};
      std::vector<float> y(6 * 21, -1);
      kernel->call(
          "f", {MemRef(rows.data(), {7, 21}).of(size), MemRef(indices.data(), {2, 3}), MemRef(y.data(), {2, 3, 21})});
      for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 21; ++j) {
          int row = indices[i] < 0 ? indices[i] + 7 : indices[i];
          ASSERT_EQ(y[i * 21 + j], row >= 0 && row < 7 ? row * 21 + j : 0) << machine.name << " " << type;
        }
    }
}

// ---------------------------------------------------------------------------------------------------- norms

namespace {
void checkNorm(bool layer, int64_t k, bool dynamic) {
  int64_t batch = 2, rows = 3, stride = k + 2;
  std::vector<float> x = randomFloats(batch * rows * stride, 3), weight = randomFloats(k, 4), bias = randomFloats(k, 5);
  std::string size = dynamic ? "?" : str(k), view = "memref<?x?x" + size + "xf32, strided<[?, ?, 1], offset: ?>>";
  std::string vector = "memref<" + size + "xf32>";
  std::string text = function("%x: " + view + ", %w: " + vector + ", %b: " + vector + ", %y: " + view,
                              layer ? "whit.layer_norm ins(%x, %w, %b : " + view + ", " + vector + ", " + vector +
                                          ") outs(%y : " + view + ") epsilon = 1.0e-5"
                                    : "whit.rms_norm ins(%x, %w : " + view + ", " + vector + ") outs(%y : " + view +
                                          ") epsilon = 1.0e-5");
  double epsilon = 1.0e-5f;
  SameBits<float> bits;
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(machine.name + " K " + str(k));
    auto kernel = Kernel::compile(text, kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> y(x.size(), 9);
    auto run = [&](int64_t first, int64_t batches, int64_t count) {
      std::vector<int64_t> sizes{batches, count, k}, strides{rows * stride, stride, 1};
      kernel->call("f", {MemRef(x.data(), sizes, strides, first * stride), MemRef(weight.data(), {k}),
                         MemRef(bias.data(), {k}), MemRef(y.data(), sizes, strides, first * stride)});
    };
    run(0, batch, rows);
    ASSERT_NO_FATAL_FAILURE(bits.check(y, machine));
    std::vector<float> together = y;
    run(4, 1, 1);
    ASSERT_EQ(std::memcmp(together.data(), y.data(), y.size() * 4), 0) << "a row alone has other bits";
    // A sum has k/16 partial additions, then 4; each term of it is rounded once, twice for differences.
    double depth = k / 16 + 6;
    for (int64_t r = 0; r < batch * rows; ++r) {
      const float *row = &x[r * stride];
      double mean = 0, magnitude = 0, squares = 0;
      for (int64_t i = 0; i < k && layer; ++i)
        mean += double(row[i]) / k, magnitude += std::fabs(double(row[i])) / k;
      for (int64_t i = 0; i < k; ++i)
        squares += (row[i] - mean) * (row[i] - mean) / k;
      double meanError = (depth + 1) * kUnit * magnitude, root = 1 / std::sqrt(squares + epsilon);
      // The mean's error enters the squares once linearly (where it cancels) and once squared.
      double rootError = root * ((depth + 4) * kUnit + meanError * root);
      for (int64_t i = 0; i < k; ++i) {
        double difference = row[i] - mean, product = difference * root * weight[i],
               expected = product + (layer ? bias[i] : 0);
        double bound = std::fabs(weight[i]) * (meanError * root + std::fabs(difference) * rootError) +
                       4 * kUnit * std::fabs(product) + kUnit * std::fabs(expected);
        ASSERT_LE(std::fabs(y[r * stride + i] - expected), bound) << r << " " << i;
      }
      for (int64_t i = k; i < stride; ++i)
        ASSERT_EQ(y[r * stride + i], 9);
    }
  }
}
} // namespace

TEST(LowerNorm, Rms) {
  for (int64_t k : {1, 4, 16, 33, 576})
    for (bool dynamic : {false, true})
      ASSERT_NO_FATAL_FAILURE(checkNorm(false, k, dynamic));
}
TEST(LowerNorm, Layer) {
  for (int64_t k : {4, 16, 33, 384})
    for (bool dynamic : {false, true})
      ASSERT_NO_FATAL_FAILURE(checkNorm(true, k, dynamic));
}

// Small integers: every partial sum is exact, and so is the root.
TEST(LowerNorm, Exact) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(
        function(
            "%x: memref<2x48xf32>, %w: memref<48xf32>, %y: memref<2x48xf32>",
            "whit.rms_norm ins(%x, %w : memref<2x48xf32>, memref<48xf32>) outs(%y : memref<2x48xf32>) epsilon = 0.0"),
        kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> x(96), w(48), y(96);
    for (int i = 0; i < 48; ++i)
      x[i] = i % 2 ? 4 : -4, x[48 + i] = 0.5, w[i] = i - 20;
    kernel->call("f", {MemRef(x.data(), {2, 48}), MemRef(w.data(), {48}), MemRef(y.data(), {2, 48})});
    for (int i = 0; i < 48; ++i) {
      EXPECT_EQ(y[i], i % 2 ? w[i] : -w[i]);
      EXPECT_EQ(y[48 + i], w[i]);
    }
  }
}

// ---------------------------------------------------------------------------------------------------- softmax

namespace {
void checkSoftmax(int64_t k, bool dynamic, bool inPlace) {
  int64_t rows = 5, stride = k + 3;
  std::vector<float> x = randomFloats(rows * stride, 11);
  for (int64_t i = 0; i < k; ++i) {
    x[i] *= 30;                                   // results down to subnormal numbers
    x[stride + i] = i % 3 ? -INFINITY : 2;        // masked
    x[2 * stride + i] = -INFINITY;                // nothing is left
    x[3 * stride + i] = i == k / 2 ? NAN : 1e30f; // no value
  }
  std::string view = std::string("memref<?x") + (dynamic ? "?" : str(k)) + "xf32, strided<[?, 1], offset: ?>>";
  std::string text =
      function("%x: " + view + ", %y: " + view, "whit.softmax ins(%x : " + view + ") outs(%y : " + view + ")");
  SameBits<uint32_t> bits;
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(machine.name + " K " + str(k) + (dynamic ? " dynamic" : "") + (inPlace ? " in place" : ""));
    auto kernel = Kernel::compile(text, kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> y(x.size(), 9);
    if (inPlace)
      y = x;
    auto run = [&](std::vector<float> &to, int64_t first, int64_t count) {
      kernel->call("f", {MemRef(inPlace ? to.data() : x.data(), {count, k}, {stride, 1}, first * stride),
                         MemRef(to.data(), {count, k}, {stride, 1}, first * stride)});
    };
    run(y, 0, rows);
    std::vector<float> alone = inPlace ? x : std::vector<float>(x.size(), 9);
    for (int64_t row = 0; row < rows; ++row)
      run(alone, row, 1);
    for (size_t i = 0; i < y.size(); ++i)
      if (std::isnan(y[i])) // which NaN it is, is not promised
        y[i] = std::isnan(alone[i]) ? alone[i] = 77 : 0;
    ASSERT_EQ(std::memcmp(alone.data(), y.data(), y.size() * 4), 0) << "a row alone has other bits";
    ASSERT_NO_FATAL_FAILURE(
        bits.check(std::vector<uint32_t>((uint32_t *)y.data(), (uint32_t *)y.data() + y.size()), machine));
    for (int64_t r = 0; r < rows; ++r) {
      double largest = -INFINITY, sum = 0;
      for (int64_t i = 0; i < k; ++i)
        largest = std::max(largest, double(x[r * stride + i]));
      for (int64_t i = 0; i < k; ++i)
        sum += std::exp(x[r * stride + i] - largest);
      for (int64_t i = 0; i < k; ++i) {
        double difference = x[r * stride + i] - largest, expected = std::exp(difference) / sum;
        if (r == 2 || r == 3) {
          ASSERT_EQ(y[r * stride + i], 77) << r << " " << i;
          continue;
        }
        // The difference is rounded, its exponential is off by 2 ulp, the sum by its depth, the quotient by two roundings.
        double bound = expected * kUnit * (std::isinf(difference) ? 0 : 2 * 80 + 8 + k / 16.0 + 4 + 3) + 0x1p-126;
        ASSERT_LE(std::fabs(y[r * stride + i] - expected), std::isinf(difference) ? 0 : bound) << r << " " << i;
      }
      for (int64_t i = k; i < stride && !inPlace; ++i)
        ASSERT_EQ(y[r * stride + i], 9);
    }
  }
}
} // namespace

TEST(LowerSoftmax, Rows) {
  for (int64_t k : {1, 5, 16, 37, 128})
    for (bool dynamic : {false, true})
      ASSERT_NO_FATAL_FAILURE(checkSoftmax(k, dynamic, k == 37));
}

// ---------------------------------------------------------------------------------------------------- rotary

TEST(LowerRotary, BothLayouts) {
  for (int64_t depth : {4, 20, 64, 100})
    for (bool interleaved : {false, true})
      for (const Machine &machine : machinesWithoutByteDots()) {
        SCOPED_TRACE(machine.name + " D " + str(depth));
        int64_t batch = 2, rows = 7, heads = 3, half = depth / 2, positions = 11, first = 1;
        std::string type = "memref<?x?x?x" + str(depth) + "xf32>", table = "memref<?x" + str(half) + "xf32>";
        auto kernel = Kernel::compile(
            function("%x: " + type + ", %c: " + table + ", %s: " + table + ", %start: memref<?xi32>, %y: " + type,
                     "%first = arith.constant 1 : index\n  whit.rotary ins(%x, %c, %s : " + type + ", " + table + ", " +
                         table + ") from %start + %first : memref<?xi32> outs(%y : " + type + ")" +
                         (interleaved ? " interleaved" : "")),
            kPasses, machine);
        ASSERT_TRUE(kernel);
        std::vector<float> x = randomFloats(batch * rows * heads * depth, 1), c = randomFloats(positions * half, 2),
                           s = randomFloats(positions * half, 3), y = x; // in place
        std::vector<int32_t> start{-3, 6};
        std::vector<int64_t> sizes{batch, rows, heads, depth};
        kernel->call("f",
                     {MemRef(y.data(), sizes), MemRef(c.data(), {positions, half}), MemRef(s.data(), {positions, half}),
                      MemRef(start.data(), {batch}), MemRef(y.data(), sizes)});
        for (int64_t b = 0; b < batch; ++b)
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t h = 0; h < heads; ++h)
              for (int64_t i = 0; i < half; ++i) {
                int64_t position = std::clamp<int64_t>(start[b] + first + r, 0, positions - 1);
                int64_t base = ((b * rows + r) * heads + h) * depth, at = interleaved ? 2 * i : i,
                        other = interleaved ? at + 1 : at + half;
                double cosine = c[position * half + i], sine = s[position * half + i], p = x[base + at],
                       q = x[base + other];
                double one = p * cosine - q * sine, two = q * cosine + p * sine;
                ASSERT_LE(std::fabs(y[base + at] - one), 2 * kUnit * (std::fabs(p * cosine) + std::fabs(q * sine)));
                ASSERT_LE(std::fabs(y[base + other] - two), 2 * kUnit * (std::fabs(q * cosine) + std::fabs(p * sine)));
              }
      }
}
