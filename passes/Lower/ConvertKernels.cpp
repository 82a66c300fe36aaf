// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-convert-kernels: the last pass of kernels. Upstream has the patterns; which of them apply is the target's choice.

#include "Lower/LLVMPatterns.h"
#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"

#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/GPUToROCDL/GPUToROCDLPass.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/AMDGPU/Utils/Chipset.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/DialectConversion.h"

namespace mlir::whit {
#define GEN_PASS_DEF_CONVERTKERNELSPASS
#include "Lower/ConvertKernels.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct ConvertKernelsPass : mlir::whit::impl::ConvertKernelsPassBase<ConvertKernelsPass> {
  void runOnOperation() override {
    TargetFacts facts = TargetFacts::of(getOperation());
    if (!facts.isGpu()) {
      getOperation().emitError() << "kernels of a GPU for a target that is none; set whit.target of the module";
      return signalPassFailure();
    }
    LowerToLLVMOptions options(&getContext());
    options.overrideIndexBitwidth(64);
    LLVMTypeConverter converter(&getContext(), options);
    LLVMConversionTarget target(getContext());
    target.addLegalDialect<NVVM::NVVMDialect, ROCDL::ROCDLDialect>();
    target.addLegalOp<gpu::GPUModuleOp>();
    RewritePatternSet patterns(&getContext());
    if (facts.isNvidia()) {
      configureGpuToNVVMTypeConverter(converter);
      populateGpuToNVVMConversionPatterns(converter, patterns);
    } else {
      FailureOr<amdgpu::Chipset> chipset = amdgpu::Chipset::parse(facts.getGpu().name);
      if (failed(chipset)) {
        getOperation().emitError() << "architecture is '" << facts.getGpu().name
                                   << "'; it must be one that starts with gfx";
        return signalPassFailure();
      }
      populateGpuToROCDLConversionPatterns(converter, patterns, gpu::amd::Runtime::Unknown, *chipset);
    }
    populateLLVMPatterns(converter, patterns);
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    // Upstream makes of the size of a block its largest one; it is the only one.
    getOperation().walk([](LLVM::LLVMFuncOp kernel) {
      if (Attribute size = kernel->removeAttr(NVVM::NVVMDialect::getMaxntidAttrName()))
        kernel->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), size);
    });
  }
};
} // namespace
