// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lowering of instructions that are not calls. Taking vectors and structs apart with constant indices makes no code.

#include "Sim/Access.h"
#include "Sim/Arithmetic.h"
#include "Sim/Lowering.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Operator.h"

using namespace llvm;

namespace whit::sim {

static uint64_t maskOf(Scalar type) { return type.bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << type.bits) - 1; }

void Lowering::elementwise(const Instruction &inst, Handler handler, Kind kind, ArrayRef<const Value *> operands,
                           Scalar type) {
  SmallVector<Slots, 3> sources;
  for (const Value *operand : operands)
    sources.push_back(use(operand));
  Slots targets = define(inst);
  for (size_t i = 0; i < targets.size(); ++i) {
    Inst &code = emit(handler, kind);
    auto source = [&](size_t operand) {
      return operand >= sources.size() ? 0 : sources[operand][sources[operand].size() == 1 ? 0 : i];
    };
    code.d = targets[i];
    code.a = source(0);
    code.b = source(1);
    code.c = source(2);
    code.imm = maskOf(type);
    code.size = type.bits;
  }
}

/// Whether a fence of `scope` orders what other blocks see.
static bool reachesBeyondBlock(LLVMContext &context, SyncScope::ID scope) {
  SmallVector<StringRef, 16> names;
  context.getSyncScopeNames(names);
  return scope >= names.size() || !StringSwitch<bool>(names[scope])
                                       .Cases({"singlethread", "wavefront", "workgroup", "block"}, true)
                                       .StartsWith("workgroup-", true)
                                       .StartsWith("wavefront-", true)
                                       .Default(false);
}

void Lowering::orderBlocks() {
  program.ordersBlocks = true;
  emit(fenceBlocks, Kind::Other);
}

