// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What whit-tune does, command by command.

#pragma once

#include "Emit/Failure.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit::tune {

struct Request {
  std::string target = "host", tasks, database, output, manifest, split, model, agent = "forest";
  std::vector<std::string> formats, shapes, databases;
  std::vector<int64_t> rows{1, 16, 128};
  int64_t samples = 40, seed = 1, limit = 0, budget = 32;
  double seconds = 0;
  bool quiet = false, hotOnly = false;
};

llvm::Error runProbe(const Request &request);
llvm::Error runGen(const Request &request);
llvm::Error runRun(const Request &request);

/// Prints an error, if it is one, and returns the exit code.
int report(llvm::Error error);

} // namespace whit::tune
