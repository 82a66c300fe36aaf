// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks that share the K of a tile: the same bits as those of a block that has all of it, on simulated GPUs, in whatever order blocks come; and
// faults in how they wait for each other, which are found.

#include "Jit.h"
#include "SeededFault.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"
#include "test/runtime/encoding/RandomEncodings.h"
#include "whit/Encoding.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace whit;
using namespace whit::test;

namespace {
/// Tokens of a tile at most.
constexpr int64_t kTile = 16;

struct Problem {
  const char *format, *activations; ///< "bf16", "f32" or "i8"
  int64_t n, k, slices;
};

/// The matmul in two kernels: `sliced` has a block for each slice of K, `whole` one block for all.
class Sliced {
public:
  Sliced(const Problem &problem, const Machine &machine)
      : problem(problem), encoding(*parseEncoding(problem.format, nullptr)),
        place(solvePlace(encoding, problem.n, problem.k)), counts(1, 0),
        partial(2 * problem.slices * kTile * ((problem.n + 15) / 16 * 16)) {
    sliced = Kernel::compile(text(true), kPasses, machine);
    whole = Kernel::compile(text(false), kPasses, {machine.name, ""});
  }

  /// The results of both for some rows, of new data: small integers and powers of two if `exact`.
  void run(int64_t rows, bool exact, std::mt19937 &random) {
    ASSERT_TRUE(sliced && whole);
    int64_t n = problem.n, k = problem.k;
    Matrix matrix = randomMatrix(encoding, n, k, exact, random);
    std::vector<uint8_t> packed(place.bytes());
    packPanels(place, matrix, packed.data());
    std::vector<double> weights(n * k), numbers(rows * k);
    dequantize(matrix, weights.data());
    std::vector<float> x(rows * k), y(rows * n, 7), z(rows * n, 8), scales(rows * place.groups);
    std::vector<uint16_t> halves(rows * k);
    std::vector<int8_t> codes(rows * place.groups * place.paddedGroup);
    std::vector<int32_t> sums(rows * place.groups);
    for (int64_t i = 0; i < rows * k; ++i) {
      x[i] = exact ? float(int(random() % 9) - 4) : std::normal_distribution<float>()(random);
      halves[i] = floatToBfloat(x[i]);
      int64_t row = i / k, group = place.group ? i % k / place.group : 0,
              at = place.group ? i % k % place.group : i % k;
      float &scale = scales[row * place.groups + group];
      scale = exact ? 0.5f : 0.01f + float(row) / 64;
      int8_t code = int8_t(exact ? int(random() % 9) - 4 : int(random() % 255) - 127);
      codes[(row * place.groups + group) * place.paddedGroup + at] = code;
      sums[row * place.groups + group] += code;
      numbers[i] = isIntegers() ? double(scale) * code : isHalves() ? bfloatToFloat(halves[i]) : x[i];
    }
    auto call = [&](Kernel &kernel, std::vector<float> &result, bool isSliced) {
      std::vector<MemRef> arguments;
      if (isIntegers())
        arguments = {MemRef(codes.data(), {rows, place.groups, place.paddedGroup}),
                     MemRef(scales.data(), {rows, place.groups}), MemRef(sums.data(), {rows, place.groups})};
      else
        arguments = {isHalves() ? MemRef(halves.data(), {rows, k}) : MemRef(x.data(), {rows, k})};
      arguments.push_back(MemRef(packed.data(), {place.panels, place.panelBytes}));
      arguments.push_back(MemRef(result.data(), {rows, n}));
      if (isSliced) {
        arguments.push_back(MemRef(partial.data(), {int64_t(partial.size())}));
        arguments.push_back(MemRef(counts.data(), {1}));
      }
      kernel.call("f", arguments);
    };
    call(*whole, z, false);
    for (int order = 0; order < 2; ++order) { // the simulator turns that of blocks round at every second launch
      std::fill(partial.begin(), partial.end(), 0x7fc00000); // NaN
      std::fill(y.begin(), y.end(), 7.0f);
      call(*sliced, y, true);
      EXPECT_EQ(counts[0], 0) << "the count is not ready for the next launch";
      for (int64_t i = 0; i < rows * n; ++i) {
        double exactly = 0, magnitude = 0;
        for (int64_t e = 0; e < k; ++e) {
          double product = numbers[i / n * k + e] * weights[i % n * k + e];
          exactly += product;
          magnitude += std::abs(product);
        }
        ASSERT_EQ(y[i], z[i]) << "row " << i / n << " column " << i % n << " of " << rows << " rows";
        ASSERT_LE(std::abs(y[i] - exactly), exact ? 0 : (k + 6) * 0x1p-24 * magnitude);
      }
    }
  }

private:
  static constexpr char kPasses[] = "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup";
  bool isIntegers() const { return std::string(problem.activations) == "i8"; }
  bool isHalves() const { return std::string(problem.activations) == "bf16"; }

