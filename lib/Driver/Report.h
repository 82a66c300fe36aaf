// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What --report=FILE holds: what each weight cost and lost, and the options, times of stages, choices and sizes of a compilation. As text
// for people in a terminal, as a page with plots, and as one JSON object for programs.

#pragma once

#include "Driver/Dump.h"
#include "Driver/Options.h"
#include "Emit/Artifact.h"
#include "Emit/KernelFacts.h"

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
  /// What is known of a kernel on a GPU.
  struct Kernel {
    std::string target;
    KernelFacts facts;
  };
  std::vector<std::string> targets;
  std::vector<Kernel> kernels;
  std::vector<Stage> stages;
  std::optional<ArtifactResult> artifact;

  /// In the form that the name of the file asks for: .txt, .html, anything else JSON.
  std::string forFile(llvm::StringRef file, const CompileOptions &options,
                      const std::vector<RemarkEntry> &remarks) const;
  std::string json(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const;
  std::string text(const CompileOptions &options) const;
  std::string html(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const;

  double seconds() const;
  /// Those of the artifact, if there is one.
  llvm::ArrayRef<WeightLoss> losses() const;
};

/// "quantized 36 of 37 weights, 90.9 MB -> 14.2 MB, 4.50 bits per weight; most loses NAME, SNR 18.9 dB".
std::string sentenceOf(const WeightLossTotal &total);
/// "18.9 dB", or "exact".
std::string decibelText(double snr);
/// "576x1536".
std::string shapeText(const WeightLoss &loss);
std::string formatText(const WeightLoss &loss);

} // namespace whit
