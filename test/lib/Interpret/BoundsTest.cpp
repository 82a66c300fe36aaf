// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The running error analysis: f32 code of the obvious kind stays within the bound of every element, and code with a
// small fault does not. The f32 side is written here by hand, in the order that the operation's description allows.

#include "Interpret/Interpreter.h"

#include "Register.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#pragma clang fp contract(off)

using namespace whit::interpret;

namespace {

class Bounds : public ::testing::Test {
protected:
  Bounds() : context(registry()) { context.loadAllAvailableDialects(); }

  static mlir::DialectRegistry registry() {
    mlir::DialectRegistry registry;
    whit::registerDialects(registry);
    return registry;
  }

  /// Runs @f of `text` on f32 tensors; the first result.
  Tensor run(const std::string &text, std::vector<Tensor> arguments) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(bool(module)) << text;
    Interpreter interpreter(*module, ".", {.bounds = true});
    std::vector<Datum> data;
    for (Tensor &argument : arguments)
      data.push_back(makeDatum(std::move(argument)));
    auto results = interpreter.call(module->lookupSymbol<mlir::func::FuncOp>("f"), data);
    EXPECT_TRUE(mlir::succeeded(results));
    return *results->front().tensor;
  }

  Tensor tensor(std::vector<int64_t> shape, const std::vector<float> &values) {
    Tensor result(mlir::Float32Type::get(&context), std::move(shape));
    std::copy(values.begin(), values.end(), result.floats.begin());
    return result;
  }

  std::vector<float> normal(int64_t count) {
    std::normal_distribution<float> distribution;
    std::vector<float> values(count);
    for (float &value : values)
      value = distribution(random);
    return values;
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::mt19937 random{7};
};

/// The largest part of its bound that an element of `found` uses.
double usedOf(const Tensor &expected, const std::vector<float> &found) {
  EXPECT_EQ(expected.count(), int64_t(found.size()));
  double used = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    double error = std::fabs(expected.floats[i] - found[i]);
    used = std::max(used, error == 0 ? 0 : error / expected.bound(i));
  }
  return used;
}

TEST_F(Bounds, ExactOperationsHaveNone) {
  Tensor y = run("func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> { %y = arith.negf %x : tensor<4xf32>\n return %y : "
                 "tensor<4xf32> }",
                 {tensor({4}, {1, 2, 3, 4})});
  EXPECT_TRUE(y.bounds.empty());
}

TEST_F(Bounds, ChainsOfOperations) {
  const char *text = R"(func.func @f(%a: tensor<1000xf32>, %b: tensor<1000xf32>) -> tensor<1000xf32> {
    %p = arith.mulf %a, %b : tensor<1000xf32>
    %s = arith.addf %p, %a : tensor<1000xf32>
    %e = math.exp %s : tensor<1000xf32>
    %t = math.tanh %p : tensor<1000xf32>
    %d = arith.divf %t, %e : tensor<1000xf32>
    %r = arith.subf %d, %b : tensor<1000xf32>
    return %r : tensor<1000xf32>
  })";
  std::vector<float> a = normal(1000), b = normal(1000), found;
  for (int i = 0; i < 1000; ++i) {
    float p = a[i] * b[i], s = p + a[i];
    found.push_back(std::tanh(p) / std::exp(s) - b[i]);
  }
  Tensor expected = run(text, {tensor({1000}, a), tensor({1000}, b)});
  EXPECT_LE(usedOf(expected, found), 1);
  found[77] *= 1 + 0x1p-18f;
  EXPECT_GT(usedOf(expected, found), 1);
}

TEST_F(Bounds, SumsInAnyOrder) {
  const char *text = R"(func.func @f(%x: tensor<4x333xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
    %y = linalg.reduce { arith.addf } ins(%x : tensor<4x333xf32>) outs(%z : tensor<4xf32>) dimensions = [1]
    return %y : tensor<4xf32>
  })";
  std::vector<float> x = normal(4 * 333), forward(4), backward(4);
  for (int row = 0; row < 4; ++row)
    for (int k = 0; k < 333; ++k) {
      forward[row] += x[row * 333 + k];
      backward[row] += x[row * 333 + 332 - k];
    }
  Tensor expected = run(text, {tensor({4, 333}, x), tensor({4}, std::vector<float>(4))});
  EXPECT_LE(usedOf(expected, forward), 1);
  EXPECT_LE(usedOf(expected, backward), 1);
}

