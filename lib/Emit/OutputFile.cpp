// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// O_TMPFILE makes a file without a name, which even SIGKILL cannot leave behind; linkat gives it a temporary name only once it is whole,
// and rename puts it in place of what was there.

#include "Emit/OutputFile.h"

#include "Emit/Failure.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace llvm;

namespace whit {
namespace {

constexpr mode_t kMode = 0666; // less the umask

/// A name beside the target that no other process uses at this time.
std::string temporaryName(StringRef target) {
  static unsigned counter = 0;
  SmallString<256> name(sys::path::parent_path(target));
  sys::path::append(name, "." + sys::path::filename(target) + "." + Twine(getpid()) + "." + Twine(counter++) + ".part");
  return name.str().str();
}

} // namespace

std::string folderOf(StringRef path) {
  StringRef parent = sys::path::parent_path(path);
  return parent.empty() ? "." : parent.str();
}

Error OutputFile::failed(StringRef action) const {
  int number = errno;
  StringRef help = number == ENOENT   ? "create the folder first"
                   : number == ENOSPC ? "free space on that disk, or write to another"
                                      : "check the folder and its permissions";
  return fail(Exit::Files, "cannot " + action + ": " + std::strerror(number), target, help);
}

Expected<OutputFile> OutputFile::create(StringRef path) {
  OutputFile file;
  file.target = path.str();
  if (path == "-") {
    file.descriptor = dup(STDOUT_FILENO);
    if (file.descriptor < 0)
      return file.failed("write");
    return std::move(file);
  }
  file.folder = folderOf(path);
  struct stat status;
  if (stat(path.str().c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode))
      return fail(Exit::Files, "cannot write: is a folder", path, "give the name of a file");
    // Devices and pipes (/dev/null, /dev/stdout) are written as they are; a rename would replace them.
    file.descriptor = open(path.str().c_str(), O_WRONLY | O_CLOEXEC);
    file.folder.clear();
    if (file.descriptor < 0)
      return file.failed("write");
    return std::move(file);
  }
  file.descriptor = open(file.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kMode);
  if (file.descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    file.temporary = temporaryName(path);
    sys::RemoveFileOnSignal(file.temporary);
    file.descriptor = open(file.temporary.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, kMode);
  }
  if (file.descriptor < 0)
    return file.failed("write");
  return std::move(file);
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : target(std::move(other.target)), folder(std::move(other.folder)), temporary(std::exchange(other.temporary, {})),
      descriptor(std::exchange(other.descriptor, -1)), written(other.written) {}

OutputFile &OutputFile::operator=(OutputFile &&other) noexcept {
  if (this != &other) {
    discard();
    target = std::move(other.target);
    folder = std::move(other.folder);
    temporary = std::exchange(other.temporary, {});
    descriptor = std::exchange(other.descriptor, -1);
    written = other.written;
  }
  return *this;
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() {
  if (descriptor >= 0)
    close(std::exchange(descriptor, -1));
  if (!temporary.empty()) {
    unlink(temporary.c_str());
    sys::DontRemoveFileOnSignal(temporary);
    temporary.clear();
  }
}

Error OutputFile::write(ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), size_t(1) << 30));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failed("write");
    bytes = bytes.drop_front(count);
    written += count;
  }
  return Error::success();
}

Error OutputFile::append(const OutputFile &other) {
  std::vector<uint8_t> buffer(size_t(1) << 20);
  for (int64_t offset = 0; offset < other.written;) {
    ssize_t count =
        pread(other.descriptor, buffer.data(), std::min<int64_t>(buffer.size(), other.written - offset), offset);
    if (count <= 0)
      return other.failed("read back");
    if (Error error = write(ArrayRef(buffer).take_front(count)))
      return error;
    offset += count;
  }
  return Error::success();
}

Error OutputFile::commit() { return commitAll(std::ref(*this)); }

Error OutputFile::commitAll(ArrayRef<std::reference_wrapper<OutputFile>> files) {
  // The slow parts first: between the first new name and the last, nothing waits for the disk.
  for (OutputFile &file : files)
    if (!file.folder.empty() && fsync(file.descriptor) != 0)
      return file.failed("write");
  for (OutputFile &file : files)
    if (Error error = file.giveName())
      return error;
  // What is replaced stays open until all is in place: to free the blocks of a large file takes long.
  SmallVector<int> replaced;
  for (OutputFile &file : files)
    replaced.push_back(file.folder.empty() ? -1 : open(file.target.c_str(), O_PATH | O_CLOEXEC));
  Error error = Error::success();
  for (OutputFile &file : files)
    if (!error)
      error = file.place();
  for (int old : replaced)
    if (old >= 0)
      close(old);
  if (error)
    return error;
  // The new names themselves must survive a power cut; a file system that cannot do that still has the files.
  for (OutputFile &file : files) {
    int directory = file.folder.empty() ? -1 : open(file.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
      fsync(directory);
      close(directory);
    }
  }
  return Error::success();
}

Error OutputFile::giveName() {
  if (!folder.empty() && temporary.empty()) {
    std::string name = temporaryName(target);
    std::string self = "/proc/self/fd/" + std::to_string(descriptor);
    sys::RemoveFileOnSignal(name);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      Error error = failed("write");
      sys::DontRemoveFileOnSignal(name);
      return error;
    }
    temporary = name;
  }
  if (close(std::exchange(descriptor, -1)) != 0)
    return failed("write");
  return Error::success();
}

Error OutputFile::place() {
  if (temporary.empty()) // standard output, devices
    return Error::success();
  if (rename(temporary.c_str(), target.c_str()) != 0)
    return failed("rename the finished file");
  sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
  return Error::success();
}

} // namespace whit
