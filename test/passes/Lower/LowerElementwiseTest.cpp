// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementwise operations against plain loops, math functions against long double in units of the last place, and the
// same bits on every machine.

#include "Jit.h"

#include "runtime/encoding/Half.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace whit::test;

namespace {
const char *kPasses = "func.func(whit-lower-elementwise)";

std::string unary(const std::string &op, const std::string &from = "f32", const std::string &to = "f32") {
  return "func.func @f(%x: memref<?x" + from + ">, %y: memref<?x" + to + ">) attributes {llvm.emit_c_interface} {\n" +
         "  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = "
         "[\"parallel\"]}\n" +
         "      ins(%x : memref<?x" + from + ">) outs(%y : memref<?x" + to + ">) {\n  ^bb0(%a: " + from +
         ", %unused: " + to + "):\n" + op + "\n    linalg.yield %r : " + to + "\n  }\n  return\n}";
}

/// What an operation makes of a[i] and b[i]; empty after a message when it does not compile.
std::vector<float> onPairs(const std::string &op, std::vector<float> a, std::vector<float> b, const Machine &machine) {
  auto kernel = Kernel::compile(R"(
    func.func @f(%a: memref<?xf32>, %b: memref<?xf32>, %y: memref<?xf32>) attributes {llvm.emit_c_interface} {
      linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
          ins(%a, %b : memref<?xf32>, memref<?xf32>) outs(%y : memref<?xf32>) {
      ^bb0(%0: f32, %1: f32, %unused: f32):
        %r = )" + op + R"( %0, %1 : f32
        linalg.yield %r : f32
      }
      return
    })",
                                kPasses, machine);
  if (!kernel)
    return {};
  std::vector<float> y(a.size());
  int64_t size = a.size();
  kernel->call("f", {MemRef(a.data(), {size}), MemRef(b.data(), {size}), MemRef(y.data(), {size})});
  return y;
}

/// Every kind of argument: all exponents, and a dense range around zero.
std::vector<float> arguments(float range) {
  std::vector<float> values{0.0f,  -0.0f,     INFINITY,  -INFINITY, NAN,     1.0f,
                            -1.0f, 0x1p-149f, 0x1p-126f, FLT_MAX,   -FLT_MAX};
  std::mt19937 random(5);
  for (int i = 0; i < 60000; ++i) {
    uint32_t bits = random();
    float any;
    std::memcpy(&any, &bits, 4);
    values.push_back(any);
    values.push_back(std::uniform_real_distribution<float>(-range, range)(random));
  }
  values.push_back(2.5f); // an odd number of values: a tail
  return values;
}

double ulp(long double expected) {
  if (std::fabs(expected) >= FLT_MAX)
    return 0x1p104;
  int exponent;
  std::frexp(expected, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, -149));
}

/// The sum of the formula cancels for negative x: the error is one of x, not of the result.
void checkGelu(const std::string &form, std::function<long double(long double)> reference) {
  std::vector<float> x = arguments(10);
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(form + " on " + machine.name);
    auto kernel = Kernel::compile(unary("    %r = whit.gelu " + form + " %a : f32"), kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> y(x.size(), 7);
    int64_t size = x.size();
    kernel->call("f", {MemRef(x.data(), {size}), MemRef(y.data(), {size})});
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]) || std::isinf(x[i])) {
        ASSERT_TRUE(x[i] > 0 ? y[i] == x[i] : std::isnan(y[i])) << x[i] << " gives " << y[i];
        continue;
      }
      ASSERT_LE(std::fabs(y[i] - reference(x[i])), 4 * 0x1p-24 * std::fabs(x[i]) + 0x1p-149)
          << x[i] << " gives " << y[i];
    }
  }
}

