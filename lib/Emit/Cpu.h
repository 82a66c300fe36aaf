// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a lowered module (LLVM dialect) to x86 machine code: one LLVM module and one object per target, and a shared object from all of them.
//
//   @whit_main(ptr, ptr) -> i32   exported as <function>__v<index>          everything else becomes internal, whit.weight operations
//   @whit_main_sizes(ptr, ptr)    exported as <function>_sizes__v<index>    are left out

#pragma once

#include "Emit/Gpu.h"
#include "mlir/IR/BuiltinOps.h"
#include "whit/Target.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace whit {

/// What optimizedModule and generateCode need in the context; they may then run on several threads.
void registerTranslations(mlir::DialectRegistry &registry);

/// Machine code of one target. A GPU's: the part that runs on the CPU, which is any x86-64, and images beside it.
struct CpuCode {
  Target target;
  std::string execute, sizes; ///< exported symbols
  std::vector<uint8_t> object;
  int64_t functions = 0; ///< after optimization
  GpuCode device;        ///< of GPUs
};

/// Name of the exported function of variant `index`.
std::string variantSymbol(llvm::StringRef function, size_t index);

/// The module as optimized LLVM IR for `target`, its two functions named for variant `index`.
llvm::Expected<std::unique_ptr<llvm::Module>> optimizedModule(mlir::ModuleOp lowered, const Target &target,
                                                              size_t index, llvm::LLVMContext &context);

/// Assembly text or an object of an optimized module.
llvm::Expected<std::string> assemblyText(llvm::Module &module, const Target &target);
/// An object of the part that runs on the CPU; `device` is left empty.
llvm::Expected<CpuCode> generateCode(mlir::ModuleOp lowered, const Target &target, size_t index);

/// An object of a module as it is.
llvm::Expected<std::vector<uint8_t>> objectOf(llvm::Module &module, const Target &target);

/// A shared object of all variants: byte for byte the same for the same input. It needs nothing but libc's memory functions and libm.
llvm::Expected<std::vector<uint8_t>> linkCode(llvm::ArrayRef<CpuCode> variants);

/// A shared object of exported kernels and of the code around them, which needs libc and libm. `exported`: the only names it shows.
llvm::Expected<std::vector<uint8_t>> linkKernels(llvm::ArrayRef<llvm::ArrayRef<uint8_t>> objects,
                                                 llvm::ArrayRef<std::string> exported);

/// The same as one object for static linking.
llvm::Expected<std::vector<uint8_t>> joinKernels(llvm::ArrayRef<llvm::ArrayRef<uint8_t>> objects,
                                                 llvm::ArrayRef<std::string> exported);

} // namespace whit
