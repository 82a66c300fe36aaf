// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Places are found by what values are for, not by where they stand: an operand of a matrix instruction is followed back to the load it comes
// from, and its address back to the number of the thread.

#include "SeededFault.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PatternMatch.h"

using namespace llvm;
using namespace llvm::PatternMatch;

namespace {
bool isCallOf(const Value *value, ArrayRef<StringRef> parts) {
  auto *call = dyn_cast<CallInst>(value);
  const Function *callee = call ? call->getCalledFunction() : nullptr;
  return callee && any_of(parts, [&](StringRef part) { return callee->getName().contains(part); });
}

/// The name of an instruction that stands in the text as such; "" for others.
StringRef textOf(const Value &op) {
  auto *call = dyn_cast<CallInst>(&op);
  return call && call->isInlineAsm() ? cast<InlineAsm>(call->getCalledOperand())->getAsmString() : StringRef();
}
bool isWarpgroup(const Instruction &op) { return textOf(op).starts_with("wgmma.mma_async"); }

bool isMatrix(const Instruction &op) { return isCallOf(&op, {".mma.m", ".mfma.", ".wmma."}) || isWarpgroup(op); }
bool isThread(const Value *value) { return isCallOf(value, {"sreg.tid.x", "workitem.id.x"}); }
bool isBarrier(const Instruction &op) { return isCallOf(&op, {"nvvm.barrier", "amdgcn.s.barrier"}); }

/// What a value is computed from, itself included; addresses of loads are not followed.
SetVector<Value *> sourcesOf(Value *value) {
  SetVector<Value *> reached;
  reached.insert(value);
  for (size_t at = 0; at < reached.size(); ++at)
    if (auto *op = dyn_cast<Instruction>(reached[at]); op && !isa<LoadInst>(op))
      reached.insert_range(op->operand_values());
  return reached;
}

/// Whether a value is bits of the thread's number.
bool isOfThread(const Value *value) {
  for (int steps = 0; steps < 8; ++steps) {
    if (isThread(value))
      return true;
    auto *op = dyn_cast<Instruction>(value);
    bool isBits = op && (isa<CastInst>(op) || (op->isBinaryOp() && isa<ConstantInt>(op->getOperand(1)) &&
                                               (op->getOpcode() == Instruction::And || op->isShift())));
    if (!isBits)
      return false;
    value = op->getOperand(0);
  }
  return false;
}

bool isShared(const Value *pointer) {
  auto *object = dyn_cast<GlobalVariable>(getUnderlyingObject(pointer));
  return object && object->getAddressSpace() == 3;
}

/// Loads that operands of matrix instructions come from, by way of shared memory too where warpgroups read it.
SetVector<LoadInst *> operandLoads(Function &function) {
  SetVector<LoadInst *> loads;
  auto add = [&](Value *operand) {
    for (Value *source : sourcesOf(operand))
      if (auto *load = dyn_cast<LoadInst>(source))
        loads.insert(load);
  };
  bool hasWarpgroups = any_of(instructions(function), isWarpgroup);
  for (Instruction &op : instructions(function)) {
    if (isMatrix(op))
      for (Value *operand : cast<CallInst>(op).args())
        add(operand);
    if (auto *store = dyn_cast<StoreInst>(&op); store && hasWarpgroups && isShared(store->getPointerOperand()))
      add(store->getValueOperand());
  }
  return loads;
}

void replace(Use &use, function_ref<Value *(IRBuilder<> &, Value *)> change) {
  auto *user = cast<Instruction>(use.getUser());
  auto *merge = dyn_cast<PHINode>(user);
  IRBuilder<> b(merge ? merge->getIncomingBlock(use)->getTerminator() : user);
  use.set(change(b, use.get()));
}

class Seeder {
public:
  Seeder(const whit::test::FaultyMatmul &matmul, size_t site) : matmul(matmul), site(site) {}

