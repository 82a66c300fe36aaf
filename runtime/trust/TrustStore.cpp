// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lines are "<64 digits>" or "<64 digits>  name"; others are ignored. Writers append one line under a lock, so readers
// see whole lines.
#include "runtime/trust/TrustStore.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace whit {
namespace {

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return false;
}

std::string homeFolder() {
  if (const char *home = std::getenv("HOME"); home && *home == '/')
    return home;
  const passwd *entry = getpwuid(geteuid());
  return entry && entry->pw_dir ? entry->pw_dir : "";
}

std::string trustFolder() {
  if (const char *config = std::getenv("XDG_CONFIG_HOME"); config && *config == '/')
    return std::string(config) + "/whit";
  std::string home = homeFolder();
  return home.empty() ? "" : home + "/.config/whit";
}

/// Owned by us and closed to other writers.
bool checkOwner(const struct stat &info, const std::string &path, std::string *why) {
  if (info.st_uid != geteuid())
    return refuse(why, "trust store '" + path + "' belongs to user " + std::to_string(info.st_uid) +
                           "; it must belong to you (" + std::to_string(geteuid()) + ")");
  if (info.st_mode & (S_IWGRP | S_IWOTH))
    return refuse(why, "trust store '" + path + "' can be written by others; run: chmod go-w '" + path + "'");
  return true;
}

/// Creates the folder and its parents.
bool makeFolder(const std::string &folder, std::string *why) {
  for (size_t slash = folder.find('/', 1); slash != folder.npos; slash = folder.find('/', slash + 1))
    mkdir(folder.substr(0, slash).c_str(), 0700);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return refuse(why, "cannot create '" + folder + "': " + std::strerror(errno));
  return true;
}

/// Opens the store after checking folder and file; -1 with errno ENOENT if there is none yet, -1 with `why` on refusal.
int openStore(int flags, std::string *why) {
  std::string folder = trustFolder(), path = trustStorePath();
  struct stat info;
  if (stat(folder.c_str(), &info) != 0)
    return -1;
  if (!checkOwner(info, folder, why)) {
    errno = EPERM;
    return -1;
  }
  int file = open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0)
    return -1;
  if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && checkOwner(info, path, why))
    return file;
  if (!S_ISREG(info.st_mode))
    refuse(why, "trust store '" + path + "' is not a regular file");
  close(file);
  errno = EPERM;
  return -1;
}

/// Whether a line of the store starts with the hash.
bool contains(int file, const std::string &hash) {
  std::string text;
  char buffer[65536];
  constexpr size_t limit = 64 << 20;
  for (ssize_t got; (got = read(file, buffer, sizeof buffer)) > 0 && text.size() < limit;)
    text.append(buffer, size_t(got));
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == text.npos)
      return false; // a line without its end may be cut short
    if (text.compare(begin, hash.size(), hash) == 0 && (begin + hash.size() == end || text[begin + hash.size()] == ' '))
      return true;
    begin = end + 1;
  }
  return false;
}

} // namespace

std::string trustStorePath() {
  std::string folder = trustFolder();
  return folder.empty() ? "" : folder + "/trusted";
}

TrustAnswer askTrust(const Digest &identity, std::string *why) {
  std::string reason;
  int file = trustStorePath().empty() ? -1 : openStore(O_RDONLY, &reason);
  if (file < 0) {
    if (reason.empty() && (errno == ENOENT || trustStorePath().empty()))
      return TrustAnswer::Unknown;
    if (why)
      *why = reason.empty() ? "cannot read trust store '" + trustStorePath() + "': " + std::strerror(errno) : reason;
    return TrustAnswer::Unusable;
  }
  bool found = contains(file, toHex(identity));
  close(file);
  return found ? TrustAnswer::Trusted : TrustAnswer::Unknown;
}

bool recordTrust(const Digest &identity, const std::string &name, std::string *why) {
  std::string path = trustStorePath(), reason;
  if (path.empty())
    return refuse(why, "no trust store: neither XDG_CONFIG_HOME nor HOME is set");
  if (!makeFolder(trustFolder(), why))
    return false;
  int file = openStore(O_RDWR | O_APPEND | O_CREAT, &reason);
  if (file < 0)
    return refuse(why, reason.empty() ? "cannot write trust store '" + path + "': " + std::strerror(errno) : reason);
  std::string line = toHex(identity) + "  ";
  for (char c : name.substr(0, 255))
    line += c == '\n' || c == '\r' || c == '\0' ? '?' : c;
  line += '\n';
  flock(file, LOCK_EX);
  bool done = contains(file, toHex(identity)) || write(file, line.data(), line.size()) == ssize_t(line.size());
  int error = errno;
  if (close(file) != 0 || !done)
    return refuse(why, "cannot write trust store '" + path + "': " + std::strerror(done ? errno : error));
  return true;
}

} // namespace whit
