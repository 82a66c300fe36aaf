// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bytes behind #whit.blob attributes. A file may change between import and emit (or between a stage dump and the run that starts from
// it): ranges and hashes are checked before anything is read.

#pragma once

#include "Import/DataFiles.h"
#include "Whit/Whit.h"

#include <string>

namespace whit {

class BlobFiles {
public:
  /// File names of blobs are relative to `folder` and must not leave it. `model` is the file that the user named; a blob in a file of its
  /// name may lie there, wherever that is.
  BlobFiles(std::string folder, std::string model) : files(std::move(folder)), model(std::move(model)) {}

  /// The bytes of a blob, valid as long as this object. Fails if they are not in the file, or are not the bytes that were imported.
  llvm::Expected<llvm::ArrayRef<uint8_t>> read(mlir::whit::BlobAttr blob);
  /// Lets the system take back the memory of what was read; it is read again when needed.
  void release() { files.release(); }

private:
  DataFiles files;
  std::string model;
};

} // namespace whit