void Lowering::lowerInstruction(Instruction &inst) {
  Type *type = inst.getType();
  switch (inst.getOpcode()) {
  case Instruction::Alloca: {
    auto &variable = cast<AllocaInst>(inst);
    auto size = variable.getAllocationSize(layout);
    if (!size || !variable.isStaticAlloca())
      refuse("private memory must have a constant size and be allocated in the first block");
    uint64_t at = alignTo(program.privateBytes, variable.getAlign());
    program.privateBytes = uint32_t(at + size->getFixedValue());
    bool generic = variable.getAddressSpace() == 0;
    alias(inst, {constant(at + (generic ? uint64_t(2) << 56 : 0), generic ? 8 : pointerBytes(&inst))});
    return;
  }
  case Instruction::Load: {
    auto &access = cast<LoadInst>(inst);
    if (isStrongerThan(access.getOrdering(), AtomicOrdering::Monotonic))
      refuse("loads that order others are not simulated; a fence and an atomic operation are");
    load(inst, access.getPointerOperand(), access.getAlign().value());
    return;
  }
  case Instruction::Store: {
    auto &access = cast<StoreInst>(inst);
    if (isStrongerThan(access.getOrdering(), AtomicOrdering::Monotonic))
      refuse("stores that order others are not simulated; a fence and an atomic operation are");
    store(access.getValueOperand(), access.getPointerOperand(), access.getAlign().value());
    return;
  }
  case Instruction::AtomicRMW:
  case Instruction::AtomicCmpXchg:
    lowerAtomic(inst);
    return;
  case Instruction::Fence:
    if (reachesBeyondBlock(inst.getContext(), cast<FenceInst>(inst).getSyncScopeID()))
      orderBlocks();
    return;
  case Instruction::GetElementPtr:
    lowerAddress(cast<GetElementPtrInst>(inst));
    return;
  case Instruction::Freeze:
    alias(inst, use(inst.getOperand(0)));
    return;
  case Instruction::FNeg: {
    Scalar scalar = leaves(type)[0].type;
    elementwise(inst, functionHandler("fneg", scalar), Kind::Float, {inst.getOperand(0)}, scalar);
    return;
  }
  case Instruction::Select: {
    Slots condition = use(inst.getOperand(0)), a = use(inst.getOperand(1)), b = use(inst.getOperand(2));
    auto parts = leaves(type);
    Slots targets = define(inst);
    for (size_t i = 0; i < targets.size(); ++i) {
      Inst &code = emit(selectHandler(parts[i].type.bytes), Kind::Move);
      code.d = targets[i];
      code.a = a[i];
      code.b = b[i];
      code.c = condition[condition.size() == 1 ? 0 : i];
    }
    return;
  }
  case Instruction::ICmp:
  case Instruction::FCmp: {
    auto &compare = cast<CmpInst>(inst);
    Scalar scalar = leaves(compare.getOperand(0)->getType())[0].type;
    size_t first = program.insts.size();
    elementwise(inst, compareHandler(compare.getPredicate(), scalar), scalar.isFloat() ? Kind::Float : Kind::Integer,
                {compare.getOperand(0), compare.getOperand(1)}, scalar);
    if (scalar.isFloat())
      for (size_t i = first; i < program.insts.size(); ++i)
        program.insts[i].imm = compare.getPredicate();
    return;
  }
  case Instruction::ExtractElement:
  case Instruction::InsertElement:
    lowerVectorElement(inst);
    return;
  case Instruction::ShuffleVector:
    lowerShuffle(cast<ShuffleVectorInst>(inst));
    return;
  case Instruction::ExtractValue:
  case Instruction::InsertValue: {
    bool extract = isa<ExtractValueInst>(inst);
    Type *whole = inst.getOperand(0)->getType();
    ArrayRef<unsigned> indices =
        extract ? cast<ExtractValueInst>(inst).getIndices() : cast<InsertValueInst>(inst).getIndices();
    size_t first = 0;
    Type *part = whole;
    for (unsigned index : indices) {
      for (unsigned i = 0; i < index; ++i)
        first += leaves(part->isStructTy() ? part->getStructElementType(i) : part->getArrayElementType()).size();
      part = part->isStructTy() ? part->getStructElementType(index) : part->getArrayElementType();
    }
    Slots slots = use(inst.getOperand(0));
    if (extract) {
      alias(inst, Slots(slots.begin() + first, slots.begin() + first + leaves(part).size()));
      return;
    }
    Slots values = use(inst.getOperand(1));
    std::copy(values.begin(), values.end(), slots.begin() + first);
    alias(inst, slots);
    return;
  }
  case Instruction::Call:
    lowerCall(cast<CallInst>(inst));
    return;
  }
  if (auto *cast = dyn_cast<CastInst>(&inst))
    return lowerCast(*cast);
  if (isa<BinaryOperator>(inst)) {
    Scalar scalar = leaves(type)[0].type;
    elementwise(inst, binaryHandler(inst.getOpcode(), scalar), scalar.isFloat() ? Kind::Float : Kind::Integer,
                {inst.getOperand(0), inst.getOperand(1)}, scalar);
    return;
  }
  refuse(std::string("the instruction ") + inst.getOpcodeName() + " is not simulated");
}

void Lowering::lowerCast(CastInst &cast) {
  const Value *source = cast.getOperand(0);
  auto from = leaves(source->getType()), to = leaves(cast.getType());
  unsigned opcode = cast.getOpcode();
  if (opcode == Instruction::AddrSpaceCast) {
    Space old = spaceOf(source), now = spaceOf(&cast);
    Scalar a = from[0].type, b = to[0].type;
    if (a.bytes == b.bytes && (old == now || old == Space::Global || now == Space::Global))
      return alias(cast, use(source));
    Slots slots = use(source), targets = define(cast);
    if (now == Space::Generic) {
      Slot wide = slots[0];
      if (a.bytes != 8) {
        wide = temporary(8);
        Inst &extend = emit(castHandler(Instruction::ZExt, a, b), Kind::Integer);
        extend.d = wide;
        extend.a = slots[0];
        extend.imm = ~uint64_t(0);
      }
      Inst &code = emit(addConstantHandler(8), Kind::Integer);
      code.d = targets[0];
      code.a = wide;
      code.imm = old == Space::Shared ? uint64_t(1) << 56 : uint64_t(2) << 56;
      return;
    }
    if (old != Space::Generic)
      refuse("this cast between address spaces has no meaning");
    // The windows are multiples of what narrower pointers hold.
    Inst &code = emit(castHandler(Instruction::Trunc, a, b), Kind::Integer);
    code.d = targets[0];
    code.a = slots[0];
    code.imm = b.bytes == 8 ? ~(uint64_t(0xff) << 56) : 0xffffffffu;
    return;
  }
  if (opcode == Instruction::BitCast || opcode == Instruction::PtrToInt || opcode == Instruction::IntToPtr ||
      opcode == Instruction::PtrToAddr) {
    if (from[0].type.bits == to[0].type.bits)
      return alias(cast, use(source));
    if (opcode == Instruction::BitCast) {
      for (const Leaf &leaf : {from[0], to[0]})
        if (leaf.type.bits != leaf.type.bytes * 8)
          refuse("a cast of bits between elements that are no whole bytes is not simulated");
      Slots sources = use(source), targets = define(cast);
      Inst &code = emit(bitcastHandler(), Kind::Move, sources, targets);
      code.size = uint32_t(sources.size());
      code.imm = from[0].type.bytes;
      code.aux = to[0].type.bytes;
      return;
    }
    opcode = Instruction::PtrToInt;
  }
  size_t first = program.insts.size();
  elementwise(cast, castHandler(opcode, from[0].type, to[0].type), Kind::Convert, {source}, from[0].type);
  for (size_t i = first; i < program.insts.size(); ++i) {
    program.insts[i].imm = maskOf(to[0].type);
    program.insts[i].aux = to[0].type.bits;
  }
}

