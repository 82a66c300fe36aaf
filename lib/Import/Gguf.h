// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The header of a GGUF file (ggml's docs/gguf.md, versions 2 and 3): which tensors it has and where their bytes lie. Untrusted:
// every count and offset is compared with what the file has before it is used.

#pragma once

#include "Import/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

namespace whit {

struct GgufTensor {
  int32_t type = 0;                ///< ggml's number
  llvm::SmallVector<int64_t> dims; ///< in the order of ONNX: the last runs fastest
  uint64_t offset = 0, length = 0; ///< of the bytes in the file; no length for types that Whit does not read
};

struct GgufFile {
  std::string name; ///< in DataFiles
  std::string architecture;
  llvm::StringMap<uint64_t> numbers; ///< unsigned metadata by key
  llvm::MapVector<llvm::StringRef, GgufTensor> tensors;

  const GgufTensor *find(llvm::StringRef tensor) const {
    auto found = tensors.find(tensor);
    return found == tensors.end() ? nullptr : &found->second;
  }
  uint64_t number(llvm::StringRef key) const { return numbers.lookup((architecture + "." + key).str()); }
};

/// Reads the header of `bytes`, which must outlive the result: names refer to them.
llvm::Expected<GgufFile> readGgufFile(llvm::StringRef name, llvm::ArrayRef<uint8_t> bytes);

} // namespace whit
