// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From rows to a model, and from a model to the regret of its choices: how much longer what it chooses takes than the best that was measured.

#pragma once

#include "CostModel/Learned.h"
#include "Tune/Database.h"

#include "CostModel/ForestTrainer.h"

#include <functional>
#include <map>

namespace whit::tune {

/// Measurements in few bytes: a line for each operation, with a number for each knob and the least nanoseconds of each schedule. What is
/// committed, so that models can be trained again.
///
///   {"schema":"whit-tune-pack/1","split":"test","op":{...},"target":{...},"toolchain":{...},"schedules":[[64,4,2,32,2304,81234],...]}
std::string pack(const std::vector<Row> &rows);
/// Rows of packs or rows, whichever the file has. Failures have no place in packs; their time is 0.
llvm::Expected<std::vector<Row>> readMeasurements(const std::string &path);
/// What a model of these rows says that it was trained on.
std::string hashOf(const std::vector<Row> &rows);

/// Thousandths that the reference may differ from what it usually is beside an operation.
inline constexpr int64_t kMostDrift = 60;
/// Rows of a split that may be compared with each other. Those that run the same code have the least of their times.
std::vector<Row> usable(const std::vector<Row> &rows, llvm::StringRef split);
/// So many schedules of a matmul are taken to be all.
inline constexpr size_t kExhaustiveGrid = 90;

/// Where weights of so few rows come from, to a model: from memory.
inline constexpr int64_t kColdRows = 1;

/// Trains on the rows of the split "train". An error if they are of several machines.
llvm::Expected<LearnedCostModel> train(const std::vector<Row> &rows, const Target &target,
                                       const ForestOptions &options);
ForestOptions usualForestOptions();

/// All that was measured of one operation, or the geometric mean over several that one schedule serves.
struct Grid {
  std::string name;
  Matmul matmul;
  std::vector<int64_t> rows; ///< one, or those that share a schedule
  std::vector<MatmulTile> tiles;
  std::vector<int64_t> nanoseconds;
};
/// One for each operation of these rows that has at least so many schedules, and one for what the compiler asks about (1 and 128 rows).
std::vector<Grid> gridsOf(const std::vector<Row> &rows, size_t least);

/// Regret of the best of the first k choices, k = 1 and 5, as a fraction.
struct Regret {
  double first = 0, five = 0;
};
/// Of choices in the order of `cost`, the least first.
Regret regretOf(const Grid &grid, const std::function<double(const MatmulTile &)> &cost);
/// Of choices at random: the mean.
Regret regretAtRandom(const Grid &grid);

struct Evaluation {
  struct Line {
    std::string name;
    size_t schedules;
    std::map<std::string, Regret> regrets; ///< by the name of who chose
  };
  std::vector<Line> lines;

  /// A table with geometric means, 90th percentiles and the most.
  std::string markdown() const;
  std::string json() const;
  /// Geometric mean of 1 + regret, less 1, over lines whose name ends so.
  double mean(const std::string &who, bool five, llvm::StringRef suffix = "") const;
};
/// Judges by the grids of `split`. `learned` may be null. Nearest copies the best schedule of the nearest shape of the split "train".
Evaluation evaluate(const std::vector<Row> &rows, llvm::StringRef split, const LearnedCostModel *learned,
                    const Target &target);

} // namespace whit::tune
