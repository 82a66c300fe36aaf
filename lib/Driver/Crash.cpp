// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The text is made before each stage, not in the signal handler, which only writes bytes that are there. Weights are references, so it is
// small beside the model.

#include "Driver/Crash.h"

#include "Emit/Artifact.h"
#include "Emit/Failure.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/Signals.h"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using namespace llvm;

namespace whit {
namespace {

std::string commandLine, stageName, moduleBefore;
char folderName[4096];

void writeAll(int descriptor, StringRef text) {
  while (!text.empty()) {
    ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count <= 0)
      return;
    text = text.drop_front(count);
  }
}

/// Nothing here allocates: it runs in signal handlers.
bool writeFile(StringRef reason, char (&path)[4200]) {
  snprintf(path, sizeof path, "%s/whit-crash-%d.mlir", folderName, int(getpid()));
  int descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return false;
  writeAll(descriptor, "// Reproducer. ");
  writeAll(descriptor, reason);
  writeAll(descriptor, "\n// Command: ");
  writeAll(descriptor, commandLine);
  if (!moduleBefore.empty()) {
    writeAll(descriptor, "\n// Again:   whit-compile THIS_FILE --start-from=");
    writeAll(descriptor, stageName);
    writeAll(descriptor, " and the other options of the command\n");
    writeAll(descriptor, moduleBefore);
  } else {
    writeAll(descriptor, "\n// It happened before the model was imported.\n");
  }
  close(descriptor);
  return true;
}

void onCrash(void *) {
  char path[4200];
  if (writeFile("The compiler crashed.", path)) {
    writeAll(
        STDERR_FILENO,
        "error[E7101]: the compiler crashed; this is a bug in Whit\n  help: please report it with the reproducer ");
    writeAll(STDERR_FILENO, path);
    writeAll(STDERR_FILENO, "\n");
  }
  _exit(int(Exit::Bug));
}

void onFatalError(void *, const char *text, bool) {
  char path[4200];
  StringRef reason = StringRef(text).take_until([](char c) { return c == '\n'; });
  bool written = writeFile(reason, path);
  writeAll(STDERR_FILENO, "error[E7101]: ");
  writeAll(STDERR_FILENO, reason);
  writeAll(STDERR_FILENO, "\n  help: this is a bug in Whit; please report it with the reproducer ");
  writeAll(STDERR_FILENO, written ? path : "(which could not be written)");
  writeAll(STDERR_FILENO, "\n");
  sys::RunInterruptHandlers(); // removes unfinished files
  _exit(int(Exit::Bug));
}

void onBadAlloc(void *, const char *, bool) {
  writeAll(STDERR_FILENO, "error[E5101]: out of memory\n  help: compile on a machine with more memory\n");
  sys::RunInterruptHandlers();
  _exit(int(Exit::Limit));
}

} // namespace

void installCrashHandler(ArrayRef<const char *> arguments) {
  commandLine.clear();
  for (const char *argument : arguments)
    commandLine += (commandLine.empty() ? "" : " ") + std::string(argument);
  for (char &c : commandLine)
    if (c == '\n')
      c = ' ';
  const char *folder = getenv("WHIT_CRASH_DIR");
  if (!folder && !getcwd(folderName, sizeof folderName))
    folder = "/tmp";
  if (folder)
    snprintf(folderName, sizeof folderName, "%s", folder);
  sys::AddSignalHandler(onCrash, nullptr);
  install_fatal_error_handler(onFatalError, nullptr);
  install_bad_alloc_error_handler(onBadAlloc, nullptr);
}

void rememberForCrash(StringRef stage, std::string module) {
  // Emptied first: a crash between the two shows less rather than a mixture.
  moduleBefore.clear();
  stageName = stage.str();
  moduleBefore = std::move(module);
}

std::string writeReproducer(StringRef reason) {
  char path[4200];
  if (folderName[0] == 0 || !writeFile(reason, path))
    return "";
  return path;
}

} // namespace whit
