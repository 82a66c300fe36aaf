// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of NVVM but for the matrix units: special registers, barriers, exchanges between lanes, asynchronous copies. What they do is
// taken from the PTX ISA document (9.7 "Instructions"), not from the compiler that emits them.

#include "Sim/Access.h"
#include "Sim/Arithmetic.h"
#include "Sim/Exchange.h"
#include "Sim/Floats.h"
#include "Sim/Lanes.h"
#include "Sim/Lowering.h"
#include "Sim/Special.h"

#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

namespace whit::sim {

void needMembers(const Warp &warp, uint64_t members, const char *what) {
  uint64_t wanted = members & warp.existing;
  if (warp.mask & ~members)
    throw Fault{uint32_t(std::countr_zero(warp.mask & ~members)),
                std::string(what) + " is run by a lane that its mask does not name"};
  if (wanted != warp.mask)
    throw Fault{uint32_t(std::countr_zero(wanted & ~warp.mask)),
                std::string(what) + " waits for " + std::to_string(std::popcount(wanted)) + " lanes of which only " +
                    std::to_string(std::popcount(warp.mask)) + " come: lanes have parted before it"};
}

namespace {

enum Shuffle { Down = 1, Bfly = 2, Up = 0, Idx = 3 };

// slots: value[, predicate], membermask, value, b, c; imm: mode; aux: has predicate.
void shuffle(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  bool predicate = inst.aux;
  const Slot *operands = slots + 1 + predicate;
  warp.eachLane([&](uint32_t lane) { needMembers(warp, warp.at<uint32_t>(operands[0])[lane], "shfl.sync"); });
  uint32_t values[32], result[32] = {};
  std::memcpy(values, warp.at<uint32_t>(operands[1]), sizeof(values));
  uint8_t in[32] = {};
  warp.eachLane([&](uint32_t lane) {
    uint32_t b = warp.at<uint32_t>(operands[2])[lane] & 31, c = warp.at<uint32_t>(operands[3])[lane];
    int clamp = int(c & 31), segment = int(c >> 8 & 31);
    int limit = (int(lane) & segment) | (clamp & ~segment), low = int(lane) & segment, from = int(lane);
    bool inside = false;
    switch (inst.imm) {
    case Up:
      from = int(lane) - int(b);
      inside = from >= limit;
      break;
    case Down:
      from = int(lane) + int(b);
      inside = from <= limit;
      break;
    case Bfly:
      from = int(lane) ^ int(b);
      inside = from <= limit;
      break;
    default:
      from = low | (int(b) & ~segment);
      inside = from <= limit;
    }
    if (!inside)
      from = int(lane);
    if (!(warp.mask >> from & 1))
      throw Fault{lane, "shfl.sync reads lane " + std::to_string(from) + ", which does not take part"};
    result[lane] = values[from];
    in[lane] = inside;
  });
  warp.eachLane([&](uint32_t lane) {
    warp.at<uint32_t>(slots[0])[lane] = result[lane];
    if (predicate)
      warp.at<uint8_t>(slots[1])[lane] = in[lane];
  });
}

enum Vote { All, Any, Uniform, Ballot };

// a: mask, b: predicate, d; imm: which.
void vote(Warp &warp, const Inst &inst) {
  needMembers(warp, uniformNumber(warp, inst.a, 4), "vote.sync");
  uint64_t ballot = 0;
  warp.eachLane([&](uint32_t lane) { ballot |= uint64_t(warp.at<uint8_t>(inst.b)[lane] & 1) << lane; });
  warp.eachLane([&](uint32_t lane) {
    switch (inst.imm) {
    case All:
      warp.at<uint8_t>(inst.d)[lane] = ballot == warp.mask;
      break;
    case Any:
      warp.at<uint8_t>(inst.d)[lane] = ballot != 0;
      break;
    case Uniform:
      warp.at<uint8_t>(inst.d)[lane] = ballot == 0 || ballot == warp.mask;
      break;
    default:
      warp.at<uint32_t>(inst.d)[lane] = uint32_t(ballot);
    }
  });
}

enum Reduction { RAdd, RUMin, RUMax, RMin, RMax, RAnd, ROr, RXor };

// a: value, b: mask.
void reduce(Warp &warp, const Inst &inst) {
  needMembers(warp, uniformNumber(warp, inst.b, 4), "redux.sync");
  const uint32_t *values = warp.at<uint32_t>(inst.a);
  uint32_t sum = values[std::countr_zero(warp.mask)];
  for (uint64_t rest = warp.mask & (warp.mask - 1); rest; rest &= rest - 1) {
    uint32_t x = values[std::countr_zero(rest)];
    switch (inst.imm) {
    case RAdd:
      sum += x;
      break;
    case RUMin:
      sum = std::min(sum, x);
      break;
    case RUMax:
      sum = std::max(sum, x);
      break;
    case RMin:
      sum = uint32_t(std::min(int32_t(sum), int32_t(x)));
      break;
    case RMax:
      sum = uint32_t(std::max(int32_t(sum), int32_t(x)));
      break;
    case RAnd:
      sum &= x;
      break;
    case ROr:
      sum |= x;
      break;
    case RXor:
      sum ^= x;
      break;
    }
  }
  warp.eachLane([&](uint32_t lane) { warp.at<uint32_t>(inst.d)[lane] = sum; });
}

void warpSync(Warp &warp, const Inst &inst) {
  needMembers(warp, uniformNumber(warp, inst.a, 4), "bar.warp.sync");
  if (warp.mask == warp.existing)
    warp.machine->shared.synchronizeLanes(warp.index);
}

// d: the lane, list: whether it is this one; a: members. Which lane it is the document leaves open; the first is what most code assumes.
void elect(Warp &warp, const Inst &inst) {
  needMembers(warp, uniformNumber(warp, inst.a, 4), "elect.sync");
  uint32_t chosen = 31 - uint32_t(std::countl_zero(uint32_t(warp.mask)));
  warp.eachLane([&](uint32_t lane) {
    warp.at<uint32_t>(inst.d)[lane] = chosen;
    warp.at<uint8_t>(warp.program->slots[inst.list])[lane] = lane == chosen;
  });
}

// imm: registers; aux: more than before.
void setRegisters(Warp &warp, const Inst &inst) {
  needWholeWarp(warp, "setmaxnreg");
  if (warp.registers && (inst.aux ? warp.registers > inst.imm : warp.registers < inst.imm))
    throw Fault{0, "setmaxnreg." + std::string(inst.aux ? "inc" : "dec") + " of " + std::to_string(inst.imm) +
                       " registers where a thread has " + std::to_string(warp.registers)};
  warp.registers = uint32_t(inst.imm);
  warp.noteTogether(inst.imm << 1 | inst.aux);
  warp.machine->checkRegisters();
}

// a: mask of what runs.
void activeMask(Warp &warp, const Inst &inst) {
  warp.eachLane([&](uint32_t lane) { warp.at<uint32_t>(inst.d)[lane] = uint32_t(warp.mask); });
}

// prmt.b32: slots d, a, b, selector.
void permuteBytes(Warp &warp, const Inst &inst) {
  mapLanes<uint32_t, uint32_t, uint32_t, uint32_t>(warp, inst.d, inst.a, inst.b, inst.c,
                                                   [](uint32_t a, uint32_t b, uint32_t selector) {
                                                     uint64_t both = uint64_t(b) << 32 | a;
                                                     uint32_t result = 0;
                                                     for (int i = 0; i < 4; ++i) {
                                                       uint32_t nibble = selector >> 4 * i & 15;
                                                       uint32_t byte = uint32_t(both >> 8 * (nibble & 7)) & 0xff;
                                                       byte = nibble & 8 ? (byte >> 7 ? 0xffu : 0u) : byte;
                                                       result |= byte << 8 * i;
                                                     }
                                                     return result;
                                                   });
}

// lop3.b32: imm is the table of the function.
void logic3(Warp &warp, const Inst &inst) {
  uint32_t table = uint32_t(inst.imm);
  mapLanes<uint32_t, uint32_t, uint32_t, uint32_t>(
      warp, inst.d, inst.a, inst.b, inst.c, [=](uint32_t a, uint32_t b, uint32_t c) {
        uint32_t result = 0;
        for (uint32_t i = 0; i < 8; ++i) {
          uint32_t term = (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
          result |= table >> i & 1 ? term : 0;
        }
        return result;
      });
}

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

void exp2Flushed(Warp &warp, const Inst &inst) {
  mapLanes<float, float>(warp, inst.d, inst.a, [](float x) { return flushed(float(std::exp2(double(flushed(x))))); });
}
void reciprocalFlushed(Warp &warp, const Inst &inst) {
  mapLanes<float, float>(warp, inst.d, inst.a, [](float x) { return flushed(float(1.0 / double(flushed(x)))); });
}
void rootFlushed(Warp &warp, const Inst &inst) {
  mapLanes<float, float>(warp, inst.d, inst.a,
                         [](float x) { return flushed(float(1.0 / std::sqrt(double(flushed(x))))); });
}

} // namespace

void emitPermuteBytes(Lowering &lowering, const CallInst &call) {
  lowering.elementwise(call, permuteBytes, Kind::Integer,
                       {call.getArgOperand(0), call.getArgOperand(1), call.getArgOperand(2)}, {});
}
void emitLogic3(Lowering &lowering, const CallInst &call, ArrayRef<const Value *> operands, uint32_t table) {
  lowering.elementwise(call, logic3, Kind::Integer, operands, {});
  lowering.program.insts.back().imm = table;
}
void emitExp2(Lowering &lowering, const CallInst &call, bool flush) {
  Scalar type = lowering.leaves(call.getType())[0].type;
  lowering.elementwise(call, flush && type.cls == Scalar::Float ? exp2Flushed : functionHandler("exp2", type),
                       Kind::Float, {call.getArgOperand(0)}, type);
}
void emitGlobalLoad(Lowering &lowering, const CallInst &call, const Value *from, uint64_t bytes) {
  Slot address = lowering.use(from)[0];
  Slots targets = lowering.define(call);
  Inst &code = lowering.emit(loadLanes, Kind::LoadGlobal);
  code.a = address;
  code.space = Space::Global;
  code.size = uint32_t(bytes);
  code.imm = 8 | bytes << 8;
  code.list = uint32_t(lowering.program.components.size());
  code.count = uint32_t(targets.size());
  uint32_t offset = 0;
  auto parts = lowering.leaves(call.getType());
  for (size_t i = 0; i < targets.size(); ++i) {
    lowering.program.components.push_back({targets[i], offset, parts[i].type.bytes});
    offset += parts[i].type.bytes;
  }
}

static bool lowerShuffle(Lowering &lowering, const CallInst &call, StringRef name) {
  auto [mode, type] = name.split('.');
  int number =
      StringSwitch<int>(mode).Case("up", Up).Case("down", Down).Case("bfly", Bfly).Case("idx", Idx).Default(-1);
  if (number < 0)
    return false;
  Slots operands;
  for (const Value *operand : call.args())
    operands.push_back(lowering.use(operand)[0]);
  Inst &code = lowering.emit(shuffle, Kind::Exchange, lowering.define(call), operands);
  code.imm = uint64_t(number);
  code.aux = type.ends_with("p");
  return true;
}

static bool lowerVote(Lowering &lowering, const CallInst &call, StringRef name) {
  int number = StringSwitch<int>(name)
                   .Case("all.sync", All)
                   .Case("any.sync", Any)
                   .Case("uni.sync", Uniform)
                   .Case("ballot.sync", Ballot)
                   .Default(-1);
  if (number < 0)
    return false;
  lowering.elementwise(call, vote, Kind::Exchange, {call.getArgOperand(0), call.getArgOperand(1)}, {});
  lowering.program.insts.back().imm = uint64_t(number);
  return true;
}

bool lowerNvidiaCall(Lowering &lowering, const CallInst &call, StringRef name) {
  if (!name.consume_front("llvm.nvvm."))
    return false;
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  if (name.consume_front("read.ptx.sreg."))
    return lowerSpecialRegister(lowering, call, name);
  if (name == "barrier.cta.sync.aligned.all" || name == "barrier.cta.sync.all")
    return lowering.barrier(argument(0), nullptr), true;
  if (name == "barrier.cta.sync.aligned.count" || name == "barrier.cta.sync.count")
    return lowering.barrier(argument(0), argument(1)), true;
  if (name == "barrier0")
    return lowering.barrier(nullptr, nullptr), true;
  if (name == "bar.warp.sync") {
    Slot mask = lowering.use(argument(0))[0];
    lowering.emit(warpSync, Kind::Exchange).a = mask;
    return true;
  }
  if (name.starts_with("membar.")) {
    if (!name.ends_with(".cta"))
      lowering.orderBlocks();
    return true;
  }
  if (name.consume_front("shfl.sync."))
    return lowerShuffle(lowering, call, name);
  if (name.consume_front("vote."))
    return lowerVote(lowering, call, name);
  if (name.consume_front("redux.sync.")) {
    int number = StringSwitch<int>(name)
                     .Case("add", RAdd)
                     .Case("umin", RUMin)
                     .Case("umax", RUMax)
                     .Case("min", RMin)
                     .Case("max", RMax)
                     .Case("and", RAnd)
                     .Case("or", ROr)
                     .Case("xor", RXor)
                     .Default(-1);
    if (number < 0)
      return false;
    lowering.elementwise(call, reduce, Kind::Exchange, {argument(0), argument(1)}, {});
    lowering.program.insts.back().imm = uint64_t(number);
    return true;
  }
  if (name == "elect.sync") {
    Slot members = lowering.use(argument(0))[0];
    Slots results = lowering.define(call);
    uint32_t list = lowering.list({results[1]});
    Inst &code = lowering.emit(elect, Kind::Exchange);
    code.d = results[0];
    code.a = members;
    code.list = list;
    code.count = 1;
    return true;
  }
  if (name.consume_front("setmaxnreg.")) {
    uint64_t registers = lowering.constantArgument(call, 0);
    if (registers < 24 || registers > 256 || registers % 8)
      lowering.refuse("setmaxnreg of " + std::to_string(registers) + " registers; 24 to 256 in steps of 8 are allowed");
    Inst &code = lowering.emit(setRegisters, Kind::Other);
    code.imm = registers;
    code.aux = name.starts_with("inc.");
    return true;
  }
  if (name == "activemask") {
    lowering.elementwise(call, activeMask, Kind::Exchange, {}, {});
    return true;
  }
  if (lowerCopy(lowering, call, name) || lowerMbarrier(lowering, call, name) || lowerPacked(lowering, call, name))
    return true;
  if (name == "prmt")
    return emitPermuteBytes(lowering, call), true;
  if (call.getType()->isVoidTy() || call.arg_size() != 1 || argument(0)->getType() != call.getType())
    return false;
  Scalar type = lowering.leaves(call.getType())[0].type;
  if (name.starts_with("ex2.approx")) {
    emitExp2(lowering, call, name.contains("ftz"));
    return true;
  }
  Handler handler = StringSwitch<Handler>(name)
                        .Cases({"rcp.approx.ftz.f", "rcp.rn.ftz.f"}, reciprocalFlushed)
                        .Case("rsqrt.approx.ftz.f", rootFlushed)
                        .Cases({"rcp.approx.f", "rcp.rn.f"}, functionHandler("reciprocal", type))
                        .Case("rsqrt.approx.f", functionHandler("rsqrt", type))
                        .Cases({"sqrt.approx.f", "sqrt.rn.f", "sqrt.f", "sqrt.approx.ftz.f", "sqrt.rn.ftz.f"},
                               functionHandler("sqrt", type))
                        .Cases({"lg2.approx.f", "lg2.approx.ftz.f"}, functionHandler("log2", type))
                        .Case("tanh.approx.f", functionHandler("tanh", type))
                        .Cases({"sin.approx.f", "sin.approx.ftz.f"}, functionHandler("sin", type))
                        .Cases({"cos.approx.f", "cos.approx.ftz.f"}, functionHandler("cos", type))
                        .Default(nullptr);
  if (!handler)
    return false;
  lowering.elementwise(call, handler, Kind::Float, {argument(0)}, type);
  return true;
}

} // namespace whit::sim