  std::string text(bool isSliced) const {
    std::string w = llvm::formatv("memref<{0}x{1}xi8>", place.panels, place.panelBytes);
    std::string y = llvm::formatv("memref<?x{0}xf32>", problem.n);
    std::string x = isIntegers()
                        ? llvm::formatv("%c: memref<?x{0}x{1}xi8>, %s: memref<?x{0}xf32>, %t: memref<?x{0}xi32>",
                                        place.groups, place.paddedGroup)
                              .str()
                        : llvm::formatv("%x: memref<?x{0}x{1}>", problem.k, problem.activations).str();
    std::string op = isIntegers() ? llvm::formatv("whit.quantized_matmul ins(%c, %s, %t, %w : memref<?x{0}x{1}xi8>, "
                                                  "memref<?x{0}xf32>, memref<?x{0}xi32>, {2})",
                                                  place.groups, place.paddedGroup, w)
                                        .str()
                                  : llvm::formatv("whit.matmul ins(%x, %w : memref<?x{0}x{1}>, {2})", problem.k,
                                                  problem.activations, w)
                                        .str();
    return llvm::formatv(
               "func.func @f({0}, %w: {1}, %y: {2}{3}) attributes {{llvm.emit_c_interface} {{ {4} outs(%y : {2}) "
               "at <<\"{5}\">, {6} by {7}> schedule <tile = [{8}, {9}], splits = {10}> return }",
               x, w, y, isSliced ? ", %p: memref<?xi32> {whit.partial_sums}, %a: memref<?xi32> {whit.arrivals}" : "",
               op, problem.format, problem.n, problem.k, isSliced ? kTile / 2 : 32, (problem.n + 15) / 16 * 16,
               8 * problem.slices)
        .str();
  }