  void run(Function &function, whit::test::Fault fault) {
    using whit::test::Fault;
    switch (fault) {
    case Fault::WrongLane:
      return wrongLane(function);
    case Fault::WrongRow:
    case Fault::WrongSwizzle:
      return wrongPlace(function, fault == Fault::WrongRow);
    case Fault::MissingBarrier:
      for (Instruction &op : make_early_inc_range(instructions(function)))
        if (isBarrier(op) && isHere())
          op.eraseFromParent();
      return;
    case Fault::SwappedNibble:
      return swappedNibble(function);
    case Fault::WrongScaleGroup:
      return wrongGroup(function);
    case Fault::OneMoreRow:
      return oneMoreArgument(function);
    case Fault::OneMoreColumn:
      return oneMore(function, matmul.n);
    case Fault::OneMoreElement:
      return oneMore(function, matmul.k);
    case Fault::WrongStride:
      return wrongStride(function);
    case Fault::NotPublished:
      return without(function, [](Instruction &op) { return isCallOf(&op, {"fence.proxy.async"}); });
    case Fault::NotBegun:
      return without(function, [](Instruction &op) { return textOf(op).starts_with("wgmma.fence"); });
    case Fault::NotCommitted:
      return without(function, [](Instruction &op) {
        auto isNext = [](Instruction &after) { return !textOf(after).empty(); };
        auto next = std::find_if(std::next(op.getIterator()), op.getParent()->end(), isNext);
        return textOf(op).starts_with("wgmma.commit") && next != op.getParent()->end() &&
               textOf(*next).starts_with("wgmma.wait");
      });
    case Fault::NotWaited:
      return without(function, [](Instruction &op) { return textOf(op).starts_with("wgmma.wait"); });
    }
  }

  size_t found = 0;

private:
  bool isHere() { return found++ == site; }

  /// Without one of the instructions, its operands taking the place of its results.
  void without(Function &function, function_ref<bool(Instruction &)> isIt) {
    for (Instruction &op : make_early_inc_range(instructions(function))) {
      if (!isIt(op) || !isHere())
        continue;
      for (User *user : make_early_inc_range(op.users())) {
        auto *result = cast<ExtractValueInst>(user);
        result->replaceAllUsesWith(cast<CallInst>(op).getArgOperand(result->getIndices().front()));
        result->eraseFromParent();
      }
      op.eraseFromParent();
      return;
    }
  }

  /// Descriptors: the distance along K, or that of 8 tokens, is 16 bytes more.
  void wrongStride(Function &function) {
    for (Instruction &op : instructions(function)) {
      const APInt *fields = nullptr;
      if (op.getType()->isIntegerTy(64) && match(&op, m_c_Or(m_Value(), m_APInt(fields))))
        for (int field : {16, 32})
          if ((fields->getZExtValue() >> field & 0x3fff) && isHere()) {
            op.setOperand(1, ConstantInt::get(op.getType(), *fields + (uint64_t(1) << field)));
            return;
          }
    }
  }

  /// Where a number of a result, how much a thread does, or where it puts an operand for all follows from the same index, another one is just
  /// another order of work.
  void wrongLane(Function &function) {
    SetVector<Value *> shared;
    bool hasWarpgroups = any_of(instructions(function), isWarpgroup);
    for (Instruction &op : instructions(function)) {
      if (auto *store = dyn_cast<StoreInst>(&op); store && (hasWarpgroups || !isShared(store->getPointerOperand())))
        shared.insert_range(sourcesOf(store->getPointerOperand()));
      if (auto *branch = dyn_cast<BranchInst>(&op); branch && branch->isConditional())
        shared.insert_range(sourcesOf(branch->getCondition()));
    }
    SetVector<Use *> places;
    for (LoadInst *load : operandLoads(function))
      for (Value *value : sourcesOf(load->getPointerOperand()))
        if (auto *op = dyn_cast<Instruction>(value); op && !isOfThread(op) && !shared.contains(op))
          for (Use &use : op->operands())
            if (use->getType()->isIntegerTy() && isOfThread(use.get()))
              places.insert(&use);
    for (Use *place : places)
      if (isHere())
        replace(*place, [](IRBuilder<> &b, Value *lane) {
          // The lowest bit that it has: that of its mask.
          uint64_t bit = 1;
          if (auto *mask = dyn_cast<BinaryOperator>(lane); mask && mask->getOpcode() == Instruction::And)
            bit = cast<ConstantInt>(mask->getOperand(1))->getZExtValue();
          return b.CreateXor(lane, bit & -bit);
        });
  }

