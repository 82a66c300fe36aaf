// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times of kernels on this machine, each kernel in a process of its own: one that crashes, hangs or computes wrongly is a row like any other.
//
// The least of many runs counts, by the CPU time of the thread: on a machine that does other things, it moves by a fraction of a percent where
// the median moves by a fifth. A reference kernel takes turns with each, so that a slower clock shows.

#pragma once

#include "Tune/Database.h"
#include "Tune/Kernel.h"

#include <functional>

namespace whit::tune {

/// An error if this machine cannot run code for a target.
llvm::Error checkRunsHere(const Target &target);

struct MeasureOptions {
  double secondsPerRow = 0.02;
  double timeout = 60; ///< seconds for a task, compilation included
  int64_t coldBytes = int64_t(128) << 20;
  bool isCold = true; ///< one row also with a weight that comes from memory
};

class Measurer {
public:
  static llvm::Expected<std::unique_ptr<Measurer>> create(const Target &target, const MeasureOptions &options);

  /// What the rows of a task are about; they are all that is measured in one process.
  std::vector<Row> rowsOf(const Task &task) const;
  /// The rows of a task that the database lacks, with times or a failure.
  llvm::Expected<std::vector<Row>> measure(const Task &task, const Database &known);

  KernelCompiler compiler;
  const MeasureOptions options;
  Toolchain toolchain;
  int64_t referenceNanoseconds = 0; ///< when the run began

private:
  Measurer(const Target &target, const MeasureOptions &options) : compiler(target), options(options) {}
  llvm::Error prepare(const Matmul &matmul, int64_t rows);
  void measureHere(const Task &task, std::vector<Row> &rows);
  Times timesOf(const std::function<void()> &once, double perCall, int64_t &reference);

  // The matmul of the last task: several have the same.
  std::optional<Matmul> prepared;
  std::optional<MatmulData> data;
  std::vector<float> expected; ///< a schedule does not change bits
  int64_t mostRows = 0;
  // The reference.
  std::optional<MatmulData> referenceData;
  std::optional<LoadedKernel> reference;
};

/// What the machine does at best, by loops of the compiler's own operations on registers, and by reading memory.
struct DeviceProfile {
  Machine machine;
  double dotsPerSecond = 0, floatsPerSecond = 0, bfloatsPerSecond = 0; ///< multiply-adds
  double cacheBytesPerSecond = 0, memoryBytesPerSecond = 0;            ///< read by one thread
  std::string print() const;
};
llvm::Expected<DeviceProfile> probe(const Target &target);

} // namespace whit::tune
