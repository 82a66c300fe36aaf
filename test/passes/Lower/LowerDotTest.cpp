// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every lowering of whit.dot gives the same numbers as a plain loop: integers at the ends of the range above all, where a
// saturating instruction would be found; sums of bf16 products the same bits wherever there is a fused multiply-add.

#include "Jit.h"

#include "runtime/encoding/Half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

using namespace whit::test;

/// MASK is what the unsigned operand is masked with: codes of 7 bits and less have an instruction of their own.
static const char *kText = R"(
func.func @f(%acc: memref<16xi32>, %u: memref<64xi8>, %s: memref<64xi8>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %0 = vector.load %acc[%c0] : memref<16xi32>, vector<16xi32>
  %1 = vector.load %u[%c0] : memref<64xi8>, vector<64xi8>
  %2 = vector.load %s[%c0] : memref<64xi8>, vector<64xi8>
  %lanes = vector.bitcast %1 : vector<64xi8> to vector<16xi32>
  %mask = arith.constant dense<MASK> : vector<16xi32>
  %masked = arith.andi %lanes, %mask : vector<16xi32>
  %u8 = vector.bitcast %masked : vector<16xi32> to vector<64xi8>
  %3 = whit.dot %0, %u8, %2 : vector<16xi32>, vector<64xi8>, vector<64xi8>
  vector.store %3, %acc[%c0] : memref<16xi32>, vector<16xi32>
  return
})";

static void checkMachines(uint8_t mask) {
  std::string text = kText;
  text.replace(text.find("MASK"), 4, std::to_string(int32_t(mask * 0x01010101u)));
  std::vector<Machine> machines = machinesOfHost();
  machines.push_back({"no vectors named", "+x87"});
  for (const Machine &machine : machines) {
    SCOPED_TRACE(machine.name);
    auto kernel = Kernel::compile(text, "func.func(whit-lower-dot)", machine);
    ASSERT_TRUE(kernel);
    std::mt19937 random(7);
    for (int turn = 0; turn < 200; ++turn) {
      int32_t acc[16], expected[16];
      uint8_t u[64];
      int8_t s[64];
      const uint8_t unsignedEnds[] = {0, 1, 127, 128, 254, 255};
      const int8_t signedEnds[] = {-128, -127, -1, 0, 1, 127};
      for (int i = 0; i < 64; ++i) {
        bool ends = turn < 100;
        u[i] = turn == 0 ? 255 : ends ? unsignedEnds[random() % 6] : random();
        s[i] = turn == 0 ? -128 : turn == 1 ? 127 : ends ? signedEnds[random() % 6] : random();
      }
      for (int i = 0; i < 16; ++i) {
        uint32_t sum = acc[i] = turn % 2 ? 0x7fffff00 : int32_t(random());
        for (int j = 4 * i; j < 4 * i + 4; ++j)
          sum += uint32_t((u[j] & mask) * s[j]);
        expected[i] = int32_t(sum);
      }
      kernel->call("f", {MemRef(acc, {16}), MemRef(u, {64}), MemRef(s, {64})});
      for (int i = 0; i < 16; ++i)
        ASSERT_EQ(acc[i], expected[i]) << "lane " << i << " of turn " << turn;
    }
  }
}

TEST(LowerDot, SameIntegersOnEveryMachine) { checkMachines(255); }
TEST(LowerDot, SameIntegersForNarrowCodes) { checkMachines(127); }

static const char *kPairs = R"(
func.func @f(%acc: memref<16xf32>, %u: memref<32xbf16>, %s: memref<32xbf16>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %0 = vector.load %acc[%c0] : memref<16xf32>, vector<16xf32>
  %1 = vector.load %u[%c0] : memref<32xbf16>, vector<32xbf16>
  %2 = vector.load %s[%c0] : memref<32xbf16>, vector<32xbf16>
  %3 = whit.dot %0, %1, %2 : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
  vector.store %3, %acc[%c0] : memref<16xf32>, vector<16xf32>
  return
})";

/// What vdpbf16ps is documented to do, and the other lowerings follow: the odd product is added first, each sum rounded once.
/// Exponents are such that products cancel, round and vanish against one another, and no number is subnormal.
TEST(LowerDot, SameBitsForPairsOfBf16) {
  for (const Machine &machine : machinesOfHost()) {
    SCOPED_TRACE(machine.name);
    bool hasFma =
        machine.features.find("+fma") != std::string::npos || machine.features.find("+avx512f") != std::string::npos;
    auto kernel = Kernel::compile(kPairs, "func.func(whit-lower-dot)", machine);
    ASSERT_TRUE(kernel);
    std::mt19937 random(11);
    auto number = [&] {
      return std::ldexp(1.0f + float(random() % 128) / 128, int(random() % 24) - 12) * (random() % 2 ? 1 : -1);
    };
    for (int turn = 0; turn < 200; ++turn) {
      float acc[16], expected[16];
      uint16_t u[32], s[32];
      for (int i = 0; i < 32; ++i) {
        u[i] = whit::floatToBfloat(number());
        s[i] = whit::floatToBfloat(number());
      }
      for (int i = 0; i < 16; ++i) {
        acc[i] = expected[i] = number() + std::ldexp(float(random() % 1000), -20);
        for (int j : {2 * i + 1, 2 * i}) {
          float a = whit::bfloatToFloat(u[j]), b = whit::bfloatToFloat(s[j]), product = a * b;
          expected[i] = hasFma ? std::fma(a, b, expected[i]) : product + expected[i];
        }
      }
      kernel->call("f", {MemRef(acc, {16}), MemRef(u, {32}), MemRef(s, {32})});
      for (int i = 0; i < 16; ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(acc[i]), std::bit_cast<uint32_t>(expected[i]))
            << "lane " << i << " of turn " << turn;
    }
  }
}
