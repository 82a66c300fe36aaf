// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Asynchronous copies of NVIDIA: rings of cp.async in a warp, and of bulk copies between warps. Each kernel is right as it stands; a test
// then takes one line out, or changes it, and the fault must be found.

#include "Harness.h"

using namespace whit;
using namespace whit::sim::test;

namespace {

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// A warp copies 8 steps of 512 bytes through a ring of two; a lane stores what its neighbour has loaded.
const char *const LANE_RING = R"(
@ring = internal addrspace(3) global [1024 x i8] undef, align 16
declare void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3), ptr addrspace(1))
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32)
declare void @llvm.nvvm.bar.warp.sync(i32)
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %lane = zext i32 %t to i64
  %other = xor i64 %lane, 1
  %p0 = getelementptr <4 x i32>, ptr addrspace(1) %in, i64 %lane
  %s0 = getelementptr <4 x i32>, ptr addrspace(3) @ring, i64 %lane
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %s0, ptr addrspace(1) %p0)
  call void @llvm.nvvm.cp.async.commit.group()
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %next ]
  %i1 = add i64 %i, 1
  call void @llvm.nvvm.bar.warp.sync(i32 -1) ; before
  %more = icmp ult i64 %i1, 8
  br i1 %more, label %fetch, label %fetched
fetch:
  %half1 = and i64 %i1, 1
  %row1 = shl i64 %half1, 5
  %slot1 = add i64 %row1, %lane
  %s1 = getelementptr <4 x i32>, ptr addrspace(3) @ring, i64 %slot1
  %at1 = shl i64 %i1, 5
  %from1 = add i64 %at1, %lane
  %p1 = getelementptr <4 x i32>, ptr addrspace(1) %in, i64 %from1
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %s1, ptr addrspace(1) %p1)
  br label %fetched
fetched:
  call void @llvm.nvvm.cp.async.commit.group()
  call void @llvm.nvvm.cp.async.wait.group(i32 1)
  call void @llvm.nvvm.bar.warp.sync(i32 -1) ; behind
  br label %next
next:
  %half = and i64 %i, 1
  %row = shl i64 %half, 5
  %slot = add i64 %row, %other
  %s = getelementptr <4 x i32>, ptr addrspace(3) @ring, i64 %slot
  %v = load <4 x i32>, ptr addrspace(3) %s, align 16
  %at = shl i64 %i, 5
  %to = add i64 %at, %lane
  %q = getelementptr <4 x i32>, ptr addrspace(1) %out, i64 %to
  store <4 x i32> %v, ptr addrspace(1) %q, align 16
  %end = icmp eq i64 %i1, 8
  br i1 %end, label %done, label %loop
done:
  ret void
})";

/// Warp 0 has one thread that copies 8 pieces of 1024 bytes through a ring of two; warps 1 and 2 wait for a piece, store it, and give it back.
/// Mbarriers: full 0 and 1, then empty 0 and 1.
const char *const BULK_RING = R"(
@ring = internal addrspace(3) global [2048 x i8] undef, align 128
@bars = internal addrspace(3) global [4 x i64] undef, align 8
declare void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3), i32)
declare void @llvm.nvvm.fence.mbarrier_init.release.cluster()
declare void @llvm.nvvm.fence.proxy.async()
declare i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3), i32)
declare i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3))
declare i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3), i32)
declare void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7), ptr addrspace(3), ptr addrspace(1), i32, i16, i64, i1, i1)
declare {i32, i1} @llvm.nvvm.elect.sync(i32)
declare void @llvm.nvvm.bar.warp.sync(i32)
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %warp = lshr i32 %t, 5
  %full1 = getelementptr i64, ptr addrspace(3) @bars, i64 1
  %empty0 = getelementptr i64, ptr addrspace(3) @bars, i64 2
  %empty1 = getelementptr i64, ptr addrspace(3) @bars, i64 3
  %first = icmp eq i32 %t, 0
  br i1 %first, label %init, label %start
init:
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @bars, i32 1)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %full1, i32 1)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %empty0, i32 2)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %empty1, i32 2)
  call void @llvm.nvvm.fence.mbarrier_init.release.cluster()
  br label %start
start:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %role = icmp eq i32 %warp, 0
  br i1 %role, label %producer, label %consumer
producer:
  %e = call {i32, i1} @llvm.nvvm.elect.sync(i32 -1)
  %mine = extractvalue {i32, i1} %e, 1
  br i1 %mine, label %copies, label %done
