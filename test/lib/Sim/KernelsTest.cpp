// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whole kernels for NVIDIA: tails, loops whose lanes leave one by one, nested branches, exchanges, shared memory, atomics.

#include "Harness.h"

using namespace whit;
using namespace whit::sim::test;

TEST(SimulatedKernels, AddVectorsWithATail) {
  Machine machine("sm_80");
  machine.load(R"(
define ptx_kernel void @k(ptr addrspace(1) %x, ptr addrspace(1) %y, ptr addrspace(1) %z, i64 %n) #0 {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %base = mul i32 %b, 96
  %i = add i32 %base, %t
  %w = zext i32 %i to i64
  %in = icmp slt i64 %w, %n
  br i1 %in, label %work, label %done
work:
  %px = getelementptr float, ptr addrspace(1) %x, i64 %w
  %py = getelementptr float, ptr addrspace(1) %y, i64 %w
  %pz = getelementptr float, ptr addrspace(1) %z, i64 %w
  %vx = load float, ptr addrspace(1) %px, align 4
  %vy = load float, ptr addrspace(1) %py, align 4
  %s = fadd float %vx, %vy
  store float %s, ptr addrspace(1) %pz, align 4
  br label %done
done:
  ret void
})");
  size_t n = 1000;
  std::vector<float> x(n), y(n);
  for (size_t i = 0; i < n; ++i)
    x[i] = float(i), y[i] = float(3 * i) + 0.5f;
  uint64_t out = machine.allocate(n * 4);
  machine.run(11, 96, {machine.put(x), machine.put(y), out, n});
  auto z = machine.get<float>(out, n);
  for (size_t i = 0; i < n; ++i)
    ASSERT_EQ(z[i], x[i] + y[i]) << i;
  std::string report = machine.report();
  EXPECT_NE(report.find("load global: 64 of warps, 2000 of lanes"), std::string::npos) << report;
  EXPECT_NE(report.find("375 sectors of 32 bytes for 12000 bytes"), std::string::npos) << report;
}

// Each lane counts the steps of its own Collatz sequence: lanes leave the loop one by one, inside of it they part again.
TEST(SimulatedKernels, LanesLeaveALoopOneByOne) {
  Machine machine("sm_80");
  machine.load(R"(
define ptx_kernel void @k(ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = add i32 %t, 1
  br label %head
head:
  %x = phi i32 [ %first, %entry ], [ %next, %meet ]
  %n = phi i32 [ 0, %entry ], [ %n1, %meet ]
  %one = icmp eq i32 %x, 1
  br i1 %one, label %exit, label %body
body:
  %n1 = add i32 %n, 1
  %odd = trunc i32 %x to i1
  br i1 %odd, label %up, label %down
up:
  %x3 = mul i32 %x, 3
  %x31 = add i32 %x3, 1
  br label %meet
down:
  %half = lshr i32 %x, 1
  br label %meet
meet:
  %next = phi i32 [ %x31, %up ], [ %half, %down ]
  br label %head
exit:
  %i = zext i32 %t to i64
  %p = getelementptr i32, ptr addrspace(1) %out, i64 %i
  store i32 %n, ptr addrspace(1) %p, align 4
  ret void
})");
  uint64_t out = machine.allocate(256 * 4);
  machine.run(1, 256, {out});
  auto steps = machine.get<uint32_t>(out, 256);
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t expected = 0;
    for (uint64_t x = i + 1; x != 1; x = x % 2 ? 3 * x + 1 : x / 2)
      ++expected;
    ASSERT_EQ(steps[i], expected) << i;
  }
}

// Phis that swap, a switch of four ways, values used after the lanes met again.
TEST(SimulatedKernels, SwitchesAndSwaps) {
  Machine machine("sm_80");
  machine.load(R"(
define ptx_kernel void @k(ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %way = and i32 %t, 3
  br label %loop
loop:
  %a = phi i32 [ 1, %entry ], [ %b, %loop ]
  %b = phi i32 [ 2, %entry ], [ %a, %loop ]
  %i = phi i32 [ 0, %entry ], [ %i1, %loop ]
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, %t
  br i1 %more, label %loop, label %choose
choose:
  switch i32 %way, label %other [ i32 0, label %zero
                                  i32 1, label %one ]
zero:
  br label %end
one:
  %k1 = add i32 %a, 10
  br label %end
other:
  %k2 = mul i32 %a, 100
  br label %end
end:
  %r = phi i32 [ 7, %zero ], [ %k1, %one ], [ %k2, %other ]
  %i64 = zext i32 %t to i64
  %p = getelementptr i32, ptr addrspace(1) %out, i64 %i64
  store i32 %r, ptr addrspace(1) %p, align 4
  ret void
})");
  uint64_t out = machine.allocate(64 * 4);
  machine.run(1, 64, {out});
  auto values = machine.get<uint32_t>(out, 64);
  for (uint32_t t = 0; t < 64; ++t) {
    uint32_t rounds = std::max(t, 1u), a = rounds % 2 ? 1 : 2;
    EXPECT_EQ(values[t], t % 4 == 0 ? 7 : t % 4 == 1 ? a + 10 : a * 100) << t;
  }
}

