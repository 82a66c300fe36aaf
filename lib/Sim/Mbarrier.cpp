// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// mbarriers, by PTX ISA 9.7.13.15. A phase is complete when all arrivals that it counts have come and all bytes that were announced
// (expect_tx) have been copied; whoever then sees it complete knows what those who arrived did, and the copies.
//
// Copies land when somebody asks for the phase, and asked the first time the answer is no: so a kernel that asks only once, or does not
// ask, is found out. Elsewhere the answer is the truth.

#include "Sim/Access.h"
#include "Sim/Exchange.h"
#include "Sim/Special.h"

#include <map>

using namespace llvm;

namespace whit::sim {

Mbarrier &mbarrierAt(Warp &warp, uint32_t lane, uint64_t offset) {
  checkShared(warp, lane, offset, 8, 8, "uses");
  auto found = warp.machine->mbarriers.find(uint32_t(offset));
  if (found == warp.machine->mbarriers.end())
    throw Fault{lane, "no mbarrier was initialised at byte " + std::to_string(offset) + " of shared memory"};
  warp.machine->shared.useBarrier(lane, warp.index, uint32_t(offset));
  return found->second;
}

namespace {

void land(SharedMemory &shared, Mbarrier &barrier) {
  for (const Mbarrier::Bulk &copy : barrier.copies) {
    shared.endCopy(copy.lane, barrier.agent, copy.offset, uint32_t(copy.value.size()), copy.value.data());
    barrier.bytes -= int64_t(copy.value.size());
  }
  if (!barrier.copies.empty())
    shared.release(barrier.agent, barrier.gathered);
  barrier.copies.clear();
}

/// The next phase begins, if this one is complete.
void turn(Machine &machine, Mbarrier &barrier) {
  if (barrier.pending || barrier.bytes)
    return;
  ++barrier.phase;
  barrier.pending = barrier.count;
  barrier.known = barrier.gathered; // which goes on gathering
  ++machine.events;
}

uint64_t offsetAt(const Warp &warp, const Inst &inst, uint32_t lane) {
  return numberAt(warp, inst.a, inst.size, lane) & ~WINDOW_MASK;
}

// a: address, size: its bytes; b: count.
void initialise(Warp &warp, const Inst &inst) {
  Machine &machine = *warp.machine;
  warp.eachLane([&](uint32_t lane) {
    uint64_t offset = offsetAt(warp, inst, lane);
    uint32_t count = uint32_t(numberAt(warp, inst.b, 4, lane));
    checkShared(warp, lane, offset, 8, 8, "initialises");
    if (!count || count >= 1u << 20)
      throw Fault{lane, "an mbarrier of " + std::to_string(count) + " arrivals; 1 to 1048575 are allowed"};
    if (machine.mbarriers.count(uint32_t(offset)))
      throw Fault{lane, "the mbarrier at byte " + std::to_string(offset) + " of shared memory is initialised twice"};
    machine.shared.beginBarrier(lane, warp.index, uint32_t(offset));
    Mbarrier barrier;
    barrier.count = barrier.pending = count;
    barrier.warp = warp.index;
    barrier.agent = machine.shared.newAgent();
    barrier.gathered.assign(barrier.agent + 1, 0);
    machine.mbarriers[uint32_t(offset)] = std::move(barrier);
  });
}

void invalidate(Warp &warp, const Inst &inst) {
  warp.eachLane([&](uint32_t lane) {
    uint64_t offset = offsetAt(warp, inst, lane);
    if (!mbarrierAt(warp, lane, offset).copies.empty())
      throw Fault{lane, "the mbarrier at byte " + std::to_string(offset) +
                            " of shared memory is taken away while copies count on it"};
    warp.machine->shared.endBarrier(lane, warp.index, uint32_t(offset));
    warp.machine->mbarriers.erase(uint32_t(offset));
  });
}

// a: address; b: bytes that are announced (0: none), c: arrivals (0: one); d: the state that is waited for (0: none); imm: does arrive.
void arrive(Warp &warp, const Inst &inst) {
  Machine &machine = *warp.machine;
  std::map<uint64_t, uint64_t> lanes;
  warp.eachLane([&](uint32_t lane) { lanes[offsetAt(warp, inst, lane)] |= uint64_t(1) << lane; });
  for (auto [offset, mask] : lanes) {
    uint32_t first = uint32_t(std::countr_zero(mask));
    if (inst.imm)
      machine.shared.release(warp.index, mask, mbarrierAt(warp, first, offset).gathered);
    for (uint64_t rest = mask; rest; rest &= rest - 1) {
      uint32_t lane = uint32_t(std::countr_zero(rest));
      Mbarrier &barrier = mbarrierAt(warp, lane, offset);
      if (inst.b) {
        barrier.bytes += int64_t(numberAt(warp, inst.b, 4, lane));
        if (barrier.bytes >= 1 << 20)
          throw Fault{lane, "an mbarrier is told to expect " + std::to_string(barrier.bytes) +
                                " bytes; 1048575 are the most that it counts"};
      }
      if (inst.d)
        warp.at<uint64_t>(inst.d)[lane] = barrier.phase;
      uint32_t arrivals = !inst.imm ? 0 : inst.c ? uint32_t(numberAt(warp, inst.c, 4, lane)) : 1;
      if (arrivals > barrier.pending) {
        land(machine.shared, barrier); // nobody asked for the phase before
        turn(machine, barrier);
      }
      if (arrivals > barrier.pending)
        throw Fault{lane, "arrives at the mbarrier at byte " + std::to_string(offset) + " of shared memory, whose " +
                              std::to_string(barrier.count) + " arrivals of this phase have come"};
      barrier.pending -= arrivals;
      ++machine.events;
      if (barrier.copies.empty())
        turn(machine, barrier);
    }
  }
}

enum Wait { ByParity = 1, ByState = 0 };

// a: address; b: parity (4 bytes) or state (8); d: whether it is complete; imm: ByParity.
void wait(Warp &warp, const Inst &inst) {
  Machine &machine = *warp.machine;
  std::map<uint64_t, uint64_t> complete;
  warp.eachLane([&](uint32_t lane) {
    uint64_t offset = offsetAt(warp, inst, lane);
    Mbarrier &barrier = mbarrierAt(warp, lane, offset);
    bool done;
    if (inst.imm == ByParity) {
      uint64_t parity = numberAt(warp, inst.b, 4, lane);
      if (parity > 1)
        throw Fault{lane, "waits for parity " + std::to_string(parity) + " of an mbarrier; 0 and 1 are allowed"};
      done = (barrier.phase & 1) != parity;
    } else {
      done = barrier.phase > numberAt(warp, inst.b, 8, lane);
    }
    warp.at<uint8_t>(inst.d)[lane] = done;
    if (done)
      complete[offset] |= uint64_t(1) << lane;
    else {
      warp.polling = true;
      warp.polledAt = uint32_t(offset);
    }
  });
  for (auto [offset, mask] : complete)
    machine.shared.acquire(warp.index, mask, mask == warp.existing, machine.mbarriers[uint32_t(offset)].known);
  if (!warp.polling)
    return;
  // All lanes have had their answer: now what they ask for goes on.
  warp.eachLane([&](uint32_t lane) {
    Mbarrier &barrier = machine.mbarriers[uint32_t(offsetAt(warp, inst, lane))];
    if (barrier.copies.empty())
      return;
    land(machine.shared, barrier);
    turn(machine, barrier);
    ++machine.events;
  });
}

// imm: of the initialisation only.
void fence(Warp &warp, const Inst &inst) {
  Machine &machine = *warp.machine;
  if (!inst.imm)
    machine.shared.fenceProxy(warp.index);
  for (auto &[offset, barrier] : machine.mbarriers)
    barrier.fenced |= barrier.warp == warp.index;
}

Inst &emitOn(Lowering &lowering, Handler handler, const Value *address) {
  Slot slot = lowering.use(address)[0];
  uint32_t bytes = lowering.leaves(address->getType())[0].type.bytes;
  Inst &code = lowering.emit(handler, Kind::Barrier);
  code.a = slot;
  code.size = bytes;
  return code;
}

} // namespace

bool lowerMbarrier(Lowering &lowering, const CallInst &call, StringRef name) {
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  if (name.consume_front("fence.")) {
    bool isInit = name.starts_with("mbarrier_init.");
    if (name.starts_with("proxy.tensormap"))
      return false;
    if (isInit || name.starts_with("proxy.async"))
      lowering.emit(fence, Kind::Other).imm = isInit;
    else if (!name.ends_with(".cta"))
      lowering.orderBlocks();
    return true;
  }
  if (!name.consume_front("mbarrier."))
    return false;
  // Of another block's mbarriers nothing is simulated, and a scope beyond the block changes nothing inside of it.
  if (name.contains("space.cluster"))
    return false;
  StringRef scope = name.substr(name.find(".scope."));
  name = name.substr(0, name.find(".scope."));
  name.consume_back(".shared");
  bool ordered = !name.consume_back(".relaxed");
  if (!ordered)
    lowering.refuse("relaxed operations on mbarriers are not simulated");
  Slot b = call.arg_size() > 1 ? lowering.use(argument(1))[0] : 0;
  if (name == "init") {
    emitOn(lowering, initialise, argument(0)).b = b;
    return true;
  }
  if (name == "inval")
    return emitOn(lowering, invalidate, argument(0)), true;
  bool expects = name == "arrive.expect.tx" || name == "expect.tx";
  if (expects || name == "arrive" || name == "arrive.noComplete") {
    if (scope.empty() && name == "arrive" && call.arg_size() != 1)
      return false;
    Slot state = call.getType()->isVoidTy() ? 0 : lowering.define(call)[0];
    Inst &code = emitOn(lowering, arrive, argument(0));
    code.d = state;
    (expects ? code.b : code.c) = b;
    code.imm = name.starts_with("arrive");
    return true;
  }
  if (name.starts_with("test.wait") || name.starts_with("try.wait")) {
    Slot result = lowering.define(call)[0];
    Inst &code = emitOn(lowering, wait, argument(0));
    code.b = b;
    code.d = result;
    code.imm = name.contains(".parity") ? ByParity : ByState;
    return true;
  }
  return false;
}

} // namespace whit::sim