TEST_F(Bounds, ContractionsAndGeneralBodiesAgree) {
  std::vector<float> a = normal(3 * 65), b = normal(65 * 2);
  Tensor fast =
      run(R"(func.func @f(%a: tensor<3x65xf32>, %b: tensor<65x2xf32>, %z: tensor<3x2xf32>) -> tensor<3x2xf32> {
    %y = linalg.matmul ins(%a, %b : tensor<3x65xf32>, tensor<65x2xf32>) outs(%z : tensor<3x2xf32>) -> tensor<3x2xf32>
    return %y : tensor<3x2xf32>
  })",
          {tensor({3, 65}, a), tensor({65, 2}, b), tensor({3, 2}, std::vector<float>(6))});
  // The same with the reduction outside: no contraction to the interpreter.
  Tensor slow =
      run(R"(func.func @f(%a: tensor<3x65xf32>, %b: tensor<65x2xf32>, %z: tensor<3x2xf32>) -> tensor<3x2xf32> {
    %y = linalg.generic {indexing_maps = [affine_map<(k, m, n) -> (m, k)>, affine_map<(k, m, n) -> (k, n)>, affine_map<(k, m, n) -> (m, n)>],
                         iterator_types = ["reduction", "parallel", "parallel"]}
      ins(%a, %b : tensor<3x65xf32>, tensor<65x2xf32>) outs(%z : tensor<3x2xf32>) {
    ^bb0(%x: f32, %w: f32, %s: f32):
      %p = arith.mulf %x, %w : f32
      %r = arith.addf %s, %p : f32
      linalg.yield %r : f32
    } -> tensor<3x2xf32>
    return %y : tensor<3x2xf32>
  })",
          {tensor({3, 65}, a), tensor({65, 2}, b), tensor({3, 2}, std::vector<float>(6))});
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR(fast.floats[i], slow.floats[i], 1e-13);
    EXPECT_GT(fast.bound(i), 0);
    EXPECT_LE(fast.bound(i), slow.bound(i));
    EXPECT_LE(slow.bound(i), 1.2 * fast.bound(i)); // the products' own roundings
  }
}

TEST_F(Bounds, RmsNormInSixteenLanes) {
  const char *text =
      R"(func.func @f(%x: tensor<2x576xf32>, %w: tensor<576xf32>, %e: tensor<2x576xf32>) -> tensor<2x576xf32> {
    %y = whit.rms_norm ins(%x, %w : tensor<2x576xf32>, tensor<576xf32>) outs(%e : tensor<2x576xf32>) epsilon = 1.0e-5 -> tensor<2x576xf32>
    return %y : tensor<2x576xf32>
  })";
  std::vector<float> x = normal(2 * 576), w = normal(576), found;
  for (int row = 0; row < 2; ++row) {
    float lanes[16] = {};
    for (int k = 0; k < 576; ++k)
      lanes[k % 16] += x[row * 576 + k] * x[row * 576 + k];
    for (int width = 8; width; width /= 2)
      for (int i = 0; i < width; ++i)
        lanes[i] += lanes[i + width];
    float scale = 1 / std::sqrt(lanes[0] / 576 + 1e-5f);
    for (int k = 0; k < 576; ++k)
      found.push_back(x[row * 576 + k] * scale * w[k]);
  }
  Tensor expected = run(text, {tensor({2, 576}, x), tensor({576}, w), tensor({2, 576}, x)});
  EXPECT_LE(usedOf(expected, found), 1);
  for (float &value : found)
    value *= 1 + 0x1p-17f; // a last element left out of the sum changes about as much
  EXPECT_GT(usedOf(expected, found), 1);
}

TEST_F(Bounds, CodesNextToATieMayMoveByOne) {
  const char *text = R"(func.func @f(%x: tensor<1x4xf32>, %w: tensor<1x4xf32>) -> tensor<1x1x4xi8> {
    %y = arith.mulf %x, %w : tensor<1x4xf32>
    %c = tensor.empty() : tensor<1x1x4xi8>
    %s = tensor.empty() : tensor<1x1xf32>
    %t = tensor.empty() : tensor<1x1xi32>
    %q:3 = whit.quantize ins(%y : tensor<1x4xf32>) outs(%c, %s, %t : tensor<1x1x4xi8>, tensor<1x1xf32>, tensor<1x1xi32>) group = 4
      -> tensor<1x1x4xi8>, tensor<1x1xf32>, tensor<1x1xi32>
    return %q#0 : tensor<1x1x4xi8>
  })";
  // 0.5 and -2.5 are ties, 64.25 and the largest element are not.
  Tensor codes = run(text, {tensor({1, 4}, {127, 0.5, -2.5, 64.25}), tensor({1, 4}, {1, 1, 1, 1})});
  EXPECT_EQ(codes.integers, (std::vector<int64_t>{127, 0, -2, 64}));
  EXPECT_EQ(codes.bounds, (std::vector<double>{0, 1, 1, 0}));
}

