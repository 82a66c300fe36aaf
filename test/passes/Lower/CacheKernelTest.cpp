// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Caches in low-bit formats: appends must write the bytes of the reference quantizer, attention must give what f64 gives for
// the decoded values, bit for bit where all numbers are small integers times a power of two. Every width and kind of zero, in
// panels and in rows; positions that nothing has written hold bytes of all ones.

#include "Jit.h"

#include "runtime/encoding/CacheBlock.h"
#include "runtime/encoding/Quantize.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>

using namespace whit;
using namespace whit::test;

namespace {
constexpr double kUnit = 0x1p-24;

/// The best machine of this host and the plainest one: the others differ from them in no instruction of these kernels. Where there
/// are many formats, the best one must do.
std::vector<Machine> machines(size_t formats) {
  std::vector<Machine> all = machinesOfHost();
  return all.size() > 1 && formats < 8 ? std::vector<Machine>{all.front(), all.back()}
                                       : std::vector<Machine>{all.front()};
}

std::vector<std::string> allFormats() {
  std::vector<std::string> names;
  for (int bits = 2; bits <= 8; ++bits) {
    std::string width = std::to_string(bits);
    names.insert(names.end(), {"int" + width + "_channel", "uint" + width + "_channel",
                               "uint" + width + "_channel_float", "uint" + width + "_channel_min"});
  }
  names.insert(names.end(), {"int4_channel_f32", "uint3_channel_min_bf16"});
  // Tables in and out of order, floats with each rule about what is no number.
  names.insert(names.end(),
               {"nf4_channel", "af4_channel_bf16", "nf3_channel_f32", "fp8_e4m3_channel", "fp8_e5m2_channel_f32",
                "fp8_e4m3fnuz_channel", "fp6_e2m3_channel", "fp5_e3m1_channel", "fp4_e2m1_channel"});
  return names;
}

Encoding encodingOf(const std::string &name) { return *parseEncoding(name, nullptr); }
float levelsOf(const Encoding &encoding) { return float((1 << encoding.bits()) - 1); }

std::string functionName(const std::string &format, CacheOrder order) {
  return format + (order == CacheOrder::Panel ? "_panels" : "_rows");
}

// ---------------------------------------------------------------------------------------------------- appending

constexpr int64_t kRows = 23, kHeads = 2, kCapacity = 48;

/// Rows of all kinds: random numbers, zeros, one sign, two largest of opposite signs, tiny ones, small integers, no numbers.
std::vector<float> strangeRows(int64_t depth) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (int64_t row = 0; row < kRows * kHeads; ++row)
    for (int64_t d = 0; d < depth; ++d) {
      float x = normal(random);
      switch (row % 9) {
      case 1:
        x = 0;
        break;
      case 2:
        x = std::fabs(x) + 0.25f;
        break;
      case 3:
        x = d == depth - 3 ? -3.0f : d == 5 ? 3.0f : std::clamp(x, -2.0f, 2.0f);
        break;
      case 4:
        x *= 0x1p-22f; // scales are subnormal halves
        break;
      case 5:
        x = float(int(8 * x));
        break;
      case 6:
        x = row % 2 && d == depth - 1 ? std::numeric_limits<float>::quiet_NaN() : x;
        break;
      case 7:
        x = row % 2 && d == 0 ? -std::numeric_limits<float>::infinity() : -std::fabs(x);
        break;
      }
      values.push_back(x);
    }
  return values;
}

std::string appendText(const std::string &format, CacheOrder order, int64_t depth, bool hadamard) {
  CacheBlock block(encodingOf(format), order, depth);
  std::string fresh = "memref<?x?x2x" + std::to_string(depth) + "xf32>",
              cache = "memref<?x2x?x" + std::to_string(block.bytes) + "xi8>";
  return "func.func @" + functionName(format, order) + "(%new: " + fresh + ", %start: memref<?xi32>, %cache: " + cache +
         ") attributes {llvm.emit_c_interface} {\n  whit.cache_append ins(%new : " + fresh +
         ") from %start : memref<?xi32> outs(%cache : " + cache + ") as <" + format + "> " +
         (order == CacheOrder::Panel ? "panels " : "") + (hadamard ? "hadamard " : "") + "\n  return\n}\n";
}

