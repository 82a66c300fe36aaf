// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks that wait for nobody, of which the last one reads what all have written: only fences and an atomic operation let it.

#include "Harness.h"

namespace whit::sim::test {
namespace {

/// sums[block] = block + 1, and y = the sum of all three by the last block to count itself in.
std::string kernel(const std::string &before, const std::string &after) {
  return R"(
define ptx_kernel void @k(ptr addrspace(1) %sums, ptr addrspace(1) %count, ptr addrspace(1) %y) #0 {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %first = icmp eq i32 %t, 0
  br i1 %first, label %write, label %done
write:
  %i = zext i32 %b to i64
  %mine = getelementptr i32, ptr addrspace(1) %sums, i64 %i
  %value = add i32 %b, 1
  store i32 %value, ptr addrspace(1) %mine, align 4
)" + before +
         R"(
  %old = atomicrmw uinc_wrap ptr addrspace(1) %count, i32 2 syncscope("device") monotonic
)" + after +
         R"(
  %isLast = icmp eq i32 %old, 2
  br i1 %isLast, label %add, label %done
add:
  %q = getelementptr i32, ptr addrspace(1) %sums, i64 1
  %r = getelementptr i32, ptr addrspace(1) %sums, i64 2
  %u = load i32, ptr addrspace(1) %sums, align 4
  %v = load i32, ptr addrspace(1) %q, align 4
  %w = load i32, ptr addrspace(1) %r, align 4
  %uv = add i32 %u, %v
  %uvw = add i32 %uv, %w
  store i32 %uvw, ptr addrspace(1) %y, align 4
  br label %done
done:
  ret void
})";
}
const char kFence[] = "  fence syncscope(\"device\") acq_rel\n";

TEST(BlockOrder, TheLastBlockKnowsWhatOthersFenced) {
  Machine machine("sm_80");
  machine.load(kernel(kFence, kFence));
  uint64_t sums = machine.put(std::vector<uint32_t>(3, 0)), count = machine.put(std::vector<uint32_t>{0}),
           y = machine.put(std::vector<uint32_t>{0});
  for (int launch = 0; launch < 2; ++launch) { // the second one begins with the last block
    machine.run(3, 32, {sums, count, y});
    EXPECT_EQ(machine.get<uint32_t>(y, 1)[0], 6u);
    EXPECT_EQ(machine.get<uint32_t>(count, 1)[0], 0u);
  }
}

TEST(BlockOrder, WithoutAFenceItIsARace) {
  const char block[] = "  fence syncscope(\"block\") acq_rel\n";
  for (auto [before, after] : {std::pair("", kFence), {kFence, ""}, {block, kFence}, {kFence, block}}) {
    Machine machine("sm_80");
    machine.load(kernel(before, after));
    uint64_t sums = machine.put(std::vector<uint32_t>(3, 0)), count = machine.put(std::vector<uint32_t>{0}),
             y = machine.put(std::vector<uint32_t>{0});
    machine.fault(3, 32, {sums, count, y},
                  {"race in global memory", "no fences and atomic operation on one word order them"});
  }
}

} // namespace
} // namespace whit::sim::test
