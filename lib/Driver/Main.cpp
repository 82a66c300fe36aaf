// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the command line to an exit code: what whit-compile does, apart from being a program.

#include "Driver/Compile.h"
#include "Driver/Console.h"
#include "Driver/Crash.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"

#include <new>
#include <unistd.h>

using namespace llvm;

int whit::compileMain(int argc, char **argv) {
  installCrashHandler(ArrayRef<const char *>(argv, argc));
  std::vector<std::string> arguments(argv + 1, argv + argc);
  bool json = is_contained(arguments, "--diagnostics=json");
  auto parsed = parseOptions(arguments);
  if (!parsed)
    return int(Console(errs(), json, /*quiet=*/true, /*isTerminal=*/false).print(parsed.takeError()));
  if (!parsed->text.empty()) {
    outs() << parsed->text;
    return 0;
  }
  try {
    return int(compile(parsed->options, {errs(), isatty(STDERR_FILENO) != 0, /*keepsReproducers=*/true}));
  } catch (const std::bad_alloc &) {
    errs() << "error[E5101]: out of memory\n  help: compile on a machine with more memory\n";
    return int(Exit::Limit);
  }
}