TEST(SimulatedKernels, SumByShuffles) {
  Machine machine("sm_80");
  std::string body =
      "declare float @llvm.nvvm.shfl.sync.bfly.f32(i32, float, i32, i32)\n"
      "declare i32 @llvm.nvvm.shfl.sync.down.i32(i32, i32, i32, i32)\n"
      "declare i32 @llvm.nvvm.redux.sync.add(i32, i32)\ndeclare i32 @llvm.nvvm.vote.ballot.sync(i32, i1)\n"
      "define ptx_kernel void @k(ptr addrspace(1) %out) #0 {\n"
      "  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n  %v0 = uitofp i32 %t to float\n";
  for (int step = 0; step < 5; ++step)
    body += "  %s" + std::to_string(step) + " = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %v" +
            std::to_string(step) + ", i32 " + std::to_string(16 >> step) + ", i32 31)\n  %v" +
            std::to_string(step + 1) + " = fadd float %v" + std::to_string(step) + ", %s" + std::to_string(step) + "\n";
  body += R"(
  %sum = fptoui float %v5 to i32
  %d = call i32 @llvm.nvvm.shfl.sync.down.i32(i32 -1, i32 %t, i32 3, i32 31)
  %r = call i32 @llvm.nvvm.redux.sync.add(i32 %t, i32 -1)
  %odd = trunc i32 %t to i1
  %b = call i32 @llvm.nvvm.vote.ballot.sync(i32 -1, i1 %odd)
  %i = zext i32 %t to i64
  %p = getelementptr <4 x i32>, ptr addrspace(1) %out, i64 %i
  %w0 = insertelement <4 x i32> poison, i32 %sum, i64 0
  %w1 = insertelement <4 x i32> %w0, i32 %d, i64 1
  %w2 = insertelement <4 x i32> %w1, i32 %r, i64 2
  %w3 = insertelement <4 x i32> %w2, i32 %b, i64 3
  store <4 x i32> %w3, ptr addrspace(1) %p, align 16
  ret void
})";
  machine.load(body);
  uint64_t out = machine.allocate(32 * 16);
  machine.run(1, 32, {out});
  auto values = machine.get<uint32_t>(out, 128);
  for (uint32_t t = 0; t < 32; ++t) {
    EXPECT_EQ(values[4 * t], 496u);
    EXPECT_EQ(values[4 * t + 1], t + 3 < 32 ? t + 3 : t);
    EXPECT_EQ(values[4 * t + 2], 496u);
    EXPECT_EQ(values[4 * t + 3], 0xaaaaaaaau);
  }
}

/// A 32 x 32 transpose by 32 x 8 threads through shared memory, with rows of `pitch` words; `barrier` may be left out.
static std::string transpose(int pitch, bool barrier) {
  std::string p = std::to_string(pitch);
  return "@tile = internal addrspace(3) global [32 x [" + p + " x float]] undef, align 4\n" + R"(
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %x = and i32 %t, 31
  %y0 = lshr i32 %t, 5
  br label %in.loop
in.loop:
  %y = phi i32 [ %y0, %entry ], [ %y.next, %in.loop ]
  %row = shl i32 %y, 5
  %at = add i32 %row, %x
  %at64 = zext i32 %at to i64
  %pin = getelementptr float, ptr addrspace(1) %in, i64 %at64
  %v = load float, ptr addrspace(1) %pin, align 4
  %ps = getelementptr [32 x [)" +
         p + R"( x float]], ptr addrspace(3) @tile, i32 0, i32 %y, i32 %x
  store float %v, ptr addrspace(3) %ps, align 4
  %y.next = add i32 %y, 8
  %more = icmp ult i32 %y.next, 32
  br i1 %more, label %in.loop, label %sync
sync:
)" + (barrier ? "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n" : "") +
         R"(  br label %out.loop
out.loop:
  %z = phi i32 [ %y0, %sync ], [ %z.next, %out.loop ]
  %pt = getelementptr [32 x [)" +
         p + R"( x float]], ptr addrspace(3) @tile, i32 0, i32 %x, i32 %z
  %w = load float, ptr addrspace(3) %pt, align 4
  %row2 = shl i32 %z, 5
  %at2 = add i32 %row2, %x
  %at264 = zext i32 %at2 to i64
  %pout = getelementptr float, ptr addrspace(1) %out, i64 %at264
  store float %w, ptr addrspace(1) %pout, align 4
  %z.next = add i32 %z, 8
  %more2 = icmp ult i32 %z.next, 32
  br i1 %more2, label %out.loop, label %done
done:
  ret void
})";
}

