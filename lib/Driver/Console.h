// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a person or a program sees while the compiler runs: problems in one form, and one line per finished stage. On a terminal, a stage that
// takes longer than two seconds shows a bar meanwhile.

#pragma once

#include "Emit/Failure.h"
#include "Import/Diagnostics.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace whit {

class Console {
public:
  Console(llvm::raw_ostream &out, bool json, bool quiet, bool isTerminal)
      : out(out), json(json), quiet(quiet), isTerminal(isTerminal) {}

  void print(const Diagnostics &diagnostics);
  /// Prints what `error` holds and gives the exit code it leads to.
  Exit print(llvm::Error error);
  /// A diagnostic of MLIR, with its location's file and node names. `exit` is what an error of this kind leads to.
  void print(mlir::Diagnostic &diagnostic, Exit exit);
  void warn(const llvm::Twine &message, const llvm::Twine &where, const llvm::Twine &help);
  void line(const llvm::Twine &text);

  /// A stage in progress; its destructor takes the bar away.
  class Stage {
  public:
    Stage(Console &console, size_t number, size_t count, std::string name);
    ~Stage();
    /// 0 .. 1; below 0 as long as nobody knows.
    void setProgress(double fraction) { progress = fraction; }
    double seconds() const;
    /// Prints the line that stays: name, seconds, counts.
    void finish(const llvm::Twine &counts);

  private:
    void draw();
    Console &console;
    std::string title;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    std::atomic<double> progress = -1;
    std::mutex mutex;
    std::condition_variable changed;
    bool isDone = false, isDrawn = false;
    std::thread ticker;
  };

private:
  llvm::raw_ostream &out;
  bool json, quiet, isTerminal;
};

/// "1,234,567".
std::string grouped(int64_t number);
/// "1.2 MB" and its like, in powers of ten.
std::string sizeText(int64_t bytes);
/// Names of the model's nodes that a location holds, outermost first.
std::vector<std::string> nodesOf(mlir::Location location);

} // namespace whit