void checkAppend(Kernel &kernel, const std::string &format, CacheOrder order, int64_t depth, bool hadamard) {
  SCOPED_TRACE(functionName(format, order) + " depth " + std::to_string(depth));
  CacheBlock block(encodingOf(format), order, depth);
  std::vector<float> fresh = strangeRows(depth);
  // Tokens at 11 .. 33, and at -5 .. 17 of which the first five are not written.
  for (int32_t first : {11, -5}) {
    int64_t blocks = kCapacity / kBlockTokens, size = blocks * block.bytes;
    std::vector<uint8_t> cache(kHeads * size, 0xff);
    kernel.call(functionName(format, order), {MemRef(fresh.data(), {1, kRows, kHeads, depth}), MemRef(&first, {1}),
                                              MemRef(cache.data(), {1, kHeads, blocks, block.bytes})});
    std::vector<uint8_t> untouched(size, 0xff), expectedBytes(block.bytes);
    Matrix before = unpackTokens(block, kCapacity, untouched.data());
    for (int64_t head = 0; head < kHeads; ++head) {
      Matrix found = unpackTokens(block, kCapacity, cache.data() + head * size);
      for (int64_t t = 0; t < kCapacity; ++t) {
        Matrix expected;
        int64_t from = t;
        const float *row = fresh.data() + ((t - first) * kHeads + head) * depth;
        if (t < first || t >= first + kRows) {
          expected = before;
        } else if (!std::all_of(row, row + depth, [](float x) { return std::isfinite(x); })) {
          ASSERT_TRUE(std::isnan(found.scales()[t])) << "token " << t << " holds what is no number";
          continue;
        } else {
          std::string why;
          ASSERT_TRUE(encodeTokens(block, hadamard, row, 1, expectedBytes.data(), &why)) << why;
          expected = unpackTokens(block, 1, expectedBytes.data());
          from = 0;
        }
        auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
        ASSERT_TRUE(same(found.scales()[t], expected.scales()[from]))
            << "token " << t << ": scale " << found.scales()[t] << ", expected " << expected.scales()[from];
        if (!found.offset.empty())
          ASSERT_TRUE(same(found.zeros()[t], expected.zeros()[from]))
              << "token " << t << ": zero " << found.zeros()[t] << ", expected " << expected.zeros()[from];
        for (int64_t d = 0; d < depth; ++d)
          ASSERT_EQ(int(found.codes()[t * depth + d]), int(expected.codes()[from * depth + d]))
              << "token " << t << " d " << d;
      }
    }
  }
}

void checkAppends(const std::vector<std::string> &formats, int64_t depth, bool hadamard,
                  const std::vector<Machine> &all) {
  for (const Machine &machine : all) {
    SCOPED_TRACE(machine.name);
    std::string text;
    for (const std::string &format : formats)
      for (CacheOrder order : {CacheOrder::Panel, CacheOrder::Rows})
        text += appendText(format, order, depth, hadamard);
    auto kernel = Kernel::compile(text, "func.func(whit-lower-attention),whit-lower-lookup", machine);
    ASSERT_TRUE(kernel);
    for (const std::string &format : formats)
      for (CacheOrder order : {CacheOrder::Panel, CacheOrder::Rows})
        ASSERT_NO_FATAL_FAILURE(checkAppend(*kernel, format, order, depth, hadamard));
  }
}

void checkAppends(const std::vector<std::string> &formats, int64_t depth, bool hadamard) {
  checkAppends(formats, depth, hadamard, machines(formats.size()));
}

// ---------------------------------------------------------------------------------------------------- attending

struct Shape {
  int64_t rows, queryHeads, heads, depth, tokens; ///< tokens: of the cache
  int32_t start;
  int64_t window = 0;
  bool hadamard = false, integers = false;
};

