// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Generated matmuls against plain loops over canonical matrices. Int8 activations: the same bits as the loops on every
// machine, for any data. f32 and bf16 activations: the same bits where all is exact (small integers, powers of two), and within
// (depth + 6) u sum|a||w| of the exact result elsewhere. Nothing outside y[rows, n] may be written, and nothing outside x read.

#include "Jit.h"
#include "SeededFault.h"

#include "runtime/encoding/Carrier.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Quantize.h"
#include "test/runtime/encoding/RandomEncodings.h"
#include "whit/Encoding.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

using namespace whit;
using namespace whit::test;

#pragma clang fp contract(off)

namespace {
constexpr double kUnit = 0x1p-24;
constexpr float kGuard = 12345.0f;

/// Memory that ends at a page that cannot be touched.
template <typename T> class Guarded {
public:
  explicit Guarded(size_t count) {
    size_t page = sysconf(_SC_PAGESIZE), used = (count * sizeof(T) + page - 1) / page * page;
    bytes = used + page;
    base = static_cast<char *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base + used, page, PROT_NONE);
    first = reinterpret_cast<T *>(base + used - count * sizeof(T));
  }
  ~Guarded() { munmap(base, bytes); }
  Guarded(const Guarded &) = delete;
  T *data() { return first; }
  T &operator[](size_t i) { return first[i]; }

private:
  char *base;
  T *first;
  size_t bytes;
};

enum class Activations { F32, Bf16, Int8, Float8 };

struct Problem {
  std::string format;
  int64_t n, k;
  bool exact; ///< small integers and powers of two
  std::string schedule = "";
  std::string largeM = ""; ///< whit.large_m
};

Matrix randomMatrix(const Problem &problem, std::mt19937 &random) {
  std::string why;
  std::optional<Encoding> encoding = parseEncoding(problem.format, &why);
  EXPECT_TRUE(encoding) << why;
  return randomMatrix(encoding.value_or(plainEncoding(ScaleType::F32)), problem.n, problem.k, problem.exact, random);
}

/// A compiled matmul with its weight.
struct Compiled {
  Problem problem;
  Matrix matrix;
  Place place;
  std::vector<double> weights, magnitudes; ///< what roundings of a weight are relative to
  Guarded<uint8_t> packed;
  std::shared_ptr<Kernel> kernel;
  std::vector<float> results; ///< of the last call

  /// `known`: the kernel of the same problem, with whatever data.
  Compiled(const Problem &problem, const Machine &machine, Activations activations, std::mt19937 &random,
           std::shared_ptr<Kernel> known = nullptr)
      : problem(problem), matrix(randomMatrix(problem, random)),
        place(solvePlace(matrix.encoding, problem.n, problem.k)), weights(problem.n * problem.k),
        packed(place.bytes()) {
    packPanels(place, matrix, packed.data());
    dequantize(matrix, weights.data());
    magnitudes = matrix.encoding.isPlain() ? weights : ::whit::magnitudes(matrix);
    kernel = std::move(known);
    if (kernel)
      return;
    std::string w = llvm::formatv("memref<{0}x{1}xi8>", place.panels, place.panelBytes);
    std::string y = llvm::formatv("memref<?x{0}xf32, strided<[{1}, 1]>>", problem.n, problem.n + 3);
    std::string at =
        llvm::formatv("at <<\"{0}\">, {1} by {2}> {3}", problem.format, problem.n, problem.k, problem.schedule);
    std::string text;
    if (activations == Activations::Int8) {
      std::string types = llvm::formatv("memref<?x{0}x{1}xi8>, memref<?x{0}xf32>, memref<?x{0}xi32>, {2}", place.groups,
                                        place.paddedGroup, w);
      text = llvm::formatv(
          "func.func @f(%c: memref<?x{0}x{1}xi8>, %s: memref<?x{0}xf32>, %t: memref<?x{0}xi32>, %w: {2}, %y: {3}) "
          "attributes {{llvm.emit_c_interface} {{ whit.quantized_matmul ins(%c, %s, %t, %w : {4}) outs(%y : {3}) {5} "
          "return }",
          place.groups, place.paddedGroup, w, y, types, at);
    } else {
      std::string x = llvm::formatv("memref<?x{0}x{1}>", problem.k,
                                    activations == Activations::F32    ? "f32"
                                    : activations == Activations::Bf16 ? "bf16"
                                                                       : "f8E4M3FN");
      text = llvm::formatv("func.func @f(%x: {0}, %w: {1}, %y: {2}) attributes {{llvm.emit_c_interface} {{ "
                           "whit.matmul ins(%x, %w : {0}, {1}) outs(%y : {2}) {3} return }",
                           x, w, y, at);
    }
    if (!problem.largeM.empty())
      text = llvm::formatv("module attributes {{whit.large_m = \"{0}\"} {{ {1} }", problem.largeM, text);
    kernel = Kernel::compile(text, "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup", machine);
  }

  MemRef weight() { return MemRef(packed.data(), {place.panels, place.panelBytes}); }
};

