// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Seeded faults, each found, and each with a message that says where.

#include "Harness.h"

using namespace whit;
using namespace whit::sim::test;

/// A kernel whose body sees %t (the thread), %i (the same, 64 bits), %x and %y (device pointers), and ends in %exit.
static std::string kernel(const std::string &body, const std::string &declarations = "") {
  return declarations + R"(
define ptx_kernel void @k(ptr addrspace(1) %x, ptr addrspace(1) %y) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %i = zext i32 %t to i64
)" + body +
         "\n  br label %exit\nexit:\n  ret void\n}\n";
}

struct SimulatedFault : testing::Test {
  Machine machine{"sm_80"};
  uint64_t x = machine.put(std::vector<uint32_t>(64, 1)), y = machine.allocate(256);
};

TEST_F(SimulatedFault, OutOfBoundsOfGlobalMemory) {
  machine.load(
      kernel("  %p = getelementptr i32, ptr addrspace(1) %x, i64 %i\n  %v = load i32, ptr addrspace(1) %p, align 4\n"
             "  %q = getelementptr i32, ptr addrspace(1) %y, i64 %i\n  store i32 %v, ptr addrspace(1) %q, align 4"));
  machine.run(1, 64, {x, y});
  machine.fault(2, 65, {x, y},
                {"kernel k: out of bounds: reads 4 bytes of global memory", "256 bytes into an allocation of 256",
                 "block (0, 0, 0), thread (64, 0, 0)", "at `%v = load i32"});
  // Memory that was given back, and the machine works on after a fault.
  uint64_t gone = machine.put(std::vector<uint32_t>(64, 1));
  machine.device->free(reinterpret_cast<DevicePointer>(gone));
  machine.fault(1, 64, {gone, y}, {"out of bounds", "that was freed"});
  machine.run(1, 64, {x, y});
}

TEST_F(SimulatedFault, OutOfBoundsOfSharedAndPrivateMemory) {
  machine.load(
      kernel("  %p = getelementptr i32, ptr addrspace(3) @s, i64 %i\n  store i32 1, ptr addrspace(3) %p, align 4",
             "@s = internal addrspace(3) global [48 x i32] undef\n"));
  machine.fault(
      1, 64, {x, y},
      {"out of bounds: writes 4 bytes of shared memory at 0xc0, of 192 that the block has", "thread (48, 0, 0)"});
  machine.load(kernel(
      "  %a = alloca [4 x i32], align 4\n  %p = getelementptr i32, ptr %a, i64 %i\n  store i32 1, ptr %p, align 4"));
  machine.fault(1, 8, {x, y}, {"out of bounds: writes 4 bytes of private memory", "thread (4, 0, 0)"});
}

TEST_F(SimulatedFault, UninitialisedReads) {
  machine.load(
      kernel("  %p = getelementptr i32, ptr addrspace(1) %y, i64 %i\n  %v = load i32, ptr addrspace(1) %p, align 4"));
  machine.fault(1, 1, {x, y}, {"uninitialised read: 4 bytes of global memory"});
  machine.load(
      kernel("  %v = load i32, ptr addrspace(3) @s, align 4", "@s = internal addrspace(3) global i32 undef\n"));
  machine.fault(1, 1, {x, y}, {"uninitialised read: byte 0 of shared memory"});
  machine.load(kernel("  %a = alloca i32, align 4\n  %v = load i32, ptr %a, align 4"));
  machine.fault(1, 1, {x, y}, {"uninitialised read: 4 bytes of private memory"});
  uint32_t word;
  EXPECT_EQ(machine.device->copyOut(&word, reinterpret_cast<DevicePointer>(y), 4), WHIT_DEVICE);
}

TEST_F(SimulatedFault, MisalignedVectors) {
  machine.load(kernel(
      "  %p = getelementptr i32, ptr addrspace(1) %x, i64 %i\n  %v = load <4 x i32>, ptr addrspace(1) %p, align 16"));
  machine.fault(1, 2, {x, y},
                {"misaligned access: reads 16 bytes of global memory", "not a multiple of 16", "thread (1, 0, 0)"});
}

TEST_F(SimulatedFault, BarriersThatNotAllReach) {
  std::string half = "  %c = icmp ult i32 %t, 48\n  br i1 %c, label %then, label %exit\nthen:\n"
                     "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)";
  machine.load(kernel(half));
  machine.fault(1, 64, {x, y}, {"barrier reached by a part of the block: only 16 of 32 lanes of warp 1"});
  machine.fault(1, 96, {x, y}, {"barrier reached by a part of the block"});
  machine.load(kernel("  %c = icmp ult i32 %t, 32\n  br i1 %c, label %then, label %exit\nthen:\n"
                      "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)"));
  machine.fault(1, 64, {x, y},
                {"warp 0 waits at barrier 0, warp 1 has ended", "llvm.nvvm.barrier.cta.sync.aligned.all"});
  // Barriers of other numbers keep warps apart.
  machine.load(kernel("  %w = lshr i32 %t, 5\n  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 %w)"));
  machine.fault(1, 64, {x, y}, {"warp 0 waits at barrier 0, warp 1 waits at barrier 1"});
}