/// Keys, values and queries of one batch, with keys in one format and values in another.
struct Problem {
  Problem(const Shape &shape, const std::string &keyFormat, const std::string &valueFormat)
      : shape(shape), keyFormat(keyFormat), valueFormat(valueFormat),
        keyBlock(encodingOf(keyFormat), CacheOrder::Panel, shape.depth),
        valueBlock(encodingOf(valueFormat), CacheOrder::Rows, shape.depth),
        q(shape.rows * shape.queryHeads * shape.depth) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    if (!shape.integers)
      for (float &x : q)
        x = normal(random);
    rotated = q;
    for (int64_t at = 0; shape.hadamard && at < int64_t(q.size()); at += shape.depth)
      multiplyByHadamard(rotated.data() + at, shape.depth);
    fill(keyBlock, random, shape.hadamard, keyBytes, keys);
    fill(valueBlock, random, false, valueBytes, values);
  }

  /// Tokens that are seen get numbers, the others bytes of all ones.
  void fill(const CacheBlock &block, std::mt19937 &random, bool hadamard, std::vector<uint8_t> &bytes,
            std::vector<double> &decoded) {
    std::normal_distribution<float> normal;
    int64_t used = std::min(shape.start + shape.rows, shape.tokens), size = blocks() * block.bytes;
    bytes.assign(shape.heads * size, 0xff);
    for (int64_t head = 0; head < shape.heads; ++head) {
      std::vector<float> rows;
      for (int64_t i = 0; i < used; ++i)
        for (int64_t d = 0; d < shape.depth; ++d)
          rows.push_back(shape.integers ? integer(block.encoding, random, d) : normal(random) + 0.3f * float(d % 5));
      std::vector<uint8_t> packed(size);
      ASSERT_TRUE(encodeTokens(block, hadamard, rows.data(), used, packed.data(), nullptr));
      // Token by token, so that what stands behind the last one stays.
      Matrix matrix = unpackTokens(block, used, packed.data());
      std::copy(packed.begin(), packed.end(), bytes.begin() + head * size);
      std::vector<double> all(blocks() * kBlockTokens * shape.depth, std::nan(""));
      dequantize(matrix, all.data());
      decoded.insert(decoded.end(), all.begin(), all.end());
      poison(block, used, bytes.data() + head * size);
    }
  }

  /// Scales of tokens from `used` on become NaN.
  void poison(const CacheBlock &block, int64_t used, uint8_t *bytes) {
    int64_t each = scaleBytes(block.scaleType);
    for (int64_t t = used; t < blocks() * kBlockTokens; ++t)
      std::fill_n(bytes + t / kBlockTokens * block.bytes + block.scaleOffset + t % kBlockTokens * each, each, 0xff);
  }

  /// Codes of a row with all codes in it, times 1/8, so that its scale is 1/8 (or -1/8) exactly.
  float integer(const Encoding &encoding, std::mt19937 &random, int64_t d) {
    int levels = int(levelsOf(encoding)), zero = encoding.zero == ZeroKind::Constant ? (levels + 1) / 2 : levels / 3;
    int code = d == 1 ? 0 : d == 3 ? levels : int(random() % (levels + 1));
    return float(code - zero) / 8;
  }

  int64_t blocks() const { return (shape.tokens + 15) / 16; }
  int64_t at(int64_t head, int64_t t, int64_t d) const { return (head * blocks() * 16 + t) * shape.depth + d; }

  std::string text() const {
    std::string depth = std::to_string(shape.depth), heads = std::to_string(shape.heads);
    std::string query = "memref<?x?x" + std::to_string(shape.queryHeads) + "x" + depth + "xf32>";
    auto cache = [&](const CacheBlock &block) {
      return "memref<?x" + heads + "x?x" + std::to_string(block.bytes) + "xi8>";
    };
    std::string key = cache(keyBlock), value = cache(valueBlock);
    return "func.func @" + name() + "(%q: " + query + ", %k: " + key + ", %v: " + value +
           ", %start: memref<?xi32>, %y: " + query + ") attributes {llvm.emit_c_interface} {\n" +
           "  %first = arith.constant 0 : index\n  whit.attention ins(%q, %k, %v : " + query + ", " + key + ", " +
           value + ") from %start + %first : memref<?xi32> outs(%y : " + query + ") scale = 0.25 keys <" + keyFormat +
           "> values <" + valueFormat + "> " + (shape.hadamard ? "hadamard " : "") +
           "{window = " + std::to_string(shape.window) + " : i64}\n  return\n}\n";
  }
  std::string name() const {
    return keyFormat + "_" + valueFormat + "_" + std::to_string(shape.queryHeads) + "_" + std::to_string(shape.depth);
  }

  /// Rows [begin, begin + count).
  std::vector<float> run(Kernel &kernel, int64_t begin, int64_t count) {
    int64_t row = shape.queryHeads * shape.depth;
    std::vector<float> y(count * row, 7);
    int32_t start = shape.start + int32_t(begin);
    kernel.call(name(), {MemRef(q.data() + begin * row, {1, count, shape.queryHeads, shape.depth}),
                         MemRef(keyBytes.data(), {1, shape.heads, blocks(), keyBlock.bytes}),
                         MemRef(valueBytes.data(), {1, shape.heads, blocks(), valueBlock.bytes}), MemRef(&start, {1}),
                         MemRef(y.data(), {1, count, shape.queryHeads, shape.depth})});
    return y;
  }

  double largest(const std::vector<double> &cache, int64_t head, int64_t t) const {
    double result = 0;
    for (int64_t d = 0; d < shape.depth; ++d)
      result = std::max(result, std::fabs(cache[at(head, t, d)]));
    return result;
  }

  /// One row of one head against f64. What a row of codes has in common is added apart from them, and is no larger than the
  /// largest value of the row.
  void check(const std::vector<float> &y, int64_t s, int64_t head) const {
    int64_t kv = head / (shape.queryHeads / shape.heads), position = shape.start + s;
    int64_t high = std::min(position + 1, blocks() * 16),
            low = shape.window ? std::max<int64_t>(0, position - shape.window + 1) : 0;
    const float *query = rotated.data() + (s * shape.queryHeads + head) * shape.depth;
    const float *found = y.data() + (s * shape.queryHeads + head) * shape.depth;
    std::vector<double> score;
    double most = -INFINITY, error = 0, total = 0;
    for (int64_t t = low; t < high; ++t) {
      double sum = 0, terms = 0, common = 2 * largest(keys, kv, t);
      for (int64_t d = 0; d < shape.depth; ++d) {
        double k = keys[at(kv, t, d)];
        sum += 0.25 * query[d] * k;
        terms += 0.25 * std::fabs(query[d]) * (std::fabs(k) + common);
      }
      score.push_back(sum);
      error = std::max(error, (shape.depth + 6) * kUnit * terms);
      most = std::max(most, sum);
    }
    double worst = 0;
    for (double each : score) {
      worst = std::max(worst, 2 * error + (most - each + 5) * kUnit);
      total += std::exp(each - most);
    }
    int64_t seen = score.size(), rescales = seen / 64 + 2;
    for (int64_t d = 0; d < shape.depth; ++d) {
      double expected = 0, terms = 0;
      for (int64_t t = low; t < high; ++t) {
        double weight = std::exp(score[t - low] - most) / total;
        expected += weight * values[at(kv, t, d)];
        terms += weight * (std::fabs(values[at(kv, t, d)]) + 2 * largest(values, kv, t));
      }
      double bound = (2 * worst * (1 + rescales) + (seen + 4 * rescales + seen / 16 + 16) * kUnit) * terms;
      if (shape.integers)
        ASSERT_EQ(double(found[d]), expected) << "row " << s << " head " << head << " d " << d;
      else
        ASSERT_TRUE(std::fabs(found[d] - expected) <= bound)
            << "row " << s << " head " << head << " d " << d << ": found " << found[d] << ", expected " << expected
            << " within " << bound;
    }
  }

  Shape shape;
  std::string keyFormat, valueFormat;
  CacheBlock keyBlock, valueBlock;
  std::vector<float> q, rotated;
  std::vector<uint8_t> keyBytes, valueBytes;
  std::vector<double> keys, values; ///< decoded, [heads][blocks * 16][depth]
};