void Lowering::lowerAddress(GetElementPtrInst &gep) {
  if (gep.getType()->isVectorTy())
    refuse("vectors of pointers are not simulated");
  unsigned bits = layout.getIndexTypeSizeInBits(gep.getType());
  SmallMapVector<Value *, APInt, 4> variable;
  APInt fixed(bits, 0);
  if (!cast<GEPOperator>(gep).collectOffset(layout, bits, variable, fixed))
    refuse("this address computation is not simulated");
  Slots base = use(gep.getPointerOperand());
  uint32_t bytes = pointerBytes(&gep);
  if (variable.empty() && fixed.isZero())
    return alias(gep, base);
  SmallVector<std::pair<Slot, Scalar>> indices;
  for (auto &[value, scale] : variable)
    indices.push_back({use(value)[0], leaves(value->getType())[0].type});
  Slot target = define(gep)[0], from = base[0];
  size_t i = 0;
  for (auto &[value, scale] : variable) {
    Inst &code = emit(addIndexHandler(bytes, indices[i].second.bytes), Kind::Integer);
    code.d = target;
    code.a = from;
    code.b = indices[i].first;
    code.imm = uint64_t(scale.getSExtValue());
    code.size = indices[i].second.bits;
    from = target;
    ++i;
  }
  if (!fixed.isZero()) {
    Inst &code = emit(addConstantHandler(bytes), Kind::Integer);
    code.d = target;
    code.a = from;
    code.imm = uint64_t(fixed.getSExtValue());
  }
}

void Lowering::lowerShuffle(ShuffleVectorInst &shuffle) {
  Slots first = use(shuffle.getOperand(0)), second = use(shuffle.getOperand(1)), result;
  for (int index : shuffle.getShuffleMask())
    result.push_back(index < 0 ? first[0] : size_t(index) < first.size() ? first[index] : second[index - first.size()]);
  alias(shuffle, result);
}

void Lowering::lowerVectorElement(Instruction &inst) {
  bool insert = isa<InsertElementInst>(inst);
  const Value *indexValue = inst.getOperand(insert ? 2 : 1);
  Slots vector = use(inst.getOperand(0));
  auto index = constantOf(indexValue);
  if (index && *index >= vector.size())
    index = 0; // poison
  if (index && !insert)
    return alias(inst, {vector[*index]});
  if (index) {
    vector[*index] = use(inst.getOperand(1))[0];
    return alias(inst, vector);
  }
  uint32_t bytes = leaves(inst.getType())[0].type.bytes, indexBytes = leaves(indexValue->getType())[0].type.bytes;
  Slot indexSlot = use(indexValue)[0];
  if (insert) {
    Slot value = use(inst.getOperand(1))[0];
    Inst &code = emit(insertHandler(), Kind::Move, define(inst), vector);
    code.a = value;
    code.b = indexSlot;
    code.imm = indexBytes;
    code.size = bytes;
    return;
  }
  Slot target = define(inst)[0];
  Inst &code = emit(extractHandler(), Kind::Move, {}, vector);
  code.d = target;
  code.b = indexSlot;
  code.imm = indexBytes;
  code.size = bytes;
}

