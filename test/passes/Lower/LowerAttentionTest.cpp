// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention and cache_append against f64, on every machine below this one. Bounds follow the depth of each chain;
// unused positions of caches hold NaN; a row alone must give the bits that it gives in a batch.

#include "Jit.h"

#include "runtime/encoding/Half.h"
#include "whit/Encoding.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace whit::test;

namespace {
constexpr double kUnit = 0x1p-24;

struct Shape {
  int64_t batch, rows, queryHeads, heads, depth, tokens;
  std::vector<int32_t> start;
  int64_t first = 0, window = 0;
  float softcap = 0;
  bool blocked = true;
  std::string type = "f32";
  bool bidirectional = false;
  std::vector<int64_t> mask = {}; ///< sizes [B|1, HQ|1, S|1, T'], empty for none
};

/// Stored numbers of an element type, read and written as f32.
struct Buffer {
  std::string type;
  std::vector<uint8_t> bytes;

  Buffer(std::string type, int64_t count) : type(type), bytes(count * size()) {}
  int64_t size() const { return type == "f32" ? 4 : 2; }
  whit::ScaleType scale() const {
    return type == "f32" ? whit::ScaleType::F32 : type == "f16" ? whit::ScaleType::F16 : whit::ScaleType::BF16;
  }
  float get(int64_t i) const { return whit::loadScale(scale(), bytes.data() + i * size()); }
  void set(int64_t i, float value) { whit::storeScale(scale(), value, bytes.data() + i * size()); }
};

std::vector<float> randomFloats(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<float> values(count);
  for (float &value : values)
    value = uniform(random);
  return values;
}

std::string number(double value) { return std::to_string(value); }

struct Problem {
  explicit Problem(const Shape &shape)
      : shape(shape), q(randomFloats(shape.batch * shape.rows * shape.queryHeads * shape.depth, 1)),
        k(shape.type, shape.batch * shape.heads * (shape.tokens + 15) / 16 * 16 * shape.depth +
                          16 * shape.depth * shape.batch * shape.heads),
        v(shape.type, shape.batch * shape.heads * shape.tokens * shape.depth) {
    if (!shape.mask.empty())
      fillMask();
    std::vector<float> fresh = randomFloats(2 * shape.batch * shape.heads * shape.tokens * shape.depth, 2);
    float nan = std::numeric_limits<float>::quiet_NaN();
    for (int64_t i = 0, n = k.bytes.size() / k.size(); i < n; ++i)
      k.set(i, nan);
    size_t next = 0;
    for (int64_t b = 0; b < shape.batch; ++b)
      for (int64_t h = 0; h < shape.heads; ++h)
        for (int64_t t = 0; t < shape.tokens; ++t)
          for (int64_t d = 0; d < shape.depth; ++d) {
            bool used = t < highOf(shape.start[b] + shape.first + shape.rows - 1);
            k.set(keyAt(b, h, t, d), used ? fresh[next++] : nan);
            v.set(valueAt(b, h, t, d), used ? fresh[next++] : nan);
          }
  }

  /// Numbers of all sizes, rows that are hidden entirely, and rows of nothing but the lowest float.
  void fillMask() {
    mask = randomFloats(shape.mask[0] * shape.mask[1] * shape.mask[2] * shape.mask[3], 9);
    float lowest = std::numeric_limits<float>::lowest(), infinity = std::numeric_limits<float>::infinity();
    for (int64_t i = 0, n = mask.size(), width = shape.mask[3]; i < n; ++i) {
      int64_t row = i / width, t = i % width;
      if (row % 5 == 1)
        mask[i] = -infinity;
      else if (row % 5 == 2)
        mask[i] = lowest;
      else if ((t * 7 + row) % 5 < 2)
        mask[i] = t % 2 ? -infinity : lowest;
    }
  }
  int64_t maskAt(int64_t b, int64_t h, int64_t s) const {
    auto of = [&](int dim, int64_t i) { return shape.mask[dim] == 1 ? 0 : i; };
    return ((of(0, b) * shape.mask[1] + of(1, h)) * shape.mask[2] + of(2, s)) * shape.mask[3];
  }
  /// One past the last token that a position sees.
  int64_t highOf(int64_t position) const {
    int64_t tokens = shape.mask.empty() ? shape.tokens : shape.mask[3];
    return shape.bidirectional ? tokens : std::min(position + 1, tokens);
  }