void checkProblems(std::vector<Problem> problems, const std::vector<Machine> &devices = {}) {
  for (const Machine &machine : devices.empty() ? machines(problems.size()) : devices) {
    SCOPED_TRACE(machine.name);
    std::map<std::string, std::string> functions; // problems of one kind share one
    for (const Problem &problem : problems)
      functions[problem.name()] = problem.text();
    std::string text;
    for (const auto &[name, function] : functions)
      text += function;
    auto kernel = Kernel::compile(text, "func.func(whit-lower-attention),whit-lower-lookup", machine);
    ASSERT_TRUE(kernel);
    for (Problem &problem : problems) {
      SCOPED_TRACE(problem.name());
      const Shape &shape = problem.shape;
      std::vector<float> y = problem.run(*kernel, 0, shape.rows);
      int64_t row = shape.queryHeads * shape.depth;
      for (int64_t s = 0; s < shape.rows; ++s) {
        for (int64_t head = 0; head < shape.queryHeads; ++head)
          ASSERT_NO_FATAL_FAILURE(problem.check(y, s, head));
        std::vector<float> alone = problem.run(*kernel, s, 1);
        ASSERT_EQ(std::memcmp(&y[s * row], alone.data(), row * sizeof(float)), 0) << "row " << s << " alone differs";
      }
    }
  }
}

