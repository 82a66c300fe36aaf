// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lowering of calls: the functions of LLVM that all targets know are here, those of one target in files of its name.

#include "Sim/Access.h"
#include "Sim/Arithmetic.h"
#include "Sim/Lanes.h"
#include "Sim/Lowering.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;

namespace whit::sim {

void Lowering::lowerCall(CallInst &call) {
  if (call.isInlineAsm()) {
    if (lowerInlineAssembly(*this, call))
      return;
    refuse("this inline assembly is not simulated");
  }
  const Function *callee = call.getCalledFunction();
  if (!callee)
    refuse("calls through pointers are not simulated");
  StringRef name = callee->getName();
  if (lowerCommonCall(*this, call, name))
    return;
  if (architecture.nvidia ? lowerNvidiaCall(*this, call, name) || lowerNvidiaMatrixCall(*this, call, name)
                          : lowerAmdCall(*this, call, name) || lowerAmdMatrixCall(*this, call, name))
    return;
  refuse("the function " + name.str() + " is not simulated on " + architecture.name);
}

/// Bits of a class as "LLVM Language Reference Manual", llvm.is.fpclass, has them.
static uint32_t classOf(float x) {
  uint32_t bits = llvm::bit_cast<uint32_t>(x), fraction = bits & 0x7fffff, exponent = bits >> 23 & 0xff;
  bool isNegative = bits >> 31;
  if (exponent == 0xff && fraction)
    return fraction >> 22 ? 1u << 1 : 1u << 0;
  uint32_t magnitude = exponent == 0xff ? 3 : exponent ? 2 : fraction ? 1 : 0; // infinite, normal, subnormal, zero
  return isNegative ? 1u << (5 - magnitude) : 1u << (6 + magnitude);
}

static void classify(Warp &warp, const Inst &inst) {
  mapLanes<uint8_t, float>(warp, inst.d, inst.a, [&](float x) { return uint8_t((classOf(x) & inst.imm) != 0); });
}

/// llvm.vector.reduce.*: elements are folded one after another, the order in which those of sums of floats have to be.
static bool lowerReduction(Lowering &lowering, const CallInst &call, StringRef kind) {
  auto elements = lowering.use(call.getArgOperand(call.arg_size() - 1));
  Scalar type = lowering.leaves(call.getType())[0].type;
  kind = kind.take_until([](char c) { return c == '.'; });
  StringRef function = StringSwitch<StringRef>(kind)
                           .Case("fmaximum", "maximum")
                           .Case("fminimum", "minimum")
                           .Case("fmax", "maxnum")
                           .Case("fmin", "minnum")
                           .Cases({"smax", "smin", "umax", "umin"}, kind)
                           .Default("");
  unsigned opcode = StringSwitch<unsigned>(kind)
                        .Case("add", Instruction::Add)
                        .Case("mul", Instruction::Mul)
                        .Case("and", Instruction::And)
                        .Case("or", Instruction::Or)
                        .Case("xor", Instruction::Xor)
                        .Case("fadd", Instruction::FAdd)
                        .Case("fmul", Instruction::FMul)
                        .Default(0);
  Handler handler = !function.empty() ? functionHandler(function, type)
                    : opcode          ? binaryHandler(opcode, type)
                                      : nullptr;
  if (!handler)
    return false;
  SmallVector<Slot> operands;
  if (call.arg_size() == 2) // what sums of floats start from
    operands.push_back(lowering.use(call.getArgOperand(0))[0]);
  operands.append(elements.begin(), elements.end());
  if (operands.size() == 1) {
    lowering.alias(call, elements);
    return true;
  }
  Slot result = lowering.define(call)[0], partial = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    Slot to = i + 1 == operands.size() ? result : lowering.temporary(type.bytes);
    Inst &inst = lowering.emit(handler, type.isFloat() ? Kind::Float : Kind::Integer);
    inst.d = to;
    inst.a = partial;
    inst.b = operands[i];
    partial = to;
  }
  return true;
}

bool lowerCommonCall(Lowering &lowering, const CallInst &call, StringRef name) {
  switch (call.getIntrinsicID()) {
  case Intrinsic::assume:
  case Intrinsic::lifetime_start:
  case Intrinsic::lifetime_end:
  case Intrinsic::dbg_declare:
  case Intrinsic::dbg_value:
  case Intrinsic::dbg_label:
  case Intrinsic::donothing:
  case Intrinsic::experimental_noalias_scope_decl:
  case Intrinsic::sideeffect:
  case Intrinsic::pseudoprobe:
    return true;
  case Intrinsic::expect:
  case Intrinsic::ssa_copy:
    lowering.alias(call, lowering.use(call.getArgOperand(0)));
    return true;
  case Intrinsic::is_fpclass: {
    auto from = lowering.use(call.getArgOperand(0)), to = lowering.define(call);
    if (!call.getArgOperand(0)->getType()->getScalarType()->isFloatTy())
      return false;
    for (size_t i = 0; i < to.size(); ++i) {
      Inst &inst = lowering.emit(classify, Kind::Float);
      inst.d = to[i];
      inst.a = from[i];
      inst.imm = lowering.constantArgument(call, 1);
    }
    return true;
  }
  case Intrinsic::memcpy:
  case Intrinsic::memcpy_inline:
  case Intrinsic::memmove:
  case Intrinsic::memset: {
    bool fill = isa<MemSetInst>(call);
    const Value *to = call.getArgOperand(0), *from = call.getArgOperand(1), *length = call.getArgOperand(2);
    Slot lengthSlot = lowering.use(length)[0];
    Scalar lengthType = lowering.leaves(length->getType())[0].type;
    if (lengthType.bytes != 8) {
      Slot wide = lowering.temporary(8);
      Inst &extend = lowering.emit(castHandler(Instruction::ZExt, lengthType, {Scalar::Int, 8, 64}), Kind::Integer);
      extend.d = wide;
      extend.a = lengthSlot;
      extend.imm = ~uint64_t(0);
      lengthSlot = wide;
    }
    Slot toSlot = lowering.use(to)[0], fromSlot = lowering.use(from)[0];
    Inst &code = lowering.emit(copyLanes, Kind::Other);
    code.a = toSlot;
    code.b = fromSlot;
    code.c = lengthSlot;
    code.space = lowering.spaceOf(to);
    code.imm = fill ? 0xff : uint64_t(lowering.spaceOf(from));
    code.aux = uint16_t(lowering.pointerBytes(to) | (fill ? 0 : lowering.pointerBytes(from) << 8));
    return true;
  }
  default:
    break;
  }
  if (!name.consume_front("llvm.") || name.starts_with("nvvm.") || name.starts_with("amdgcn."))
    return false;
  if (call.getType()->isVoidTy())
    return false;
  if (name.consume_front("vector.reduce."))
    return lowerReduction(lowering, call, name);
  auto parts = lowering.leaves(call.getType());
  Scalar type = parts[0].type;
  // "llvm.uadd.sat.i32" is "uadd.sat" of its type.
  std::string base = name.str();
  while (true) {
    if (Handler handler = functionHandler(base, type)) {
      SmallVector<const Value *, 3> operands;
      for (const Value *operand : call.args())
        if (operand->getType() == call.getType()) // ctlz and abs say with an i1 whether 0 or the least number may come
          operands.push_back(operand);
      lowering.elementwise(call, handler, type.isFloat() ? Kind::Float : Kind::Integer, operands, type);
      return true;
    }
    size_t dot = base.rfind('.');
    if (dot == std::string::npos)
      return false;
    base.resize(dot);
  }
}

} // namespace whit::sim