  int64_t blocks() const { return (shape.tokens + 15) / 16; }
  int64_t valueAt(int64_t b, int64_t h, int64_t t, int64_t d) const {
    return ((b * shape.heads + h) * shape.tokens + t) * shape.depth + d;
  }
  int64_t keyAt(int64_t b, int64_t h, int64_t t, int64_t d) const {
    if (!shape.blocked)
      return valueAt(b, h, t, d);
    return (((b * shape.heads + h) * blocks() + t / 16) * shape.depth + d) * 16 + t % 16;
  }
  int64_t queryAt(int64_t b, int64_t s, int64_t h, int64_t d) const {
    return ((b * shape.rows + s) * shape.queryHeads + h) * shape.depth + d;
  }

  std::string text() const {
    std::string depth = std::to_string(shape.depth), heads = std::to_string(shape.heads);
    std::string query = "memref<?x?x" + std::to_string(shape.queryHeads) + "x" + depth + "xf32>";
    std::string key = "memref<?x" + heads + "x?x" + depth + (shape.blocked ? "x16x" : "x") + shape.type + ">";
    std::string value = "memref<?x" + heads + "x?x" + depth + "x" + shape.type + ">";
    std::string hidden;
    for (size_t dim = 0; dim < shape.mask.size(); ++dim)
      hidden += shape.mask[dim] == 1 ? "1x" : dim == 1 ? std::to_string(shape.queryHeads) + "x" : "?x";
    hidden = hidden.empty() ? "memref<1xf32>" : "memref<" + hidden + "f32, strided<[?, ?, ?, 1]>>";
    bool masked = !shape.mask.empty();
    return "func.func @f(%q: " + query + ", %k: " + key + ", %v: " + value +
           ", %start: memref<?xi32>, %at: memref<1xi64>, %mask: " + hidden + ", %y: " + query +
           ") attributes {llvm.emit_c_interface} {\n  %c0 = arith.constant 0 : index\n" +
           "  %0 = memref.load %at[%c0] : memref<1xi64>\n  %first = arith.index_cast %0 : i64 to index\n" +
           "  whit.attention ins(%q, %k, %v " + (masked ? "mask %mask" : "") + " : " + query + ", " + key + ", " +
           value + (masked ? ", " + hidden : "") + ") from %start + %first : memref<?xi32>" + " outs(%y : " + query +
           ") scale = 0.25 " + (shape.bidirectional ? "bidirectional" : "") + " {softcap = " + number(shape.softcap) +
           " : f32, window = " + std::to_string(shape.window) + " : i64}\n  return\n}\n";
  }

  /// A tile for each row, as regions have it: blocks of a GPU then share the tokens of few rows. One batch, one head of keys.
  std::string tiledText() const {
    std::string text = this->text(), row = std::to_string(shape.queryHeads * shape.depth),
                depth = std::to_string(shape.depth);
    std::string sizes = std::to_string(shape.queryHeads) + "x" + depth + "xf32", query = "memref<?x?x" + sizes + ">";
    std::string one = "memref<1x1x" + sizes + ", strided<[?, " + row + ", " + depth + ", 1], offset: ?>>";
    auto view = [&](std::string name) {
      return "    " + name + "s = memref.subview " + name + "[0, %s, 0, 0] [1, 1, " + std::to_string(shape.queryHeads) +
             ", " + depth + "] [1, 1, 1, 1] : " + query + " to " + one + "\n";
    };
    auto replace = [&](std::string from, std::string to, size_t after) {
      size_t at = text.find(from, after);
      ASSERT_NE(at, std::string::npos) << from;
      text.replace(at, from.size(), to);
    };
    replace(") attributes", ", %id: memref<1xi32>) attributes", 0);
    replace("  whit.attention",
            "  %c1 = arith.constant 1 : index\n  %rows = memref.dim %q, %c1 : " + query +
                "\n  scf.forall (%s) = (0) to (%rows) step (1) {\n" + view("%q") + view("%y") +
                "    %position = arith.addi %first, %s : index\n  whit.attention",
            0);
    size_t op = text.find("  whit.attention");
    replace("%q", "%qs", op);
    replace(": " + query, ": " + one, op);
    replace("+ %first", "+ %position", op);
    replace("%y : " + query, "%ys : " + one, op);
    replace("\n  return", "\n  }\n  return", op);
    return text;
  }

