// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Modules as text that --start-from can read again, and what the passes have to say about their choices.

#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace whit {

/// The module as text, locations included: node names are what regions and profiles are told by.
std::string moduleText(mlir::ModuleOp module);

/// Writes DIR/03-encoded.mlir (with `variant` set: DIR/06-tiled.znver4.mlir). The folder is made if it does not exist.
llvm::Error dumpStage(mlir::ModuleOp module, llvm::StringRef folder, size_t stage, llvm::StringRef variant);

/// A choice that a pass made, or did not.
struct RemarkEntry {
  std::string kind;     ///< passed, missed, failed or analysis
  std::string category; ///< the pass's flag
  std::string name, stage, message;
  std::vector<std::string> nodes;
};

/// Collects the remarks of a context as long as it lives.
class RemarkLog {
public:
  /// Starts to listen.
  llvm::Error attach(mlir::MLIRContext &context);
  /// Stage that the following remarks belong to.
  void setStage(std::string name);
  std::vector<RemarkEntry> entries() const;
  /// One line per remark, under a line per stage; `+` stands before what was done and `-` before what was not.
  std::string text() const;

private:
  struct State {
    mutable std::mutex mutex;
    std::string stage;
    std::vector<RemarkEntry> entries;
  };
  std::shared_ptr<State> state = std::make_shared<State>();
  class Streamer;
};

} // namespace whit
