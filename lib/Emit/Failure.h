// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Why a step of the compiler ended early: the exit code it leads to, one sentence, the thing it speaks of, and what to do. Emit and Driver
// pass it up as an llvm::Error; only the driver prints.

#pragma once

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

#include <string>

namespace whit {

/// What a tool's exit code says; the same for all tools.
enum class Exit : int {
  Done = 0,
  Invalid = 1,     ///< the model or input breaks a rule
  Usage = 2,       ///< the command line does
  Unsupported = 3, ///< valid, but not supported
  Files = 4,       ///< cannot read or write
  Limit = 5,       ///< a limit or memory ran out
  Refused = 6,     ///< artifact refused
  Device = 7,
  Mismatch = 8, ///< a comparison failed
  Bug = 70      ///< a bug in Whit
};

class Failure : public llvm::ErrorInfo<Failure> {
public:
  static char ID;
  Exit exit;
  std::string message; ///< lower case, no final period, found and required
  std::string where;   ///< file, weight or symbol; may be empty
  std::string help;    ///< what to do; may be empty

  Failure(Exit exit, std::string message, std::string where, std::string help)
      : exit(exit), message(std::move(message)), where(std::move(where)), help(std::move(help)) {}
  void log(llvm::raw_ostream &out) const override { out << message; }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }
};

inline llvm::Error fail(Exit exit, const llvm::Twine &message, const llvm::Twine &where = "",
                        const llvm::Twine &help = "") {
  return llvm::make_error<Failure>(exit, message.str(), where.str(), help.str());
}

} // namespace whit