void checkFunction(const std::string &op, float range, double bound, std::function<long double(long double)> reference,
                   double largest = INFINITY) {
  std::vector<float> x = arguments(range);
  std::vector<float> before;
  for (const Machine &machine : machinesWithoutByteDots()) {
    SCOPED_TRACE(op + " on " + machine.name);
    auto kernel = Kernel::compile(unary("    %r = math." + op + " %a : f32"), kPasses, machine);
    ASSERT_TRUE(kernel);
    std::vector<float> y(x.size(), 7);
    int64_t size = x.size();
    kernel->call("f", {MemRef(x.data(), {size}), MemRef(y.data(), {size})});
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::fabs(x[i]) > largest)
        continue;
      long double expected = reference(x[i]);
      float rounded = float(expected);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(y[i])) << x[i] << " gives " << y[i];
        continue;
      }
      if (std::isinf(rounded) || std::isinf(y[i])) {
        ASSERT_TRUE(y[i] == rounded || std::fabs(expected - (y[i] > 0 ? FLT_MAX : -FLT_MAX)) <= bound * 0x1p104)
            << x[i] << " gives " << y[i] << ", expected " << rounded;
        continue;
      }
      worst = std::max(worst, double(std::fabs(y[i] - expected) / ulp(expected)));
      ASSERT_LE(std::fabs(y[i] - expected), bound * ulp(expected))
          << x[i] << " gives " << y[i] << ", expected " << rounded;
    }
    for (float &value : y) // which NaN it is, is not promised
      value = std::isnan(value) ? NAN : value;
    testing::Test::RecordProperty("worst on " + machine.name, std::to_string(worst));
    if (!before.empty()) {
      ASSERT_EQ(std::memcmp(before.data(), y.data(), y.size() * 4), 0) << "bits depend on the machine";
    }
    before = y;
  }
}
} // namespace

TEST(LowerElementwise, Exp) {
  checkFunction("exp", 100, 2, [](long double x) { return std::exp(x); });
}
TEST(LowerElementwise, Exp2) {
  checkFunction("exp2", 150, 2, [](long double x) { return std::exp2(x); });
}
TEST(LowerElementwise, Tanh) {
  checkFunction("tanh", 3, 3, [](long double x) { return std::tanh(x); });
}
TEST(LowerElementwise, Erf) {
  checkFunction("erf", 3, 2, [](long double x) { return std::erf(x); });
}
TEST(LowerElementwise, Gelu) {
  checkGelu("", [](long double x) { return x / 2 * (1 + std::erf(x * std::sqrt(0.5L))); });
  checkGelu("tanh", [](long double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
  });
}
TEST(LowerElementwise, Log) {
  checkFunction("log", 4, 1, [](long double x) { return std::log(x); });
}
TEST(LowerElementwise, Log2) {
  checkFunction("log2", 4, 1, [](long double x) { return std::log2(x); });
}
TEST(LowerElementwise, Log10) {
  checkFunction("log10", 4, 1, [](long double x) { return std::log10(x); });
}
TEST(LowerElementwise, Sin) {
  checkFunction("sin", 3000, 2, [](long double x) { return std::sin(x); }, 0x1p20);
}
TEST(LowerElementwise, Cos) {
  checkFunction("cos", 3000, 2, [](long double x) { return std::cos(x); }, 0x1p20);
}
TEST(LowerElementwise, Log1p) {
  checkFunction("log1p", 4, 4, [](long double x) { return std::log1p(x); });
}
TEST(LowerElementwise, Expm1) {
  checkFunction("expm1", 4, 4, [](long double x) { return std::expm1(x); });
}
TEST(LowerElementwise, Asin) {
  checkFunction("asin", 1, 1, [](long double x) { return std::asin(x); });
}
TEST(LowerElementwise, Acos) {
  checkFunction("acos", 1, 1, [](long double x) { return std::acos(x); });
}
TEST(LowerElementwise, Atan) {
  checkFunction("atan", 5, 1, [](long double x) { return std::atan(x); });
}
TEST(LowerElementwise, Tan) {
  checkFunction("tan", 10, 4, [](long double x) { return std::tan(x); }, 0x1p20);
}
TEST(LowerElementwise, Sinh) {
  checkFunction("sinh", 10, 1, [](long double x) { return std::sinh(x); });
}
TEST(LowerElementwise, Cosh) {
  checkFunction("cosh", 10, 1, [](long double x) { return std::cosh(x); });
}
TEST(LowerElementwise, Asinh) {
  checkFunction("asinh", 10, 1, [](long double x) { return std::asinh(x); });
}
TEST(LowerElementwise, Acosh) {
  checkFunction("acosh", 10, 1, [](long double x) { return std::acosh(x); });
}
TEST(LowerElementwise, Atanh) {
  checkFunction("atanh", 1, 1, [](long double x) { return std::atanh(x); });
}
TEST(LowerElementwise, Erfc) {
  checkFunction("erfc", 4, 3, [](long double x) { return std::erfc(x); });
}
TEST(LowerElementwise, Cbrt) {
  checkFunction("cbrt", 100, 1, [](long double x) { return std::cbrt(x); });
}
TEST(LowerElementwise, Sqrt) {
  checkFunction("sqrt", 10, 0.5, [](long double x) { return std::sqrt(x); });
}
TEST(LowerElementwise, Rsqrt) {
  checkFunction("rsqrt", 10, 1.5, [](long double x) { return 1 / std::sqrt(x); });
}
TEST(LowerElementwise, Floor) {
  checkFunction("floor", 100, 0, [](long double x) { return std::floor(x); });
}
TEST(LowerElementwise, Ceil) {
  checkFunction("ceil", 100, 0, [](long double x) { return std::ceil(x); });
}
TEST(LowerElementwise, Trunc) {
  checkFunction("trunc", 100, 0, [](long double x) { return std::trunc(x); });
}
TEST(LowerElementwise, Round) {
  checkFunction("round", 100, 0, [](long double x) { return std::round(x); });
}
TEST(LowerElementwise, RoundEven) {
  checkFunction("roundeven", 100, 0, [](long double x) { return std::nearbyint(x); });
}

