// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_LOWER_CONVERTKERNELS
#define WHIT_LOWER_CONVERTKERNELS
include "mlir/Pass/PassBase.td"

def ConvertKernelsPass : Pass<"whit-convert-kernels", "mlir::gpu::GPUModuleOp"> {
  let summary = "converts the kernels of a GPU to the LLVM dialect with nvvm or rocdl operations, by the module's target";
  let description = [{
    As upstream's `convert-gpu-to-nvvm` and `convert-gpu-to-rocdl`, but functions of floating-point numbers become LLVM's intrinsics
    and never calls of a library of the vendor.

    ```mlir
    gpu.func @region_0_tiles(...) kernel { %b = gpu.block_id x ... }
    // becomes
    llvm.func @region_0_tiles(...) attributes {gpu.kernel, nvvm.kernel} { %b = nvvm.read.ptx.sreg.ctaid.x ... }
    ```
  }];
  let dependentDialects = ["mlir::LLVM::LLVMDialect", "mlir::NVVM::NVVMDialect", "mlir::ROCDL::ROCDLDialect",
                           "mlir::memref::MemRefDialect", "mlir::cf::ControlFlowDialect"];
}
#endif
