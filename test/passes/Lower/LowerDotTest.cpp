// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every lowering of whit.dot gives the same integers as a plain loop, at the ends of the range above all: a saturating
// instruction would be found here.

#include "Jit.h"

#include <gtest/gtest.h>

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
