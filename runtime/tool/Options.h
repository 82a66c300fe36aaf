// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The command line of whit-run.
#ifndef WHIT_RUNTIME_TOOL_OPTIONS_H
#define WHIT_RUNTIME_TOOL_OPTIONS_H

#include "whit/Runtime.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace whit {

struct RunOptions {
  std::string model;
  // Inputs and outputs
  std::string inputs, outputs, expect;
  std::vector<std::pair<std::string, std::string>> input;
  std::vector<std::pair<std::string, int64_t>> dims;
  double rtol = 1e-3, atol = 1e-5;
  // What to do
  int benchmark = 0, repeat = 16;
  int64_t rotate = 0; ///< MiB
  int64_t generate = 0;
  std::vector<int64_t> promptIds, stopIds;
  bool inspect = false;
  std::string profile;
  bool json = false;
  // How
  int threads = 0;
  std::string target, device;
  bool trust = false, verifyFull = false;
};

/// Reads the command line. Prints help or a message and returns the exit code in `exitCode` when there is nothing to
/// run.
bool parseRunOptions(int argc, char **argv, RunOptions &options, int &exitCode);

} // namespace whit

#endif // WHIT_RUNTIME_TOOL_OPTIONS_H
