// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Slots, constants, blocks and edges; instructions are in Instructions.cpp, calls in the files named after their target.
//
// Slots are used again within a block: a value that only its own block uses gives its slots back after its last use, which keeps the frame
// of a warp in the host's first caches. Values that leave their block keep their slots; lanes may wait elsewhere with them.

#include "Sim/Lowering.h"

#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/Analysis/PostDominators.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Operator.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

using namespace llvm;

namespace whit::sim {

Lowering::Lowering(Function &function, const Architecture &architecture,
                   std::function<uint64_t(const GlobalVariable &)> addressOf)
    : architecture(architecture), layout(function.getParent()->getDataLayout()), function(function),
      addressOf(std::move(addressOf)) {
  program.name = function.getName().str();
  program.architecture = &architecture;
  program.width = architecture.lanes;
  program.frameBytes = 64; // no value is in slot 0, which stands for none
}

void Lowering::refuse(const std::string &why) {
  std::string text = "kernel " + program.name + ": " + why;
  if (current) {
    std::string line;
    raw_string_ostream out(line);
    current->print(out);
    text += ", at `" + line.substr(line.find_first_not_of(' ')) + "`";
  }
  throw Refusal{text};
}

Space Lowering::spaceOf(const Value *pointer) {
  unsigned number = pointer->getType()->getPointerAddressSpace();
  switch (number) {
  case 0:
    return Space::Generic;
  case 1:
  case 4:
    return Space::Global;
  case 3:
  case 7: // shared memory of a cluster: here, of the block itself
    return Space::Shared;
  case 5:
    return Space::Private;
  }
  refuse("address space " + std::to_string(number) + " is not simulated; known are 0, 1, 3, 4, 5 and 7");
}

static bool scalarOf(Type *type, const DataLayout &layout, Scalar &scalar) {
  if (type->isHalfTy())
    scalar = {Scalar::Half, 2, 16};
  else if (type->isBFloatTy())
    scalar = {Scalar::BFloat, 2, 16};
  else if (type->isFloatTy())
    scalar = {Scalar::Float, 4, 32};
  else if (type->isDoubleTy())
    scalar = {Scalar::Double, 8, 64};
  else if (type->isPointerTy()) {
    uint32_t bytes = layout.getPointerSize(type->getPointerAddressSpace());
    scalar = {Scalar::Int, uint8_t(bytes), uint16_t(bytes * 8)};
    return bytes == 4 || bytes == 8;
  } else if (type->isIntegerTy() && type->getIntegerBitWidth() <= 64) {
    uint32_t bits = type->getIntegerBitWidth();
    scalar = {Scalar::Int, uint8_t(bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8), uint16_t(bits)};
  } else
    return false;
  return true;
}

static bool flatten(Type *type, const DataLayout &layout, uint64_t offset, SmallVector<Leaf, 4> &leaves) {
  Scalar scalar;
  if (scalarOf(type, layout, scalar)) {
    leaves.push_back({scalar, uint32_t(offset)});
    return true;
  }
  if (auto *vector = dyn_cast<FixedVectorType>(type)) {
    if (!scalarOf(vector->getElementType(), layout, scalar))
      return false;
    // Elements lie packed; those that are no whole bytes have no address of their own.
    for (unsigned i = 0; i < vector->getNumElements(); ++i)
      leaves.push_back({scalar, uint32_t(offset + uint64_t(i) * scalar.bits / 8)});
    return true;
  }
  if (auto *array = dyn_cast<ArrayType>(type)) {
    for (uint64_t i = 0; i < array->getNumElements(); ++i)
      if (!flatten(array->getElementType(), layout, offset + i * layout.getTypeAllocSize(array->getElementType()),
                   leaves))
        return false;
    return true;
  }
  if (auto *record = dyn_cast<StructType>(type)) {
    const StructLayout *places = layout.getStructLayout(record);
    for (unsigned i = 0; i < record->getNumElements(); ++i)
      if (!flatten(record->getElementType(i), layout, offset + places->getElementOffset(i), leaves))
        return false;
    return true;
  }
  return false;
}

SmallVector<Leaf, 4> Lowering::leaves(Type *type) {
  SmallVector<Leaf, 4> result;
  if (!type->isVoidTy() && !flatten(type, layout, 0, result)) {
    std::string text;
    raw_string_ostream out(text);
    type->print(out);
    refuse("values of type " + text + " are not simulated");
  }
  return result;
}

Slot Lowering::allocate(uint32_t bytes) {
  std::vector<Slot> &free = freeSlots[bytes];
  Slot slot;
  if (!free.empty()) {
    slot = free.back();
    free.pop_back();
  } else {
    slot = program.frameBytes;
    program.frameBytes += (bytes * program.width + 63) & ~63u;
  }
  references[slot] = {1, bytes};
  return slot;
}

void Lowering::unreference(Slot slot) {
  auto &[count, bytes] = references[slot];
  if (--count == 0)
    freeSlots[bytes].push_back(slot);
}

Slot Lowering::constant(uint64_t value, uint32_t bytes) {
  auto [entry, isNew] = constants.try_emplace({bytes, value}, 0);
  if (isNew) {
    // Never one that was used: constants are written once, before the kernel starts.
    entry->second = program.frameBytes;
    program.frameBytes += (bytes * program.width + 63) & ~63u;
    references[entry->second] = {1, bytes};
    program.constants.push_back({entry->second, bytes, value});
  }
  return entry->second;
}

uint64_t Lowering::evaluate(const Constant *constant) {
  if (auto *integer = dyn_cast<ConstantInt>(constant))
    return integer->getZExtValue();
  if (auto *number = dyn_cast<ConstantFP>(constant))
    return number->getValueAPF().bitcastToAPInt().getZExtValue();
  if (constant->isNullValue() || isa<UndefValue>(constant))
    return 0;
  if (auto *variable = dyn_cast<GlobalVariable>(constant)) {
    auto found = sharedOffsets.find(variable);
    return found != sharedOffsets.end() ? found->second : addressOf(*variable);
  }
  if (auto *expression = dyn_cast<ConstantExpr>(constant)) {
    auto operand = [&](unsigned i) { return evaluate(cast<Constant>(expression->getOperand(i))); };
    uint64_t mask = ~uint64_t(0);
    if (expression->getType()->isIntegerTy() && expression->getType()->getIntegerBitWidth() < 64)
      mask = (uint64_t(1) << expression->getType()->getIntegerBitWidth()) - 1;
    switch (expression->getOpcode()) {
    case Instruction::GetElementPtr: {
      APInt offset(layout.getIndexTypeSizeInBits(expression->getType()), 0);
      if (!cast<GEPOperator>(expression)->accumulateConstantOffset(layout, offset))
        break;
      return operand(0) + uint64_t(offset.getSExtValue());
    }
    case Instruction::AddrSpaceCast: {
      Space from = spaceOf(expression->getOperand(0)), to = spaceOf(expression);
      uint64_t window = from == Space::Shared ? uint64_t(1) << 56 : from == Space::Private ? uint64_t(2) << 56 : 0;
      return to == Space::Generic ? operand(0) + window : operand(0) & ~(uint64_t(0xff) << 56);
    }
    case Instruction::PtrToInt:
    case Instruction::IntToPtr:
    case Instruction::Trunc:
    case Instruction::BitCast:
      return operand(0) & mask;
    case Instruction::Add:
      return (operand(0) + operand(1)) & mask;
    case Instruction::Sub:
      return (operand(0) - operand(1)) & mask;
    case Instruction::Xor:
      return (operand(0) ^ operand(1)) & mask;
    }
  }
  std::string text;
  raw_string_ostream out(text);
  constant->print(out);
  refuse("the constant " + text + " is not simulated");
}

Slots Lowering::use(const Value *value) {
  if (auto found = values.find(value); found != values.end())
    return found->second;
  auto *constant = dyn_cast<Constant>(value);
  if (!constant)
    refuse("a value is used before it is computed");
  Slots slots;
  std::function<void(const Constant *)> visit = [&](const Constant *part) {
    Type *type = part->getType();
    if (type->isAggregateType() || type->isVectorTy()) {
      uint64_t count = type->isVectorTy()  ? cast<FixedVectorType>(type)->getNumElements()
                       : type->isArrayTy() ? type->getArrayNumElements()
                                           : type->getStructNumElements();
      for (uint64_t i = 0; i < count; ++i) {
        const Constant *element = part->getAggregateElement(unsigned(i));
        if (!element)
          refuse("a constant of the kernel has no elements");
        visit(element);
      }
      return;
    }
    slots.push_back(this->constant(evaluate(part), leaves(type).front().type.bytes));
  };
  visit(constant);
  return slots;
}

std::optional<uint64_t> Lowering::constantOf(const Value *value) {
  if (auto *integer = dyn_cast<ConstantInt>(value))
    return integer->getZExtValue();
  return std::nullopt;
}

uint64_t Lowering::constantArgument(const CallBase &call, unsigned index) {
  if (auto value = constantOf(call.getArgOperand(index)))
    return *value;
  refuse("operand " + std::to_string(index) + " must be a constant");
}

Slots Lowering::define(const Instruction &inst) {
  Slots slots;
  for (const Leaf &leaf : leaves(inst.getType()))
    slots.push_back(allocate(leaf.type.bytes));
  values[&inst] = slots;
  return slots;
}

void Lowering::alias(const Instruction &inst, const Slots &slots) {
  for (Slot slot : slots)
    ++references[slot].first;
  values[&inst] = slots;
}

Slot Lowering::temporary(uint32_t bytes) {
  temporaries.push_back(allocate(bytes));
  return temporaries.back();
}

Inst &Lowering::emit(Handler handler, Kind kind) {
  if (!handler)
    refuse("this instruction is not simulated for its type");
  program.insts.push_back({});
  program.origins.push_back(current);
  program.insts.back().run = handler;
  ++program.blocks[currentBlock].kinds[size_t(kind)];
  return program.insts.back();
}

Inst &Lowering::emit(Handler handler, Kind kind, ArrayRef<Slot> results, ArrayRef<Slot> operands) {
  Inst &inst = emit(handler, kind);
  inst.list = list(results);
  list(operands);
  inst.count = uint32_t(results.size() + operands.size());
  return inst;
}

uint32_t Lowering::list(ArrayRef<Slot> slots) {
  uint32_t first = uint32_t(program.slots.size());
  program.slots.insert(program.slots.end(), slots.begin(), slots.end());
  return first;
}

void Lowering::findLastUses(BasicBlock &block) {
  lastUses.clear();
  for (Instruction &inst : block) {
    if (isa<PHINode>(inst) || inst.getType()->isVoidTy())
      continue;
    const Instruction *last = &inst;
    bool leaves = false;
    for (const User *user : inst.users()) {
      auto *by = dyn_cast<Instruction>(user);
      if (!by || isa<PHINode>(by) || by->getParent() != &block) {
        leaves = true;
        break;
      }
      if (last->comesBefore(by))
        last = by;
    }
    if (!leaves)
      lastUses[last].push_back(&inst);
  }
}

void Lowering::releaseAfter(const Instruction &inst) {
  for (Slot slot : temporaries)
    unreference(slot);
  temporaries.clear();
  auto found = lastUses.find(&inst);
  if (found == lastUses.end())
    return;
  for (const Value *value : found->second)
    if (auto entry = values.find(value); entry != values.end()) {
      for (Slot slot : entry->second)
        unreference(slot);
      values.erase(entry);
    }
}

void Lowering::collectVariables() {
  SmallPtrSet<const Value *, 32> seen;
  std::vector<const Constant *> pending;
  auto add = [&](const Value *value) {
    if (auto *constant = dyn_cast<Constant>(value);
        constant && !isa<Function>(constant) && seen.insert(constant).second)
      pending.push_back(constant);
  };
  for (Instruction &inst : instructions(function))
    for (const Value *operand : inst.operands())
      add(operand);
  while (!pending.empty()) {
    const Constant *constant = pending.back();
    pending.pop_back();
    if (auto *variable = dyn_cast<GlobalVariable>(constant)) {
      variables.push_back(variable);
      continue;
    }
    for (const Value *operand : constant->operands())
      add(operand);
  }
  std::sort(variables.begin(), variables.end(), [](auto *a, auto *b) { return a->getName() < b->getName(); });
}

void Lowering::placeShared() {
  uint64_t next = 0;
  // What is sized at the launch comes last.
  for (bool dynamic : {false, true})
    for (const GlobalVariable *variable : variables) {
      if (variable->getAddressSpace() != 3 || (layout.getTypeAllocSize(variable->getValueType()) == 0) != dynamic)
        continue;
      uint64_t align = std::max<uint64_t>(variable->getAlign().valueOrOne().value(), dynamic ? 128 : 1);
      next = alignTo(next, align);
      sharedOffsets[variable] = next;
      next += layout.getTypeAllocSize(variable->getValueType());
    }
  program.sharedBytes = uint32_t(next);
}

static void readNumbers(StringRef text, SmallVectorImpl<uint32_t> &numbers) {
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    uint32_t value = 0;
    if (!part.trim().getAsInteger(10, value))
      numbers.push_back(value);
  }
}

