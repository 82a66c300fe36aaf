// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lowering of calls: the functions of LLVM that all targets know are here, those of one target in files of its name.

#include "Sim/Access.h"
#include "Sim/Arithmetic.h"
#include "Sim/Lowering.h"

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