  /// Rows [begin, begin + count) of batches [batch, batch + batches). Kernels of `tiledText` have memory for what blocks hand each other.
  std::vector<float> run(Kernel &kernel, int64_t begin, int64_t count, int64_t batch, int64_t batches,
                         std::vector<int32_t> *memory = nullptr) {
    std::vector<float> y(q.size(), 7);
    int64_t at = shape.first + begin, row = shape.queryHeads * shape.depth;
    auto rows = [&](std::vector<float> &data) {
      return MemRef(data.data() + queryAt(batch, begin, 0, 0), {batches, count, shape.queryHeads, shape.depth},
                    {shape.rows * row, row, shape.depth, 1});
    };
    std::vector<int64_t> keySizes{batches, shape.heads, shape.tokens, shape.depth}, valueSizes = keySizes;
    if (shape.blocked)
      keySizes = {batches, shape.heads, blocks(), shape.depth, 16};
    std::vector<float> none(1);
    MemRef hidden(none.data(), {1});
    if (!shape.mask.empty()) {
      const std::vector<int64_t> &m = shape.mask;
      hidden =
          MemRef(mask.data() + maskAt(batch, 0, begin), {m[0] == 1 ? 1 : batches, m[1], m[2] == 1 ? 1 : count, m[3]},
                 {m[1] * m[2] * m[3], m[2] * m[3], m[3], 1});
    }
    std::vector<MemRef> arguments{rows(q),
                                  MemRef(k.bytes.data() + keyAt(batch, 0, 0, 0) * k.size(), keySizes).of(k.size()),
                                  MemRef(v.bytes.data() + valueAt(batch, 0, 0, 0) * v.size(), valueSizes).of(v.size()),
                                  MemRef(shape.start.data() + batch, {batches}),
                                  MemRef(&at, {1}),
                                  hidden,
                                  rows(y)};
    int32_t id = 0;
    if (memory) {
      arguments.push_back(MemRef(memory->data() + kTiles, {int64_t(memory->size()) - kTiles}));
      arguments.push_back(MemRef(memory->data(), {kTiles}));
      arguments.push_back(MemRef(&id, {1}));
    }
    kernel.call("f", std::move(arguments));
    return y;
  }

