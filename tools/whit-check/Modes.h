// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The three things whit-check does, by what it was given.

#pragma once

#include "Emit/Failure.h"

#include <string>

namespace llvm {
class raw_ostream;
}

namespace whit::check {

struct Request {
  std::string model, artifact, inputs, outputs;
  bool bounds = false, all = false;
  int threads = 2;
};

llvm::Error run(const Request &request);

/// Runs `artifact` on the inputs, every region of it again in the interpreter, and compares within the regions' bounds.
llvm::Error replay(const Request &request);

/// Prints an error, if it is one, and returns the exit code.
int report(llvm::Error error, llvm::raw_ostream &out);

} // namespace whit::check
