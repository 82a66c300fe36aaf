// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opening beneath a folder: each part of the name is opened relative to the one before and never through a link, and
// what was checked is the descriptor that is mapped, so nothing can be exchanged in between.

#include "Import/DataFiles.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace whit;
using llvm::StringRef;

namespace {
/// A descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor &) = delete;
  ~Descriptor() { reset(-1); }
  void reset(int other) {
    if (fd >= 0)
      ::close(fd);
    fd = other;
  }
};
} // namespace

llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> DataFiles::openBeneath(StringRef name) {
  auto leaves = [&](const llvm::Twine &why) {
    return fail(Exit::Invalid, "external data '" + shown(name) + "' " + why, folder,
                "keep the data in the model's folder and refer to it by a plain relative name");
  };
  if (name.empty())
    return leaves("has no file name");
  if (name.contains('\0') || !llvm::json::isUTF8(name))
    return leaves("is no file name: it must be UTF-8 without a zero byte");
  if (name.starts_with("/") || name.contains('\\'))
    return leaves("is not relative to the model's folder");
  if (folder.empty())
    return leaves("cannot be found: the model was not read from a folder");
  llvm::SmallVector<StringRef> parts;
  name.split(parts, '/');
  for (StringRef part : parts)
    if (part == "..")
      return leaves("leaves the model's folder");
  Descriptor at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.fd < 0)
    return fail(Exit::Files, "cannot open the model's folder: " + llvm::Twine(std::strerror(errno)), folder);
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (part.empty() || part == ".")
      continue;
    bool last = i + 1 == parts.size();
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    int next = ::openat(at.fd, part.str().c_str(), flags);
    if (next < 0 && (errno == ELOOP || errno == ENOTDIR)) {
      struct stat link;
      if (::fstatat(at.fd, part.str().c_str(), &link, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(link.st_mode))
        return leaves("goes through the symbolic link '" + shown(part) + "'");
      errno = ENOTDIR;
    }
    if (next < 0)
      return fail(Exit::Files, "cannot open external data '" + shown(name) + "': " + std::strerror(errno), folder,
                  "put the file beside the model");
    at.reset(next);
  }
  struct stat status;
  if (::fstat(at.fd, &status) != 0)
    return fail(Exit::Files, "cannot read external data '" + shown(name) + "': " + std::strerror(errno), folder);
  if (!S_ISREG(status.st_mode))
    return leaves("is no regular file");
  if (status.st_nlink != 1)
    return leaves("has " + llvm::Twine(status.st_nlink) + " hard links; it must have 1, so copy the file");
  auto buffer = llvm::MemoryBuffer::getOpenFile(at.fd, name, status.st_size, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fail(Exit::Files, "cannot read external data '" + shown(name) + "': " + buffer.getError().message(), folder);
  return std::move(*buffer);
}

llvm::Expected<llvm::ArrayRef<uint8_t>> DataFiles::open(StringRef name) {
  auto known = buffers.find(name);
  if (known == buffers.end()) {
    auto buffer = openBeneath(name);
    if (!buffer)
      return buffer.takeError();
    known = buffers.try_emplace(name, std::move(*buffer)).first;
  }
  const llvm::MemoryBuffer &buffer = *known->second;
  return llvm::ArrayRef(reinterpret_cast<const uint8_t *>(buffer.getBufferStart()), buffer.getBufferSize());
}

void DataFiles::add(StringRef name, std::unique_ptr<llvm::MemoryBuffer> buffer) { buffers[name] = std::move(buffer); }

/// MemoryBuffer::dontNeedIfMmap asks by posix_madvise, which glibc takes as advice to do nothing.
static void giveBack(const llvm::MemoryBuffer &buffer) {
  if (buffer.getBufferKind() == llvm::MemoryBuffer::MemoryBuffer_MMap)
    ::madvise(const_cast<char *>(buffer.getBufferStart()), buffer.getBufferSize(), MADV_DONTNEED);
}

void DataFiles::release() {
  for (auto &entry : buffers)
    giveBack(*entry.second);
}

const std::string &DataFiles::hash(StringRef name, uint64_t offset, uint64_t length) {
  std::string &digits = hashes[{name.str(), offset, length}];
  if (digits.empty()) {
    const llvm::MemoryBuffer &buffer = *buffers[name];
    auto bytes = llvm::ArrayRef(reinterpret_cast<const uint8_t *>(buffer.getBufferStart()), buffer.getBufferSize());
    digits = llvm::utohexstr(llvm::xxh3_64bits(bytes.slice(offset, length)), /*LowerCase=*/true, /*Width=*/16);
    // Mapped bytes that were read count as ours until they are given back: a model would stay in memory layer by layer.
    constexpr uint64_t kLarge = 1 << 20;
    if (length >= kLarge)
      giveBack(buffer);
  }
  return digits;
}
