// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a matmul's kernel for a GPU will take, said before it is compiled: registers of a thread, whether some of them go to memory, and bytes
// of code. Learned from kernels under schedules drawn at random (benchmarks/gpu/facts.py); no card was needed for that, and no clock is asked.
//
//   models/gpu.rows    a kernel a line, as parseKernelRow() reads it
//   models/gpu.model   what trainStaticHeads() makes of them: a line of JSON, then a forest for each head
//
// Targets that no rows are of have no forecast.

#pragma once

#include "CostModel/Forest.h"
#include "whit/KernelPlan.h"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

/// What a kernel came to.
struct KernelRow {
  KernelPlan plan;
  int32_t threads = 0, registers = 0;
  int64_t spilled = 0, shared = 0, code = 0;
};

/// A line of models/gpu.rows; nothing and `why` if it is none.
std::optional<KernelRow> parseKernelRow(std::string_view line, std::string *why);

/// 0 .. 9; rows of a size of weights are all learned from or all judged by: those with less than 3 are for judging.
int splitOfShape(int64_t n, int64_t k);

class StaticHeads {
public:
  /// Nothing and `why` if the text is no file of these heads and features.
  static std::optional<StaticHeads> parse(std::string_view text, std::string *why);
  std::string print() const;

  /// Nothing for a target that was not learned, and for a format that there is not.
  std::optional<KernelForecast> forecast(const KernelPlan &plan) const;

  static const std::vector<std::string> &featureNames();
  /// Nothing for a format that there is not.
  static std::optional<std::vector<int32_t>> featuresOf(const KernelPlan &plan);

private:
  friend StaticHeads trainStaticHeads(std::span<const KernelRow> rows);
  static constexpr size_t kHeads = 3; ///< registers; spills, in 1024ths; code, as log2 in 256ths
  struct OfTarget {
    std::string target;
    std::vector<Forest> heads;
  };
  std::vector<OfTarget> targets;
  int64_t rows = 0; ///< learned from
};

/// From all rows that are given, whatever their split.
StaticHeads trainStaticHeads(std::span<const KernelRow> rows);

/// Those that the compiler has inside.
const StaticHeads &staticHeads();

} // namespace whit