  /// Checks one row of one head against f64.
  void check(const std::vector<float> &y, int64_t b, int64_t s, int64_t head) const {
    int64_t kv = head / (shape.queryHeads / shape.heads), position = shape.start[b] + shape.first + s;
    int64_t high = highOf(position), low = shape.window ? std::max<int64_t>(0, position - shape.window + 1) : 0;
    std::vector<double> score, error;
    double largest = -INFINITY;
    for (int64_t t = low; t < high; ++t) {
      double sum = 0, terms = 0;
      for (int64_t d = 0; d < shape.depth; ++d) {
        double term = double(q[queryAt(b, s, head, d)]) * k.get(keyAt(b, kv, t, d)) * 0.25;
        sum += term, terms += std::abs(term);
      }
      double bound = (shape.depth + 2) * kUnit * terms;
      if (shape.softcap > 0)
        sum = shape.softcap * std::tanh(sum / shape.softcap), bound += 6 * kUnit * std::abs(sum);
      if (!shape.mask.empty()) {
        float added = mask[maskAt(b, head, s) + t];
        sum += added;
        // What is added to an infinity is lost, and so is what is added to the lowest float.
        bound = std::abs(added) > 1e30f ? 0 : bound + kUnit * std::abs(sum);
      }
      score.push_back(sum), error.push_back(bound), largest = std::max(largest, sum);
    }
    if (largest == -INFINITY) {
      for (int64_t d = 0; d < shape.depth; ++d)
        ASSERT_EQ(y[queryAt(b, s, head, d)], 0) << "row " << s << " sees nothing";
      return;
    }
    double total = 0, worst = 0;
    for (size_t i = 0; i < score.size(); ++i) {
      double distance = largest - score[i] < 110 ? largest - score[i] : 0; // beyond it, the weight is 0
      worst = std::max(worst, 2 * *std::max_element(error.begin(), error.end()) + (distance + 5) * kUnit);
      total += std::exp(score[i] - largest);
    }
    int64_t seen = score.size(), rescales = seen / 64 + 2;
    for (int64_t d = 0; d < shape.depth; ++d) {
      double expected = 0, terms = 0;
      for (int64_t t = low; t < high; ++t) {
        double term = std::exp(score[t - low] - largest) / total * v.get(valueAt(b, kv, t, d));
        expected += term, terms += std::abs(term);
      }
      // Each weight is off by `worst`, in the sum above and below; the chain adds one rounding per token and per
      // rescaling.
      double bound = (2 * worst * (1 + rescales) + (seen + 4 * rescales + seen / 16 + 12) * kUnit) * terms;
      float found = y[queryAt(b, s, head, d)];
      ASSERT_TRUE(std::abs(found - expected) <= bound)
          << "batch " << b << " row " << s << " head " << head << " d " << d << ": found " << found << ", expected "
          << expected << " within " << bound;
      if (shape.window == 1 && seen == 1) {
        ASSERT_EQ(found, v.get(valueAt(b, kv, low, d)));
      }
    }
  }

  /// More than those of which blocks share the tokens, on any machine.
  static constexpr int64_t kTiles = 512;

  Shape shape;
  std::vector<float> q, mask;
  Buffer k, v;
};

/// Blocks that share the tokens of a row give the bits of one that has all of them, alone and beside other rows.
void checkShared(const Shape &shape, std::vector<int64_t> counts) {
  for (const char *name : {"sm_80", "gfx942"}) {
    SCOPED_TRACE(name + (" of " + std::to_string(shape.tokens)) + " tokens");
    Problem problem(shape);
    std::string tiled = problem.tiledText();
    auto whole = Kernel::compile(problem.text(), "func.func(whit-lower-attention)", {name, ""});
    auto shared = Kernel::compile(tiled, "func.func(whit-lower-attention)", {name, ""});
    ASSERT_TRUE(whole && shared);
    std::vector<int32_t> memory(Problem::kTiles * (1 + 16 * shape.queryHeads * (shape.depth + 2)));
    for (int64_t count : counts) {
      std::vector<float> expected = problem.run(*whole, 0, count, 0, 1);
      for (int turn = 0; turn < 2; ++turn) { // counts are 0 again
        std::vector<float> y = problem.run(*shared, 0, count, 0, 1, &memory);
        ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0) << count << " rows";
      }
      for (int64_t s = 0; s < count; s += 7)
        for (int64_t head = 0; head < shape.queryHeads; ++head)
          ASSERT_NO_FATAL_FAILURE(problem.check(expected, 0, s, head));
    }
  }
}

void checkOn(const Machine &machine, const Shape &shape) {
  SCOPED_TRACE(machine.name + " B " + std::to_string(shape.batch) + " S " + std::to_string(shape.rows) + " D " +
               std::to_string(shape.depth) + " T " + std::to_string(shape.tokens) + " " + shape.type +
               (shape.blocked ? " blocked" : " plain") + " window " + std::to_string(shape.window));
  Problem problem(shape);
  auto kernel = Kernel::compile(problem.text(), "func.func(whit-lower-attention)", machine);
  ASSERT_TRUE(kernel);
  std::vector<float> y = problem.run(*kernel, 0, shape.rows, 0, shape.batch);
  for (int64_t b = 0; b < shape.batch; ++b)
    for (int64_t s = 0; s < shape.rows; ++s) {
      for (int64_t head = 0; head < shape.queryHeads; ++head)
        ASSERT_NO_FATAL_FAILURE(problem.check(y, b, s, head));
      std::vector<float> alone = problem.run(*kernel, s, 1, b, 1);
      int64_t from = problem.queryAt(b, s, 0, 0), count = shape.queryHeads * shape.depth;
      ASSERT_EQ(std::memcmp(&y[from], &alone[from], count * sizeof(float)), 0) << "row " << s << " of batch " << b;
    }
}

