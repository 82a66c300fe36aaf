// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which weight gets which format: the patterns of --keep and --format-map, then --weights. A pattern is compared with the
// name of a weight and with the names of the nodes that use it, since exporters give weights names like onnx::MatMul_1077.

#pragma once

#include "Whit/Whit.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/GlobPattern.h"

namespace mlir::whit {

class FormatRules {
public:
  struct Rule {
    std::string flag, pattern;
    llvm::GlobPattern names;
    std::string format; ///< empty: keep
    int64_t rank = 0;   ///< of a correction beside the weight; 0: none
  };

  /// The error says what is wrong with which entry.
  static llvm::Expected<FormatRules> read(StringRef keep, StringRef formatMap, StringRef weights);

  bool empty() const { return rules.empty(); }
  /// The first rule with a pattern that matches one of the names, or null.
  const Rule *find(ArrayRef<StringRef> names) const;
  /// Says which pattern matches no weight of the module, or nothing. Such a pattern is a slip of the pen, and what it was to
  /// keep would lose its bits in silence.
  std::string firstUnused(ModuleOp module) const;

  /// FORMAT or FORMAT+lowrankR. The error says what is wrong with it.
  struct Format {
    std::string name; ///< as parseEncoding takes it
    int64_t rank;
  };
  static llvm::Expected<Format> parseFormat(StringRef text);
  /// The entries of --format-map, as GLOB and FORMAT. Commas and equal signs inside the brackets of a formula are part of it.
  static llvm::Expected<std::vector<std::pair<StringRef, StringRef>>> split(StringRef formatMap);

private:
  llvm::Error add(StringRef flag, StringRef pattern, StringRef format);

  std::vector<Rule> rules;
};

/// What patterns are compared with: for each weight its name, then the names of the nodes that use it.
DenseMap<StringAttr, SmallVector<StringRef>> namesOfWeights(ModuleOp module);

} // namespace mlir::whit
