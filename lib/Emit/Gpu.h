// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the `gpu.module` of a lowered module to images for a GPU's driver, and what is known of each kernel without running it.
//
//   llvm.func with gpu.kernel   a kernel: its block is fixed by nvvm.reqntid, rocdl.reqd_work_group_size, or gpu.known_block_size;
//                               whit.shared_bytes = N tells the facts how much shared memory its launches add
//   other llvm.func, globals    become internal; kernels call nothing that the module does not define
//
// Kernels stand in the order of the array attribute `whit.kernels` of the builtin module, or as in the gpu.module if there is none.

#pragma once

#include "Emit/KernelFacts.h"
#include "mlir/IR/BuiltinOps.h"
#include "whit/Device.h"
#include "whit/Target.h"
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

struct GpuImage {
  ImageKind kind = ImageKind::Ptx;
  std::string target; ///< the architecture
  std::vector<uint8_t> bytes;
};

struct GpuCode {
  std::vector<GpuImage> images; ///< what a driver takes most readily first
  std::vector<KernelFacts> kernels;
  std::string note; ///< what was left out, as a sentence; empty: nothing
};

/// The kernels as optimized LLVM IR, and their facts as far as the IR tells them: name, block and shared bytes.
struct DeviceModule {
  std::unique_ptr<llvm::Module> module;
  std::vector<KernelFacts> kernels;
};
llvm::Expected<DeviceModule> optimizedDeviceModule(mlir::ModuleOp lowered, const Target &target,
                                                   llvm::LLVMContext &context);

/// Lets a thread of the kernels have at most so many vector registers. What needs more spills.
void limitRegisters(mlir::ModuleOp lowered, const Target &target, int64_t registers);

/// PTX, or assembly of an AMD GPU.
llvm::Expected<std::string> deviceAssembly(const llvm::Module &module, const Target &target);

/// One image of the kernels. A cubin needs ptxas.
llvm::Expected<GpuImage> deviceImage(mlir::ModuleOp lowered, const Target &target, ImageKind kind);

/// All images that can be made here (NVIDIA: PTX, and a cubin if there is a ptxas; AMD: an HSACO), bitcode too if the kernels are for
/// the simulator. Facts are complete where a machine-code image was made.
llvm::Expected<GpuCode> generateDeviceCode(mlir::ModuleOp lowered, const Target &target, bool simulation);

/// "ptx", "cubin", "hsaco", "bitcode".
llvm::StringRef nameOf(ImageKind kind);

} // namespace whit