void check(const Shape &shape) {
  for (const Machine &machine : machinesWithoutByteDots())
    ASSERT_NO_FATAL_FAILURE(checkOn(machine, shape));
}
} // namespace

TEST(LowerAttention, OneRow) { check({1, 1, 9, 3, 64, 320, {299}}); }
TEST(LowerAttention, ShortPrompt) { check({2, 7, 9, 3, 64, 32, {0, 20}}); }
TEST(LowerAttention, LongPrompt) { check({3, 33, 9, 3, 64, 300, {0, 100, 267}}); }
TEST(LowerAttention, Chunk) { check({1, 33, 4, 4, 20, 150, {0}, 70}); }
TEST(LowerAttention, TinyHead) { check({2, 2, 2, 1, 4, 40, {3, 17}}); }
TEST(LowerAttention, ManyHeadsOnOneKey) { check({1, 2, 16, 1, 20, 100, {90}}); }
TEST(LowerAttention, RestOfHeads) { check({1, 7, 7, 1, 36, 70, {60}}); }
TEST(LowerAttention, WideHead) { check({1, 7, 2, 2, 132, 70, {60}}); }
TEST(LowerAttention, Window) { check({2, 33, 9, 3, 20, 300, {0, 200}, 0, 50}); }
TEST(LowerAttention, WindowOfFew) { check({1, 33, 2, 2, 20, 100, {60}, 0, 3}); }
TEST(LowerAttention, WindowOfOne) { check({1, 33, 3, 1, 20, 100, {60}, 0, 1}); }
TEST(LowerAttention, Softcap) { check({1, 7, 9, 3, 64, 100, {80}, 0, 0, 3.0f}); }
TEST(LowerAttention, PlainKeys) { check({2, 7, 9, 3, 64, 75, {0, 65}, 0, 0, 0, false}); }
TEST(LowerAttention, PlainKeysOddHead) { check({1, 2, 3, 1, 20, 37, {30}, 0, 0, 0, false}); }
TEST(LowerAttention, HalfCache) { check({1, 7, 9, 3, 20, 75, {60}, 0, 0, 0, true, "f16"}); }
TEST(LowerAttention, BrainCache) { check({1, 7, 9, 3, 20, 75, {60}, 0, 0, 0, false, "bf16"}); }
TEST(LowerAttention, PastTheCache) { check({1, 7, 3, 1, 20, 40, {36}}); }
TEST(LowerAttention, SeesNothing) { check({1, 7, 3, 1, 20, 40, {-4}}); }