  void wrongPlace(Function &function, bool isRow) {
    const Function *thread = nullptr;
    for (Function &declared : *function.getParent())
      if (declared.getName().contains("sreg.tid.x") || declared.getName().contains("workitem.id.x"))
        thread = &declared;
    SmallVector<StoreInst *> stores;
    for (Instruction &op : instructions(function))
      if (auto *store = dyn_cast<StoreInst>(&op); store && isShared(store->getPointerOperand()))
        stores.push_back(store);
    for (StoreInst *store : stores)
      if (isHere())
        replace(store->getOperandUse(1), [&](IRBuilder<> &b, Value *pointer) {
          int64_t bytes = function.getParent()->getDataLayout().getTypeStoreSize(store->getValueOperand()->getType());
          Value *offset = b.getInt64(32 * bytes);
          if (!isRow) {
            Value *odd = b.CreateAnd(b.CreateCall(const_cast<Function *>(thread)), 1);
            offset = b.CreateSelect(b.CreateIsNull(odd), b.getInt64(bytes), b.getInt64(-bytes));
          }
          return b.CreateGEP(b.getInt8Ty(), pointer, offset);
        });
  }

  void swappedNibble(Function &function) {
    for (Instruction &op : instructions(function)) {
      const APInt *mask = nullptr, *shift = nullptr;
      bool isNibble = match(&op, m_And(m_Value(), m_APInt(mask))) && mask->getBitWidth() == 32 &&
                      is_contained({0xfu, 0xf000fu, 0xf0f0f0fu}, uint32_t(mask->getZExtValue()));
      if (!isNibble || isOfThread(&op) || !isHere())
        continue;
      replace(op.getOperandUse(0), [&](IRBuilder<> &b, Value *codes) {
        Value *whole = nullptr;
        if (!match(codes, m_LShr(m_Value(whole), m_APInt(shift))))
          shift = nullptr, whole = codes;
        uint64_t bits = shift ? shift->getZExtValue() : 0;
        return b.CreateLShr(whole, ConstantInt::get(whole->getType(), bits % 8 == 4 ? bits - 4 : bits + 4));
      });
    }
  }

  void wrongGroup(Function &function) {
    SetVector<LoadInst *> loads;
    for (Instruction &op : instructions(function))
      if (isa<FPExtInst>(op) && op.getOperand(0)->getType()->getScalarType()->isHalfTy())
        for (Value *source : sourcesOf(op.getOperand(0)))
          if (auto *load = dyn_cast<LoadInst>(source))
            loads.insert(load);
    for (LoadInst *load : loads)
      if (isHere())
        replace(load->getOperandUse(0), [&](IRBuilder<> &b, Value *pointer) {
          return b.CreateConstGEP1_64(b.getInt8Ty(), pointer, matmul.groupBytes);
        });
  }

  /// A size that is known: wherever it is compared with.
  void oneMore(Function &function, int64_t size) {
    SmallVector<Use *> places;
    for (Instruction &op : instructions(function))
      if (isa<ICmpInst>(op) || op.getOpcode() == Instruction::Sub || isa<MinMaxIntrinsic>(op))
        for (Use &use : op.operands())
          if (auto *number = dyn_cast<ConstantInt>(use.get()); number && number->getSExtValue() == size)
            places.push_back(&use);
    if (!places.empty() && isHere())
      for (Use *place : places)
        place->set(ConstantInt::get(place->get()->getType(), size + 1));
  }

  /// The number of rows is an argument.
  void oneMoreArgument(Function &function) {
    for (Argument &argument : function.args())
      if (argument.getType()->isIntegerTy(64) && !argument.use_empty() && isHere()) {
        IRBuilder<> b(&*function.getEntryBlock().getFirstInsertionPt());
        auto *more = cast<Instruction>(b.CreateAdd(&argument, b.getInt64(1)));
        argument.replaceUsesWithIf(more, [&](Use &use) { return use.getUser() != more; });
      }
  }

  const whit::test::FaultyMatmul &matmul;
  size_t site;
};
} // namespace

size_t whit::test::countWarpgroupProducts(const llvm::Module &module) {
  size_t count = 0;
  for (const Function &function : module)
    for (const Instruction &op : instructions(function))
      count += isWarpgroup(op);
  return count;
}

size_t whit::test::seedFault(llvm::Module &module, Fault fault, const FaultyMatmul &matmul, size_t site) {
  Seeder seeder(matmul, site);
  for (Function &function : module)
    if (any_of(instructions(function), isMatrix))
      seeder.run(function, fault);
  return seeder.found;
}