TEST(LowerElementwise, Pow) {
  std::vector<float> x = arguments(20), e = arguments(6);
  std::shuffle(e.begin(), e.end(), std::mt19937(9));
  for (size_t i = 0; i < e.size(); i += 3)
    e[i] = std::round(e[i]);
  for (const Machine &machine : machinesWithoutByteDots()) {
    std::vector<float> y = onPairs("math.powf", x, e, machine);
    ASSERT_EQ(y.size(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      long double expected = std::pow((long double)(x[i]), (long double)(e[i]));
      float rounded = float(expected);
      if (std::isnan(expected) || std::isinf(rounded) || rounded == 0) {
        ASSERT_TRUE(y[i] == rounded || (std::isnan(y[i]) && std::isnan(expected)))
            << machine.name << ": " << x[i] << " ^ " << e[i] << " gives " << y[i] << ", expected " << rounded;
        continue;
      }
      ASSERT_LE(std::fabs(y[i] - expected), ulp(expected))
          << machine.name << ": " << x[i] << " ^ " << e[i] << " gives " << y[i];
    }
  }
}

// Every quadrant, both axes, and infinity.
TEST(LowerElementwise, Atan2) {
  std::vector<float> y = arguments(5), x = arguments(5);
  std::shuffle(x.begin(), x.end(), std::mt19937(9));
  for (float a : {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN})
    for (float b : {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN})
      y.push_back(a), x.push_back(b);
  for (const Machine &machine : machinesWithoutByteDots()) {
    std::vector<float> found = onPairs("math.atan2", y, x, machine);
    ASSERT_EQ(found.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) {
      long double expected = std::atan2((long double)(y[i]), (long double)(x[i]));
      ASSERT_TRUE((std::isnan(expected) && std::isnan(found[i])) || std::fabs(found[i] - expected) <= ulp(expected))
          << machine.name << ": " << y[i] << ", " << x[i] << " gives " << found[i] << ", expected " << float(expected);
    }
  }
}

// Long division is exact, however far apart the two are.
TEST(LowerElementwise, Remainder) {
  std::vector<float> x = arguments(1000), d = arguments(7);
  std::shuffle(d.begin(), d.end(), std::mt19937(9));
  for (size_t i = 0; i < x.size(); i += 5)
    x[i] = d[i] * float(int(i % 97) - 48); // whole quotients, and next to them
  for (const Machine &machine : machinesWithoutByteDots()) {
    std::vector<float> y = onPairs("arith.remf", x, d, machine);
    ASSERT_EQ(y.size(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      float expected = std::fmod(x[i], d[i]);
      ASSERT_TRUE((std::isnan(expected) && std::isnan(y[i])) ||
                  (y[i] == expected && std::signbit(y[i]) == std::signbit(expected)))
          << machine.name << ": " << x[i] << " mod " << d[i] << " gives " << y[i] << ", expected " << expected;
    }
  }
}

// Every f16 and bf16, and f32 numbers around every rounding boundary.
TEST(LowerElementwise, HalfConversions) {
  for (const Machine &machine : machinesWithoutByteDots())
    for (auto [type, scale] :
         {std::pair<std::string, whit::ScaleType>{"f16", whit::ScaleType::F16}, {"bf16", whit::ScaleType::BF16}}) {
      SCOPED_TRACE(machine.name + " " + type);
      auto widen =
          Kernel::compile(unary("    %r = arith.extf %a : " + type + " to f32", type, "f32"), kPasses, machine);
      auto narrow = Kernel::compile(unary("    %r = arith.truncf %a : f32 to " + type, "f32", type), kPasses, machine);
      ASSERT_TRUE(widen && narrow);
      std::vector<uint16_t> half(65536);
      for (int i = 0; i < 65536; ++i)
        half[i] = i;
      std::vector<float> wide(65536), sources;
      widen->call("f", {MemRef(half.data(), {65536}), MemRef(wide.data(), {65536})});
      for (int i = 0; i < 65536; ++i) {
        float expected = whit::loadScale(scale, reinterpret_cast<uint8_t *>(&half[i]));
        ASSERT_TRUE(wide[i] == expected || (std::isnan(wide[i]) && std::isnan(expected))) << i;
        for (float factor : {1.0f, 1 + 0x1p-11f, 1 - 0x1p-11f, 1 + 0x1p-8f, 1 + 0x1p-9f, 0.5f, 1.5f, 1 + 0x1p-23f})
          sources.push_back(expected * factor);
      }
      std::vector<uint16_t> found(sources.size());
      int64_t size = sources.size();
      narrow->call("f", {MemRef(sources.data(), {size}), MemRef(found.data(), {size})});
      for (size_t i = 0; i < sources.size(); ++i) {
        uint16_t expected = type == "f16" ? whit::floatToHalf(sources[i]) : whit::floatToBfloat(sources[i]);
        float back = whit::loadScale(scale, reinterpret_cast<uint8_t *>(&found[i]));
        ASSERT_TRUE(found[i] == expected || (std::isnan(back) && std::isnan(sources[i]))) << sources[i];
      }
    }
}

// Rows, a row vector, a column, a scalar and a captured value meet; sizes are dynamic, the result is a view.
TEST(LowerElementwise, Broadcasts) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(R"(
      #all = affine_map<(i, j, k) -> (i, j, k)>
      func.func @f(%x: memref<?x?x?xf32>, %row: memref<?xf32>, %column: memref<?x1xf32>, %one: memref<f32>, %y: memref<?x?x?xf32, strided<[?, ?, 1], offset: ?>>) attributes {llvm.emit_c_interface} {
        %outside = memref.load %one[] : memref<f32>
        linalg.generic {indexing_maps = [#all, affine_map<(i, j, k) -> (k)>, affine_map<(i, j, k) -> (j, 0)>, affine_map<(i, j, k) -> ()>, #all],
                        iterator_types = ["parallel", "parallel", "parallel"]}
            ins(%x, %row, %column, %one : memref<?x?x?xf32>, memref<?xf32>, memref<?x1xf32>, memref<f32>) outs(%y : memref<?x?x?xf32, strided<[?, ?, 1], offset: ?>>) {
        ^bb0(%a: f32, %b: f32, %c: f32, %d: f32, %old: f32):
          %two = arith.constant 2.0 : f32
          %0 = arith.addf %a, %b : f32
          %1 = arith.mulf %0, %c : f32
          %2 = arith.subf %1, %d : f32
          %3 = arith.mulf %two, %old : f32
          %4 = arith.addf %2, %3 : f32
          %5 = arith.addf %4, %outside : f32
          linalg.yield %5 : f32
        }
        return
      })",
                                  kPasses, machine);
    ASSERT_TRUE(kernel);
    for (int64_t last : {1, 15, 16, 17, 33, 64}) {
      int64_t n = 2, m = 3, stride = last + 5;
      std::vector<float> x(n * m * last), row(last), column(m), one{4}, y(n * m * stride, 3);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = int(i % 11) - 5;
      for (int64_t i = 0; i < last; ++i)
        row[i] = i % 7;
      for (int64_t i = 0; i < m; ++i)
        column[i] = i + 1;
      kernel->call("f", {MemRef(x.data(), {n, m, last}), MemRef(row.data(), {last}), MemRef(column.data(), {m, 1}),
                         MemRef(one.data(), {}), MemRef(y.data(), {n, m, last}, {m * stride, stride, 1}, 2)});
      for (int64_t r = 0; r < n * m; ++r)
        for (int64_t k = -2; k < stride - 2; ++k) {
          float expected = k < 0 || k >= last ? 3 : (x[r * last + k] + row[k]) * column[r % m] - 4 + 2 * 3 + 4;
          ASSERT_EQ(y[r * stride + k + 2], expected) << machine.name << " " << last << " " << r << " " << k;
        }
    }
  }
}