void checkFormats(const Shape &shape, const std::vector<std::string> &formats,
                  const std::vector<Machine> &devices = {}) {
  std::vector<Problem> problems;
  for (const std::string &format : formats)
    problems.emplace_back(shape, format, format);
  checkProblems(std::move(problems), devices);
}
} // namespace

TEST(CacheKernel, AppendsInEveryFormat) { checkAppends(allFormats(), 32, false); }
TEST(CacheKernel, AppendsOnPlainMachines) {
  checkAppends({"int8_channel", "uint5_channel", "uint4_channel_min", "nf4_channel", "fp8_e4m3_channel"}, 64, false);
}
TEST(CacheKernel, AppendsOddHeads) { checkAppends({"int8_channel", "uint3_channel_min", "uint7_channel"}, 20, false); }
TEST(CacheKernel, AppendsShortHeads) { checkAppends({"int5_channel", "uint2_channel_float"}, 8, false); }
/// By the lanes of a warp: heads as long as one, shorter, and longer than those of 32 and of 64 lanes.
TEST(CacheKernel, AppendsOnDevices) {
  checkAppends(allFormats(), 32, false, {simulatedMachines().front()});
  for (int64_t depth : {8, 20, 64, 80})
    checkAppends({"int8_channel", "uint3_channel_min", "uint4_channel", "nf4_channel"}, depth, false,
                 simulatedMachines());
  for (int64_t depth : {16, 128})
    checkAppends({"int4_channel", "uint4_channel_min"}, depth, true, simulatedMachines());
}
TEST(CacheKernel, AppendsRotatedKeys) {
  for (int64_t depth : {8, 64})
    checkAppends({"int4_channel", "uint4_channel_min"}, depth, true);
}

// Queries of zero weigh 64 tokens alike: their mean has no rounding.
TEST(CacheKernel, AttendsInEveryFormatAndAddsSmallIntegersExactly) {
  std::vector<Problem> problems;
  for (const std::string &format : allFormats()) {
    Encoding encoding = encodingOf(format);
    // Planes and zeros are read apart: each width without a zero, and a few with each kind of zero.
    if (encoding.zero != ZeroKind::Constant && (encoding.bits() == 4 || encoding.bits() > 5))
      continue;
    problems.emplace_back(Shape{1, 3, 1, 32, 112, 99}, format, format);
    if (CacheBlock(encoding, CacheOrder::Panel, 32).hasIntegers())
      problems.emplace_back(Shape{1, 3, 1, 32, 80, 63, 0, false, true}, format, format);
  }
  checkProblems(std::move(problems));
}
TEST(CacheKernel, AttendsToManyRows) {
  checkFormats({7, 9, 3, 64, 160, 90}, {"int8_channel", "uint4_channel_min", "fp8_e4m3_channel", "nf4_channel"});
}
/// Tokens in several slices of a row.
TEST(CacheKernel, AttendsOnDevices) {
  checkFormats({2, 4, 2, 80, 320, 299}, {"int8_channel", "uint4_channel_min"},
               {simulatedMachines().front(), simulatedMachines()[2]});
}
TEST(CacheKernel, AttendsWithOddHeads) {
  checkFormats({7, 2, 1, 20, 75, 60}, {"int8_channel", "int7_channel", "uint3_channel"});
}
TEST(CacheKernel, AttendsThroughAWindow) {
  checkFormats({33, 3, 1, 20, 100, 60, 17}, {"int6_channel", "uint5_channel_float"});
}
TEST(CacheKernel, AttendsWithWideHeads) { checkFormats({2, 4, 2, 132, 40, 30}, {"int4_channel", "uint8_channel_min"}); }
TEST(CacheKernel, AttendsToRotatedKeys) {
  checkFormats({7, 9, 3, 64, 112, 99, 0, true}, {"int4_channel", "uint4_channel_min"});
}
TEST(CacheKernel, MixesFormats) {
  std::vector<Problem> problems;
  problems.emplace_back(Shape{7, 9, 3, 64, 112, 99}, "int8_channel", "uint2_channel_min");
  problems.emplace_back(Shape{7, 9, 3, 64, 112, 98}, "uint3_channel", "int4_channel");
  problems.emplace_back(Shape{7, 9, 3, 64, 112, 97}, "fp8_e5m2_channel", "nf3_channel");
  checkProblems(std::move(problems));
}