void Lowering::readLimits() {
  SmallVector<uint32_t> numbers;
  readNumbers(function.getFnAttribute("nvvm.reqntid").getValueAsString(), numbers);
  if (numbers.empty())
    if (MDNode *node = function.getMetadata("reqd_work_group_size"))
      for (const MDOperand &operand : node->operands())
        numbers.push_back(uint32_t(mdconst::extract<ConstantInt>(operand)->getZExtValue()));
  if (!numbers.empty())
    for (unsigned i = 0; i < 3; ++i)
      program.requiredBlock[i] = i < numbers.size() ? numbers[i] : 1;
  numbers.clear();
  readNumbers(function.getFnAttribute("nvvm.maxntid").getValueAsString(), numbers);
  if (!numbers.empty()) {
    program.maxThreads = 1;
    for (uint32_t number : numbers)
      program.maxThreads *= number;
  }
  numbers.clear();
  readNumbers(function.getFnAttribute("amdgpu-flat-work-group-size").getValueAsString(), numbers);
  if (numbers.size() == 2)
    program.maxThreads = numbers[1];
}

void Lowering::numberBlocks() {
  ReversePostOrderTraversal<Function *> order(&function);
  uint32_t number = 0;
  for (BasicBlock *block : order)
    numbers[block] = number++;
  program.blocks.resize(number);
  terminators.resize(number);
  PostDominatorTree tree(function);
  for (BasicBlock *block : order)
    if (auto *node = tree.getNode(block))
      if (auto *above = node->getIDom())
        postDominators[block] = above->getBlock(); // null: the exits have nothing in common
}