/// y with columns of guard values on the right and a guard page behind.
struct Output {
  int64_t m, n;
  Guarded<float> values;
  Output(int64_t m, int64_t n) : m(m), n(n), values(m * (n + 3)) { std::fill_n(values.data(), m * (n + 3), kGuard); }
  MemRef memref() { return MemRef(values.data(), {m, n}, {n + 3, 1}); }
  float at(int64_t row, int64_t column) { return values[row * (n + 3) + column]; }
  std::vector<float> numbers() { return std::vector<float>(values.data(), values.data() + m * (n + 3)); }
  void checkGuards() {
    for (int64_t r = 0; r < m; ++r)
      for (int64_t c = n; c < n + 3; ++c)
        ASSERT_EQ(at(r, c), kGuard) << "written past the end of row " << r;
  }
};

/// Of many rows some are also computed alone.
int64_t stepOfRows(int64_t rows) { return rows > 70 ? 23 : 1; }

/// `isInOrder`: groups are added in ascending order, so that every bit is known.
void runIntegers(Compiled &compiled, int64_t m, bool isInOrder, std::mt19937 &random) {
  const Place &place = compiled.place;
  const Matrix &matrix = compiled.matrix;
  const Encoding &encoding = matrix.encoding;
  bool exact = compiled.problem.exact;
  int64_t n = compiled.problem.n, k = compiled.problem.k, groups = place.groups, padded = place.paddedGroup;
  Guarded<int8_t> codes(m * groups * padded);
  Guarded<float> scales(m * groups);
  Guarded<int32_t> sums(m * groups);
  for (int64_t i = 0; i < m * groups; ++i) {
    scales[i] =
        exact ? std::ldexp(1.0f, int(random() % 4) - 2) : std::uniform_real_distribution<float>(0, 0.1f)(random);
    sums[i] = 0;
    for (int64_t j = 0; j < padded; ++j) {
      bool real = j < std::min(place.group, k - i % groups * place.group);
      int code = random() % 8 == 0 ? -127 : int(random() % 255) - 127;
      codes[i * padded + j] = real ? (exact ? code / 16 : code) : 0;
      sums[i] += codes[i * padded + j];
    }
  }
  Output y(m, n);
  compiled.kernel->call("f", {MemRef(codes.data(), {m, groups, padded}), MemRef(scales.data(), {m, groups}),
                              MemRef(sums.data(), {m, groups}), compiled.weight(), y.memref()});
  y.checkGuards();
  compiled.results = y.numbers();
  const std::vector<IntegerCarrier> carriers = *integerCarriers(encoding);
  std::vector<std::vector<float>> scalesW;
  for (size_t t = 0; t < carriers.size(); ++t)
    scalesW.push_back(productPerGroup(matrix, encoding.terms[t].scale, matrix.terms[t].factors));
  std::vector<float> offsets = encoding.zero == ZeroKind::Constant
                                   ? std::vector<float>()
                                   : productPerGroup(matrix, encoding.offset, matrix.offset);
  bool isExactZero = encoding.zero == ZeroKind::Integer && carriers[0].table.empty();
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      float expected = 0;
      double exactly = 0, magnitude = 0;
      for (int64_t g = 0; g < groups; ++g) {
        int64_t begin = g * place.group, end = std::min(k, begin + place.group);
        float scaleX = scales[row * groups + g], sumX = float(sums[row * groups + g]);
        float offset = offsets.empty() ? 0 : offsets[column * groups + g];
        for (int64_t e = begin; e < end; ++e) {
          int code = codes[(row * groups + g) * padded + e - begin];
          exactly += double(scaleX) * code * compiled.weights[column * k + e];
          magnitude += std::abs(double(scaleX) * code) * compiled.magnitudes[column * k + e];
        }
        for (size_t t = 0; t < carriers.size(); ++t) {
          const IntegerCarrier &carrier = carriers[t];
          const TermValues &values = matrix.terms[t];
          const Factor &first = encoding.terms[t].scale[0];
          int64_t dot = 0, blocks = blockCount(first, k), each = first.block.columns ? first.block.columns : k;
          for (int64_t e = begin; e < end; ++e) {
            int64_t byte = values.codes[column * k + e];
            if (!values.choices.empty())
              byte += values.choices[column * blocks + e / each] << encoding.terms[t].codec.bits;
            if (!carrier.table.empty())
              byte = carrier.table[byte];
            int64_t number = byte - (t == 0 && isExactZero ? int64_t(offset) : carrier.offset);
            dot += !values.keeps(column, k, e) ? 0 : number * codes[(row * groups + g) * padded + e - begin];
          }
          float scaleW = scalesW[t][column * groups + g], scaled = scaleW * carrier.scale, sum = float(dot);
          if (t == 0 && encoding.zero == ZeroKind::Minimum) {
            float part = scaled * sum, minimum = offset * sumX, both = part + minimum;
            expected = expected + scaleX * both;
            magnitude += std::abs(double(scaleX)) * (std::abs(double(part)) + std::abs(double(minimum)));
          } else if (t == 0 && encoding.zero != ZeroKind::Constant && !isExactZero) {
            float product = sum * carrier.scale, zero = offset * sumX, difference = product - zero;
            expected = expected + (scaleX * scaleW) * difference;
            magnitude += std::abs(double(scaleX) * scaleW) * (std::abs(double(product)) + std::abs(double(zero)));
          } else {
            expected = expected + (scaleX * scaled) * sum;
          }
        }
      }
      if (isInOrder || exact)
        ASSERT_EQ(y.at(row, column), expected) << "row " << row << " column " << column << " of " << m << " rows";
      ASSERT_LE(std::abs(y.at(row, column) - exactly), (groups * carriers.size() + 6) * kUnit * magnitude);
    }
  Output alone(1, n);
  for (int64_t row = 0; row < m && m > 1 && !isInOrder; row += stepOfRows(m)) {
    compiled.kernel->call("f", {MemRef(codes.data() + row * groups * padded, {1, groups, padded}),
                                MemRef(scales.data() + row * groups, {1, groups}),
                                MemRef(sums.data() + row * groups, {1, groups}), compiled.weight(), alone.memref()});
    for (int64_t column = 0; column < n; ++column)
      ASSERT_EQ(alone.at(0, column), y.at(row, column)) << "row " << row << " of " << m << " differs from itself alone";
  }
}

