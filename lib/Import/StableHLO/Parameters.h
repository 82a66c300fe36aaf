// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tensors of a .safetensors or .npz file, and which of them is which argument of a program. Programs of JAX take
// their weights as arguments; bound to such a file they become constants of the compiled model.

#pragma once

#include "Import/DataFiles.h"

#include "mlir/IR/Types.h"
#include "llvm/ADT/StringMap.h"

#include <optional>
#include <vector>

namespace whit {

/// One stored tensor: its bytes are [offset, offset + length) of `file` in DataFiles.
struct Parameter {
  std::string name, file;
  mlir::Type element;
  llvm::SmallVector<int64_t> dims;
  uint64_t offset = 0, length = 0;
};

class Parameters {
public:
  /// Reads the header of a file that DataFiles knows as `file`. Untrusted: sizes are compared with the bytes there.
  llvm::Error read(llvm::StringRef file, llvm::ArrayRef<uint8_t> bytes, mlir::MLIRContext &context);

  /// Reads which argument has which name: a JSON list of names in the order of the arguments, or an object whose
  /// "arguments" is that list.
  llvm::Error readNames(llvm::StringRef path);

  bool empty() const { return tensors.empty() && others.empty(); }
  /// The names of readNames; empty if there are none.
  llvm::ArrayRef<std::string> names() const { return order; }
  const Parameter *find(llvm::StringRef name) const;
  /// The type, as its file calls it, of a tensor that no argument can be bound to; empty for others.
  llvm::StringRef otherType(llvm::StringRef name) const;

private:
  llvm::Error readSafetensors(llvm::StringRef file, llvm::ArrayRef<uint8_t> bytes, mlir::MLIRContext &context);
  llvm::Error readNpz(llvm::StringRef file, llvm::ArrayRef<uint8_t> bytes, mlir::MLIRContext &context);
  llvm::Error add(Parameter parameter, uint64_t available);

  llvm::StringMap<Parameter> tensors;
  llvm::StringMap<std::string> others;
  std::vector<std::string> order;
};

} // namespace whit