Program Lowering::lower() {
  for (Argument &argument : function.args()) {
    auto parts = leaves(argument.getType());
    if (parts.size() != 1 || parts[0].type.bytes != 8)
      refuse("argument " + std::to_string(argument.getArgNo()) +
             " is not 8 bytes; kernels take device pointers and 64-bit integers");
    if (argument.hasByValAttr())
      refuse("argument " + std::to_string(argument.getArgNo()) + " is passed as bytes (byval)");
    values[&argument] = {allocate(8)};
    program.arguments.push_back(values[&argument][0]);
  }
  collectVariables();
  placeShared();
  readLimits();
  numberBlocks();
  ReversePostOrderTraversal<Function *> order(&function);
  for (BasicBlock *block : order)
    for (PHINode &phi : block->phis())
      define(phi);
  for (BasicBlock *block : order)
    lowerBlock(*block);
  // Messages about edges and barriers name the terminator.
  for (size_t i = 0; i < program.blocks.size(); ++i) {
    program.blocks[i].terminator = uint32_t(program.origins.size());
    program.origins.push_back(terminators[i]);
  }
  return std::move(program);
}

void Lowering::lowerBlock(BasicBlock &block) {
  currentBlock = numbers[&block];
  program.blocks[currentBlock].begin = uint32_t(program.insts.size());
  findLastUses(block);
  for (Instruction &inst : block) {
    current = &inst;
    if (isa<PHINode>(inst))
      continue;
    if (inst.isTerminator())
      lowerTerminator(inst);
    else
      lowerInstruction(inst);
    releaseAfter(inst);
  }
  current = nullptr;
}

