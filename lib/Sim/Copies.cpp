// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's asynchronous copies into shared memory. Two kinds, by PTX ISA 9.7.9.25: `cp.async` of a few bytes of each lane, in groups that
// the lane waits for itself; and `cp.async.bulk`, which one thread starts for many bytes, and which an mbarrier counts (Mbarrier.cpp).
// Until they are waited for, their bytes belong to nobody.

#include "Sim/Access.h"
#include "Sim/Exchange.h"
#include "Sim/Special.h"

using namespace llvm;

namespace whit::sim {
namespace {

uint64_t sharedAddress(const Warp &warp, Slot slot, uint32_t bytes, uint32_t lane) {
  return numberAt(warp, slot, bytes, lane) & ~WINDOW_MASK;
}

// a: to (shared), b: from (global), c: bytes to read (0: all); imm: bytes of the pointer to shared memory; size: bytes.
void asyncCopy(Warp &warp, const Inst &inst) {
  uint64_t from[64], to[64];
  warp.eachLane([&](uint32_t lane) {
    AsyncCopy copy = {};
    copy.lane = lane;
    copy.group = warp.committed[lane];
    copy.bytes = inst.size;
    to[lane] = sharedAddress(warp, inst.a, uint32_t(inst.imm), lane);
    from[lane] = numberAt(warp, inst.b, 8, lane);
    uint32_t bytes = inst.c ? uint32_t(numberAt(warp, inst.c, 4, lane)) : inst.size;
    if (bytes > inst.size)
      throw Fault{lane, "cp.async reads " + std::to_string(bytes) + " bytes, more than the " +
                            std::to_string(inst.size) + " it writes"};
    if (from[lane] % inst.size)
      throw Fault{lane, "misaligned access: cp.async reads " + std::to_string(inst.size) +
                            " bytes at an address that is not a multiple of it"};
    if (bytes)
      readMemory(warp, lane, {Space::Global, from[lane]}, bytes, 1, copy.value);
    checkShared(warp, lane, to[lane], inst.size, inst.size, "copies");
    copy.offset = uint32_t(to[lane]);
    warp.machine->shared.beginCopy(lane, warp.index, copy.offset, copy.bytes);
    warp.copies.push_back(copy);
  });
  countAccess(warp, Space::Global, from, inst.size);
  countAccess(warp, Space::Shared, to, inst.size);
}

void asyncCommit(Warp &warp, const Inst &) {
  warp.eachLane([&](uint32_t lane) { ++warp.committed[lane]; });
}

// imm: groups that may stay on their way; aux: wait for what was not committed, too.
void asyncWait(Warp &warp, const Inst &inst) {
  auto done = [&](const AsyncCopy &copy) {
    if (!(warp.mask >> copy.lane & 1) || (!inst.aux && uint64_t(copy.group) + inst.imm >= warp.committed[copy.lane]))
      return false;
    warp.machine->shared.endCopy(copy.lane, warp.index, copy.offset, copy.bytes, copy.value);
    return true;
  };
  std::erase_if(warp.copies, done);
}

// a: the policy.
void checkPolicy(Warp &warp, const Inst &inst) {
  warp.eachLane([&](uint32_t lane) {
    if (warp.at<uint64_t>(inst.a)[lane] != CACHE_POLICY)
      throw Fault{lane, "a cache policy that createpolicy has not made"};
  });
}

constexpr int64_t MOST_BYTES = (1 << 20) - 1; // of an mbarrier's count

// list: to, mbarrier, from, bytes; imm: bytes of the pointers to shared memory | of the mbarrier << 8.
void bulkCopy(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  Machine &machine = *warp.machine;
  warp.eachLane([&](uint32_t lane) {
    uint64_t to = sharedAddress(warp, slots[0], inst.imm & 0xff, lane),
             at = sharedAddress(warp, slots[1], inst.imm >> 8, lane), from = numberAt(warp, slots[2], 8, lane);
    uint32_t bytes = uint32_t(numberAt(warp, slots[3], 4, lane));
    if (bytes % 16 || !bytes || bytes > MOST_BYTES)
      throw Fault{lane, "cp.async.bulk of " + std::to_string(bytes) + " bytes; multiples of 16 up to " +
                            std::to_string(MOST_BYTES) + " are allowed"};
    if (to % 16 || from % 16)
      throw Fault{lane, std::string("misaligned access: cp.async.bulk ") + (to % 16 ? "writes to" : "reads from") +
                            " an address that is not a multiple of 16"};
    Mbarrier &barrier = mbarrierAt(warp, lane, at);
    if (!barrier.fenced)
      throw Fault{lane, "cp.async.bulk counts on the mbarrier at byte " + std::to_string(at) +
                            " of shared memory, and no fence.mbarrier_init or fence.proxy.async came after its init"};
    checkShared(warp, lane, to, bytes, 16, "copies");
    machine.shared.needFence(lane, warp.index, uint32_t(to), bytes, "cp.async.bulk writes");
    Mbarrier::Bulk copy{lane, uint32_t(to), std::vector<uint8_t>(bytes)};
    readMemory(warp, lane, {Space::Global, from}, bytes, 16, copy.value.data());
    machine.shared.beginCopy(lane, warp.index, copy.offset, bytes);
    barrier.copies.push_back(std::move(copy));
    machine.counters.globalBytes += bytes;
    machine.counters.globalSectors += (from + bytes + 31) / 32 - from / 32;
    ++machine.events;
  });
}

} // namespace

void emitAsyncCopy(Lowering &lowering, const Value *to, const Value *from, uint32_t bytes, const Value *readBytes) {
  Slot target = lowering.use(to)[0], source = lowering.use(from)[0], count = readBytes ? lowering.use(readBytes)[0] : 0;
  uint32_t targetBytes = lowering.leaves(to->getType())[0].type.bytes;
  Inst &code = lowering.emit(asyncCopy, Kind::AsyncCopy);
  code.a = target;
  code.b = source;
  code.c = count;
  code.imm = targetBytes;
  code.size = bytes;
}
void emitAsyncCommit(Lowering &lowering) { lowering.emit(asyncCommit, Kind::AsyncCopy); }
void emitAsyncWait(Lowering &lowering, uint64_t groups, bool all) {
  Inst &code = lowering.emit(asyncWait, Kind::AsyncCopy);
  code.imm = groups;
  code.aux = all;
}
void emitPolicyCheck(Lowering &lowering, const Value *policy) {
  Slot slot = lowering.use(policy)[0];
  if (lowering.leaves(policy->getType())[0].type.bytes != 8)
    lowering.refuse("a cache policy has 64 bits");
  lowering.emit(checkPolicy, Kind::Other).a = slot;
}
void emitBulkCopy(Lowering &lowering, const Value *to, const Value *mbarrier, const Value *from, const Value *bytes) {
  if (lowering.architecture.capability < 90)
    lowering.refuse("bulk copies need sm_90 or later");
  auto pointerBytes = [&](const Value *value) { return uint32_t(lowering.leaves(value->getType())[0].type.bytes); };
  Slots operands = {lowering.use(to)[0], lowering.use(mbarrier)[0], lowering.use(from)[0], lowering.use(bytes)[0]};
  Inst &code = lowering.emit(bulkCopy, Kind::AsyncCopy, {}, operands);
  code.imm = pointerBytes(to) | pointerBytes(mbarrier) << 8;
}

bool lowerCopy(Lowering &lowering, const CallInst &call, StringRef name) {
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  if (!name.consume_front("cp.async."))
    return false;
  if (name == "commit.group")
    return emitAsyncCommit(lowering), true;
  if (name == "wait.group")
    return emitAsyncWait(lowering, lowering.constantArgument(call, 0), false), true;
  if (name == "wait.all")
    return emitAsyncWait(lowering, 0, true), true;
  if (name == "bulk.global.to.shared.cluster" || name == "bulk.global.to.shared.cta") {
    bool cluster = name.ends_with("cluster");
    unsigned hint = cluster ? 7 : 5;
    if (cluster && lowering.constantArgument(call, 6))
      lowering.refuse("copies to several blocks of a cluster are not simulated");
    if (lowering.constantArgument(call, hint))
      emitPolicyCheck(lowering, argument(cluster ? 5 : 4));
    return emitBulkCopy(lowering, argument(0), argument(1), argument(2), argument(3)), true;
  }
  if (!name.consume_front("ca.shared.global.") && !name.consume_front("cg.shared.global."))
    return false;
  bool partly = name.consume_back(".s");
  uint32_t bytes = 0;
  if (name.getAsInteger(10, bytes))
    return false;
  emitAsyncCopy(lowering, argument(0), argument(1), bytes, partly ? argument(2) : nullptr);
  return true;
}

} // namespace whit::sim