  Problem problem;
  Encoding encoding;
  Place place;
  std::vector<int32_t> counts;
  std::vector<uint32_t> partial;
  std::unique_ptr<Kernel> sliced, whole;
};

void check(const Problem &problem, const Machine &machine, std::vector<int64_t> rows, bool inexactOnly = false) {
  SCOPED_TRACE(problem.format + std::string(" ") + problem.activations + " on " + machine.name);
  std::mt19937 random(uint32_t(problem.n * 31 + problem.k));
  Sliced kernels(problem, machine);
  for (int64_t m : rows)
    for (bool exact : {false, true})
      if (!testing::Test::HasFatalFailure() && !(exact && inexactOnly))
        kernels.run(m, exact, random);
}

const Problem kProblems[] = {{"int4_g32", "bf16", 40, 2048, 2}, {"int4_g128", "bf16", 16, 4200, 4},
                             {"uint4_g32", "i8", 17, 2048, 2},  {"int8_channel", "i8", 16, 2304, 2},
                             {"bf16", "bf16", 33, 2048, 2},     {"uint4_g64_min", "f32", 16, 2048, 2},
                             {"nf4_g128", "bf16", 16, 8192, 8}};

/// On one GPU after another.
TEST(PartialSums, BlocksThatShareKGiveTheBitsOfOne) {
  std::vector<Machine> machines = simulatedMachines();
  size_t i = 0;
  for (const Problem &problem : kProblems)
    for (int turn = 0; turn < 2; ++turn) {
      check(problem, machines[i++ % machines.size()], {1, 5});
      if (HasFatalFailure())
        return;
    }
}

/// A fault in how blocks wait for each other, at a place of the kernel that counts blocks in. How many places there are.
using Seed = size_t (*)(llvm::Function &, size_t site);

size_t removeFence(llvm::Function &function, size_t site) {
  size_t found = 0;
  for (llvm::Instruction &op : llvm::make_early_inc_range(llvm::instructions(function))) {
    auto *fence = llvm::dyn_cast<llvm::FenceInst>(&op);
    llvm::SmallVector<llvm::StringRef> scopes;
    op.getContext().getSyncScopeNames(scopes);
    if (fence && (scopes[fence->getSyncScopeID()] == "device" || scopes[fence->getSyncScopeID()] == "agent") &&
        found++ == site)
      fence->eraseFromParent();
  }
  return found;
}

/// The number at which a count is full, or what the count was when the last block came: one less.
size_t countOneLess(llvm::Function &function, size_t site) {
  size_t found = 0;
  for (llvm::Instruction &op : llvm::instructions(function)) {
    auto *count = llvm::dyn_cast<llvm::AtomicRMWInst>(&op);
    if (count && found++ == site)
      count->setOperand(
          1, llvm::ConstantInt::get(count->getType(),
                                    llvm::cast<llvm::ConstantInt>(count->getValOperand())->getZExtValue() - 1));
  }
  return found;
}

size_t countNobody(llvm::Function &function, size_t site) {
  size_t found = 0;
  for (llvm::Instruction &op : llvm::make_early_inc_range(llvm::instructions(function)))
    if (auto *count = llvm::dyn_cast<llvm::AtomicRMWInst>(&op); count && found++ == site) {
      count->replaceAllUsesWith(count->getValOperand()); // everybody is the last
      count->eraseFromParent();
    }
  return found;
}

/// (a + x) + y becomes (a + y) + x, x and y from memory: the sums of two slices.
size_t swapSlices(llvm::Function &function, size_t site) {
  size_t found = 0;
  auto isLoaded = [](llvm::Value *value) { return llvm::isa<llvm::LoadInst>(value->stripPointerCasts()); };
  for (llvm::Instruction &op : llvm::instructions(function)) {
    auto *inner =
        op.getOpcode() == llvm::Instruction::FAdd ? llvm::dyn_cast<llvm::Instruction>(op.getOperand(0)) : nullptr;
    if (!inner || inner->getOpcode() != llvm::Instruction::FAdd || !isLoaded(op.getOperand(1)) ||
        !isLoaded(inner->getOperand(1)) || !inner->hasOneUse())
      continue;
    auto *space = llvm::cast<llvm::LoadInst>(op.getOperand(1));
    if (space->getPointerAddressSpace() == 3 || found++ != site)
      continue;
    inner->moveBefore(op.getIterator());
    llvm::Value *x = inner->getOperand(1);
    inner->setOperand(1, op.getOperand(1));
    op.setOperand(1, x);
  }
  return found;
}

size_t removeBarrier(llvm::Function &function, size_t site) {
  return seedFault(*function.getParent(), Fault::MissingBarrier, {0, 0, 0}, site);
}

TEST(PartialSums, FaultsBetweenBlocksAreFound) {
  const Problem problem{"int4_g128", "bf16", 16, 4096, 4};
  const std::tuple<Seed, const char *, size_t> faults[] = {{removeFence, "a missing fence", 2},
                                                           {countOneLess, "a count that is one less", 1},
                                                           {countNobody, "blocks that do not count", 1},
                                                           {swapSlices, "slices in another order", 1},
                                                           {removeBarrier, "a missing barrier", 2}};
  for (const char *machine : {"sm_80", "gfx942"})
    for (auto [seed, text, least] : faults) {
      size_t sites = 1;
      for (size_t site = 0; site < sites; ++site) {
        Machine faulty{machine, "", [&, seed = seed](llvm::Module &module) {
                         for (llvm::Function &function : module)
                           if (!function.isDeclaration())
                             sites = seed(function, site);
                       }};
        testing::TestPartResultArray failures;
        {
          testing::ScopedFakeTestPartResultReporter reporter(
              testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
          check(problem, faulty, {8}, true);
        }
        // Nobody has used the memory of the parts of K before; and on AMD those who leave sums are one wave, whose lanes run in step.
        if (seed == removeBarrier && (site == 0 || (site == 2 && machine == std::string("gfx942"))))
          continue;
        EXPECT_GT(failures.size(), 0) << text << " at place " << site << " of " << sites << " was not found on "
                                      << machine;
      }
      EXPECT_GE(sites, least) << machine << " has no place for " << text;
    }
}
} // namespace
