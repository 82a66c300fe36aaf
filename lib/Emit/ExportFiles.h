// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The folder that whit-compile --export-kernels writes: kernels.so, kernels.json, kernels.h, and for each way to call them the file that
// speaks it.

#pragma once

#include "Emit/ExportCode.h"

#include <string>
#include <vector>

namespace whit {

/// Ways to call exported kernels, as --export-as names them.
const std::vector<std::string> &exportKinds();

/// The functions that some of them need.
ExportedCalls callsOf(llvm::ArrayRef<std::string> kinds);

struct ExportRequest {
  std::string folder;             ///< made if it is not there
  std::string model;              ///< path of the model's file
  std::vector<std::string> kinds; ///< some of exportKinds(); "c" is always written
};

/// What kernels.json says.
std::string describeKernels(llvm::ArrayRef<ExportedKernel> kernels, const ExportedCode &code, const Target &target,
                            llvm::StringRef model);
/// The text of kernels.h.
std::string headerOf(llvm::ArrayRef<ExportedKernel> kernels, const ExportedCode &code);

/// Writes all files, kernels.json last.
llvm::Error writeKernels(llvm::ArrayRef<ExportedKernel> kernels, const ExportedCode &code, const Target &target,
                         const ExportRequest &request);

} // namespace whit