// Encoders: all rows see all tokens.
TEST(LowerAttention, Bidirectional) { check({2, 33, 12, 12, 32, 33, {0, 0}, 0, 0, 0, true, "f32", true}); }
TEST(LowerAttention, BidirectionalPlainKeys) { check({2, 7, 4, 2, 20, 75, {0, 0}, 0, 0, 0, false, "f32", true}); }
TEST(LowerAttention, BidirectionalWindow) { check({1, 33, 2, 2, 20, 100, {10}, 0, 30, 0, true, "f32", true}); }
TEST(LowerAttention, BidirectionalOneRow) { check({1, 1, 3, 1, 20, 130, {0}, 0, 0, 0, true, "f32", true}); }
// Masks of every breadth, also shorter than the cache; -infinity, the lowest float, and numbers in between.
TEST(LowerAttention, MaskOfAll) { check({2, 33, 6, 3, 20, 70, {0, 9}, 0, 0, 0, true, "f32", true, {2, 6, 33, 70}}); }
TEST(LowerAttention, MaskOfHeads) { check({2, 13, 6, 3, 20, 70, {0, 9}, 0, 0, 0, false, "f32", true, {1, 6, 1, 67}}); }
TEST(LowerAttention, MaskOfRows) { check({2, 13, 9, 3, 64, 150, {0, 9}, 0, 0, 0, true, "f32", true, {1, 1, 13, 141}}); }
TEST(LowerAttention, MaskOfBatches) {
  check({7, 13, 2, 2, 32, 75, {0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, true, "f32", true, {7, 1, 1, 70}});
}
TEST(LowerAttention, MaskAndLimit) {
  check({2, 33, 6, 3, 20, 70, {0, 30}, 0, 0, 0, true, "f32", false, {2, 1, 33, 63}});
}
TEST(LowerAttention, MaskAndWindow) {
  check({1, 33, 6, 3, 20, 70, {30}, 0, 17, 3.0f, true, "f16", false, {1, 6, 1, 66}});
}
TEST(LowerAttention, MaskOfNothing) { check({1, 7, 6, 3, 20, 70, {30}, 0, 0, 0, true, "f32", true, {1, 1, 7, 0}}); }
TEST(LowerAttention, WindowBehindTheCache) { check({1, 7, 3, 1, 20, 40, {45}, 0, 8}); }

// More turns of tokens than slices, fewer, one; a window that leaves slices out; more rows than blocks are shared for.
// A pass of queries has parts of two positions, and more heads than it has columns; lanes of a wmma have all of K.
TEST(LowerAttention, HeadsOfTwoPasses) { check({1, 3, 40, 2, 16, 140, {130}}); }
TEST(LowerAttention, FewQueriesOfWideHeads) { check({1, 5, 8, 2, 128, 90, {70}, 0, 0, 0, false, "bf16"}); }
TEST(LowerAttention, WaveMatrices) {
  ASSERT_NO_FATAL_FAILURE(checkOn({"gfx1100", ""}, {2, 7, 9, 3, 64, 200, {0, 170}}));
  ASSERT_NO_FATAL_FAILURE(checkOn({"gfx1100", ""}, {1, 7, 4, 4, 20, 75, {60}, 0, 30, 3.0f, false, "f16"}));
}

TEST(LowerAttention, BlocksShareTokens) { checkShared({1, 2, 3, 1, 8, 2500, {2440}}, {1, 2}); }
TEST(LowerAttention, BlocksShareTokensOfRows) { checkShared({1, 160, 2, 1, 4, 500, {290}}, {1, 5, 60, 160}); }
TEST(LowerAttention, BlocksShareTokensOfAWindow) { checkShared({1, 2, 2, 1, 20, 2500, {2300}, 0, 700}, {2}); }
TEST(LowerAttention, BlocksShareTokensOfManyHeads) {
  checkShared({1, 2, 40, 1, 16, 700, {650}, 0, 0, 0, false}, {1, 2});
}
TEST(LowerAttention, BlocksShareFewTokens) { checkShared({1, 3, 2, 1, 36, 90, {-1}, 0, 0, 3.0f, false, "bf16"}, {3}); }

// ---------------------------------------------------------------------------------------------------- cache_append

namespace {
struct Append {
  int64_t batch, rows, heads, depth, tokens, past; ///< past: -1 for none
  std::vector<int32_t> start;
  bool blocked;
  std::string type = "f32";
};

void check(const Append &shape) {
  int64_t blocks = (shape.tokens + 15) / 16, capacity = shape.blocked ? 16 * blocks : shape.tokens;
  std::vector<float> fresh = randomFloats(shape.batch * shape.rows * shape.heads * shape.depth, 3);
  std::vector<float> old = randomFloats(shape.batch * shape.heads * std::max<int64_t>(shape.past, 1) * shape.depth, 4);
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(machine.name + (shape.blocked ? " blocked " : " plain ") + shape.type);
    std::string tail = "x" + std::to_string(shape.depth);
    std::string cacheType = "memref<?x?x?" + tail + (shape.blocked ? "x16x" : "x") + shape.type + ">";
    std::string newType = "memref<?x?x?" + tail + "xf32>", pastType = "memref<?x?x?" + tail + "x" + shape.type + ">";
    bool hasPast = shape.past >= 0;
    auto kernel = Kernel::compile(
        "func.func @f(%new: " + newType + ", %past: " + pastType + ", %start: memref<?xi32>, %cache: " + cacheType +
            ") attributes {llvm.emit_c_interface} {\n  whit.cache_append ins(%new" + (hasPast ? " after %past" : "") +
            " : " + newType + (hasPast ? ", " + pastType : "") +
            ") from %start : memref<?xi32> outs(%cache : " + cacheType + ")\n  return\n}",
        "func.func(whit-lower-attention)", machine);
    ASSERT_TRUE(kernel);
    Buffer cache(shape.type, shape.batch * shape.heads * capacity * shape.depth), past(shape.type, old.size());
    for (size_t i = 0; i < old.size(); ++i)
      past.set(i, old[i]);
    for (int64_t i = 0, n = cache.bytes.size() / cache.size(); i < n; ++i)
      cache.set(i, 5);
    std::vector<int64_t> sizes{shape.batch, shape.heads, shape.tokens, shape.depth};
    if (shape.blocked)
      sizes = {shape.batch, shape.heads, blocks, shape.depth, 16};
    std::vector<int32_t> start = shape.start;
    kernel->call("f",
                 {MemRef(fresh.data(), {shape.batch, shape.rows, shape.heads, shape.depth}),
                  MemRef(past.bytes.data(), {shape.batch, shape.heads, std::max<int64_t>(shape.past, 1), shape.depth})
                      .of(past.size()),
                  MemRef(start.data(), {shape.batch}), MemRef(cache.bytes.data(), sizes).of(cache.size())});
    for (int64_t b = 0; b < shape.batch; ++b)
      for (int64_t h = 0; h < shape.heads; ++h)
        for (int64_t t = 0; t < capacity; ++t)
          for (int64_t d = 0; d < shape.depth; ++d) {
            int64_t s = t - start[b], row = b * shape.heads + h;
            float expected = 5;
            if (s >= 0 && s < shape.rows)
              expected =
                  whit::roundToScale(cache.scale(), fresh[((b * shape.rows + s) * shape.heads + h) * shape.depth + d]);
            else if (hasPast)
              expected = s < 0 && t < shape.past ? past.get((row * shape.past + t) * shape.depth + d) : 0;
            int64_t at = shape.blocked ? ((row * blocks + t / 16) * shape.depth + d) * 16 + t % 16
                                       : (row * shape.tokens + t) * shape.depth + d;
            ASSERT_EQ(cache.get(at), expected) << "batch " << b << " head " << h << " token " << t << " d " << d;
          }
  }
}
} // namespace

