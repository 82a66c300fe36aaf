// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What ptxas makes of matmuls by products of warpgroups: it moves no register to memory, and lets products run beside their warps. That they are
// right is tested in LowerMatmulTest.cpp.

#include "Emit/Cpu.h"
#include "Emit/Gpu.h"
#include "Emit/Nvptx.h"
#include "Emit/TargetNames.h"
#include "Jit.h"
#include "SeededFault.h"

#include "runtime/encoding/Place.h"
#include "whit/Encoding.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <gtest/gtest.h>

using namespace whit;
using namespace whit::test;

namespace {
struct Case {
  const char *format, *activations;
  int64_t rows, columns, splits;
};

std::string textOf(const Case &test, int64_t n, int64_t k) {
  std::optional<Encoding> encoding = parseEncoding(test.format, nullptr);
  Place place = solvePlace(*encoding, n, k);
  std::string w = llvm::formatv("memref<{0}x{1}xi8>", place.panels, place.panelBytes);
  std::string y = llvm::formatv("memref<?x{0}xf32>", n);
  std::string at = llvm::formatv("at <<\"{0}\">, {1} by {2}> schedule <tile = [{3}, {4}], splits = {5}>", test.format,
                                 n, k, test.rows, test.columns, test.splits);
  std::string arguments, names, types;
  auto add = [&](std::string name, std::string type) {
    arguments += (arguments.empty() ? "%" : ", %") + name + ": " + type;
    names += (names.empty() ? "%" : ", %") + name;
    types += (types.empty() ? "" : ", ") + type;
  };
  bool isInteger = std::string(test.activations) == "i8";
  if (isInteger) {
    add("c", llvm::formatv("memref<?x{0}x{1}xi8>", place.groups, place.paddedGroup));
    add("s", llvm::formatv("memref<?x{0}xf32>", place.groups));
    add("t", llvm::formatv("memref<?x{0}xi32>", place.groups));
  } else {
    add("x", llvm::formatv("memref<?x{0}x{1}>", k, test.activations));
  }
  add("w", w);
  return llvm::formatv("module attributes {{whit.large_m = \"wgmma\"} {{ func.func @f({0}, %y: {1}) attributes "
                       "{{llvm.emit_c_interface} {{ whit.{2} ins({3} : {4}) outs(%y : {1}) {5} return } }",
                       arguments, y, isInteger ? "quantized_matmul" : "matmul", names, types, at);
}

std::string withoutWaits(llvm::StringRef text) {
  std::string rest;
  for (llvm::StringRef line : llvm::split(text, '\n'))
    if (!line.contains("wgmma.wait_group"))
      rest += line.str() + "\n";
  return rest;
}

TEST(WarpgroupKernel, StaysInRegistersAndIsNotSerialized) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "there is no ptxas";
  const Case cases[] = {{"int4_g128", "bf16", 64, 64, 8},    {"int4_g128", "bf16", 128, 128, 1},
                        {"int4_g32", "bf16", 128, 64, 1},    {"nf4_g64", "bf16", 64, 128, 4},
                        {"int4_g128", "i8", 64, 64, 8},      {"int4_g32", "i8", 128, 128, 1},
                        {"int8_channel", "i8", 128, 64, 8},  {"mxfp4", "f8E4M3FN", 64, 64, 1},
                        {"uint4_g32_min", "f32", 64, 64, 2}, {"fp8_e4m3_channel", "f8E4M3FN", 128, 128, 1}};
  Target target = llvm::cantFail(resolveTarget("sm_90a"));
  for (const Case &test : cases) {
    SCOPED_TRACE(
        llvm::formatv("{0} {1}, {2} x {3} in {4}", test.format, test.activations, test.rows, test.columns, test.splits)
            .str());
    size_t products = 0;
    auto assemble = [&](llvm::Module &module) {
      products = countWarpgroupProducts(module);
      std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
      auto text = deviceAssembly(*copy, target);
      ASSERT_TRUE(bool(text)) << llvm::toString(text.takeError());
      auto cubin = assemblePtx(*ptxas, *text, target.cpu);
      ASSERT_TRUE(bool(cubin)) << llvm::toString(cubin.takeError());
      for (const auto &kernel : cubin->facts)
        EXPECT_EQ(kernel.second.spills, 0) << kernel.second.registers << " registers";
      for (const std::string &loss : cubin->losses)
        ADD_FAILURE() << loss;
      if (&test == cases) { // what this looks for is there where products are not waited for
        auto hasty = assemblePtx(*ptxas, withoutWaits(*text), target.cpu);
        ASSERT_TRUE(bool(hasty)) << llvm::toString(hasty.takeError());
        EXPECT_FALSE(hasty->losses.empty());
      }
    };
    EXPECT_TRUE(Kernel::compile(textOf(test, 128, 1024),
                                "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup",
                                {"sm_90a", "", assemble}));
    EXPECT_GT(products, 0u);
  }
}
} // namespace