void Lowering::finishBlock(End kind) {
  BlockCode &code = program.blocks[currentBlock];
  code.end = uint32_t(program.insts.size());
  code.kind = kind;
  terminators[currentBlock] = current;
}

void Lowering::barrier(const Value *id, const Value *count) {
  Slot idSlot = id ? use(id)[0] : 0, countSlot = count ? use(count)[0] : 0;
  ++program.blocks[currentBlock].kinds[size_t(Kind::Barrier)];
  finishBlock(End::Barrier);
  uint32_t next = uint32_t(program.blocks.size());
  program.blocks.push_back({});
  terminators.push_back(nullptr);
  BlockCode &code = program.blocks[currentBlock];
  code.barrierId = idSlot;
  code.barrierCount = countSlot;
  code.edges = uint32_t(program.edges.size());
  code.edgeCount = 1;
  Edge edge;
  edge.block = next;
  program.edges.push_back(edge);
  currentBlock = next;
  program.blocks[currentBlock].begin = uint32_t(program.insts.size());
}

Edge Lowering::edgeTo(BasicBlock *from, BasicBlock *to) {
  Edge edge;
  edge.block = numbers[to];
  edge.copies = uint32_t(program.copies.size());
  for (PHINode &phi : to->phis()) {
    Slots targets = use(&phi), sources = use(phi.getIncomingValueForBlock(from));
    auto parts = leaves(phi.getType());
    for (size_t i = 0; i < targets.size(); ++i)
      if (targets[i] != sources[i])
        program.copies.push_back({targets[i], sources[i], parts[i].type.bytes});
  }
  edge.copyCount = uint32_t(program.copies.size()) - edge.copies;
  for (uint32_t i = 0; i < edge.copyCount; ++i)
    for (uint32_t j = 0; j < i; ++j)
      edge.overlapping |= program.copies[edge.copies + i].from == program.copies[edge.copies + j].to;
  return edge;
}

