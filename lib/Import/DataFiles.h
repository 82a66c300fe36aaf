// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The files that a model's weights lie in, mapped and never copied. This is the one place that opens a file whose name
// stands in a model: such a name is untrusted, and three releases of one ONNX reader in a row were fooled by links and
// "..".

#pragma once

#include "Import/Diagnostics.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

#include <map>
#include <memory>

namespace whit {

class DataFiles {
public:
  /// `folder` is the model's; names are relative to it.
  explicit DataFiles(std::string folder) : folder(std::move(folder)) {}

  llvm::StringRef getFolder() const { return folder; }

  /// The bytes of the file `name`, or a Failure: the name must be relative and plain, no part of it a link, the file
  /// regular and without other hard links. Opened once.
  llvm::Expected<llvm::ArrayRef<uint8_t>> open(llvm::StringRef name);

  /// Makes the bytes of a file that the user named, the model itself, known as `name`.
  void add(llvm::StringRef name, std::unique_ptr<llvm::MemoryBuffer> buffer);

  /// Gives the memory of mapped files back to the system; the bytes stay valid and are read again when needed.
  void release();

  /// XXH3-64 of bytes [offset, offset + length) of an open file, in 16 hexadecimal digits. The range must exist.
  const std::string &hash(llvm::StringRef name, uint64_t offset, uint64_t length);

private:
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> openBeneath(llvm::StringRef name);

  std::string folder;
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> buffers;
  std::map<std::tuple<std::string, uint64_t, uint64_t>, std::string> hashes;
};

} // namespace whit
