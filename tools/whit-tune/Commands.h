// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What whit-tune does, command by command.

#pragma once

#include "CostModel/Learned.h"
#include "Emit/Failure.h"
#include "Tune/Matmul.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit::tune {

struct Request {
  std::string target = "host", tasks, database, output, manifest, split, model;
  std::vector<std::string> formats, shapes, databases, agents{"forest"};
  std::vector<int64_t> rows{1, 16, 128};
  int64_t samples = 40, seed = 1, seeds = 1, limit = 0, budget = 32;
  double seconds = 0;
  bool quiet = false, hotOnly = false, json = false;
};

llvm::Error runProbe(const Request &request);
llvm::Error runGen(const Request &request);
llvm::Error runRun(const Request &request);
llvm::Error runPack(const Request &request);
llvm::Error runTrain(const Request &request);
llvm::Error runEval(const Request &request);
llvm::Error runExplain(const Request &request);
llvm::Error runSearch(const Request &request);

/// FORMAT:ACTIVATIONS and NxK of a request.
llvm::Expected<std::vector<Matmul>> matmulsOf(const Request &request);
/// What train wrote.
llvm::Expected<LearnedCostModel> readModel(const std::string &path);
/// Writes a file, or standard output for "" and "-".
llvm::Error writeText(const std::string &path, llvm::StringRef text);

/// Reads the command line, runs the command and returns the exit code.
int runCommandLine(int argc, char **argv);
/// Prints an error, if it is one, and returns the exit code.
int report(llvm::Error error);

} // namespace whit::tune
