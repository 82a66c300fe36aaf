// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of AMDGPU but for the matrix units: where a thread is, exchanges between lanes, bits and bytes, 8-bit floats. What they do is
// taken from the ISA documents of CDNA 2, CDNA 3, CDNA 4 and RDNA 3.

#include "Sim/Arithmetic.h"
#include "Sim/Exchange.h"
#include "Sim/Floats.h"
#include "Sim/Lanes.h"
#include "Sim/Lowering.h"
#include "Sim/Special.h"

#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

namespace whit::sim {
namespace {

enum Move { Dpp, Swizzle, Permute, Row16, OtherRow16, Half64 };

constexpr int NOWHERE = -1;

/// The lane that DPP control `control` reads for `lane`; a row has 16 lanes. NOWHERE: outside of the row; -2: no such control.
int dppSource(int control, int lane, int width, bool rdna) {
  int row = lane & ~15, in = lane & 15, by = control & 15;
  if (control < 0x100)
    return (lane & ~3) | (control >> 2 * (lane & 3) & 3); // quad_perm
  switch (control & ~15) {
  case 0x100:
    return by == 0 ? -2 : in + by < 16 ? lane + by : NOWHERE; // row_shl
  case 0x110:
    return by == 0 ? -2 : in >= by ? lane - by : NOWHERE; // row_shr
  case 0x120:
    return by == 0 ? -2 : row | ((in - by) & 15); // row_ror
  case 0x150:
    return row | by; // row_share, row_newbcast
  case 0x160:
    return rdna ? row | (in ^ by) : -2; // row_xmask
  }
  switch (control) {
  case 0x140:
    return row | (15 - in); // row_mirror
  case 0x141:
    return (lane & ~7) | (7 - (lane & 7)); // row_half_mirror
  }
  if (rdna)
    return -2;
  switch (control) {
  case 0x130:
    return lane + 1 < width ? lane + 1 : NOWHERE; // wave_shl
  case 0x134:
    return (lane + 1) % width; // wave_rol
  case 0x138:
    return lane ? lane - 1 : NOWHERE; // wave_shr
  case 0x13c:
    return (lane + width - 1) % width; // wave_ror
  case 0x142:
    return row ? row - 1 : NOWHERE; // row_bcast:15
  case 0x143:
    return lane >= 32 ? 31 : NOWHERE; // row_bcast:31
  }
  return -2;
}

// slots: d, value, old (0: none), then selectors; imm: mode | control << 8 | row mask << 32 | bank mask << 40 | bound << 48; size: bytes.
void moveLanes(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  uint32_t bytes = inst.size;
  int control = int(inst.imm >> 8 & 0xffff), mode = int(inst.imm & 0xff), width = int(warp.width);
  bool rdna = warp.program->architecture->capability >= 0x1000;
  uint8_t result[64 * 8] = {};
  warp.eachLane([&](uint32_t lane) {
    int from = 0, at = int(lane);
    switch (mode) {
    case Dpp: {
      from = dppSource(control, at, width, rdna);
      bool enabled = (inst.imm >> 32 >> (lane / 16) & 1) && (inst.imm >> 40 >> (lane % 16 / 4) & 1);
      bool valid = from >= 0 && (warp.mask >> from & 1);
      if (enabled && !valid && (inst.imm >> 48 & 1))
        return; // 0
      if (!enabled || !valid) {
        if (slots[2])
          std::memcpy(result + lane * bytes, warp.frame + slots[2] + lane * bytes, bytes);
        return;
      }
      break;
    }
    case Swizzle:
      if (control >> 15)
        from = (at & ~3) | (control >> 2 * (at & 3) & 3);
      else
        from = (at & 32) | ((((at & 31) & (control & 31)) | (control >> 5 & 31)) ^ (control >> 10 & 31));
      break;
    case Permute:
      from = int(warp.at<uint32_t>(slots[3])[lane] >> 2) % width;
      break;
    case Row16:
    case OtherRow16: {
      uint32_t selector = warp.at<uint32_t>(slots[at % 16 < 8 ? 3 : 4])[lane] >> 4 * (at % 8) & 15;
      from = ((at & ~15) ^ (mode == OtherRow16 ? 16 : 0)) | int(selector);
      break;
    }
    default:
      from = width == 64 ? at ^ 32 : at;
    }
    if (!(warp.mask >> from & 1))
      throw Fault{lane, "reads lane " + std::to_string(from) + ", which does not run"};
    std::memcpy(result + lane * bytes, warp.frame + slots[1] + from * bytes, bytes);
  });
  warp.eachLane(
      [&](uint32_t lane) { std::memcpy(warp.frame + slots[0] + lane * bytes, result + lane * bytes, bytes); });
}

// a: value; b: lane (0: the first that runs); size: bytes.
void readLane(Warp &warp, const Inst &inst) {
  uint32_t from =
      inst.b ? uint32_t(uniformNumber(warp, inst.b, 4)) % warp.width : uint32_t(std::countr_zero(warp.mask));
  if (!(warp.live >> from & 1))
    throw Fault{uint32_t(std::countr_zero(warp.mask)),
                "reads lane " + std::to_string(from) + ", which has ended or has no thread"};
  uint64_t value = numberAt(warp, inst.a, inst.size, from);
  warp.eachLane([&](uint32_t lane) { std::memcpy(warp.frame + inst.d + lane * inst.size, &value, inst.size); });
}

// d = b + bits of a that belong to lanes below; aux: the half of the mask that a is.
void countBelow(Warp &warp, const Inst &inst) {
  warp.eachLane([&](uint32_t lane) {
    uint64_t below = (uint64_t(1) << lane) - 1;
    uint32_t mask = warp.at<uint32_t>(inst.a)[lane] & uint32_t(below >> (inst.aux ? 32 : 0));
    warp.at<uint32_t>(inst.d)[lane] = warp.at<uint32_t>(inst.b)[lane] + uint32_t(std::popcount(mask));
  });
}

// d = lanes whose predicate a holds.
void ballot(Warp &warp, const Inst &inst) {
  uint64_t lanes = 0;
  warp.eachLane([&](uint32_t lane) { lanes |= uint64_t(warp.at<uint8_t>(inst.a)[lane] & 1) << lane; });
  warp.eachLane([&](uint32_t lane) { std::memcpy(warp.frame + inst.d + lane * inst.aux, &lanes, inst.aux); });
}

// V_PERM_B32: bytes of b are 0 to 3, of a 4 to 7; 8 to 11 repeat signs, 12 is 0, the rest 0xff.
void permuteBytes(Warp &warp, const Inst &inst) {
  mapLanes<uint32_t, uint32_t, uint32_t, uint32_t>(warp, inst.d, inst.a, inst.b, inst.c,
                                                   [](uint32_t a, uint32_t b, uint32_t selector) {
                                                     uint64_t both = uint64_t(a) << 32 | b;
                                                     uint32_t result = 0;
                                                     for (int i = 0; i < 4; ++i) {
                                                       uint32_t select = selector >> 8 * i & 0xff, byte = 0;
                                                       if (select < 8)
                                                         byte = uint32_t(both >> 8 * select) & 0xff;
                                                       else if (select < 12)
                                                         byte = both >> (16 * (select - 8) + 15) & 1 ? 0xff : 0;
                                                       else
                                                         byte = select == 12 ? 0 : 0xff;
                                                       result |= byte << 8 * i;
                                                     }
                                                     return result;
                                                   });
}

template <bool isSigned> void bitField(Warp &warp, const Inst &inst) {
  mapLanes<uint32_t, uint32_t, uint32_t, uint32_t>(
      warp, inst.d, inst.a, inst.b, inst.c, [](uint32_t x, uint32_t offset, uint32_t size) {
        offset &= 31, size &= 31;
        uint32_t field = x >> offset & ((1u << size) - 1);
        if (isSigned && size && offset + size <= 32 && field >> (size - 1) & 1)
          field |= ~((1u << size) - 1);
        return field;
      });
}

Half truncateToHalf(float f) {
  Half half = roundToHalf(f);
  bool finite = std::isfinite(f);
  if (finite && std::fabs(toFloat(half)) > std::fabs(f))
    --half.bits; // also from infinity to the largest number
  return half;
}

// slots: two halves, two floats.
void packTowardsZero(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  for (int i = 0; i < 2; ++i)
    mapLanes<Half, float>(warp, slots[i], slots[2 + i], [](float f) { return truncateToHalf(f); });
}

const Float8 &formatOf(const Warp &warp, bool wide) {
  bool fnuz = warp.program->architecture->fnuz;
  return wide ? (fnuz ? E5M2_FNUZ : E5M2) : (fnuz ? E4M3_FNUZ : E4M3);
}

// slots: floats, then the word; imm: the first byte; aux: e5m2.
void unpackSmall(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  const Float8 &format = formatOf(warp, inst.aux);
  warp.eachLane([&](uint32_t lane) {
    uint32_t word = warp.at<uint32_t>(slots[inst.count - 1])[lane];
    for (uint32_t i = 0; i + 1 < inst.count; ++i)
      warp.at<float>(slots[i])[lane] = decode(format, uint8_t(word >> 8 * (inst.imm + i)));
  });
}
// slots: word, two floats, old word; imm: upper half; aux: e5m2.
void packSmall(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  const Float8 &format = formatOf(warp, inst.aux);
  warp.eachLane([&](uint32_t lane) {
    uint32_t pair = encode(format, warp.at<float>(slots[1])[lane], false) |
                    uint32_t(encode(format, warp.at<float>(slots[2])[lane], false)) << 8;
    uint32_t old = warp.at<uint32_t>(slots[3])[lane];
    warp.at<uint32_t>(slots[0])[lane] = inst.imm ? (old & 0xffff) | pair << 16 : (old & 0xffff0000) | pair;
  });
}

// d = c + four products of bytes; imm: a signed | b signed << 1.
void dot4(Warp &warp, const Inst &inst) {
  bool aSigned = inst.imm & 1, bSigned = inst.imm & 2;
  mapLanes<uint32_t, uint32_t, uint32_t, uint32_t>(warp, inst.d, inst.a, inst.b, inst.c,
                                                   [=](uint32_t a, uint32_t b, uint32_t c) {
                                                     for (int i = 0; i < 4; ++i) {
                                                       uint32_t x = a >> 8 * i & 0xff, y = b >> 8 * i & 0xff;
                                                       c += uint32_t(aSigned ? int32_t(int8_t(x)) : int32_t(x)) *
                                                            uint32_t(bSigned ? int32_t(int8_t(y)) : int32_t(y));
                                                     }
                                                     return c;
                                                   });
}

// slots: d, a0, a1, b0, b1, c.
void dot2(Warp &warp, const Inst &inst) {
  const Slot *slots = &warp.program->slots[inst.list];
  warp.eachLane([&](uint32_t lane) {
    auto half = [&](int i) { return double(toFloat(warp.at<Half>(slots[i])[lane])); };
    warp.at<float>(slots[0])[lane] =
        float(half(1) * half(3) + half(2) * half(4) + double(warp.at<float>(slots[5])[lane]));
  });
}

bool emitMove(Lowering &lowering, const CallInst &call, int mode, const Value *value, const Value *old,
              ArrayRef<const Value *> selectors, uint64_t parameters) {
  auto parts = lowering.leaves(call.getType());
  Slots source = lowering.use(value), kept = old ? lowering.use(old) : Slots(source.size(), 0), selectorSlots;
  for (const Value *selector : selectors)
    selectorSlots.push_back(lowering.use(selector)[0]);
  Slots targets = lowering.define(call);
  for (size_t i = 0; i < targets.size(); ++i) {
    Slots operands = {source[i], kept[i]};
    operands.append(selectorSlots);
    Inst &code = lowering.emit(moveLanes, Kind::Exchange, {targets[i]}, operands);
    code.imm = uint64_t(mode) | parameters;
    code.size = parts[i].type.bytes;
  }
  return true;
}

bool lowerMove(Lowering &lowering, const CallInst &call, StringRef name) {
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  auto number = [&](unsigned i) { return lowering.constantArgument(call, i); };
  if (name.starts_with("update.dpp.") || name.starts_with("mov.dpp.")) {
    unsigned first = name.starts_with("update") ? 1 : 0;
    uint64_t control = number(first + 1);
    if (dppSource(int(control), 0, int(lowering.program.width), lowering.architecture.capability >= 0x1000) == -2)
      return false;
    return emitMove(lowering, call, Dpp, argument(first), first ? argument(0) : nullptr, {},
                    control << 8 | number(first + 2) << 32 | number(first + 3) << 40 | number(first + 4) << 48);
  }
  if (name == "ds.swizzle")
    return emitMove(lowering, call, Swizzle, argument(0), nullptr, {}, number(1) << 8);
  if (name == "ds.bpermute")
    return emitMove(lowering, call, Permute, argument(1), nullptr, {argument(0)}, 0);
  if (name.starts_with("permlane16.i") || name.starts_with("permlane16.f") || name.starts_with("permlanex16.i") ||
      name.starts_with("permlanex16.f"))
    return emitMove(lowering, call, name.starts_with("permlanex") ? OtherRow16 : Row16, argument(1), nullptr,
                    {argument(2), argument(3)}, 0);
  if (name.starts_with("permlane64"))
    return emitMove(lowering, call, Half64, argument(0), nullptr, {}, 0);
  bool first = name.starts_with("readfirstlane");
  if (first || name.starts_with("readlane")) {
    auto parts = lowering.leaves(call.getType());
    Slots source = lowering.use(argument(0));
    Slot lane = first ? 0 : lowering.use(argument(1))[0];
    Slots targets = lowering.define(call);
    for (size_t i = 0; i < targets.size(); ++i) {
      Inst &code = lowering.emit(readLane, Kind::Exchange);
      code.d = targets[i];
      code.a = source[i];
      code.b = lane;
      code.size = parts[i].type.bytes;
    }
    return true;
  }
  return false;
}

bool lowerSmallFloats(Lowering &lowering, const CallInst &call, StringRef name) {
  int kind = StringSwitch<int>(name)
                 .Case("cvt.f32.fp8", 0)
                 .Case("cvt.f32.bf8", 1)
                 .Case("cvt.pk.f32.fp8", 2)
                 .Case("cvt.pk.f32.bf8", 3)
                 .Case("cvt.pk.fp8.f32", 4)
                 .Case("cvt.pk.bf8.f32", 5)
                 .Default(-1);
  if (kind < 0 || (lowering.architecture.capability != 0x942 && lowering.architecture.capability != 0x950))
    return false;
  Slots operands;
  for (unsigned i = 0, last = call.arg_size() - 1; i < last; ++i)
    operands.append(lowering.use(call.getArgOperand(i)));
  uint64_t select = lowering.constantArgument(call, call.arg_size() - 1);
  Inst &code = lowering.emit(kind < 4 ? unpackSmall : packSmall, Kind::Convert, lowering.define(call), operands);
  code.imm = kind == 2 || kind == 3 ? 2 * select : select;
  code.aux = kind & 1;
  return true;
}

} // namespace

bool lowerAmdCall(Lowering &lowering, const CallInst &call, StringRef name) {
  if (!name.consume_front("llvm.amdgcn."))
    return false;
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  auto withImmediate = [&](Handler handler, ArrayRef<const Value *> operands, Kind kind, uint64_t imm, uint16_t aux) {
    lowering.elementwise(call, handler, kind, operands, {});
    lowering.program.insts.back().imm = imm;
    lowering.program.insts.back().aux = aux;
    return true;
  };
  if (name.starts_with("workitem.id.") || name.starts_with("workgroup.id."))
    return lowerSpecialRegister(lowering, call,
                                (name.starts_with("workitem") ? "tid." : "ctaid.") + name.take_back(1).str());
  if (name == "wavefrontsize")
    return lowerSpecialRegister(lowering, call, "warpsize");
  if (name == "s.barrier")
    return lowering.barrier(nullptr, nullptr), true;
  // Order within a wave, and hints: lanes run in lock step here.
  if (StringSwitch<bool>(name)
          .Cases({"wave.barrier", "sched.barrier", "sched.group.barrier", "iglp.opt", "s.waitcnt", "s.sleep",
                  "s.setprio", "s.nop"},
                 true)
          .Default(false))
    return true;
  if (name == "mbcnt.lo" || name == "mbcnt.hi")
    return withImmediate(countBelow, {argument(0), argument(1)}, Kind::Exchange, 0, name == "mbcnt.hi");
  if (name.starts_with("ballot."))
    return withImmediate(ballot, {argument(0)}, Kind::Exchange, 0, lowering.leaves(call.getType())[0].type.bytes);
  if (lowerMove(lowering, call, name) || lowerSmallFloats(lowering, call, name))
    return true;
  if (name == "perm")
    return withImmediate(permuteBytes, {argument(0), argument(1), argument(2)}, Kind::Integer, 0, 0);
  if (name == "ubfe.i32" || name == "sbfe.i32")
    return withImmediate(name[0] == 'u' ? bitField<false> : bitField<true>, {argument(0), argument(1), argument(2)},
                         Kind::Integer, 0, 0);
  if (name == "sdot4" || name == "udot4") {
    if (lowering.constantArgument(call, 3))
      return false; // saturated
    return withImmediate(dot4, {argument(0), argument(1), argument(2)}, Kind::Integer, name[0] == 's' ? 3 : 0, 0);
  }
  if (name == "sudot4") {
    if (lowering.constantArgument(call, 5))
      return false;
    return withImmediate(dot4, {argument(1), argument(3), argument(4)}, Kind::Integer,
                         lowering.constantArgument(call, 0) | lowering.constantArgument(call, 2) << 1, 0);
  }
  if (name == "fdot2") {
    if (lowering.constantArgument(call, 3))
      return false;
    Slots operands = lowering.use(argument(0));
    operands.append(lowering.use(argument(1)));
    operands.append(lowering.use(argument(2)));
    lowering.emit(dot2, Kind::Float, lowering.define(call), operands);
    return true;
  }
  if (name == "cvt.pkrtz") {
    Slots operands = {lowering.use(argument(0))[0], lowering.use(argument(1))[0]};
    lowering.emit(packTowardsZero, Kind::Convert, lowering.define(call), operands);
    return true;
  }
  if (call.getType()->isVoidTy() || call.arg_size() != 1 || argument(0)->getType() != call.getType())
    return false;
  Scalar type = lowering.leaves(call.getType())[0].type;
  StringRef function = StringSwitch<StringRef>(name.split('.').first)
                           .Case("exp2", "exp2")
                           .Case("log", "log2")
                           .Case("rcp", "reciprocal")
                           .Case("rsq", "rsqrt")
                           .Case("sqrt", "sqrt")
                           .Case("fract", "fract")
                           .Case("tanh", "tanh")
                           .Default("");
  Handler handler = functionHandler(function, type);
  if (function.empty() || !handler || name.contains("legacy") || name.contains("clamp"))
    return false;
  lowering.elementwise(call, handler, Kind::Float, {argument(0)}, type);
  return true;
}

} // namespace whit::sim
