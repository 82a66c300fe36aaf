// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Upstream's conversions to the LLVM dialect that host code and kernels have in common.

#pragma once

namespace mlir {
class LLVMTypeConverter;
class RewritePatternSet;
} // namespace mlir

namespace mlir::whit {
void populateLLVMPatterns(LLVMTypeConverter &converter, RewritePatternSet &patterns);
} // namespace mlir::whit
