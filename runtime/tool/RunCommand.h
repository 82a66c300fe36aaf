// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What whit-run does, on the C ABI of include/whit/Runtime.h. Text goes to stdout, errors and warnings to stderr.
#ifndef WHIT_RUNTIME_TOOL_RUNCOMMAND_H
#define WHIT_RUNTIME_TOOL_RUNCOMMAND_H

#include "runtime/tool/Npz.h"
#include "runtime/tool/Options.h"
#include "whit/Artifact.h"

#include <nlohmann/json_fwd.hpp>

namespace whit {

/// Runs the command; the result is the exit code. A failure has printed its message.
int runCommand(const RunOptions &options);

/// Loaded model and session of a command.
struct Running {
  const RunOptions &options;
  Manifest manifest;
  whit_module *module = nullptr;
  whit_session *session = nullptr;
  nlohmann::ordered_json *report = nullptr; ///< what --json prints

  explicit Running(const RunOptions &options) : options(options) {}
  ~Running();
};

/// Reads --inputs and --input, and with `makeUp` also makes random values for inputs that are missing.
whit_status collectInputs(const Running &running, bool makeUp, std::vector<Array> &arrays);

/// Borrowed views of arrays.
std::vector<whit_tensor> viewsOf(const std::vector<Array> &arrays);

/// The modes.
whit_status inspect(const RunOptions &options);
whit_status runOnce(Running &running);
whit_status benchmark(Running &running);
whit_status generate(Running &running);

/// Compares the session's outputs with --expect; WHIT_MISMATCH if they differ.
whit_status compareOutputs(Running &running);

/// Largest resident size of this process so far, in MiB.
double peakMemory();
/// Seconds of a clock that never goes back.
double seconds();

} // namespace whit

#endif // WHIT_RUNTIME_TOOL_RUNCOMMAND_H
