// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's arithmetic on pairs of small numbers, and conversions from and to them, by PTX ISA 9.7.4 and 9.7.9.21 ("cvt"). Of a conversion
// of two numbers the first becomes the upper half.

#include "Sim/Arithmetic.h"
#include "Sim/Floats.h"
#include "Sim/Lanes.h"
#include "Sim/Lowering.h"
#include "Sim/Special.h"

using namespace llvm;

namespace whit::sim {
namespace {

template <class T> void clampBelow(Warp &warp, const Inst &inst) {
  mapLanes<T, T>(warp, inst.d, inst.a, [](T x) -> T { return toFloat(x) < 0 ? fromFloat<T>(0.0f) : x; });
}
template <class T> void round(Warp &warp, const Inst &inst) {
  mapLanes<T, float>(warp, inst.d, inst.a, [](float x) -> T { return fromFloat<T>(x); });
}

// a: two codes; slots: the lower and the upper number; imm: the format.
void decodePair(Warp &warp, const Inst &inst) {
  const auto &format = *reinterpret_cast<const Float8 *>(inst.imm);
  const Slot *slots = &warp.program->slots[inst.list];
  warp.eachLane([&](uint32_t lane) {
    uint16_t codes = warp.at<uint16_t>(inst.a)[lane];
    warp.at<Half>(slots[0])[lane] = roundToHalf(decode(format, uint8_t(codes)));
    warp.at<Half>(slots[1])[lane] = roundToHalf(decode(format, uint8_t(codes >> 8)));
  });
}

// a: the number of the upper half, b: of the lower; aux: they are halves, not f32. Too large numbers become the largest.
void encodePair(Warp &warp, const Inst &inst) {
  const auto &format = *reinterpret_cast<const Float8 *>(inst.imm);
  auto number = [&](Slot slot, uint32_t lane) {
    return inst.aux ? toFloat(warp.at<Half>(slot)[lane]) : warp.at<float>(slot)[lane];
  };
  warp.eachLane([&](uint32_t lane) {
    warp.at<uint16_t>(inst.d)[lane] =
        uint16_t(encode(format, number(inst.a, lane), true) << 8 | encode(format, number(inst.b, lane), true));
  });
}

const Float8 *formatOf(StringRef name) {
  return name.starts_with("e4m3x2") ? &E4M3 : name.starts_with("e5m2x2") ? &E5M2 : nullptr;
}

/// With `relu`, what lies below zero becomes zero.
void clampIf(Lowering &lowering, bool relu, Scalar type, ArrayRef<Slot> slots) {
  for (Slot slot : slots)
    if (relu) {
      Inst &code = lowering.emit(type.cls == Scalar::Half ? clampBelow<Half> : clampBelow<BFloat>, Kind::Float);
      code.d = code.a = slot;
    }
}

} // namespace

bool lowerPacked(Lowering &lowering, const CallInst &call, StringRef name) {
  if (call.getType()->isVoidTy())
    return false;
  auto argument = [&](unsigned i) { return call.getArgOperand(i); };
  auto emitRound = [&](Scalar type, Slot to, Slot from) {
    Inst &code = lowering.emit(type.cls == Scalar::Half ? round<Half> : round<BFloat>, Kind::Convert);
    code.d = to;
    code.a = from;
  };
  bool wantsRelu = name.contains(".relu");
  // "ff2bf16x2.rn": two numbers to a pair. "f2bf16.rn": one.
  if (name.starts_with("ff2bf16x2.rn") || name.starts_with("ff2f16x2.rn") || name.starts_with("f2bf16.rn") ||
      name.starts_with("f2f16.rn")) {
    if (name.contains("satfinite"))
      return false;
    Scalar type = lowering.leaves(call.getType())[0].type;
    bool two = name.starts_with("ff");
    Slot first = lowering.use(argument(0))[0], second = two ? lowering.use(argument(1))[0] : 0;
    Slots to = lowering.define(call);
    if (!type.isFloat() || to.size() != (two ? 2 : 1))
      return false;
    emitRound(type, to.back(), first);
    if (two)
      emitRound(type, to[0], second);
    clampIf(lowering, wantsRelu, type, to);
    return true;
  }
  if (StringRef codes = name; const Float8 *format = formatOf(codes)) { // "e4m3x2.to.f16x2.rn"
    if (!codes.drop_front(6).starts_with(".to.f16x2.rn"))
      return false;
    Slot from = lowering.use(argument(0))[0];
    Slots to = lowering.define(call);
    Inst &code = lowering.emit(decodePair, Kind::Convert, to, {});
    code.a = from;
    code.imm = reinterpret_cast<uint64_t>(format);
    clampIf(lowering, wantsRelu, {Scalar::Half, 2, 16}, to);
    return true;
  }
  bool fromHalves = name.consume_front("f16x2.to.");
  if (fromHalves || name.consume_front("ff.to.")) { // "ff.to.e4m3x2.rn"
    const Float8 *format = formatOf(name);
    if (!format || wantsRelu)
      return false;
    Slots first = lowering.use(argument(0));
    Slot upper = fromHalves ? first[1] : first[0], lower = fromHalves ? first[0] : lowering.use(argument(1))[0];
    Slot to = lowering.define(call)[0];
    Inst &code = lowering.emit(encodePair, Kind::Convert);
    code.d = to;
    code.a = upper;
    code.b = lower;
    code.aux = fromHalves;
    code.imm = reinterpret_cast<uint64_t>(format);
    return true;
  }
  // "fma.rn.bf16x2", "fmax.nan.f16x2": lane by lane as elsewhere. Of numbers below the normal ones `.ftz` makes zeros, which is not done
  // here, and `.sat` clamps to [0, 1].
  SmallVector<StringRef> words;
  name.split(words, '.');
  StringRef type = words.back();
  if ((type != "f16" && type != "f16x2" && type != "bf16" && type != "bf16x2") || name.contains(".ftz") ||
      name.contains(".sat") || name.contains(".xorsign"))
    return false;
  Scalar scalar = lowering.leaves(call.getType())[0].type;
  StringRef function = words[0] == "fma"    ? "fma"
                       : words[0] == "fmax" ? (name.contains(".nan") ? "maximum" : "maxnum")
                       : words[0] == "fmin" ? (name.contains(".nan") ? "minimum" : "minnum")
                       : words[0] == "neg"  ? "fneg"
                                            : "";
  if (function.empty() || !scalar.isFloat())
    return false;
  SmallVector<const Value *, 3> operands(call.args());
  lowering.elementwise(call, functionHandler(function, scalar), Kind::Float, operands, scalar);
  clampIf(lowering, wantsRelu, scalar, lowering.use(&call));
  return true;
}

} // namespace whit::sim