copies:
  %policy = call i64 asm "createpolicy.fractional.L2::evict_first.b64 $0, 1.0;", "=l"()
  br label %produce
produce:
  %i = phi i64 [ 0, %copies ], [ %i1, %produced ]
  %half = and i64 %i, 1
  %round = lshr i64 %i, 1
  %parity = and i64 %round, 1
  %p32 = trunc i64 %parity to i32
  %pe = xor i32 %p32, 1
  %full = getelementptr i64, ptr addrspace(3) @bars, i64 %half
  %empty = getelementptr i64, ptr addrspace(3) %empty0, i64 %half
  br label %spin
spin:
  %ok = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %empty, i32 %pe)
  br i1 %ok, label %produced, label %spin
produced:
  %at = shl i64 %half, 10
  %s = getelementptr i8, ptr addrspace(3) @ring, i64 %at
  %far = shl i64 %i, 10
  %p = getelementptr i8, ptr addrspace(1) %in, i64 %far
  %state = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) %full, i32 1024)
  %c = addrspacecast ptr addrspace(3) %s to ptr addrspace(7)
  call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) %c, ptr addrspace(3) %full, ptr addrspace(1) %p, i32 512, i16 0, i64 %policy, i1 false, i1 true)
  %s2 = getelementptr i8, ptr addrspace(3) %s, i64 512
  %p2 = getelementptr i8, ptr addrspace(1) %p, i64 512
  call void asm sideeffect "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [$0], [$1], $2, [$3], $4;", "l,l,r,l,l"(ptr addrspace(3) %s2, ptr addrspace(1) %p2, i32 512, ptr addrspace(3) %full, i64 %policy)
  %i1 = add i64 %i, 1
  %last = icmp eq i64 %i1, 8
  br i1 %last, label %done, label %produce
consumer:
  %w = sub i32 %t, 32
  %lane = zext i32 %w to i64
  %inWarp = and i32 %t, 31
  %leads = icmp eq i32 %inWarp, 0
  br label %consume
consume:
  %j = phi i64 [ 0, %consumer ], [ %j1, %consumed ]
  %hj = and i64 %j, 1
  %rj = lshr i64 %j, 1
  %qj = and i64 %rj, 1
  %parityFull = trunc i64 %qj to i32
  %fullJ = getelementptr i64, ptr addrspace(3) @bars, i64 %hj
  %emptyJ = getelementptr i64, ptr addrspace(3) %empty0, i64 %hj
  br label %spinFull
spinFull:
  %ready = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %fullJ, i32 %parityFull)
  br i1 %ready, label %read, label %spinFull
read:
  %atJ = shl i64 %hj, 6
  %slot = add i64 %atJ, %lane
  %sj = getelementptr <4 x i32>, ptr addrspace(3) @ring, i64 %slot
  %v = load <4 x i32>, ptr addrspace(3) %sj, align 16
  %farJ = shl i64 %j, 6
  %to = add i64 %farJ, %lane
  %q = getelementptr <4 x i32>, ptr addrspace(1) %out, i64 %to
  store <4 x i32> %v, ptr addrspace(1) %q, align 16
  call void @llvm.nvvm.bar.warp.sync(i32 -1) ; behind
  br i1 %leads, label %give, label %consumed
give:
  %st = call i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3) %emptyJ)
  br label %consumed
consumed:
  %j1 = add i64 %j, 1
  %end = icmp eq i64 %j1, 8
  br i1 %end, label %done, label %consume
done:
  ret void
})";

struct SimulatedRing : testing::Test {
  std::vector<uint32_t> in = [] {
    std::vector<uint32_t> values(2048);
    std::iota(values.begin(), values.end(), 7u);
    return values;
  }();

  void fault(const std::string &target, uint32_t threads, const std::string &body,
             std::initializer_list<const char *> words) {
    SCOPED_TRACE(words.begin()[0]);
    Machine machine(target);
    machine.load(body);
    machine.fault(1, threads, {machine.put(in), machine.allocate(8192)}, words);
  }
  void lanes(const char *from, const char *to, std::initializer_list<const char *> words) {
    fault("sm_80", 32, replaced(LANE_RING, from, to), words);
  }
  void bulk(const char *from, const char *to, std::initializer_list<const char *> words) {
    fault("sm_90a", 96, replaced(BULK_RING, from, to), words);
  }
};

} // namespace

