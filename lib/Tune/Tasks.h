// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is to be measured: a few schedules of many matmuls to train on, all of some others to judge by. Which matmul serves for what follows
// from its shape alone, whatever its format: a model is never judged by a shape that it has seen.

#pragma once

#include "Tune/Database.h"

namespace whit::tune {

/// "test", "validation" or "train": of ten shapes 2, 2 and 6.
std::string splitOf(int64_t n, int64_t k);

struct TaskOptions {
  std::vector<int64_t> rows{1, 16, 128};
  int64_t samples = 40; ///< schedules of a matmul to train on: half at random, half those that a model likes
  uint64_t seed = 1;
};

/// All schedules of those to be judged by, in a random order.
std::vector<Task> makeTasks(const std::vector<Matmul> &matmuls, const Target &target, const TaskOptions &options,
                            const CostModel &model);

/// What the tasks are, for the records: matmuls with their split and number of schedules, and a hash of all tasks.
std::string manifestOf(const std::vector<Task> &tasks, const TaskOptions &options);

/// Schedules in the order of a model's predictions for the rows that the compiler asks about, multiplied; equal ones as in the space.
std::vector<MatmulTile> byModel(const Matmul &matmul, const Target &target, const CostModel &model);

/// The space of a matmul; it does not depend on how many rows there are.
std::vector<MatmulTile> spaceOf(const Matmul &matmul, const Target &target);

} // namespace whit::tune