TEST(LowerElementwise, Integers) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(R"(
      #all = affine_map<(i, j) -> (i, j)>
      func.func @f(%x: memref<?x?xi64>, %mask: memref<?x?xi1>, %y: memref<?x?xf32>, %z: memref<?x?xi32>, %m: memref<?x?xi1>) attributes {llvm.emit_c_interface} {
        linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]} ins(%x : memref<?x?xi64>) outs(%y : memref<?x?xf32>) {
        ^bb0(%a: i64, %old: f32):
          %j = linalg.index 1 : index
          %c = arith.index_cast %j : index to i64
          %s = arith.addi %a, %c : i64
          %f = arith.sitofp %s : i64 to f32
          linalg.yield %f : f32
        }
        linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]} ins(%x, %mask : memref<?x?xi64>, memref<?x?xi1>) outs(%z : memref<?x?xi32>) {
        ^bb0(%a: i64, %b: i1, %old: i32):
          %three = arith.constant 3 : i64
          %q = arith.divsi %a, %three : i64
          %t = arith.trunci %q : i64 to i32
          %zero = arith.constant 0 : i32
          %r = arith.select %b, %t, %zero : i32
          linalg.yield %r : i32
        }
        linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]} ins(%x : memref<?x?xi64>) outs(%m : memref<?x?xi1>) {
        ^bb0(%a: i64, %old: i1):
          %five = arith.constant 5 : i64
          %r = arith.cmpi slt, %a, %five : i64
          linalg.yield %r : i1
        }
        return
      })",
                                  kPasses, machine);
    ASSERT_TRUE(kernel);
    int64_t n = 3, m = 21;
    std::vector<int64_t> x(n * m);
    std::vector<uint8_t> mask(n * m), less(n * m, 9);
    std::vector<float> y(n * m);
    std::vector<int32_t> z(n * m, 7);
    for (int64_t i = 0; i < n * m; ++i)
      x[i] = i * 7 - 100, mask[i] = i % 3 == 0;
    kernel->call("f", {MemRef(x.data(), {n, m}), MemRef(mask.data(), {n, m}), MemRef(y.data(), {n, m}),
                       MemRef(z.data(), {n, m}), MemRef(less.data(), {n, m})});
    for (int64_t i = 0; i < n * m; ++i) {
      ASSERT_EQ(y[i], float(x[i] + i % m));
      ASSERT_EQ(z[i], mask[i] ? x[i] / 3 : 0);
      ASSERT_EQ(less[i], x[i] < 5);
    }
  }
}

