// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The weights of a module under construction. One whit.weight per distinct (type, bytes): an embedding that shares its
// bytes with the output head is the same weight, and stays so in the artifact.

#pragma once

#include "Import/DataFiles.h"
#include "Import/Semantics/Tensor.h"
#include "Whit/Whit.h"

#include "llvm/ADT/MapVector.h"

namespace whit::semantics {

class Weights {
public:
  Weights(mlir::ModuleOp module, DataFiles &files) : module(module), symbols(module), files(files) {}

  /// A reference to bytes of an open file.
  mlir::whit::BlobAttr blob(llvm::StringRef file, uint64_t offset, uint64_t length, mlir::Type element);

  /// The value of a weight of type `type` with these parts, called `name` if it is new. Made before `b`'s position,
  /// used after it.
  mlir::Value constant(ImplicitLocOpBuilder &b, llvm::StringRef name, mlir::Type type,
                       llvm::ArrayRef<mlir::whit::SourceAttr> parts);

  /// The value of a matrix N x K of plain floats, stored row by row ("rows") or column by column ("columns").
  mlir::Value matrix(ImplicitLocOpBuilder &b, llvm::StringRef name, int64_t n, int64_t k, llvm::StringRef layout,
                     mlir::whit::BlobAttr blob);

private:
  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  DataFiles &files;
  mlir::Operation *last = nullptr; ///< the newest whit.weight: they stand in the order of their first use
  llvm::DenseMap<std::pair<mlir::Type, mlir::Attribute>, mlir::Value> known;
};

} // namespace whit::semantics
