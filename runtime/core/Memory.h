// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files, maps of files, and large buffers straight from the system: page-aligned, zero at first, resident only where
// touched.
#ifndef WHIT_RUNTIME_CORE_MEMORY_H
#define WHIT_RUNTIME_CORE_MEMORY_H

#include "runtime/core/Status.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace whit {

/// An open file descriptor.
class File {
public:
  File() = default;
  explicit File(int descriptor) : descriptor(descriptor) {}
  File(File &&other) noexcept : descriptor(std::exchange(other.descriptor, -1)) {}
  File &operator=(File &&other) noexcept {
    std::swap(descriptor, other.descriptor);
    return *this;
  }
  ~File();

  /// Opens a regular file for reading and tells its size.
  static whit_status open(const std::string &path, File &file, uint64_t &size);

  int get() const { return descriptor; }
  /// Gives the descriptor up; it stays open.
  void release() { descriptor = -1; }

private:
  int descriptor = -1;
};

/// A read-only private map of a range of a file.
class FileMap {
public:
  FileMap() = default;
  FileMap(FileMap &&other) noexcept
      : base(std::exchange(other.base, nullptr)), length(std::exchange(other.length, 0)) {}
  FileMap &operator=(FileMap &&other) noexcept {
    std::swap(base, other.base);
    std::swap(length, other.length);
    return *this;
  }
  ~FileMap();

  /// `offset` must be a multiple of the page size. `path` is for the message.
  static whit_status map(const File &file, uint64_t offset, uint64_t size, const std::string &path, FileMap &map);

  std::span<const uint8_t> bytes() const { return {static_cast<const uint8_t *>(base), length}; }

private:
  void *base = nullptr;
  size_t length = 0;
};

/// A buffer that only grows; its contents survive growing.
class Buffer {
public:
  Buffer() = default;
  Buffer(Buffer &&other) noexcept : base(std::exchange(other.base, nullptr)), length(std::exchange(other.length, 0)) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(base, other.base);
    std::swap(length, other.length);
    return *this;
  }
  ~Buffer();

  /// Makes room for `bytes`; false when memory is out. May move.
  bool reserve(int64_t bytes);
  uint8_t *data() const { return static_cast<uint8_t *>(base); }
  int64_t capacity() const { return int64_t(length); }

private:
  void *base = nullptr;
  size_t length = 0;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_MEMORY_H
