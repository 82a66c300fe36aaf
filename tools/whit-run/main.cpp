// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-run: runs a compiled model. Links the runtime only, neither LLVM nor the compiler; the work is in runtime/tool.
#include "runtime/tool/RunCommand.h"

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
  whit::RunOptions options;
  int exitCode = 0;
  try {
    if (!whit::parseRunOptions(argc, argv, options, exitCode))
      return exitCode;
    return whit::runCommand(options);
  } catch (const std::bad_alloc &) {
    std::fputs("error: out of memory\n", stderr);
    return WHIT_LIMIT;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: a bug in Whit: %s\n", error.what());
    return WHIT_BUG;
  }
}
