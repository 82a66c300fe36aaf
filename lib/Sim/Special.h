// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Emitters that both functions and inline assembly lead to, and the registers that say where a thread is.
#ifndef SIM_SPECIAL_H
#define SIM_SPECIAL_H

#include "Sim/Lowering.h"

namespace whit::sim {

/// "tid.x", "ntid.y", "ctaid.z", "laneid", "warpsize" ...
bool lowerSpecialRegister(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);

void emitPermuteBytes(Lowering &lowering, const llvm::CallInst &call);
void emitLogic3(Lowering &lowering, const llvm::CallInst &call, llvm::ArrayRef<const llvm::Value *> operands,
                uint32_t table);
void emitExp2(Lowering &lowering, const llvm::CallInst &call, bool flush);
void emitAsyncCopy(Lowering &lowering, const llvm::Value *to, const llvm::Value *from, uint32_t bytes,
                   const llvm::Value *readBytes);
/// The scalars of `call` lie one after another at the global address `from`, aligned to all of them.
void emitGlobalLoad(Lowering &lowering, const llvm::CallInst &call, const llvm::Value *from, uint64_t bytes);
void emitAsyncCommit(Lowering &lowering);
void emitAsyncWait(Lowering &lowering, uint64_t groups, bool all);
/// `policy`, an operand, comes from createpolicy; checked when it is run.
void emitPolicyCheck(Lowering &lowering, const llvm::Value *policy);
/// cp.async.bulk from device into shared memory, counted by the mbarrier.
void emitBulkCopy(Lowering &lowering, const llvm::Value *to, const llvm::Value *mbarrier, const llvm::Value *from,
                  const llvm::Value *bytes);
/// A cache policy, told apart from all that is no policy.
inline constexpr uint64_t CACHE_POLICY = 0x12f0000000000000;

/// Functions of NVVM, by what follows "llvm.nvvm.": pairs of small numbers, asynchronous copies, mbarriers with the fences of the
/// asynchronous proxy.
bool lowerPacked(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerCopy(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);
bool lowerMbarrier(Lowering &lowering, const llvm::CallInst &call, llvm::StringRef name);

} // namespace whit::sim

#endif // SIM_SPECIAL_H
