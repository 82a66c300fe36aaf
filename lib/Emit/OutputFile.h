// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file that appears whole or not at all. Bytes go to an unnamed file in the same folder (where the file system has none, to a temporary
// name that is removed on errors and signals); commit() flushes it to the disk and renames it into place. "-" is standard output.

#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <functional>
#include <string>

namespace whit {

class OutputFile {
public:
  static llvm::Expected<OutputFile> create(llvm::StringRef path);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&other) noexcept;
  ~OutputFile(); ///< without commit(): nothing is left

  llvm::Error write(llvm::ArrayRef<uint8_t> bytes);
  llvm::Error write(llvm::StringRef text) { return write(llvm::ArrayRef<uint8_t>(text.bytes_begin(), text.size())); }
  /// Appends all bytes of another file that is not yet committed.
  llvm::Error append(const OutputFile &other);
  /// Puts the file into place.
  llvm::Error commit();
  /// Puts files into place that belong together, one right after the other; the one that refers to the others comes
  /// last.
  static llvm::Error commitAll(llvm::ArrayRef<std::reference_wrapper<OutputFile>> files);

  int64_t size() const { return written; }
  const std::string &path() const { return target; }

private:
  OutputFile() = default;
  void discard();
  llvm::Error giveName(); ///< writing is over
  llvm::Error place();
  llvm::Error failed(llvm::StringRef action) const;

  std::string target, folder, temporary; ///< temporary: "" while the file has no name
  int descriptor = -1;
  int64_t written = 0;
};

/// The folder part of a path, "." if it has none.
std::string folderOf(llvm::StringRef path);

} // namespace whit
