// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The library of exported kernels: machine code of each kernel, constant tables that describe them (include/whit/KernelTable.h), small
// functions with the names and the arguments that other programs call, and the code behind those (runtime/kernels/), which this program
// carries as an object.

#pragma once

#include "Emit/ExportRegions.h"
#include "Emit/Gpu.h"
#include "whit/Target.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace whit {

/// The name of an exported function, without the kernel's name in front of it.
std::string packFunction(const ExportedArgument &argument);
std::string packCodesFunction(const ExportedArgument &argument);

/// Names of functions that the library needs from outside: a kernel of such a name would be called in their place.
llvm::Expected<llvm::StringSet<>> namesInUse();

struct ExportedCode {
  std::vector<uint8_t> shared;     ///< an ELF shared object
  std::vector<uint8_t> object;     ///< the same for static linking
  std::vector<GpuCode> devices;    ///< of GPUs: images and facts of each kernel
  std::vector<int64_t> workspaces; ///< bytes of each kernel's workspace; -1: sizes decide
};

/// Ways to call kernels that need functions of their own in the library.
struct ExportedCalls {
  bool tvmFfi = false; ///< __tvm_ffi_NAME and __tvm_ffi_NAME_pack_...
  bool xla = false;    ///< NAME_xla
  bool ort = false;    ///< RegisterCustomOps
};

/// `lower` brings a tiled module to stage lowered. `simulation`: images for the simulator too.
llvm::Expected<ExportedCode> compileKernels(llvm::MutableArrayRef<ExportedKernel> kernels, const Target &target,
                                            ExportedCalls calls, bool simulation,
                                            llvm::function_ref<llvm::Error(mlir::ModuleOp)> lower);

} // namespace whit
