// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Thin layers over open, mmap and mremap.
#include "runtime/core/Memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace whit {

File::~File() {
  if (descriptor >= 0)
    ::close(descriptor);
}

whit_status File::open(const std::string &path, File &file, uint64_t &size) {
  File opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.get() < 0)
    return fail(WHIT_IO, "cannot open '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  struct stat info;
  if (fstat(opened.get(), &info) != 0)
    return fail(WHIT_IO, "cannot read '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return fail(WHIT_IO, "'%.*s' is not a regular file", WHIT_NAME(path));
  size = uint64_t(info.st_size);
  file = std::move(opened);
  return WHIT_OK;
}

FileMap::~FileMap() {
  if (base)
    munmap(base, length);
}

whit_status FileMap::map(const File &file, uint64_t offset, uint64_t size, const std::string &path, FileMap &map) {
  FileMap fresh;
  if (size > 0) {
    void *base = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), off_t(offset));
    if (base == MAP_FAILED)
      return fail(errno == ENOMEM ? WHIT_LIMIT : WHIT_IO, "cannot map %llu bytes of '%.*s': %s",
                  (unsigned long long)size, WHIT_NAME(path), std::strerror(errno));
    fresh.base = base;
    fresh.length = size;
  }
  map = std::move(fresh);
  return WHIT_OK;
}

Buffer::~Buffer() {
  if (base)
    munmap(base, length);
}

bool Buffer::reserve(int64_t bytes) {
  constexpr int64_t page = 1 << 16;
  if (bytes <= capacity() && base)
    return true;
  if (bytes > INT64_MAX - page)
    return false;
  size_t wanted = size_t((std::max<int64_t>(bytes, 1) + page - 1) / page * page);
  if (base) // grow by half at least: a sequence that gets longer token by token must not remap each time
    wanted = std::max(wanted, (length + length / 2) / page * page);
  void *fresh = base ? mremap(base, length, wanted, MREMAP_MAYMOVE)
                     : mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED)
    return false;
  base = fresh;
  length = wanted;
  return true;
}

} // namespace whit