// Named operations, a transpose, a reduction and a copy of a view.
TEST(LowerElementwise, OtherOperations) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(R"(
      func.func @f(%x: memref<?x?xf32>, %t: memref<?x?xf32>, %sum: memref<?xf32>, %twice: memref<?x?xf32>, %copy: memref<?x?xf32, strided<[?, 1], offset: ?>>) attributes {llvm.emit_c_interface} {
        %zero = arith.constant 0.0 : f32
        linalg.transpose ins(%x : memref<?x?xf32>) outs(%t : memref<?x?xf32>) permutation = [1, 0]
        linalg.fill ins(%zero : f32) outs(%sum : memref<?xf32>)
        linalg.reduce ins(%x : memref<?x?xf32>) outs(%sum : memref<?xf32>) dimensions = [1]
          (%a: f32, %s: f32) {
            %0 = arith.addf %a, %s : f32
            linalg.yield %0 : f32
          }
        linalg.map { arith.addf } ins(%x, %x : memref<?x?xf32>, memref<?x?xf32>) outs(%twice : memref<?x?xf32>)
        memref.copy %x, %copy : memref<?x?xf32> to memref<?x?xf32, strided<[?, 1], offset: ?>>
        return
      })",
                                  kPasses, machine);
    ASSERT_TRUE(kernel);
    int64_t n = 5, m = 37, stride = 40;
    std::vector<float> x(n * m), t(n * m), sum(n, 9), twice(n * m), copy(n * stride, -1);
    for (int64_t i = 0; i < n * m; ++i)
      x[i] = i % 23 - 11;
    kernel->call("f", {MemRef(x.data(), {n, m}), MemRef(t.data(), {m, n}), MemRef(sum.data(), {n}),
                       MemRef(twice.data(), {n, m}), MemRef(copy.data(), {n, m}, {stride, 1}, 1)});
    for (int64_t i = 0; i < n; ++i) {
      float expected = 0;
      for (int64_t j = 0; j < m; ++j) {
        expected += x[i * m + j];
        ASSERT_EQ(t[j * n + i], x[i * m + j]);
        ASSERT_EQ(twice[i * m + j], 2 * x[i * m + j]);
        ASSERT_EQ(copy[i * stride + 1 + j], x[i * m + j]);
      }
      ASSERT_EQ(sum[i], expected);
      ASSERT_EQ(copy[i * stride], -1);
    }
  }
}

