// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels for this machine, compiled and called in the same process: from MLIR text by the passes and the code generator of whit-compile to a
// shared object in memory.
//
//   func.func @kernel(%x: memref<?x64xf32>, ...) attributes {llvm.emit_c_interface} { ... }

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "whit/Target.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace whit::tune {

/// A matrix, or a tensor of rank 3, as compiled code sees it.
template <int rank> struct Descriptor {
  void *allocated, *aligned;
  int64_t offset, sizes[rank], strides[rank];
};
Descriptor<2> matrixOf(void *data, int64_t rows, int64_t columns);

/// Compiled code in this process.
class LoadedKernel {
public:
  static llvm::Expected<LoadedKernel> load(llvm::ArrayRef<uint8_t> sharedObject);
  LoadedKernel(LoadedKernel &&other)
      : file(std::exchange(other.file, -1)), handle(std::exchange(other.handle, nullptr)), function(other.function) {}
  LoadedKernel &operator=(LoadedKernel &&) = delete;
  ~LoadedKernel();

  /// One pointer to a descriptor for each argument.
  void operator()(void *const *descriptors) const { function(descriptors, nullptr); }

private:
  LoadedKernel(int file, void *handle) : file(file), handle(handle) {}
  int file;
  void *handle;
  int (*function)(void *const *, void *) = nullptr;
};

class KernelCompiler {
public:
  explicit KernelCompiler(const Target &target);

  /// A shared object of the function @kernel of a module.
  llvm::Expected<std::vector<uint8_t>> compile(const std::string &text);
  llvm::Expected<LoadedKernel> load(const std::string &text);
  /// Digits that change when kernels are lowered to other operations: of what @kernel of this module becomes.
  llvm::Expected<std::string> fingerprint(const std::string &text);

  const Target target;

private:
  mlir::MLIRContext context;
  llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> lower(const std::string &text);
};

} // namespace whit::tune
