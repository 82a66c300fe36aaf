// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels of a small matmul on this machine: what comes out is right whatever the schedule, has a time, and what does not come back in time is
// a row that says so.

#include "Tune/Measure.h"
#include "Emit/TargetNames.h"
#include "Tune/Tasks.h"

#include <gtest/gtest.h>

using namespace whit;
using namespace whit::tune;

static MeasureOptions quick() {
  MeasureOptions options;
  options.secondsPerRow = 0.001;
  options.coldBytes = 1 << 20;
  return options;
}

TEST(TuneMeasure, EverySchedulesResultsAreRight) {
  Target host = llvm::cantFail(resolveTarget("host"));
  auto measurer = Measurer::create(host, quick());
  ASSERT_TRUE(bool(measurer)) << llvm::toString(measurer.takeError());
  Database nothing = Database::inMemory();
  // 40 columns: two whole panels, a half, and a tile that is not full.
  for (Matmul matmul : {Matmul{"int4_g32", Products::Integer, 40, 96}, Matmul{"f32", Products::Float, 40, 96},
                        Matmul{"bf16", Products::Bfloat, 40, 96}}) {
    std::vector<MatmulTile> tiles = spaceOf(matmul, host);
    for (size_t i = 0; i < tiles.size(); i += 29) {
      auto rows = (*measurer)->measure({matmul, {1, 9}, tiles[i], "train"}, nothing);
      ASSERT_TRUE(bool(rows)) << llvm::toString(rows.takeError());
      ASSERT_EQ(rows->size(), 3u); // one row also with a weight from memory
      for (const Row &row : *rows) {
        EXPECT_EQ(row.failure, "") << row.print();
        EXPECT_GT(row.times.least, 0);
        EXPECT_LE(row.times.least, row.times.median);
        EXPECT_GT(row.reference, 0);
        auto back = Row::parse(row.print());
        EXPECT_TRUE(bool(back)) << llvm::toString(back.takeError());
      }
    }
  }
}

TEST(TuneMeasure, WhatTakesTooLongIsARow) {
  MeasureOptions options = quick();
  options.timeout = 0;
  auto measurer = Measurer::create(llvm::cantFail(resolveTarget("host")), options);
  ASSERT_TRUE(bool(measurer)) << llvm::toString(measurer.takeError());
  Task task{{"f32", Products::Float, 32, 32}, {4}, {0, 32, 4, 2}, "train"};
  auto rows = (*measurer)->measure(task, Database::inMemory());
  ASSERT_TRUE(bool(rows)) << llvm::toString(rows.takeError());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().failure, "timeout");
  EXPECT_TRUE(bool(Row::parse(rows->front().print())));
}