TEST(SimulatedKernels, TransposeInSharedMemory) {
  std::vector<float> in(1024);
  std::iota(in.begin(), in.end(), 0.0f);
  for (int pitch : {32, 33}) {
    Machine machine("sm_80");
    machine.load(transpose(pitch, true));
    uint64_t out = machine.allocate(4096);
    machine.run(1, 256, {machine.put(in), out});
    auto values = machine.get<float>(out, 1024);
    for (int i = 0; i < 1024; ++i)
      ASSERT_EQ(values[i], in[i % 32 * 32 + i / 32]);
    // A column of 32 words lies in one bank, unless rows are a word longer.
    std::string expected =
        pitch == 32 ? "64 passes, 992 more for bank conflicts" : "64 passes, 0 more for bank conflicts";
    EXPECT_NE(machine.report().find(expected), std::string::npos) << machine.report();
  }
}

TEST(SimulatedFaults, AMissingBarrierIsARace) {
  std::vector<float> in(1024);
  Machine machine("sm_80");
  machine.load(transpose(33, false));
  uint64_t from = machine.put(in), out = machine.allocate(4096);
  EXPECT_EQ(machine.tryRun(1, 256, {from, out}), WHIT_DEVICE);
  // The first warp finds bytes that the others have not written yet.
  EXPECT_NE(machine.device->message().find("uninitialised read"), std::string::npos) << machine.device->message();
  // Of a tile that was filled before, it reads what others write.
  machine.load(R"(
@tile = internal addrspace(3) global [64 x i32] undef, align 4
define ptx_kernel void @k(ptr addrspace(1) %out) #0 {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %p = getelementptr i32, ptr addrspace(3) @tile, i32 %t
  store i32 %t, ptr addrspace(3) %p, align 4
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %o = xor i32 %t, 32
  %q = getelementptr i32, ptr addrspace(3) @tile, i32 %o
  %v = load i32, ptr addrspace(3) %q, align 4
  store i32 %v, ptr addrspace(3) %p, align 4
  ret void
})");
  machine.fault(1, 64, {out},
                {"kernel k: race in shared memory", "warp 1", "warp 0", "no barrier", "block (0, 0, 0)", "%v"});
}

TEST(SimulatedKernels, AtomicsAddUp) {
  Machine machine("sm_80");
  machine.load(R"(
@sum = internal addrspace(3) global i32 undef, align 4
define ptx_kernel void @k(ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp eq i32 %t, 0
  br i1 %first, label %clear, label %go
clear:
  store i32 0, ptr addrspace(3) @sum, align 4
  br label %go
go:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %o = atomicrmw add ptr addrspace(3) @sum, i32 %t monotonic
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  br i1 %first, label %last, label %done
last:
  %s = load i32, ptr addrspace(3) @sum, align 4
  %old = atomicrmw add ptr addrspace(1) %out, i32 %s monotonic
  %p = getelementptr float, ptr addrspace(1) %out, i64 1
  %f = atomicrmw fadd ptr addrspace(1) %p, float 0.25 monotonic
  br label %done
done:
  ret void
})");
  uint64_t out = machine.put(std::vector<uint32_t>{5, 0});
  machine.run(6, 128, {out});
  EXPECT_EQ(machine.get<uint32_t>(out, 1)[0], 5u + 6 * 8128);
  EXPECT_EQ(machine.get<float>(out + 4, 1)[0], 1.5f);
}
