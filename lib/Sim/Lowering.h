// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a kernel in LLVM's IR to a Program. What is not known is refused here, by name, before anything runs.
#ifndef SIM_LOWERING_H
#define SIM_LOWERING_H

#include "Sim/Architecture.h"
#include "Sim/Program.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Instructions.h"

#include <functional>
#include <map>
#include <optional>

namespace whit::sim {

using Slots = llvm::SmallVector<Slot, 4>;

/// A scalar inside of a type, and the offset at which memory has it.
struct Leaf {
  Scalar type;
  uint32_t offset;
};

/// Why a kernel cannot be simulated.
struct Refusal {
  std::string what;
};

class Lowering {
public:
  /// `addressOf`: of a variable in device memory.
  Lowering(llvm::Function &function, const Architecture &architecture,
           std::function<uint64_t(const llvm::GlobalVariable &)> addressOf);

  /// Throws Refusal.
  Program lower();

  // What lowerings of calls use.
  const Architecture &architecture;
  /// The slots of a value's scalars, in the order of its type.
  Slots use(const llvm::Value *value);
  /// New slots for what `inst` computes.
  Slots define(const llvm::Instruction &inst);
  /// `inst` is these slots, which hold it already.
  void alias(const llvm::Instruction &inst, const Slots &slots);
  /// A slot for one number of `bytes`, free again after the instruction.
  Slot temporary(uint32_t bytes);
  Slot constant(uint64_t value, uint32_t bytes);
  Inst &emit(Handler handler, Kind kind);
  /// With results and operands as a list of slots.
  Inst &emit(Handler handler, Kind kind, llvm::ArrayRef<Slot> results, llvm::ArrayRef<Slot> operands);
  uint32_t list(llvm::ArrayRef<Slot> slots);
  std::optional<uint64_t> constantOf(const llvm::Value *value);
  /// The constant argument of a call; refuses it if it is not one.
  uint64_t constantArgument(const llvm::CallBase &call, unsigned index);
  llvm::SmallVector<Leaf, 4> leaves(llvm::Type *type);
  uint32_t pointerBytes(const llvm::Value *pointer) {
    return layout.getPointerSize(pointer->getType()->getPointerAddressSpace());
  }
  Space spaceOf(const llvm::Value *pointer);
  /// A fence that reaches beyond the block.
  void orderBlocks();
  /// All threads of the block, or `count` of them, meet here.
  void barrier(const llvm::Value *id, const llvm::Value *count);
  /// Emits `handler` for each scalar of the result, with the same scalar of up to three operands.
  void elementwise(const llvm::Instruction &inst, Handler handler, Kind kind,
                   llvm::ArrayRef<const llvm::Value *> operands, Scalar type);
  void load(const llvm::Instruction &inst, const llvm::Value *pointer, uint64_t align);
  void store(const llvm::Value *value, const llvm::Value *pointer, uint64_t align);
  [[noreturn]] void refuse(const std::string &why);

  Program program;
  const llvm::DataLayout &layout;

private:
  void collectVariables();
  void placeShared();
  void readLimits();
  void numberBlocks();
  void lowerBlock(llvm::BasicBlock &block);
  void lowerInstruction(llvm::Instruction &inst);
  void lowerCast(llvm::CastInst &cast);
  void lowerAddress(llvm::GetElementPtrInst &gep);
  void lowerShuffle(llvm::ShuffleVectorInst &shuffle);
  void lowerVectorElement(llvm::Instruction &inst);
  void lowerAtomic(llvm::Instruction &inst);
  void lowerCall(llvm::CallInst &call);
  void lowerTerminator(llvm::Instruction &inst);
  Edge edgeTo(llvm::BasicBlock *from, llvm::BasicBlock *to);
  void finishBlock(End kind);
  uint64_t evaluate(const llvm::Constant *constant);
  void release(const llvm::Value *value);
  void releaseAfter(const llvm::Instruction &inst);
  void findLastUses(llvm::BasicBlock &block);
  Slot allocate(uint32_t bytes);
  void unreference(Slot slot);

  llvm::Function &function;
  std::function<uint64_t(const llvm::GlobalVariable &)> addressOf;
  llvm::DenseMap<const llvm::Value *, Slots> values;
  llvm::DenseMap<Slot, std::pair<uint32_t, uint32_t>>
      references;                                  ///< of a slot: how many values are in it, and its bytes
  std::map<uint32_t, std::vector<Slot>> freeSlots; ///< by bytes of a lane
  std::map<std::pair<uint32_t, uint64_t>, Slot> constants;
  llvm::DenseMap<const llvm::BasicBlock *, uint32_t> numbers;
  llvm::DenseMap<const llvm::Instruction *, llvm::SmallVector<const llvm::Value *, 2>> lastUses;
  llvm::DenseMap<const llvm::GlobalVariable *, uint64_t> sharedOffsets;
  std::vector<const llvm::GlobalVariable *> variables;
  std::vector<Slot> temporaries;
  std::vector<const llvm::Instruction *> terminators; ///< by block of code
  llvm::DenseMap<const llvm::BasicBlock *, const llvm::BasicBlock *> postDominators;
  uint32_t currentBlock = 0;
  const llvm::Instruction *current = nullptr;
};

/// Calls of functions that are no part of the module. False: not known.
bool lowerCommonCall(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerNvidiaCall(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerNvidiaMatrixCall(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerAmdCall(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerAmdMatrixCall(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerInlineAssembly(Lowering &lowering, const llvm::CallInst &call);

} // namespace whit::sim

#endif // SIM_LOWERING_H