float numberOf(float stored) { return stored; }
float numberOf(uint16_t stored) { return bfloatToFloat(stored); }
/// A float of 8 bits: 4 of exponent, 3 of fraction.
float numberOf(uint8_t stored) {
  int exponent = stored >> 3 & 15, fraction = stored & 7;
  float magnitude = exponent ? std::ldexp(float(8 + fraction), exponent - 10) : std::ldexp(float(fraction), -9);
  return stored & 0x80 ? -magnitude : magnitude;
}
/// The nearest one; 0 with one sign and the other in turn.
void store(float value, uint8_t &stored) {
  uint8_t best = 0;
  for (int code = 0; code < 256; ++code)
    if ((code & 0x7f) != 0x7f && std::fabs(numberOf(uint8_t(code)) - value) < std::fabs(numberOf(best) - value))
      best = uint8_t(code);
  static bool isNegative = false;
  stored = best ? best : (isNegative = !isNegative) ? 0x80 : 0;
}
void store(float value, float &stored) { stored = value; }
void store(float value, uint16_t &stored) { stored = floatToBfloat(value); }

/// T is what an activation is stored as.
template <typename T> void runFloats(Compiled &compiled, int64_t m, std::mt19937 &random) {
  int64_t n = compiled.problem.n, k = compiled.problem.k;
  Guarded<T> x(m * k);
  for (int64_t i = 0; i < m * k; ++i)
    store(compiled.problem.exact ? int(random() % 9) - 4 : std::normal_distribution<float>()(random), x[i]);
  Output y(m, n);
  compiled.kernel->call("f", {MemRef(x.data(), {m, k}), compiled.weight(), y.memref()});
  y.checkGuards();
  compiled.results = y.numbers();
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      double exactly = 0, magnitude = 0;
      for (int64_t e = 0; e < k; ++e) {
        double product = double(numberOf(x[row * k + e])) * compiled.weights[column * k + e];
        exactly += product;
        magnitude += std::abs(double(numberOf(x[row * k + e])) * compiled.magnitudes[column * k + e]);
      }
      if (compiled.problem.exact)
        ASSERT_EQ(y.at(row, column), float(exactly)) << "row " << row << " column " << column << " of " << m << " rows";
      else
        ASSERT_LE(std::abs(y.at(row, column) - exactly),
                  (k * std::max<size_t>(compiled.matrix.terms.size(), 1) + 6) * kUnit * magnitude)
            << "row " << row << " column " << column << " of " << m << " rows";
    }
  if (m < 2)
    return;
  Output alone(1, n);
  for (int64_t row = 0; row < m; row += stepOfRows(m)) {
    compiled.kernel->call("f", {MemRef(x.data() + row * k, {1, k}), compiled.weight(), alone.memref()});
    for (int64_t column = 0; column < n; ++column)
      ASSERT_EQ(alone.at(0, column), y.at(row, column)) << "row " << row << " of " << m << " differs from itself alone";
  }
}

const char *nameOf(Activations activations) {
  return activations == Activations::Int8     ? "int8"
         : activations == Activations::Bf16   ? "bf16"
         : activations == Activations::Float8 ? "fp8"
                                              : "f32";
}

/// Gives the kernel, for the same problem with other data.
std::shared_ptr<Kernel> check(const Problem &problem, const Machine &machine, Activations activations,
                              std::vector<int64_t> rows, std::shared_ptr<Kernel> known = nullptr,
                              std::vector<float> *results = nullptr) {
  SCOPED_TRACE(llvm::formatv("{0} N {1} K {2} {3} {4} on {5}", problem.format, problem.n, problem.k,
                             nameOf(activations) + std::string(" activations"), problem.schedule, machine.name)
                   .str());
  std::mt19937 random(problem.n * 1000003 + problem.k * 17 + problem.exact);
  Compiled compiled(problem, machine, activations, random, std::move(known));
  EXPECT_TRUE(compiled.kernel);
  if (!compiled.kernel)
    return nullptr;
  for (int64_t m : rows) {
    activations == Activations::Int8     ? runIntegers(compiled, m, !machine.isGpu(), random)
    : activations == Activations::Bf16   ? runFloats<uint16_t>(compiled, m, random)
    : activations == Activations::Float8 ? runFloats<uint8_t>(compiled, m, random)
                                         : runFloats<float>(compiled, m, random);
    if (testing::Test::HasFatalFailure())
      break;
  }
  if (results)
    *results = compiled.results;
  return compiled.kernel;
}

const std::vector<int64_t> kRows = {0, 1, 2, 3, 7, 8, 9, 17};

