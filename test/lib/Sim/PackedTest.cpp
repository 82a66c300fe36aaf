// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic on pairs of small numbers, and conversions of NVIDIA, by numbers whose results the PTX ISA document fixes.

#include "Harness.h"

using namespace whit;
using namespace whit::sim::test;

namespace {

/// Stores `%r`, an i32 that `body` computes of the i32s %a, %b and %c.
uint32_t compute(const std::string &target, const std::string &declarations, const std::string &body, uint32_t a,
                 uint32_t b = 0, uint32_t c = 0) {
  Machine machine(target);
  std::string loads;
  for (int i = 0; i < 3; ++i) {
    std::string name(1, char('a' + i));
    loads += "  %p" + name + " = getelementptr i32, ptr addrspace(1) %in, i64 " + std::to_string(i) + "\n  %" + name +
             " = load i32, ptr addrspace(1) %p" + name + ", align 4\n";
  }
  machine.load(declarations + "\ndefine ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {\n" +
               loads + body + "\n  store i32 %r, ptr addrspace(1) %out, align 4\n  ret void\n}\n");
  uint64_t out = machine.allocate(4);
  machine.run(1, 1, {machine.put(std::vector<uint32_t>{a, b, c}), out});
  return machine.get<uint32_t>(out, 1)[0];
}

uint32_t fused(const std::string &function, const std::string &element, uint32_t a, uint32_t b, uint32_t c) {
  std::string type = "<2 x " + element + ">", name = " @llvm.nvvm." + function;
  return compute("sm_80", "declare " + type + name + "(" + type + "," + type + "," + type + ")",
                 "  %x = bitcast i32 %a to " + type + "\n  %y = bitcast i32 %b to " + type +
                     "\n  %z = bitcast i32 %c to " + type + "\n  %v = call " + type + name + "(" + type + " %x, " +
                     type + " %y, " + type + " %z)\n  %r = bitcast " + type + " %v to i32",
                 a, b, c);
}

} // namespace

TEST(SimulatedPairs, FusedMultiplyAdd) {
  // 1.5 * 2 - 3 and 1025 * 1 - 1024, which a product in f16 keeps (1024 + 1).
  EXPECT_EQ(fused("fma.rn.f16x2", "half", 0x64013e00, 0x3c004000, 0xe400c200), 0x3c000000u);
  EXPECT_EQ(fused("fma.rn.bf16x2", "bfloat", 0x3f803fc0, 0x3f804000, 0xc000c000), 0xbf803f80u);
  EXPECT_EQ(fused("fma.rn.relu.bf16x2", "bfloat", 0x3f803fc0, 0x3f804000, 0xc000c000), 0x00003f80u);
}

TEST(SimulatedPairs, TheFirstNumberBecomesTheUpperHalf) {
  std::string casts = "  %x = bitcast i32 %a to float\n  %y = bitcast i32 %b to float\n";
  uint32_t one = 0x3f800000, two = 0x40000000, large = 0x44e10000; // 1800
  EXPECT_EQ(compute("sm_80", "declare <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float, float)",
                    casts + "  %v = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %x, float %y)\n"
                            "  %r = bitcast <2 x bfloat> %v to i32",
                    one, two),
            0x3f804000u);
  EXPECT_EQ(compute("sm_89", "declare i16 @llvm.nvvm.ff.to.e4m3x2.rn(float, float)",
                    casts + "  %v = call i16 @llvm.nvvm.ff.to.e4m3x2.rn(float %x, float %y)\n  %r = zext i16 %v to i32",
                    one, large),
            0x387eu); // 1 and the largest number, 448
  EXPECT_EQ(compute("sm_89", "declare <2 x half> @llvm.nvvm.e4m3x2.to.f16x2.rn(i16)",
                    "  %s = trunc i32 %a to i16\n  %v = call <2 x half> @llvm.nvvm.e4m3x2.to.f16x2.rn(i16 %s)\n"
                    "  %r = bitcast <2 x half> %v to i32",
                    0x01b8),
            0x1800bc00u); // 2^-9 and -1
}