TEST(LowerCacheAppend, Plain) { check(Append{2, 7, 3, 20, 40, -1, {0, 35}, false}); }
TEST(LowerCacheAppend, Blocked) { check(Append{2, 33, 3, 20, 64, -1, {5, 50}, true}); }
TEST(LowerCacheAppend, BlockedFromTheStart) { check(Append{1, 32, 2, 64, 64, -1, {0}, true}); }
TEST(LowerCacheAppend, BlockedHalf) { check(Append{2, 40, 2, 20, 64, -1, {0, 9}, true, "f16"}); }
TEST(LowerCacheAppend, BlockedPastTheEnd) { check(Append{2, 40, 2, 20, 64, -1, {40, 80}, true, "bf16"}); }
TEST(LowerCacheAppend, BeforeTheCache) { check(Append{1, 7, 3, 20, 40, -1, {-3}, true}); }
TEST(LowerCacheAppend, PlainWithPast) { check(Append{2, 7, 3, 20, 40, 12, {12, 20}, false}); }
TEST(LowerCacheAppend, BlockedWithPast) { check(Append{2, 7, 3, 20, 48, 12, {12, 5}, true}); }
TEST(LowerCacheAppend, Half) { check(Append{1, 7, 3, 20, 40, 12, {12}, false, "f16"}); }
TEST(LowerCacheAppend, HalfBlocked) { check(Append{1, 7, 3, 20, 40, -1, {12}, true, "f16"}); }
TEST(LowerCacheAppend, Brain) { check(Append{1, 7, 3, 20, 40, 12, {12}, false, "bf16"}); }