/// Every shape class, on the best machine.
void checkShapes(const std::string &format, int64_t group, Activations activations) {
  for (int64_t k : {int64_t(1), group - 1, group, group + 1, int64_t(93), int64_t(576)})
    for (int64_t n : {1, 3, 8, 17, 288}) {
      check({format, n, k, (n + k) % 2 == 0}, machinesOfHost().front(), activations, kRows);
      if (testing::Test::HasFatalFailure())
        return;
    }
}

/// Every row of the table, its groups and types of scales in turn, and a formula of every kind.
std::vector<std::string> formats() {
  std::vector<std::string> names = oneOfEachRow({"g32", "channel", "g16", "tensor", "g6", "g128", "g20", "g64"});
  for (const std::string &formula : formulasOfEveryKind())
    names.push_back(formula);
  return names;
}

/// Each on the best machine, and in turn on the others; all on those with other ways to look up codes if `everywhere`.
void checkFormats(const std::vector<std::string> &names, Activations activations, bool everywhere) {
  const std::vector<Machine> machines = machinesOfHost();
  // Little code, soon compiled: the shapes of blocks have tests of their own.
  const char *one = "schedule <tile = [0, 0], rows = 1, panels = 1>",
             *two = "schedule <tile = [0, 0], rows = 2, panels = 2>";
  int64_t i = 0;
  for (const std::string &format : names) {
    Encoding encoding = parseEncoding(format, nullptr).value();
    if (activations == Activations::Int8 && !integerCarriers(encoding))
      continue;
    ++i;
    bool canBe = canBeExact(encoding);
    for (size_t m = 0; m < machines.size(); ++m) {
      const std::string &name = machines[m].name;
      // Decoding for bf16 is that for f32, and the shapes are tested on the best machine.
      bool isOther = everywhere && (name == "avx2" || name == "x86-64");
      if (size_t(i) % machines.size() == m || isOther || (m == 0 && activations != Activations::Bf16))
        check({format, 24, 93, canBe && (i + m) % 2 == 0, i % 8 == 0 ? two : one}, machines[m], activations, {1, 3});
      if (testing::Test::HasFatalFailure())
        return;
    }
  }
}

TEST(LowerMatmul, IntegerShapes) { checkShapes("int4_g32", 32, Activations::Int8); }
TEST(LowerMatmul, IntegerShapesThreeBits) { checkShapes("uint3_g16", 16, Activations::Int8); }
TEST(LowerMatmul, FloatShapes) { checkShapes("int4_g32", 32, Activations::F32); }
TEST(LowerMatmul, FloatShapesOneBit) { checkShapes("uint1_g32_min", 32, Activations::F32); }
TEST(LowerMatmul, PlainShapes) { checkShapes("bf16", 32, Activations::F32); }
/// An odd K leaves half a pair, and its neighbour lies on a page that cannot be read.
TEST(LowerMatmul, PairsOfPlainShapes) { checkShapes("bf16", 32, Activations::Bf16); }
TEST(LowerMatmul, PairsOfCodesShapes) { checkShapes("int4_g32", 32, Activations::Bf16); }
TEST(LowerMatmul, PairsInOddGroups) { checkShapes("uint3_g15", 15, Activations::Bf16); }
TEST(LowerMatmul, Bf16Formats) { checkFormats(formats(), Activations::Bf16, false); }
TEST(LowerMatmul, IntegerFormats) { checkFormats(formats(), Activations::Int8, false); }
TEST(LowerMatmul, FloatFormats) { checkFormats(formats(), Activations::F32, false); }
TEST(LowerMatmul, IntegerFormulasOnEveryMachine) { checkFormats(formulasOfEveryKind(), Activations::Int8, true); }
TEST(LowerMatmul, FloatFormulasOnEveryMachine) { checkFormats(formulasOfEveryKind(), Activations::F32, true); }

std::vector<Machine> simulatedMachinesFor(Activations activations) {
  if (activations == Activations::Float8)
    return {{"sm_89", ""}, {"gfx942", ""}, {"gfx950", ""}, {"sm_90a", ""}};
  return simulatedMachines();
}

/// On simulated GPUs: a format on one of them after another.
void checkSimulatedFormats(const std::vector<std::string> &names, Activations activations) {
  const std::vector<Machine> machines = simulatedMachinesFor(activations);
  size_t i = 0;
  for (const std::string &format : names) {
    Encoding encoding = parseEncoding(format, nullptr).value();
    if (activations == Activations::Int8 && !integerCarriers(encoding))
      continue;
    if (activations == Activations::Float8 && !float8Carriers(encoding))
      continue;
    const Machine &machine = machines[i++ % machines.size()];
    check({format, 40, 93, canBeExact(encoding) && i % 2 == 0}, machine, activations, {1, 9});
    if (testing::Test::HasFatalFailure())
      return;
  }
}

/// Tails of everything, on all simulated GPUs.
void checkSimulatedShapes(const std::string &format, Activations activations) {
  for (const Machine &machine : simulatedMachinesFor(activations))
    for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {17, 31}, {16, 32}, {33, 93}, {64, 128}, {80, 257}}) {
      check({format, n, k, (n + k) % 2 == 0}, machine, activations, {0, 1, 8, 9, 70});
      if (testing::Test::HasFatalFailure())
        return;
    }
}

