// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tensor that the model file holds: its shape, its type, and where its bytes are. Nothing is copied but a few small
// integers.

#pragma once

#include "Import/DataFiles.h"
#include "Import/ONNX/Wire.h"
#include "Whit/Whit.h"
#include "runtime/encoding/GgufSource.h"

#include <memory>

namespace whit {

/// An element type of ONNX. `bits` is its stored width.
struct OnnxType {
  int32_t number;
  const char *name;
  int bits;
  enum Kind { Float, Signed, Unsigned, Bool, Other } kind;
};

/// The row of a type number; null for numbers that ONNX does not have.
const OnnxType *onnxType(int32_t number);

/// The element type that values mean, which semantics::held says how to hold; null where Whit has none (strings, 8-bit
/// floats ...).
mlir::Type valueType(mlir::MLIRContext *context, int32_t number);

/// The element type of stored bytes, for #whit.blob; null for types with less than a byte per element.
mlir::Type storedType(mlir::MLIRContext *context, int32_t number);

/// The matrix N x K of a GGUF file that takes the place of a stored one.
struct GgufMatrix {
  GgufLayout layout;
  bool isTransposed = false; ///< the stored one is [K, N]
};

struct StoredTensor {
  std::string name;
  const OnnxType *type = nullptr;
  llvm::SmallVector<int64_t> dims;
  int64_t count = 0; ///< product of dims
  std::string file;  ///< name in DataFiles; empty if the values stand in `own`
  uint64_t offset = 0, length = 0;
  llvm::ArrayRef<uint8_t> bytes;
  std::vector<uint8_t> own;
  std::optional<GgufMatrix> gguf; ///< what the bytes of `file` are instead of `type`; `bytes` is empty then

  /// The values of an integer or bool tensor; empty optional for other types.
  std::optional<llvm::SmallVector<int64_t>> integers() const;
  /// The values of a float tensor of 16 bits or more; empty optional for other types.
  std::optional<llvm::SmallVector<double>> floats() const;
};

/// Checks a tensor and finds its bytes. Reports what is wrong, naming the tensor, and returns null.
std::shared_ptr<StoredTensor> readTensor(const WireTensor &wire, llvm::StringRef nameIfNone, llvm::StringRef modelFile,
                                         DataFiles &files, Diagnostics &diagnostics);

/// The number of elements of a shape, or nothing if it is negative or beyond 2^62.
std::optional<int64_t> countOf(llvm::ArrayRef<int64_t> dims);

} // namespace whit
