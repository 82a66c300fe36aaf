// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What --report=FILE holds: one JSON object with the options, times of stages, choices and sizes of a compilation.

#pragma once

#include "Driver/Dump.h"
#include "Driver/Options.h"
#include "Emit/Artifact.h"

#include <optional>
#include <string>
#include <vector>

namespace whit {

struct Report {
  struct Stage {
    std::string name;
    double seconds = 0;
    size_t operations = 0; ///< after the stage; functions of machine code after the last
  };
  std::vector<std::string> targets;
  std::vector<Stage> stages;
  std::optional<ArtifactResult> artifact;

  std::string text(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const;
};

} // namespace whit