/// One warp has all of K: more turns of the ring than it has stages, and than an mbarrier has phases.
TEST(LowerMatmul, SimulatedRings) {
  for (const Machine &machine : simulatedMachines())
    for (Activations activations : {Activations::Int8, Activations::Bf16}) {
      check({"uint4_g32", 17, 1056, false, "schedule <tile = [8, 0]>"}, machine, activations, {1, 9});
      if (HasFatalFailure())
        return;
    }
}

TEST(LowerMatmul, SimulatedIntegerShapes) { checkSimulatedShapes("int4_g32", Activations::Int8); }
TEST(LowerMatmul, SimulatedFloatShapes) { checkSimulatedShapes("uint3_g16_min", Activations::F32); }
TEST(LowerMatmul, SimulatedBf16Shapes) { checkSimulatedShapes("int4_g32", Activations::Bf16); }
TEST(LowerMatmul, SimulatedIntegerFormats) { checkSimulatedFormats(formats(), Activations::Int8); }
TEST(LowerMatmul, SimulatedFloatFormats) { checkSimulatedFormats(formats(), Activations::F32); }
TEST(LowerMatmul, SimulatedBf16Formats) { checkSimulatedFormats(formats(), Activations::Bf16); }

TEST(LowerMatmul, SimulatedFloat8Shapes) { checkSimulatedShapes("mxfp4", Activations::Float8); }
TEST(LowerMatmul, SimulatedFloat8Formats) {
  size_t count = 0;
  for (const std::string &format : formats())
    count += bool(float8Carriers(parseEncoding(format, nullptr).value()));
  EXPECT_GE(count, 15u);
  checkSimulatedFormats(formats(), Activations::Float8);
}

/// Many rows by products of warpgroups, formats of every kind and tails in all directions: the bits are those of the kernel for few rows, since sums
/// are formed in the same order and the simulator adds up products exactly.
TEST(LowerMatmul, SimulatedWarpgroups) {
  struct Case {
    const char *format;
    Activations activations;
    int64_t n, k;
    int64_t rows, columns, splits, m;
  };
  const Case cases[] = {
      {"int4_g32", Activations::Bf16, 72, 94, 64, 64, 1, 71},
      {"int4_g128", Activations::Bf16, 64, 512, 128, 64, 2, 130},
      {"uint4_g32", Activations::Int8, 80, 300, 64, 64, 4, 71},
      {"int8_channel", Activations::Int8, 64, 288, 64, 64, 8, 71},
      {"nf4_g64", Activations::Bf16, 129, 190, 64, 128, 1, 71},
      {"fp8_e4m3_channel", Activations::Bf16, 64, 192, 64, 64, 2, 71},
      {"mxfp4", Activations::Float8, 65, 160, 64, 64, 1, 71},
      {"uint4_g32_min", Activations::F32, 64, 96, 64, 64, 2, 71},
      {"bf16", Activations::Bf16, 70, 112, 64, 64, 1, 71},
      {"int4_g128", Activations::Int8, 100, 384, 128, 128, 1, 130},
      {"uint4_g256", Activations::Int8, 64, 768, 64, 64, 2, 65},
  };
  for (const Case &test : cases)
    for (bool exact : {false, true}) {
      auto cut = [&](int64_t rows) {
        return llvm::formatv("schedule <tile = [{0}, {1}], splits = {2}>", rows, test.columns, test.splits).str();
      };
      std::vector<float> many, few;
      size_t products = 0;
      auto count = [&](llvm::Module &module) { products = countWarpgroupProducts(module); };
      check({test.format, test.n, test.k, exact, cut(test.rows), "wgmma"}, {"sm_90a", "", count}, test.activations,
            {0, test.m}, nullptr, &many);
      if (!exact)
        check({test.format, test.n, test.k, exact, cut(8)}, {"sm_90a", ""}, test.activations, {0, test.m}, nullptr,
              &few);
      if (HasFatalFailure())
        return;
      EXPECT_GT(products, 0u) << test.format;
      EXPECT_TRUE(exact || many == few) << test.format << " gives other bits than for few rows";
    }
}