TEST_F(Bounds, Float8NextToATieMayMoveByOneStep) {
  const char *text = R"(func.func @f(%x: tensor<1x4xf32>, %w: tensor<1x4xf32>) -> tensor<1x4xbf16> {
    %y = arith.mulf %x, %w : tensor<1x4xf32>
    %n = tensor.empty() : tensor<1x4xbf16>
    %s = tensor.empty() : tensor<1xf32>
    %q:2 = whit.quantize_float ins(%y : tensor<1x4xf32>) outs(%n, %s : tensor<1x4xbf16>, tensor<1xf32>)
      -> tensor<1x4xbf16>, tensor<1xf32>
    return %q#0 : tensor<1x4xbf16>
  })";
  // 17 lies between 16 and 18, and 2^-10 between 0 and 2^-9; 17.5 lies between nothing.
  Tensor numbers = run(text, {tensor({1, 4}, {448, 17, 0x1p-10f, -17.5}), tensor({1, 4}, {1, 1, 1, 1})});
  EXPECT_EQ(numbers.floats, (std::vector<double>{448, 16, 0, -18}));
  EXPECT_EQ(numbers.bounds, (std::vector<double>{0, 2, 0x1p-9, 0}));
}

/// One row of attention over 200 tokens, in the order of a running maximum; a mask of numbers, infinities and lowest floats.
class AttentionBounds : public Bounds, public ::testing::WithParamInterface<bool> {};

TEST_P(AttentionBounds, WithARunningMaximum) {
  constexpr int tokens = 200, depth = 32;
  bool masked = GetParam();
  std::string kind = "tensor<1x1x200x32xf32>", row = "tensor<1x1x1x32xf32>", maskKind = "tensor<1x1x1x200xf32>";
  std::string text = "func.func @f(%q: " + row + ", %k: " + kind + ", %v: " + kind + ", %m: " + maskKind + ") -> " +
                     row + R"( {
    %start = arith.constant dense<199> : tensor<1xi32>
    %first = arith.constant 0 : index
    %y = whit.attention ins(%q, %k, %v )" +
                     (masked ? "mask %m" : "") + " : " + row + ", " + kind + ", " + kind +
                     (masked ? ", " + maskKind : "") + ") from %start + %first : tensor<1xi32> outs(%q : " + row +
                     ") scale = 0.5 -> " + row + "\n return %y : " + row + " }";
  std::vector<float> q = normal(depth), keys = normal(tokens * depth), values = normal(tokens * depth), sums(depth);
  std::vector<float> mask = normal(tokens);
  for (int t = 0; t < tokens; t += 3)
    mask[t] = t % 2 ? -INFINITY : std::numeric_limits<float>::lowest();
  float largest = -INFINITY, total = 0;
  for (int t = 0; t < tokens; ++t) { // rescales at each new maximum, more often than blocks would
    float score = 0;
    for (int d = 0; d < depth; ++d)
      score += q[d] * keys[t * depth + d];
    score *= 0.5f;
    if (masked)
      score += mask[t];
    if (score > largest) {
      float rescale = std::exp(largest - score);
      largest = score;
      total *= rescale;
      for (float &sum : sums)
        sum *= rescale;
    }
    float weight = std::exp(score - largest);
    total += weight;
    for (int d = 0; d < depth; ++d)
      sums[d] += weight * values[t * depth + d];
  }
  for (float &sum : sums)
    sum /= total;
  Tensor expected = run(text, {tensor({1, 1, 1, depth}, q), tensor({1, 1, tokens, depth}, keys),
                               tensor({1, 1, tokens, depth}, values), tensor({1, 1, 1, tokens}, mask)});
  EXPECT_LE(usedOf(expected, sums), 1);
  for (float &sum : sums)
    sum *= 1 + 0x1p-8f; // one token too many would do this
  EXPECT_GT(usedOf(expected, sums), 1);
}

INSTANTIATE_TEST_SUITE_P(Masks, AttentionBounds, ::testing::Bool());

} // namespace
