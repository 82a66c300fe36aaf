// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of activations against plain loops: small integers bit for bit, real data within the depth of a sum, and the
// same bits for a row alone and in a batch.

#include "Jit.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace whit::test;

namespace {
constexpr double kUnit = 0x1p-24;
const char *kPasses = "func.func(whit-lower-contraction,whit-lower-elementwise)";

/// Blocks and fused multiply-adds differ between the best machine and the plainest; what is between has those of either.
std::vector<Machine> machines() {
  std::vector<Machine> all = machinesOfHost();
  return {all.front(), all.back()};
}

/// y[b, m, n] += sum of x[b, m, k] * w, with w [b, k, n] or, for `dots`, [b, n, k].
std::string product(bool dots, const std::string &columns) {
  std::string rows = "xf32, strided<[?, ?, 1], offset: ?>>", x = "memref<?x?x?" + rows,
              y = "memref<?x?x" + columns + rows;
  std::string w = dots ? "memref<?x" + columns + "x?xf32>" : "memref<?x?x" + columns + "xf32>";
  return "func.func @f(%x: " + x + ", %w: " + w + ", %y: " + y + ") attributes {llvm.emit_c_interface} {\n" +
         "  linalg.generic {indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (b, " +
         (dots ? "n, k" : "k, n") + ")>, affine_map<(b, m, n, k) -> (b, m, n)>],\n" +
         "    iterator_types = [\"parallel\", \"parallel\", \"parallel\", \"reduction\"]} ins(%x, %w : " + x + ", " +
         w + ") outs(%y : " + y + ") {\n  ^bb0(%a: f32, %c: f32, %s: f32):\n    %p = arith.mulf %a, %c : f32\n" +
         "    %0 = arith.addf %p, %s : f32\n    linalg.yield %0 : f32\n  }\n  return\n}\n";
}

struct Sizes {
  int64_t b, m, n, k;
};

void check(Kernel &kernel, bool dots, Sizes s);

/// Nothing to add up, or nothing to add it to.
constexpr Sizes kEmpty[] = {{1, 2, 3, 0}, {0, 2, 3, 4}, {1, 0, 20, 4}, {1, 2, 0, 4}};

/// One kernel for all sizes, or, where the columns are known, one each.
void checkAll(bool dots, const std::vector<Sizes> &all) {
  for (const Machine &machine : machines()) {
    SCOPED_TRACE(machine.name);
    auto any = Kernel::compile(product(dots, "?"), kPasses, machine);
    auto known = Kernel::compile(product(dots, std::to_string(all[0].n)), kPasses, machine);
    ASSERT_TRUE(any && known);
    ASSERT_NO_FATAL_FAILURE(check(*known, dots, all[0]));
    for (Sizes sizes : kEmpty)
      ASSERT_NO_FATAL_FAILURE(check(*any, dots, sizes));
    for (Sizes sizes : all)
      ASSERT_NO_FATAL_FAILURE(check(*any, dots, sizes));
  }
}

void check(Kernel &kernel, bool dots, Sizes s) {
  SCOPED_TRACE((dots ? "dots " : "columns ") + std::to_string(s.m) + " x " + std::to_string(s.n) + " x " +
               std::to_string(s.k));
  std::mt19937 random(3);
  for (bool exact : {true, false}) {
    std::vector<float> x(s.b * s.m * s.k), w(s.b * s.n * s.k), y(s.b * s.m * s.n, 5);
    std::normal_distribution<float> normal;
    for (auto *values : {&x, &w})
      for (float &value : *values)
        value = exact ? float(int(random() % 9) - 4) : normal(random);
    auto run = [&](std::vector<float> &to, int64_t row, int64_t rows) {
      std::vector<int64_t> wide = dots ? std::vector<int64_t>{s.b, s.n, s.k} : std::vector<int64_t>{s.b, s.k, s.n};
      kernel.call("f", {MemRef(x.data(), {s.b, rows, s.k}, {s.m * s.k, s.k, 1}, row * s.k), MemRef(w.data(), wide),
                        MemRef(to.data(), {s.b, rows, s.n}, {s.m * s.n, s.n, 1}, row * s.n)});
    };
    run(y, 0, s.m);
    std::vector<float> alone(y.size(), 5);
    for (int64_t row = 0; row < s.m; ++row)
      run(alone, row, 1);
    ASSERT_EQ(std::memcmp(alone.data(), y.data(), y.size() * 4), 0) << "a row alone has other bits";
    for (int64_t at = 0; at < int64_t(y.size()); ++at) {
      int64_t n = at % s.n, row = at / s.n, b = row / s.m;
      double sum = 5, magnitude = 5;
      for (int64_t k = 0; k < s.k; ++k) {
        double term = double(x[row * s.k + k]) * w[dots ? (b * s.n + n) * s.k + k : (b * s.k + k) * s.n + n];
        sum += term;
        magnitude += std::fabs(term);
      }
      // Columns add one product after another, dots have 16 chains and fold them; each product is rounded once.
      double depth = dots ? double(s.k) / 16 + 7 : double(s.k) + 2;
      ASSERT_LE(std::fabs(y[at] - sum), exact ? 0 : depth * kUnit * magnitude) << at;
    }
  }
}
} // namespace

// The first is also compiled for its own number of columns.
TEST(LowerContraction, Columns) {
  checkAll(false, {{2, 5, 103, 7}, {1, 1, 1, 1}, {1, 9, 150, 64}, {3, 4, 64, 1}, {1, 3, 16, 40}});
}
TEST(LowerContraction, Dots) {
  checkAll(true, {{2, 5, 33, 7}, {1, 1, 1, 1}, {1, 9, 10, 100}, {3, 4, 4, 16}, {1, 3, 2, 48}});
}

// Narrow floats are summed in f32, whatever the result is stored in; factors may come in either order.
TEST(LowerContraction, Halves) {
  for (const Machine &machine : machines()) {
    auto kernel = Kernel::compile(R"(
      func.func @f(%x: memref<?x24xbf16>, %w: memref<24x?xbf16>, %y: memref<?x?xbf16>) attributes {llvm.emit_c_interface} {
        linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                        iterator_types = ["parallel", "parallel", "reduction"]}
            ins(%x, %w : memref<?x24xbf16>, memref<24x?xbf16>) outs(%y : memref<?x?xbf16>) {
        ^bb0(%a: bf16, %c: bf16, %s: bf16):
          %p = arith.mulf %c, %a : bf16
          %0 = arith.addf %s, %p : bf16
          linalg.yield %0 : bf16
        }
        return
      })",
                                  kPasses, machine);
    ASSERT_TRUE(kernel);
    auto stored = [](float value) {
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      return uint16_t(bits >> 16);
    };
    int64_t m = 3, n = 19;
    std::vector<uint16_t> x(m * 24), w(24 * n), y(m * n, 0);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = stored(int(i % 5) - 2);
    for (size_t i = 0; i < w.size(); ++i)
      w[i] = stored(int(i % 3) - 1);
    kernel->call("f", {MemRef(x.data(), {m, 24}), MemRef(w.data(), {24, n}), MemRef(y.data(), {m, n})});
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t k = 0; k < 24; ++k)
          sum += float(int((i * 24 + k) % 5) - 2) * float(int((k * n + j) % 3) - 1);
        ASSERT_EQ(y[i * n + j], stored(sum)) << machine.name << " " << i << " " << j;
      }
  }
}