// Blocks, whole and not, of elements of every width, beside an operand that needs no turning.
TEST(LowerElementwise, Transposes) {
  for (const Machine &machine : {machinesWithoutByteDots().front(), machinesWithoutByteDots().back()})
    for (std::string type : {"i8", "i32", "i64"}) {
      std::string x = "memref<?x?x?x" + type + ">", row = "memref<?x" + type + ">";
      auto kernel = Kernel::compile(
          "func.func @f(%x: " + x + ", %r: " + row + ", %y: " + x + ") attributes {llvm.emit_c_interface} {\n" +
              "  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (k, i, j)>, affine_map<(i, j, k) -> (k)>, "
              "affine_map<(i, j, k) -> (i, j, k)>], iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}\n" +
              "      ins(%x, %r : " + x + ", " + row + ") outs(%y : " + x + ") {\n  ^bb0(%a: " + type +
              ", %b: " + type + ", %unused: " + type + "):\n    %s = arith.addi %a, %b : " + type +
              "\n    linalg.yield %s : " + type + "\n  }\n  return\n}",
          kPasses, machine);
      ASSERT_TRUE(kernel);
      int64_t size = type == "i8" ? 1 : type == "i16" ? 2 : type == "i32" ? 4 : 8;
      for (auto [a, c] : {std::pair<int64_t, int64_t>{1, 1}, {16, 16}, {17, 40}, {40, 17}, {3, 33}}) {
        int64_t n = 2;
        std::vector<uint8_t> from(a * n * c * size), rows(c * size), to(a * n * c * size + size, 77);
        for (int64_t i = 0; i < a * n * c; ++i)
          from[i * size] = i % 61;
        for (int64_t i = 0; i < c; ++i)
          rows[i * size] = i;
        // x [c, n, a], y [n, a, c]
        kernel->call("f", {MemRef(from.data(), {c, n, a}).of(size), MemRef(rows.data(), {c}).of(size),
                           MemRef(to.data(), {n, a, c}).of(size)});
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = 0; j < a; ++j)
            for (int64_t k = 0; k < c; ++k)
              ASSERT_EQ(to[((i * a + j) * c + k) * size], (((k * n + i) * a + j) % 61) + k)
                  << machine.name << " " << type << " " << a << " " << c;
        ASSERT_EQ(to.back(), 77);
      }
    }
}

