// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Schedules of a GPU are predictions; whether a kernel fits into the registers is known only when it is machine code. What does not is
// compiled again under the next best cut of its region, until nothing spills, no candidate is left, or enough rounds were made. Then the
// cut that spilled least is taken.

#pragma once

#include "Emit/KernelFacts.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <set>
#include <string>
#include <vector>

namespace whit {

/// The variant for one GPU between the stages `laid-out` and `emitted`.
class ScheduleTrials {
public:
  /// `laidOut` is the module before schedules are chosen; null if that stage was not run: nothing is tried then.
  explicit ScheduleTrials(mlir::OwningOpRef<mlir::ModuleOp> laidOut = nullptr) : laidOut(std::move(laidOut)) {}

  /// Lowered modules and their kernels.
  struct Compiled {
    mlir::ModuleOp lowered;
    llvm::ArrayRef<KernelFacts> kernels;
    std::vector<int64_t> regions; ///< what all kernels compute, if the module does not say it
  };
  /// Notes what the kernels of a round came to. Whether to compile next() in its place.
  bool note(llvm::ArrayRef<Compiled> compiled);
  /// A copy of the module before schedules are chosen, which says what not to choose again.
  mlir::OwningOpRef<mlir::ModuleOp> next() const;

  /// What was replaced, for a remark: the cut that spilled and the one that was tried after it.
  struct Replacement {
    mlir::Location location;
    std::string text;
  };
  std::vector<Replacement> replacements() const;
  /// Sentences about kernels that spill whatever is chosen.
  std::vector<std::string> warnings() const;
  /// A line of JSON for each kernel of each round: what it multiplies, its cut, and its facts.
  std::string rows(llvm::StringRef model, llvm::StringRef target, llvm::StringRef machine) const;

private:
  /// A kernel as it was in one of the rounds.
  struct Kernel {
    KernelFacts facts;
    std::vector<int64_t> regions; ///< the numbers of those that it computes
    std::string name;             ///< of the first of them
    mlir::Attribute cut;          ///< null: nothing can be chosen
    size_t round;
    int64_t spilled; ///< bytes of a thread

    Kernel(const Compiled &from, const KernelFacts &facts, size_t round);
    /// Which of the kernels of its region it is.
    llvm::StringRef part() const { return llvm::StringRef(facts.name).rsplit("_tiles").second; }
    bool isPartOf(int64_t region, const Kernel &other) const;
  };

  mlir::OwningOpRef<mlir::ModuleOp> laidOut;
  std::vector<Kernel> kernels; ///< of all rounds
  std::set<int64_t> exhausted; ///< regions for which nothing new is tried
  size_t rounds = 0;
};

} // namespace whit