TEST_F(SimulatedRing, LanesCopyForEachOther) {
  Machine machine("sm_80");
  machine.load(LANE_RING);
  uint64_t out = machine.allocate(4096);
  machine.run(1, 32, {machine.put(in), out});
  auto values = machine.get<uint32_t>(out, 1024);
  for (uint32_t i = 0; i < 1024; ++i)
    ASSERT_EQ(values[i], in[i ^ 4]) << i;
  lanes("call void @llvm.nvvm.bar.warp.sync(i32 -1) ; behind", "",
        {"race in shared memory", "lane 0 reads what lane 1 of its warp wrote, with no bar.warp.sync between them"});
  lanes("call void @llvm.nvvm.bar.warp.sync(i32 -1) ; before", "",
        {"race in shared memory", "lane 0 writes what lane 1 of its warp reads, with no bar.warp.sync between them"});
  lanes("wait.group(i32 1)\n  call", "wait.group(i32 2)\n  call", {"which an asynchronous copy is still writing"});
}

TEST_F(SimulatedRing, ALaneNeedsNoBarrierForItsOwn) {
  std::string body = replaced(LANE_RING, "%other = xor i64 %lane, 1", "%other = or i64 %lane, 0");
  body = replaced(body, "call void @llvm.nvvm.bar.warp.sync(i32 -1) ; behind", "");
  body = replaced(body, "call void @llvm.nvvm.bar.warp.sync(i32 -1) ; before", "");
  Machine machine("sm_80");
  machine.load(body);
  uint64_t out = machine.allocate(4096);
  machine.run(1, 32, {machine.put(in), out});
  EXPECT_EQ(machine.get<uint32_t>(out, 1024), std::vector<uint32_t>(in.begin(), in.begin() + 1024));
  fault("sm_80", 32, replaced(body, "call void @llvm.nvvm.cp.async.wait.group(i32 1)", ""),
        {"which an asynchronous copy is still writing"});
}

TEST_F(SimulatedRing, CopiesOfEverySizeWithAPolicy) {
  for (auto [form, bytes] : {std::pair("ca", 4), {"ca", 8}, {"ca", 16}, {"cg", 16}}) {
    std::string n = std::to_string(bytes);
    std::string body = "@s = internal addrspace(3) global [512 x i8] undef, align 16\n"
                       "define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {\n"
                       "  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n  %m = mul i32 %t, " +
                       n + R"(
  %i = zext i32 %m to i64
  %p = getelementptr i8, ptr addrspace(1) %in, i64 %i
  %s = getelementptr i8, ptr addrspace(3) @s, i64 %i
  %a = ptrtoint ptr addrspace(3) %s to i64
  %a32 = trunc i64 %a to i32
  %policy = call i64 asm "createpolicy.fractional.L2::evict_first.b64 $0, 1.0;", "=l"()
  call void asm sideeffect "cp.async.)" +
                       form + ".shared.global.L2::cache_hint [$0], [$1], " + n +
                       R"(, $2;", "r,l,l"(i32 %a32, ptr addrspace(1) %p, i64 %policy)
  call void asm sideeffect "cp.async.wait_all;", ""()
  %v = load i32, ptr addrspace(3) %s, align 4
  %w = call i32 asm "ld.global.L1::no_allocate.L2::cache_hint.u32 $0, [$1], $2;", "=r,l,l"(ptr addrspace(1) %p, i64 %policy)
  %sum = add i32 %v, %w
  %q = getelementptr i8, ptr addrspace(1) %out, i64 %i
  store i32 %sum, ptr addrspace(1) %q, align 4
  ret void
})";
    Machine machine("sm_80");
    machine.load(body);
    uint64_t out = machine.allocate(512);
    machine.run(1, 32, {machine.put(in), out});
    for (int lane = 0; lane < 32; ++lane)
      ASSERT_EQ(machine.get<uint32_t>(out + uint64_t(lane * bytes), 1)[0], 2 * in[size_t(lane * bytes / 4)]);
    fault("sm_80", 32, replaced(body, "i64 %policy)\n  call", "i64 %i)\n  call"),
          {"a cache policy that createpolicy has not made"});
  }
}

TEST_F(SimulatedRing, BulkCopiesFeedOtherWarps) {
  Machine machine("sm_90a");
  machine.load(BULK_RING);
  uint64_t out = machine.allocate(8192);
  machine.run(1, 96, {machine.put(in), out});
  EXPECT_EQ(machine.get<uint32_t>(out, 2048), in);
}

