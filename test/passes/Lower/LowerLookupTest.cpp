// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every lowering of whit.lookup gives the entry of a plain array, for tables of each size and vectors of each width.

#include "Jit.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

#include <random>

using namespace whit::test;

namespace {
std::vector<Machine> machines() {
  std::vector<Machine> all = machinesOfHost();
  all.push_back({"no vectors named", "+x87"});
  for (const Machine &machine : machinesOfHost())
    if (machine.name == "avx512bw" && llvm::sys::getHostCPUFeatures().lookup("avx512vbmi"))
      all.push_back({"avx512vbmi", machine.features + ",+avx512vbmi"});
  return all;
}

template <typename Code, typename Number> void check(int64_t lanes) {
  constexpr bool isByte = sizeof(Number) == 1;
  std::mt19937 random(lanes);
  std::string text;
  std::vector<std::vector<Number>> tables;
  std::string codeType = isByte ? "i8" : "i32", numberType = isByte ? "i8" : "f32", n = std::to_string(lanes);
  for (int bits = 0; bits <= 8; ++bits) {
    std::vector<std::string> values;
    tables.emplace_back();
    for (int i = 0; i < 1 << bits; ++i) {
      int value = int(random() % 256) - 128;
      tables.back().push_back(Number(value));
      values.push_back(std::to_string(value) + (isByte ? "" : ".0"));
    }
    text += "func.func @f" + std::to_string(bits) + "(%c: memref<" + n + "x" + codeType + ">, %r: memref<" + n + "x" +
            numberType + ">) attributes {llvm.emit_c_interface} {\n  %0 = arith.constant 0 : index\n" +
            "  %1 = vector.load %c[%0] : memref<" + n + "x" + codeType + ">, vector<" + n + "x" + codeType + ">\n" +
            "  %2 = whit.lookup %1 in dense<[" + llvm::join(values, ", ") + "]> : tensor<" + std::to_string(1 << bits) +
            "x" + numberType + "> : vector<" + n + "x" + codeType + "> -> vector<" + n + "x" + numberType +
            ">\n  vector.store %2, %r[%0] : memref<" + n + "x" + numberType + ">, vector<" + n + "x" + numberType +
            ">\n  return\n}\n";
  }
  for (const Machine &machine : machines()) {
    SCOPED_TRACE(machine.name + ", " + n + " lanes of " + numberType);
    auto kernel = Kernel::compile(text, "whit-lower-lookup", machine);
    ASSERT_TRUE(kernel);
    for (int bits = 0; bits <= 8; ++bits)
      for (int turn = 0; turn < 20; ++turn) {
        std::vector<Code> codes(lanes);
        std::vector<Number> found(lanes);
        for (Code &code : codes)
          code = Code(random() % (1u << bits));
        kernel->call("f" + std::to_string(bits), {MemRef(codes.data(), {lanes}), MemRef(found.data(), {lanes})});
        for (int64_t i = 0; i < lanes; ++i)
          ASSERT_EQ(found[i], tables[bits][codes[i]]) << "lane " << i << " of a table of " << (1 << bits);
      }
  }
}
} // namespace

TEST(LowerLookup, Numbers) {
  check<uint32_t, float>(16);
  check<uint32_t, float>(4);
}
TEST(LowerLookup, Bytes) {
  check<uint8_t, int8_t>(64);
  check<uint8_t, int8_t>(16);
}