// Products of matrices: along N where it is contiguous, along K where only that is; both orders sum K in ascending
// order or in 16 partial sums. Small integers, so that each order is exact.
TEST(LowerElementwise, Contractions) {
  for (const Machine &machine : machinesWithoutByteDots()) {
    auto kernel = Kernel::compile(R"(
      #a = affine_map<(b, m, n, k) -> (b, m, k)>
      #c = affine_map<(b, m, n, k) -> (b, m, n)>
      func.func @f(%a: memref<?x?x?xf32>, %b: memref<?x?x?xf32>, %t: memref<?x?x?xf32>, %c: memref<?x?x?xf32>, %d: memref<?x?x?xf32>, %e: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
        linalg.batch_matmul ins(%a, %b : memref<?x?x?xf32>, memref<?x?x?xf32>) outs(%c : memref<?x?x?xf32>)
        linalg.generic {indexing_maps = [#a, affine_map<(b, m, n, k) -> (b, n, k)>, #c], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
            ins(%a, %t : memref<?x?x?xf32>, memref<?x?x?xf32>) outs(%d : memref<?x?x?xf32>) {
        ^bb0(%x: f32, %y: f32, %sum: f32):
          %0 = arith.mulf %x, %y : f32
          %1 = arith.addf %sum, %0 : f32
          linalg.yield %1 : f32
        }
        linalg.generic {indexing_maps = [affine_map<(b, m, k) -> (b, m, k)>, affine_map<(b, m, k) -> (b, k)>], iterator_types = ["parallel", "reduction", "parallel"]}
            ins(%a : memref<?x?x?xf32>) outs(%e : memref<?x?xf32>) {
        ^bb0(%x: f32, %largest: f32):
          %0 = arith.maximumf %x, %largest : f32
          linalg.yield %0 : f32
        }
        return
      })",
                                  kPasses, machine);
    ASSERT_TRUE(kernel);
    int64_t batch = 2, m = 3, n = 21, k = 37;
    std::vector<float> a(batch * m * k), b(batch * k * n), t(b.size()), c(batch * m * n, 2), d = c, e(batch * k, -3);
    for (size_t i = 0; i < a.size(); ++i)
      a[i] = int(i * 5 % 17) - 8;
    for (int64_t i = 0; i < batch; ++i)
      for (int64_t j = 0; j < k; ++j)
        for (int64_t l = 0; l < n; ++l)
          b[(i * k + j) * n + l] = t[(i * n + l) * k + j] = (i + j * 3 + l * 7) % 13 - 6;
    kernel->call("f",
                 {MemRef(a.data(), {batch, m, k}), MemRef(b.data(), {batch, k, n}), MemRef(t.data(), {batch, n, k}),
                  MemRef(c.data(), {batch, m, n}), MemRef(d.data(), {batch, m, n}), MemRef(e.data(), {batch, k})});
    for (int64_t i = 0; i < batch; ++i)
      for (int64_t r = 0; r < m; ++r)
        for (int64_t l = 0; l < n; ++l) {
          float expected = 2;
          for (int64_t j = 0; j < k; ++j)
            expected += a[(i * m + r) * k + j] * b[(i * k + j) * n + l];
          ASSERT_EQ(c[(i * m + r) * n + l], expected) << machine.name;
          ASSERT_EQ(d[(i * m + r) * n + l], expected) << machine.name;
        }
    for (int64_t i = 0; i < batch; ++i)
      for (int64_t j = 0; j < k; ++j) {
        float expected = -3;
        for (int64_t r = 0; r < m; ++r)
          expected = std::max(expected, a[(i * m + r) * k + j]);
        ASSERT_EQ(e[i * k + j], expected) << machine.name;
      }
  }
}