TEST_F(SimulatedRing, FaultsOfBulkCopiesAreFound) {
  // Nobody waits; only one warp does; one that asks does not heed the answer.
  bulk("br i1 %ready, label %read, label %spinFull", "br label %read",
       {"reads what an asynchronous copy wrote, with no wait for its mbarrier between them"});
  bulk("%fullJ = getelementptr i64, ptr addrspace(3) @bars, i64 %hj",
       "%fullJ = getelementptr i64, ptr addrspace(3) @bars, i64 0", {"asynchronous copy is still writing"});
  bulk("i32 %parityFull)", "i32 0)", {"waits for a phase that nobody completes"});
  // The ring is filled again before it was read, or before all lanes have read it.
  bulk("br i1 %ok, label %produced, label %spin", "br label %produced", {"race in shared memory"});
  bulk("call void @llvm.nvvm.bar.warp.sync(i32 -1) ; behind", "",
       {"race in shared memory", "writes what warp 1 reads, with no barrier between them"});
  bulk("(ptr addrspace(3) %empty0, i32 2)", "(ptr addrspace(3) %empty0, i32 1)", {"shared memory"});
  // Bytes and arrivals that do not add up: a phase never ends.
  bulk("%full, i32 1024)", "%full, i32 1040)", {"waits for a phase that nobody completes", "16 bytes are missing"});
  bulk("%full, i32 1024)", "%full, i32 512)", {"-512 bytes are missing"});
  bulk("(ptr addrspace(3) %empty1, i32 2)", "(ptr addrspace(3) %empty1, i32 3)",
       {"waits for a phase that nobody completes", "1 arrivals and 0 bytes are missing"});
  // What the asynchronous proxy must be told, and what it asks of addresses.
  bulk("call void @llvm.nvvm.fence.mbarrier_init.release.cluster()\n  br", "br",
       {"no fence.mbarrier_init or fence.proxy.async came after its init"});
  bulk("i64 %half, 10", "i64 %half, 3", {"misaligned access: cp.async.bulk writes"});
  bulk("ptr addrspace(1) %p, i32 512", "ptr addrspace(1) %p, i32 500", {"cp.async.bulk of 500 bytes; multiples of 16"});
  bulk("%far = shl i64 %i, 10", "%far = shl i64 %i, 11", {"out of bounds: reads 512 bytes of global memory"});
  bulk("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)", "",
       {"race in shared memory", "uses an mbarrier that warp 0 initialises"});
  // What was written in the ordinary way needs a fence of the proxy before a copy may write there.
  std::string dirty = replaced(BULK_RING, "br label %start\nstart:",
                               "store i32 1, ptr addrspace(3) @ring, align 16 ; dirty\n  br label %start\nstart:");
  fault("sm_90a", 96, dirty, {"no fence.proxy.async between them"});
  Machine machine("sm_90a");
  machine.load(replaced(dirty, "; dirty", "\n  call void @llvm.nvvm.fence.proxy.async()"));
  uint64_t out = machine.allocate(8192);
  machine.run(1, 96, {machine.put(in), out});
  EXPECT_EQ(machine.get<uint32_t>(out, 2048), in);
}

TEST_F(SimulatedRing, RegistersMoveBetweenWarpgroups) {
  auto body = [](int less, int more, const char *condition) {
    return "declare void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32)\n"
           "declare void @llvm.nvvm.setmaxnreg.inc.sync.aligned.u32(i32)\n"
           "define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {\n"
           "  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n  %c = icmp ult i32 %t, " +
           std::string(condition) +
           "\n  br i1 %c, label %a, label %b\na:\n  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 " +
           std::to_string(less) + ")\n  ret void\nb:\n  call void @llvm.nvvm.setmaxnreg.inc.sync.aligned.u32(i32 " +
           std::to_string(more) + ")\n  ret void\n}\n";
  };
  Machine machine("sm_90a");
  machine.load(body(24, 240, "128"));
  machine.run(1, 384, {0, 0});
  machine.fault(1, 512, {0, 0}, {"of 65536 that there are"});
  machine.load(body(24, 240, "64"));
  machine.fault(1, 256, {0, 0}, {"have not run the same instructions"});
  EXPECT_NE(machine.tryFind(body(24, 236, "128")), WHIT_OK); // steps of 8
}
