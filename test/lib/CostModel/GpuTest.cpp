// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The orders that a model of GPUs must keep, whatever its constants are, and a few times that are known well enough to bound it.

#include "CostModel/Analytic.h"
#include "CostModel/Models.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace whit;

static const CostModel &modelOf(std::string_view architecture, std::string_view product = {}) {
  const CostModel *model = gpuCostModel(architecture, product);
  EXPECT_NE(model, nullptr) << architecture;
  return *model;
}

static MatmulWork int4(int64_t rows, int64_t n = 4096, int64_t k = 4096) {
  return {rows, n, k, 128, 4.125, Products::Bfloat};
}

static GpuTile tileOf(int64_t rows, int64_t columns, int64_t splits = 1) {
  GpuTile tile;
  tile.rows = rows;
  tile.columns = columns;
  tile.splits = splits;
  return tile;
}

TEST(GpuCostModel, EveryProductHasOne) {
  for (const GpuMachine &machine : gpuMachines()) {
    double seconds = modelOf(machine.architecture, machine.name).kernelSeconds(int4(1), tileOf(8, 64));
    EXPECT_TRUE(seconds > 1e-6 && seconds < 1e-3) << machine.name << " " << seconds;
  }
  EXPECT_EQ(gpuCostModel("sm_70", ""), nullptr);
  // A product that is not known is as its architecture's own.
  EXPECT_EQ(gpuCostModel("sm_90a", "h300"), gpuCostModel("sm_90a", "h100"));
}

TEST(GpuCostModel, MoreBytesAreSlower) {
  const CostModel &h100 = modelOf("sm_90a");
  double last = 0;
  for (double bits : {2.125, 3.125, 4.125, 8.125, 16.0}) {
    MatmulWork work = int4(1, 14336);
    work.bitsPerWeight = bits;
    double seconds = h100.kernelSeconds(work, tileOf(8, 64, 2));
    EXPECT_GT(seconds, last) << bits;
    last = seconds;
  }
  EXPECT_GT(h100.edgeSeconds(1 << 22), h100.edgeSeconds(1 << 20));
  EXPECT_GT(h100.edgeSeconds(1 << 20), h100.edgeSeconds(0));
  RegionWork small{1e6, 1e6, 0, 0, 1e6, Products::Bfloat}, large{1e8, 1e8, 0, 0, 1e6, Products::Bfloat};
  EXPECT_GT(h100.regionSeconds(large), h100.regionSeconds(small));
}

TEST(GpuCostModel, FasterMachinesAreFaster) {
  for (int64_t rows : {1, 16, 128, 2048}) {
    GpuTile tile = tileOf(std::min<int64_t>(rows, 128), 128);
    double h200 = modelOf("sm_90a", "h200").kernelSeconds(int4(rows, 14336), tile);
    double h100 = modelOf("sm_90a", "h100").kernelSeconds(int4(rows, 14336), tile);
    double l4 = modelOf("sm_89", "l4").kernelSeconds(int4(rows, 14336), tile);
    EXPECT_LE(h200, h100) << rows;
    EXPECT_LT(h100, l4) << rows;
    if (rows == 1) { // the product makes a difference where memory is what counts
      tile.splits = 4;
      EXPECT_LT(modelOf("sm_90a", "h200").kernelSeconds(int4(1, 65536), tile),
                0.85 * modelOf("sm_90a", "h100").kernelSeconds(int4(1, 65536), tile));
    }
  }
  EXPECT_LT(modelOf("gfx942").kernelSeconds(int4(2048), tileOf(128, 128)),
            modelOf("gfx90a").kernelSeconds(int4(2048), tileOf(128, 128)));
}

TEST(GpuCostModel, WavesAreQuantized) {
  // 264 blocks of 128 columns fill an H100 twice; one more takes another turn on all of its units.
  const CostModel &h100 = modelOf("sm_90a");
  auto seconds = [&](int64_t blocks) {
    GpuTile tile = tileOf(128, 128);
    tile.registers = 255; // two blocks on a unit
    return h100.kernelSeconds(int4(128, blocks * 128), tile);
  };
  double step = seconds(265) - seconds(264), within = (seconds(264) - seconds(140)) / 124;
  EXPECT_GT(step, 4 * within);
  EXPECT_GE(within, 0);
}

TEST(GpuCostModel, NarrowMatricesNeedSplits) {
  // 8 blocks use 8 of 132 units, split contractions more of them. Splitting what fills the machine gains nothing.
  const CostModel &h200 = modelOf("sm_90a", "h200");
  EXPECT_LT(h200.kernelSeconds(int4(1, 1024, 8192), tileOf(8, 128, 16)),
            h200.kernelSeconds(int4(1, 1024, 8192), tileOf(8, 128)));
  EXPECT_LT(2 * h200.kernelSeconds(int4(1), tileOf(8, 128, 4)), h200.kernelSeconds(int4(1), tileOf(8, 128)));
  EXPECT_GT(h200.kernelSeconds(int4(128, 65536), tileOf(128, 128, 8)),
            h200.kernelSeconds(int4(128, 65536), tileOf(128, 128)));
}

TEST(GpuCostModel, WhatDoesNotFitIsNeverChosen) {
  const CostModel &a100 = modelOf("sm_80");
  GpuTile tile = tileOf(128, 256);
  tile.sharedBytes = 200 << 10;
  EXPECT_TRUE(std::isinf(a100.kernelSeconds(int4(128), tile)));
  tile.sharedBytes = 0, tile.warps = 16, tile.registers = 255;
  EXPECT_TRUE(std::isinf(a100.kernelSeconds(int4(128), tile)));
  EXPECT_TRUE(std::isinf(cpuCostModel().kernelSeconds(int4(128), tileOf(16, 128))));
}

TEST(GpuCostModel, MatrixUnitsPayForManyRows) {
  const CostModel &h100 = modelOf("sm_90a");
  GpuTile vector = tileOf(128, 128);
  vector.usesMatrixUnits = false;
  EXPECT_LT(h100.kernelSeconds(int4(512), tileOf(128, 128)), h100.kernelSeconds(int4(512), vector));
}

TEST(GpuCostModel, TimesAreOfTheRightSize) {
  // f16 4096 x 4096 x 4096 takes 190 to 250 us on an H100 with cuBLAS; 8.7 MB of int4 about 3 to 8 us on an H200 in a graph.
  MatmulWork half{4096, 4096, 4096, 4096, 16, Products::Bfloat};
  GpuTile tile = tileOf(128, 256);
  tile.warps = 12, tile.stages = 4, tile.registers = 168;
  double large = modelOf("sm_90a").kernelSeconds(half, tile);
  EXPECT_TRUE(large > 150e-6 && large < 400e-6) << large;
  double small = modelOf("sm_90a", "h200").kernelSeconds(int4(1), tileOf(8, 64, 4));
  EXPECT_TRUE(small > 2.5e-6 && small < 10e-6) << small;
}

TEST(GpuCostModel, ModelsArePureAndCpusStayAsTheyWere) {
  GpuTile tile = tileOf(16, 128);
  EXPECT_EQ(modelOf("sm_80").kernelSeconds(int4(16), tile), modelOf("sm_80").kernelSeconds(int4(16), tile));
  MatmulWork work{1, 4096, 4096, 32, 4.5, Products::Integer};
  EXPECT_EQ(cpuCostModel().matmulSeconds(work, {0, 256, 1, 4}),
            AnalyticCostModel().matmulSeconds(work, {0, 256, 1, 4}));
}