void Lowering::lowerTerminator(Instruction &inst) {
  BasicBlock *block = inst.getParent();
  std::vector<Edge> edges;
  Slot condition = 0;
  uint32_t conditionBytes = 1, cases = uint32_t(program.caseValues.size());
  End kind;
  if (auto *branch = dyn_cast<BranchInst>(&inst); branch && branch->isUnconditional()) {
    kind = End::Jump;
    edges.push_back(edgeTo(block, branch->getSuccessor(0)));
  } else if (branch) {
    kind = End::Branch;
    condition = use(branch->getCondition())[0];
    edges.push_back(edgeTo(block, branch->getSuccessor(0)));
    edges.push_back(edgeTo(block, branch->getSuccessor(1)));
  } else if (auto *choice = dyn_cast<SwitchInst>(&inst)) {
    kind = End::Switch;
    condition = use(choice->getCondition())[0];
    conditionBytes = leaves(choice->getCondition()->getType())[0].type.bytes;
    edges.push_back(edgeTo(block, choice->getDefaultDest()));
    for (auto &entry : choice->cases()) {
      edges.push_back(edgeTo(block, entry.getCaseSuccessor()));
      program.caseValues.push_back(entry.getCaseValue()->getZExtValue());
    }
  } else if (isa<ReturnInst>(inst)) {
    kind = End::Return;
  } else if (isa<UnreachableInst>(inst)) {
    kind = End::Unreachable;
  } else {
    refuse("this kind of branch is not simulated");
  }
  program.blocks[currentBlock].kinds[size_t(Kind::Branch)] += !edges.empty();
  finishBlock(kind);
  BlockCode &code = program.blocks[currentBlock];
  code.condition = condition;
  code.conditionBytes = conditionBytes;
  code.cases = cases;
  code.edges = uint32_t(program.edges.size());
  code.edgeCount = uint32_t(edges.size());
  program.edges.insert(program.edges.end(), edges.begin(), edges.end());
  if (const BasicBlock *meeting = postDominators.lookup(block))
    code.reconvergence = numbers[meeting];
}

} // namespace whit::sim