/// What is wrong is found, wherever it is: by the comparison, or by the simulator. Warps share K, and nothing is a multiple of anything.
void checkFaults(const std::string &machine, Activations activations, bool byWarpgroups = false) {
  std::vector<std::pair<Fault, const char *>> faults = {{Fault::WrongLane, "a wrong lane"},
                                                        {Fault::WrongRow, "a wrong row of shared memory"},
                                                        {Fault::WrongSwizzle, "a wrong swizzle of shared memory"},
                                                        {Fault::MissingBarrier, "a missing barrier"},
                                                        {Fault::SwappedNibble, "a swapped nibble"},
                                                        {Fault::WrongScaleGroup, "the scales of another group"},
                                                        {Fault::OneMoreRow, "one row too many"},
                                                        {Fault::OneMoreColumn, "one column too many"},
                                                        {Fault::OneMoreElement, "one element too many"}};
  if (byWarpgroups)
    faults.insert(faults.end(), {{Fault::WrongStride, "a wrong stride of a descriptor"},
                                 {Fault::NotPublished, "a missing fence of shared memory"},
                                 {Fault::NotBegun, "a missing fence of registers"},
                                 {Fault::NotCommitted, "a missing commit"},
                                 {Fault::NotWaited, "a missing wait"}});
  const Problem problem = byWarpgroups
                              ? Problem{"int4_g32", 72, 190, true, "schedule <tile = [64, 64], splits = 2>", "wgmma"}
                              : Problem{"int4_g32", 40, 94, true, "schedule <tile = [16, 16], splits = 8>"};
  const int64_t rows = byWarpgroups ? 67 : 35;
  Place place = solvePlace(parseEncoding(problem.format, nullptr).value(), problem.n, problem.k);
  const FaultyMatmul matmul{problem.n, problem.k, place.panelBytes / place.groups};
  check(problem, {machine, ""}, activations, {rows});
  for (auto [fault, text] : faults) {
    // Codes of activations are padded to whole groups.
    if (fault == Fault::OneMoreElement && activations == Activations::Int8)
      continue;
    size_t sites = 1;
    for (size_t site = 0; site < sites; ++site) {
      Machine faulty{machine, "",
                     [&, fault = fault](llvm::Module &module) { sites = seedFault(module, fault, matmul, site); }};
      testing::TestPartResultArray failures;
      {
        testing::ScopedFakeTestPartResultReporter reporter(
            testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
        check(problem, faulty, activations, {rows});
      }
      EXPECT_GT(sites, 0u) << machine << " has no place for " << text;
      EXPECT_GT(failures.size(), 0) << text << " at place " << site << " of " << sites << " was not found on "
                                    << machine << ", " << nameOf(activations) << " activations";
    }
  }
}

TEST(LowerMatmul, SeededFaultsAreFoundOnNvidia) { checkFaults("sm_80", Activations::Bf16); }
TEST(LowerMatmul, SeededFaultsAreFoundOnAmd) { checkFaults("gfx942", Activations::Bf16); }
TEST(LowerMatmul, SeededFaultsOfIntegersAreFoundOnNvidia) { checkFaults("sm_80", Activations::Int8); }
TEST(LowerMatmul, SeededFaultsOfIntegersAreFoundOnAmd) { checkFaults("gfx942", Activations::Int8); }

TEST(LowerMatmul, SeededFaultsOfWarpgroupsAreFound) { checkFaults("sm_90a", Activations::Bf16, true); }
TEST(LowerMatmul, SeededFaultsOfWarpgroupsOfIntegersAreFound) { checkFaults("sm_90a", Activations::Int8, true); }

/// What `./dev test --long` adds (test/e2e/test_kernel_sweep.py): a kernel of its own for each shape, on the machines in turn.
struct Sweep {
  int64_t kernels = 0;

  /// Both kinds of data, where the format can be exact.
  void add(const std::string &format, int64_t n, int64_t k, const std::vector<int64_t> &rows,
           const std::string &schedule) {
    const std::vector<Machine> machines = machinesOfHost();
    Encoding encoding = parseEncoding(format, nullptr).value();
    for (Activations activations : {Activations::Int8, Activations::F32, Activations::Bf16}) {
      if (activations == Activations::Int8 && !integerCarriers(encoding))
        continue;
      // Each activation meets another machine at the next shape.
      const Machine &machine = machines[(size_t(kernels) + size_t(kernels) / machines.size()) % machines.size()];
      for (bool isExact : {false, true})
        if (!isExact || canBeExact(encoding)) {
          check({format, n, k, isExact, schedule}, machine, activations, rows);
          if (testing::Test::HasFatalFailure())
            return;
        }
      ++kernels;
    }
  }
  ~Sweep() { std::printf("%lld kernels\n", (long long)kernels); }
};

bool isLongRun() { return std::getenv("WHIT_LONG"); }

TEST(LowerMatmul, SweepOfRows) {
  if (!isLongRun())
    GTEST_SKIP() << "set WHIT_LONG=1";
  Sweep sweep;
  for (const std::string &format : oneOfEachRow({"g32"}))
    for (auto [n, k] : {std::pair(1, 1), {3, 31}, {16, 33}, {17, 93}, {40, 256}, {23, 519}}) {
      sweep.add(format, n, k, {1, 5}, "schedule <tile = [0, 0], rows = 2, panels = 1>");
      if (HasFatalFailure())
        return;
    }
}

/// Group before, on and behind the ends of lines and rows.
TEST(LowerMatmul, SweepOfShapes) {
  if (!isLongRun())
    GTEST_SKIP() << "set WHIT_LONG=1";
  Sweep sweep;
  for (const char *format : {"int4_g32", "uint3_g32", "nf4_g32", "mxfp4"})
    for (int64_t k : {1, 31, 32, 33, 93, 1234, 2880, 4095, 4096})
      for (int64_t n : {1, 3, 8, 17, 288}) {
        sweep.add(format, n, k, {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33}, "");
        if (HasFatalFailure())
          return;
      }
}

/// Why a GPU has no kernel for a format and activations; "" if it has one.
std::string whyRefused(const Encoding &encoding, Activations activations, const Machine &machine) {
  if (activations == Activations::Int8 && !integerCarriers(encoding))
    return encoding.isPlain() ? "the weights are no codes"
                              : "the numbers of its codes are no multiples of one number that bytes hold";
  if (activations != Activations::Float8)
    return "";
  if (llvm::none_of(simulatedMachinesFor(activations), [&](const Machine &has) { return has.name == machine.name; }))
    return "no matrix instruction for 8-bit floats";
  return float8Carriers(encoding)              ? ""
         : encoding.isPlain()                  ? "the weights are no codes"
         : encoding.zero != ZeroKind::Constant ? "stored zeros and minimums are left to other activations"
                                               : "a number of its codes is none of e4m3";
}

/// Every (format, activations, GPU), one shape after another. A kernel that has run is a line of the file that WHIT_SWEEP names, and so is what
/// is refused: a run goes on where the last one ended, which is after WHIT_SWEEP_SECONDS.
TEST(LowerMatmul, SweepOfGpus) {
  const char *path = std::getenv("WHIT_SWEEP"), *limit = std::getenv("WHIT_SWEEP_SECONDS");
  if (!path)
    GTEST_SKIP() << "set WHIT_SWEEP=FILE";
  std::set<std::string> done;
  std::ifstream earlier(path);
  for (std::string line; std::getline(earlier, line);)
    done.insert(line.substr(line.find('\t') + 1));
  std::ofstream lines(path, std::ios::app);
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(limit ? std::atoi(limit) : 1 << 30);
  std::vector<Machine> machines = simulatedMachines();
  machines.push_back({"sm_89", ""});
  int64_t kernels = 0, left = 0;
  for (auto [n, k] : {std::pair<int64_t, int64_t>{33, 93}, {80, 257}, {17, 31}, {64, 128}, {16, 32}, {1, 1}})
    for (const std::string &format : formats()) {
      Encoding encoding = parseEncoding(format, nullptr).value();
      for (Activations activations : {Activations::F32, Activations::Bf16, Activations::Int8, Activations::Float8})
        for (const Machine &machine : machines) {
          std::string name =
              llvm::formatv("{0}\t{1}\t{2}x{3}\t{4}", machine.name, nameOf(activations), n, k, format).str();
          std::string why = whyRefused(encoding, activations, machine);
          kernels += why.empty();
          if (done.contains(name))
            continue;
          if (!why.empty()) {
            lines << "refused: " << why << "\t" << name << std::endl;
            continue;
          }
          if (std::chrono::steady_clock::now() >= end) {
            ++left;
            continue;
          }
          testing::TestPartResultArray failures;
          {
            // What fails is a line, and the others run.
            testing::ScopedFakeTestPartResultReporter reporter(
                testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
            auto kernel = check({format, n, k, false}, machine, activations, {1, 9});
            if (kernel && canBeExact(encoding))
              check({format, n, k, true}, machine, activations, {1, 9}, kernel);
          }
          bool isGood = failures.size() == 0;
          lines << (isGood ? "good\t" : "failed\t") << name << std::endl;
          if (!isGood)
            ADD_FAILURE() << name << ": " << failures.GetTestPartResult(0).message();
        }
    }
  std::printf("%lld of %lld kernels\n", (long long)(kernels - left), (long long)kernels);
}

/// Drawn from all formulas there are; what fails is named by its formula.
TEST(LowerMatmul, RandomFormulas) {
  std::mt19937 random(5);
  std::vector<std::string> names;
  while (names.size() < 50)
    names.push_back(randomFormula(random));
  for (Activations activations : {Activations::Int8, Activations::F32})
    if (!testing::Test::HasFatalFailure())
      checkFormats(names, activations, false);
}

TEST(LowerMatmul, ScheduleDoesNotChangeBits) {
  for (const char *schedule :
       {"rows = 1, panels = 1", "rows = 1, panels = 4", "rows = 12, panels = 2", "rows = 5, panels = 3",
        "rows = 4, panels = 2, unroll = 4, prefetch = 0", "rows = 2, panels = 2, unroll = 128, prefetch = 512"})
    for (Activations activations : {Activations::Int8, Activations::Bf16, Activations::F32})
      check({"uint5_g32", 113, 96, false, std::string("schedule <tile = [0, 0], ") + schedule + ">"},
            machinesOfHost().front(), activations, kRows);
}

/// A row has the same bits alone and among others, wherever blocks of 12, 8, 4, 2 and 1 rows put it.
TEST(LowerMatmul, ARowIsTheSameAloneAndInABatch) {
  std::vector<int64_t> rows(17);
  for (int64_t m = 1; m <= 17; ++m)
    rows[m - 1] = m;
  for (const char *format : {"f32", "bf16", "uint4_g32_min"})
    for (Activations activations : {Activations::F32, Activations::Bf16})
      check({format, 88, 77, false, "schedule <tile = [0, 0], rows = 12, panels = 2>"}, machinesOfHost().front(),
            activations, rows);
}

/// Rows of a batch, seen through strides: collapsible only at run time, not collapsible, and none at all.
TEST(LowerMatmul, BatchesOfStridedRows) {
  std::mt19937 random(3);
  const int64_t k = 40, n = 20, batches = 3, most = 5;
  Matrix matrix = randomMatrix({"uint4_g32_min_f32", n, k, true}, random);
  Place place = solvePlace(matrix.encoding, n, k);
  std::vector<uint8_t> packed(place.bytes());
  std::vector<double> weights(n * k);
  packPanels(place, matrix, packed.data());
  dequantize(matrix, weights.data());
  std::string text = llvm::formatv(R"(
    func.func @three(%x: memref<?x?x40xf32, strided<[?, ?, 1], offset: ?>>, %w: memref<2x{0}xi8>,
                     %y: memref<?x?x20xf32, strided<[?, ?, 1], offset: ?>>) attributes {{llvm.emit_c_interface} {{
      whit.matmul ins(%x, %w : memref<?x?x40xf32, strided<[?, ?, 1], offset: ?>>, memref<2x{0}xi8>)
        outs(%y : memref<?x?x20xf32, strided<[?, ?, 1], offset: ?>>) at <<uint4_g32_min_f32>, 20 by 40>
      return
    }
    func.func @one(%x: memref<40xf32>, %w: memref<2x{0}xi8>, %y: memref<20xf32>) attributes {{llvm.emit_c_interface} {{
      whit.matmul ins(%x, %w : memref<40xf32>, memref<2x{0}xi8>) outs(%y : memref<20xf32>) at <<uint4_g32_min_f32>, 20 by 40>
      return
    })",
                                   place.panelBytes);
  auto kernel =
      Kernel::compile(text, "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup", machinesOfHost().front());
  ASSERT_TRUE(kernel);
  MemRef w(packed.data(), {place.panels, place.panelBytes});
  std::vector<float> x(2 * batches * most * k), y(2 * batches * most * n);
  for (float &value : x)
    value = int(random() % 9) - 4;
  for (int64_t rows : {int64_t(1), int64_t(2), most})
    for (int64_t between : {rows, most + 1}) {
      std::fill(y.begin(), y.end(), kGuard);
      kernel->call("three", {MemRef(x.data(), {batches, rows, k}, {between * k, k, 1}, k), w,
                             MemRef(y.data(), {batches, rows, n}, {between * n, n, 1}, n)});
      for (int64_t at = 0; at < batches * between + 1; ++at)
        for (int64_t column = 0; column < n; ++column) {
          double expected = kGuard;
          if (at >= 1 && (at - 1) % between < rows) {
            expected = 0;
            for (int64_t e = 0; e < k; ++e)
              expected += x[at * k + e] * weights[column * k + e];
          }
          ASSERT_EQ(y[at * n + column], float(expected))
              << "row " << at << " of batches of " << rows << " in " << between;
        }
    }
  std::vector<float> single(n);
  kernel->call("one", {MemRef(x.data(), {k}), w, MemRef(single.data(), {n})});
  kernel->call("three", {MemRef(x.data(), {1, 1, k}), w, MemRef(y.data(), {1, 1, n})});
  for (int64_t column = 0; column < n; ++column)
    ASSERT_EQ(single[column], y[column]);
}

/// What tiling makes: some panels of the weight, some columns of y, both of sizes known at run time.
TEST(LowerMatmul, SubviewsOfPanels) {
  std::mt19937 random(5);
  const int64_t k = 64, n = 100, m = 6;
  Matrix matrix = randomMatrix({"int4_g32", n, k, true}, random);
  Place place = solvePlace(matrix.encoding, n, k);
  Guarded<uint8_t> packed(place.bytes());
  packPanels(place, matrix, packed.data());
  std::vector<double> weights(n * k);
  dequantize(matrix, weights.data());
  auto kernel =
      Kernel::compile(R"(
    func.func @f(%x: memref<?x64xf32>, %w: memref<7x576xi8>, %y: memref<?x100xf32>) attributes {llvm.emit_c_interface} {
      %c0 = arith.constant 0 : index
      %c100 = arith.constant 100 : index
      %c48 = arith.constant 48 : index
      %c15 = arith.constant 15 : index
      %c16 = arith.constant 16 : index
      %m = memref.dim %x, %c0 : memref<?x64xf32>
      scf.for %i = %c0 to %c100 step %c48 {
        %left = arith.subi %c100, %i : index
        %n = arith.minui %left, %c48 : index
        %up = arith.addi %n, %c15 : index
        %panels = arith.divui %up, %c16 : index
        %panel = arith.divui %i, %c16 : index
        %ws = memref.subview %w[%panel, 0] [%panels, 576] [1, 1] : memref<7x576xi8> to memref<?x576xi8, strided<[576, 1], offset: ?>>
        %ys = memref.subview %y[0, %i] [%m, %n] [1, 1] : memref<?x100xf32> to memref<?x?xf32, strided<[100, 1], offset: ?>>
        whit.matmul ins(%x, %ws : memref<?x64xf32>, memref<?x576xi8, strided<[576, 1], offset: ?>>)
          outs(%ys : memref<?x?xf32, strided<[100, 1], offset: ?>>) at <<int4_g32>, 100 by 64>
      }
      return
    })",
                      "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup", machinesOfHost().front());
  ASSERT_TRUE(kernel);
  Guarded<float> x(m * k), y(m * n);
  for (int64_t i = 0; i < m * k; ++i)
    x[i] = int(random() % 9) - 4;
  kernel->call("f", {MemRef(x.data(), {m, k}), MemRef(packed.data(), {place.panels, place.panelBytes}),
                     MemRef(y.data(), {m, n})});
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      double expected = 0;
      for (int64_t e = 0; e < k; ++e)
        expected += x[row * k + e] * weights[column * k + e];
      ASSERT_EQ(y[row * n + column], float(expected)) << "row " << row << " column " << column;
    }
}
} // namespace