TEST_F(SimulatedFault, RacesWithinAnInstructionAndBetweenBlocks) {
  machine.load(kernel("  store i32 %t, ptr addrspace(3) @s, align 4", "@s = internal addrspace(3) global i32 undef\n"));
  machine.fault(1, 32, {x, y}, {"race in shared memory", "two lanes write different values in one instruction"});
  machine.load(kernel("  store i32 7, ptr addrspace(3) @s, align 4", "@s = internal addrspace(3) global i32 undef\n"));
  machine.run(1, 32, {x, y}); // the same value
  machine.load(
      kernel("  %q = getelementptr i32, ptr addrspace(1) %y, i64 %i\n  store i32 %t, ptr addrspace(1) %q, align 4"));
  machine.run(1, 32, {x, y});
  machine.fault(2, 32, {x, y}, {"race in global memory", "block 0 writes", "block (1, 0, 0)"});
}

TEST_F(SimulatedFault, BytesOfAWordBelongToSeveralWarps) {
  // Neighbouring bytes are no race; the same byte is.
  std::string body = "  %o = lshr i32 %t, 5\n  %p = getelementptr i8, ptr addrspace(3) @s, i32 %o\n  store i8 1, ptr "
                     "addrspace(3) %p, align 1";
  machine.load(kernel(body, "@s = internal addrspace(3) global [4 x i8] undef, align 4\n"));
  machine.run(1, 128, {x, y});
  machine.load(kernel("  %v = trunc i32 %t to i8\n  %w = and i8 %v, 32\n  store i8 %w, ptr addrspace(3) @s, align 1",
                      "@s = internal addrspace(3) global [4 x i8] undef, align 4\n"));
  machine.fault(1, 64, {x, y}, {"race in shared memory at byte 0: warp 1 and warp 0 write it"});
}

TEST_F(SimulatedFault, LanesThatPartBeforeAnExchange) {
  machine.load(kernel("  %c = icmp ult i32 %t, 7\n  br i1 %c, label %then, label %exit\nthen:\n"
                      "  %s = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %t, i32 1, i32 31)",
                      "declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32)\n"));
  machine.fault(1, 32, {x, y}, {"shfl.sync waits for 32 lanes of which only 7 come", "thread (7, 0, 0)"});
}

TEST_F(SimulatedFault, LoopsWithoutEnd) {
  machine.load(kernel("  br label %spin\nspin:\n  %n = phi i32 [ 0, %entry ], [ %m, %spin ]\n  %m = or i32 %n, 1\n"
                      "  %c = icmp eq i32 %m, 2\n  br i1 %c, label %spin.end, label %spin\nspin.end:"));
  machine.fault(1, 1, {x, y}, {"does not end"});
}

TEST_F(SimulatedFault, WhatIsNotKnownIsRefusedByName) {
  EXPECT_EQ(machine.tryFind(kernel("  %v = call i32 @llvm.nvvm.match.any.sync.i32(i32 -1, i32 %t)",
                                   "declare i32 @llvm.nvvm.match.any.sync.i32(i32, i32)\n")),
            WHIT_UNSUPPORTED);
  EXPECT_NE(
      machine.device->message().find("kernel k: the function llvm.nvvm.match.any.sync.i32 is not simulated on sm_80"),
      std::string::npos)
      << machine.device->message();
  EXPECT_EQ(machine.tryFind(kernel("  %v = call i32 asm \"dp4a.u32.u32 $0, $1, $1, $1;\", \"=r,r\"(i32 %t)")),
            WHIT_UNSUPPORTED);
  EXPECT_NE(machine.device->message().find("dp4a"), std::string::npos);
  EXPECT_EQ(machine.tryFind("define i32 @f(i32 %a) {\n  %r = call i32 @f(i32 %a)\n  ret i32 %r\n}\n" +
                            kernel("  %v = call i32 @f(i32 %t)")),
            WHIT_UNSUPPORTED);
  EXPECT_NE(machine.device->message().find("recursion"), std::string::npos) << machine.device->message();
  EXPECT_EQ(machine.tryFind(kernel(""), "other"), WHIT_REFUSED);
}

TEST_F(SimulatedFault, ImagesOfAnotherMachine) {
  std::string bytes = bitcodeOf(headOf("sm_80") + kernel("") + "attributes #0 = { \"target-cpu\"=\"sm_90a\" }\n");
  DeviceImage image;
  EXPECT_EQ(machine.device->load(ImageKind::Bitcode, bytes.data(), bytes.size(), &image), WHIT_REFUSED);
  EXPECT_NE(machine.device->message().find("compiled for sm_90a, not for sm_80"), std::string::npos)
      << machine.device->message();
  bytes = bitcodeOf(headOf("gfx942"));
  EXPECT_EQ(machine.device->load(ImageKind::Bitcode, bytes.data(), bytes.size(), &image), WHIT_REFUSED);
  EXPECT_EQ(machine.device->load(ImageKind::Ptx, bytes.data(), bytes.size(), &image), WHIT_REFUSED);
  EXPECT_EQ(machine.device->load(ImageKind::Bitcode, "BC", 2, &image), WHIT_REFUSED);
  char why[256];
  EXPECT_EQ(whit_open_simulator("sm_100a", why, sizeof(why)), nullptr);
  EXPECT_NE(std::string(why).find("simulated are sm_80, sm_89, sm_90a, gfx90a"), std::string::npos) << why;
}

TEST_F(SimulatedFault, LaunchesThatTheMachineCannotHold) {
  machine.load("define ptx_kernel void @k() #1 {\n  ret void\n}\nattributes #1 = { \"nvvm.reqntid\"=\"128,1,1\" }\n");
  machine.fault(1, 64, {}, {"compiled for blocks of 128 threads"});
  EXPECT_EQ(machine.tryRun(1, 128, {}, 200000), WHIT_DEVICE);
  EXPECT_NE(machine.device->message().find("needs 200000 bytes of shared memory"), std::string::npos)
      << machine.device->message();
  machine.run(1, 128, {}, 160000);
}
