// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Regions of a tiled module as functions of their own. A kernel is a small model: its module's @main has one region, the tensors that
// the region reads and writes are its arguments, and what follows (buffers, vectors, machine code) is what the same region becomes in
// the whole model. Weights are arguments too, so that regions that differ in their weights only are one kernel.

#pragma once

#include "Whit/Whit.h"
#include "whit/KernelTable.h"

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <optional>
#include <string>
#include <vector>

namespace whit {

/// A size that is known when a kernel is called.
struct ExportedSymbol {
  std::string name; ///< an identifier of C
  std::string
      meaning; ///< in the model's symbols: "batch_size * sequence_length"; "" if it is the model's symbol of this name
  mlir::AffineExpr value;  ///< null: the caller gives it; else in the symbols before it, as affine symbols
  bool isExplicit = false; ///< no dimension of a tensor is this number
};

/// A dimension: a size, or a symbol.
struct ExportedSize {
  int64_t size = 0;
  std::optional<size_t> symbol;
};

struct ExportedArgument {
  std::string name; ///< an identifier of C
  KernelRole role = KernelRole::Input;
  std::string type; ///< as manifests name element types
  std::vector<ExportedSize> shape;
  mlir::whit::PlaceAttr place;       ///< of a packed weight, else null
  Quantizer quantizer = Quantizer{}; ///< of a packed weight
};

/// One of the regions that a kernel computes, and what its arguments are in the model.
struct ExportedRegion {
  int64_t id = 0;
  std::string name;
  std::vector<std::string> nodes;
  std::vector<std::string> sources; ///< of each argument: the value that it reads, by its name in the model; or ""
  std::vector<std::string> results; ///< the value that it is when the kernel has run; "" if it is not written
};

struct ExportedKernel {
  std::string name;                  ///< an identifier of C
  std::vector<std::string> computes; ///< names of the operations, in order
  std::string schedule;
  std::vector<ExportedSymbol> symbols; ///< those that callers give first
  std::vector<ExportedArgument> arguments;
  std::vector<ExportedRegion> regions;
  mlir::OwningOpRef<mlir::ModuleOp> module; ///< tiled

  size_t parameterCount() const;
};

struct SelectedKernels {
  std::vector<ExportedKernel> kernels;
  std::vector<std::string> refused; ///< regions that a pattern names and that cannot stand alone, with the reason
};

/// Regions of a tiled module whose name matches `glob`. Fails with Exit::Usage if there are none. `isTaken`: names that kernels cannot
/// have.
llvm::Expected<SelectedKernels> selectKernels(mlir::ModuleOp tiled, llvm::StringRef glob,
                                              llvm::function_ref<bool(llvm::StringRef)> isTaken);

} // namespace whit
