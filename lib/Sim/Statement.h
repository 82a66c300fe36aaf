// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One instruction of inline assembly, taken apart.
#ifndef SIM_STATEMENT_H
#define SIM_STATEMENT_H

#include "Sim/Lowering.h"

namespace whit::sim {

struct Statement {
  Lowering &lowering;
  const llvm::CallInst &call;
  llvm::StringRef name;
  /// By operand of the instruction: the names inside of its braces, brackets, or the one name.
  llvm::SmallVector<llvm::SmallVector<llvm::StringRef, 4>, 6> operands;
  unsigned results = 0;
  llvm::SmallVector<int> ties; ///< of each input: the result in whose register it is, or -1

  /// The input in the register of a result; null if there is none.
  const llvm::Value *tied(unsigned result) const {
    for (size_t i = 0; i < ties.size(); ++i)
      if (ties[i] == int(result))
        return call.getArgOperand(unsigned(i));
    return nullptr;
  }
  /// `$n` of an input; null for others.
  const llvm::Value *input(size_t operand, size_t part = 0) const {
    unsigned number;
    if (operand >= operands.size() || part >= operands[operand].size())
      return nullptr;
    llvm::StringRef text = operands[operand][part];
    if (!text.consume_front("$") || text.getAsInteger(10, number) || number < results ||
        number - results >= call.arg_size())
      return nullptr;
    return call.getArgOperand(number - results);
  }
  /// A number, in the text or as a constant operand.
  std::optional<uint64_t> number(size_t operand) const {
    uint64_t value;
    if (operand < operands.size() && operands[operand].size() == 1 && !operands[operand][0].getAsInteger(0, value))
      return value;
    if (const llvm::Value *constant = input(operand))
      return lowering.constantOf(constant);
    return std::nullopt;
  }
  /// The first operands are all results, in order.
  bool writes(size_t count) const {
    if (results != count || operands.empty() || operands[0].size() != count)
      return false;
    for (size_t i = 0; i < count; ++i)
      if (operands[0][i] != "$" + std::to_string(i))
        return false;
    return true;
  }
};

/// wgmma: what begins, multiplies, commits and waits. False: not known.
bool lowerWarpgroup(Statement &statement);

} // namespace whit::sim

#endif // SIM_STATEMENT_H