static Kind accessKind(Space space, bool isLoad) {
  switch (space) {
  case Space::Global:
    return isLoad ? Kind::LoadGlobal : Kind::StoreGlobal;
  case Space::Shared:
    return isLoad ? Kind::LoadShared : Kind::StoreShared;
  case Space::Private:
    return isLoad ? Kind::LoadPrivate : Kind::StorePrivate;
  default:
    return isLoad ? Kind::LoadGeneric : Kind::StoreGeneric;
  }
}

static Inst &emitAccess(Lowering &lowering, Type *type, const Slots &slots, const Value *pointer, Slot address,
                        uint64_t align, Handler handler, bool isLoad) {
  Space space = lowering.spaceOf(pointer);
  Inst &code = lowering.emit(handler, accessKind(space, isLoad));
  auto parts = lowering.leaves(type);
  code.a = address;
  code.space = space;
  code.size = uint32_t(lowering.layout.getTypeStoreSize(type).getFixedValue());
  code.imm = lowering.pointerBytes(pointer) | align << 8;
  code.list = uint32_t(lowering.program.components.size());
  code.count = uint32_t(parts.size());
  if (code.size > 512)
    lowering.refuse("an access of more than 512 bytes is not simulated");
  for (size_t i = 0; i < parts.size(); ++i) {
    Scalar scalar = parts[i].type;
    if (type->isVectorTy() && scalar.bits % 8)
      lowering.refuse("vectors in memory whose elements are no whole bytes are not simulated");
    lowering.program.components.push_back(
        {slots[i], parts[i].offset, uint32_t((scalar.bits + 7) / 8 == 3 ? 4 : scalar.bytes)});
    if ((scalar.bits + 7) / 8 != scalar.bytes)
      lowering.refuse("numbers of 3, 5, 6 or 7 bytes in memory are not simulated");
  }
  return code;
}

void Lowering::load(const Instruction &inst, const Value *pointer, uint64_t align) {
  Slot address = use(pointer)[0];
  Slots targets = define(inst);
  emitAccess(*this, inst.getType(), targets, pointer, address, align, loadLanes, true);
}

void Lowering::store(const Value *value, const Value *pointer, uint64_t align) {
  Slot address = use(pointer)[0];
  emitAccess(*this, value->getType(), use(value), pointer, address, align, storeLanes, false);
}

void Lowering::lowerAtomic(Instruction &inst) {
  auto *change = dyn_cast<AtomicRMWInst>(&inst);
  auto *exchange = dyn_cast<AtomicCmpXchgInst>(&inst);
  const Value *pointer = change ? change->getPointerOperand() : exchange->getPointerOperand();
  const Value *value = change ? change->getValOperand() : exchange->getNewValOperand();
  auto parts = leaves(value->getType());
  Scalar scalar = parts[0].type;
  if (parts.size() != 1 || (!scalar.isFloat() && scalar.bits != 32 && scalar.bits != 64))
    refuse("atomic operations on this type are not simulated");
  Slot address = use(pointer)[0], operand = use(value)[0];
  Slot expected = exchange ? use(exchange->getCompareOperand())[0] : 0;
  Slots targets = define(inst);
  Space space = spaceOf(pointer);
  // Within a block, too, an atomic operation may order what follows; only global ones order blocks.
  AtomicOrdering ordering = change ? change->getOrdering() : exchange->getMergedOrdering();
  bool isFence = space != Space::Shared && isStrongerThan(ordering, AtomicOrdering::Monotonic);
  program.ordersBlocks |= space != Space::Shared;
  if (isFence)
    orderBlocks();
  Inst &code = emit(change ? atomicLanes : compareExchangeLanes, Kind::Atomic);
  code.d = targets[0];
  code.a = address;
  code.space = space;
  code.size = scalar.bytes;
  code.imm = pointerBytes(pointer);
  if (change) {
    code.b = operand;
    code.aux = uint16_t(change->getOperation() | scalar.cls << 8);
    auto operation = change->getOperation();
    if (operation > AtomicRMWInst::UDecWrap || operation == AtomicRMWInst::FMaximum ||
        operation == AtomicRMWInst::FMinimum)
      refuse("this atomic operation is not simulated");
  } else {
    code.b = expected;
    code.c = operand;
    code.list = list({targets[1]});
  }
  if (isFence)
    orderBlocks();
}

} // namespace whit::sim
