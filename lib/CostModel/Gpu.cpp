// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Constants that no datasheet has are named here, with where they come from. They move the price of all schedules alike, or decide between
// schedules whose prices are close.

#include "CostModel/Gpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace whit;

namespace {

/// Loads from memory take about this long on all of these GPUs (microbenchmarks: 500 to 800 ns).
constexpr double kMemoryLatency = 0.6e-6;
/// And from the second-level cache.
constexpr double kCacheLatency = 0.25e-6;
/// Bytes a clock that one unit reads from its shared memory.
constexpr double kSharedBytesPerClock = 128;
/// Share of the datasheet's bandwidth that a well-made streaming kernel reaches.
constexpr double kReachedBandwidth = 0.92;
/// Share of the matrix peak that a well-made loop reaches with power limits as they are.
constexpr double kReachedPeak = 0.75;
/// Share of that which mma.sync reaches where products of warpgroups exist: about six tenths in microbenchmarks of Hopper (Luo et al., arXiv
/// 2402.13499).
constexpr double kReachedByWarps = 0.62;
/// Bytes that one thread keeps on their way without a pipeline in shared memory: four loads of 16 bytes.
constexpr double kThreadBytesInFlight = 64;

double ceilDivide(double a, double b) { return std::ceil(a / b); }

/// Integer or packed operations for each weight, to turn its code into an operand.
double decodeOps(const MatmulWork &work) {
  if (work.bitsPerWeight >= 16)
    return 0;
  // Pairs of weights need a lop3 or prmt and a packed fma; codes for the integer units a mask and a shift for four.
  return work.products == Products::Integer ? (work.bitsPerWeight >= 8 ? 0 : 0.5) : 1.0;
}

double operandBytes(Products products) { return products == Products::Integer ? 1 : 2; }

} // namespace

double GpuCostModel::multiplyAdds(Products products, bool usesMatrixUnits, bool usesWarpgroups) const {
  if (!usesMatrixUnits) // packed halves, or dot products of four bytes
    return machine.f32 * 1e12 / 2 * (products == Products::Integer ? 4 : products == Products::Bfloat ? 2 : 1);
  double rate = products == Products::Integer ? machine.s8 : machine.f16;
  double reached = gpu.features.find(" wgmma") != std::string_view::npos && !usesWarpgroups ? kReachedByWarps : 1;
  return rate * 1e12 / 2 * kReachedPeak * reached;
}

double GpuCostModel::regionSeconds(const RegionWork &work) const {
  double cached = machine.l2Megabytes * double(1 << 20) / 2;
  // What one kernel writes the next finds in the cache, if it is not too much.
  double activations = work.bytesRead + work.bytesWritten;
  double activationRate = activations <= cached ? l2BytesPerSecond() : bytesPerSecond() * kReachedBandwidth;
  double memory = work.weightBytes / (bytesPerSecond() * kReachedBandwidth) + activations / activationRate;
  double arithmetic = work.multiplyAdds / multiplyAdds(work.products, true) + work.otherOps / (machine.f32 * 1e12 / 2);
  return launchSeconds() + kMemoryLatency + std::max(memory, arithmetic);
}

double GpuCostModel::edgeSeconds(double bytes) const {
  double cached = machine.l2Megabytes * double(1 << 20) / 2;
  double rate = bytes <= cached ? l2BytesPerSecond() : bytesPerSecond() * kReachedBandwidth;
  return launchSeconds() + kMemoryLatency + 2 * bytes / rate;
}

double GpuCostModel::matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const {
  GpuTile block;
  block.rows = std::clamp<int64_t>(work.rows, 1, 128);
  block.columns = std::max<int64_t>(tile.tileColumns, 16);
  return kernelSeconds(work, block);
}

double GpuCostModel::kernelSeconds(const MatmulWork &work, const GpuTile &tile) const {
  double rows = double(std::max<int64_t>(work.rows, 1)), n = double(work.n), k = double(work.k);
  double tileRows = double(std::max<int64_t>(tile.rows, 1)), tileColumns = double(std::max<int64_t>(tile.columns, 1));
  double splits = double(std::clamp<int64_t>(tile.splits, 1, std::max<int64_t>(work.k, 1)));
  int32_t threads = tile.warps * gpu.warpSize;
  int64_t shared = tile.sharedBytes;
  if (!shared && tile.stages > 1)
    shared = int64_t(double(tile.stages * tile.depth) *
                     (tileColumns * work.bitsPerWeight / 8 + tileRows * operandBytes(work.products)));
  int32_t resident = residentBlocks(gpu, {threads, tile.registers, shared});
  if (resident == 0)
    return std::numeric_limits<double>::infinity();

  double rowTiles = ceilDivide(rows, tileRows), columnTiles = ceilDivide(n, tileColumns), units = machine.units;
  double blocks = rowTiles * columnTiles * splits, slots = double(resident) * units;
  double waves = ceilDivide(blocks, slots), running = std::min(blocks, slots);
  // Units with one block more than others in the last wave are waited for.
  double full = std::floor(blocks / slots) * slots;
  double balance = (full + ceilDivide(blocks - full, units) * units) / blocks;

  // Bytes in flight are what hides a latency (Little's law).
  double inFlight = running * (tile.stages > 1 ? double(shared) * (tile.stages - 1) / tile.stages
                                               : double(threads) * kThreadBytesInFlight);
  double rate = std::min(bytesPerSecond() * kReachedBandwidth, inFlight / kMemoryLatency);
  double weights = n * k * work.bitsPerWeight / 8, activations = rows * k * operandBytes(work.products);
  double outputs = rows * n * operandBytes(work.products);
  double memory = (weights + activations + outputs) / rate;
  // Each row of tiles reads the weights again, each column of tiles the activations: from the cache.
  double l2 = (rowTiles * weights + columnTiles * activations) / std::min(l2BytesPerSecond(), inFlight / kCacheLatency);

  // Each warp reads the activations of its columns from shared memory; with few columns, warps share the contraction instead.
  double warpColumns = tile.usesWarpgroups ? 64.0 : std::max(tileColumns / tile.warps, 16.0);
  double operands = rowTiles * tileRows * n * k * operandBytes(work.products) / warpColumns /
                    (kSharedBytesPerClock * units * hertz());

  // A tile with fewer rows than the matrix unit's still costs all of them.
  double unitRows = tile.usesMatrixUnits ? 8 : 1;
  double computedRows = rowTiles * ceilDivide(tileRows, unitRows) * unitRows;
  double multiply = computedRows * columnTiles * tileColumns * k /
                    multiplyAdds(work.products, tile.usesMatrixUnits, tile.usesWarpgroups);
  double decode = rowTiles * n * k * decodeOps(work) / laneOps();
  double flush = rows * n * ceilDivide(k, double(std::max<int64_t>(work.group, 1))) *
                 (work.products == Products::Integer && work.group > 0 && work.group < work.k ? 2 : 0) / laneOps();
  // Few warps on a scheduler do not hide the latency of its units.
  double warps = double(tile.warps) * ceilDivide(running, units) / gpu.schedulers;
  double hidden = std::min(1.0, 0.4 + 0.3 * warps);
  // Decoding and multiplying use other units, which a warp cannot keep busy at once; with more warps they overlap.
  double overlap = std::min(1.0, 0.25 * warps);
  double arithmetic = std::max(multiply, decode + flush) + (1 - overlap) * std::min(multiply, decode + flush);
  if (tile.usesWarpgroups) // which multiply by themselves while their warps decode
    arithmetic = std::max(multiply * hidden, decode + flush);
  arithmetic *= balance / hidden;

  // A block that ends makes room for the next one while its neighbours work.
  double pipeline = kMemoryLatency * 1.5 * (1 + (waves - 1) / resident);
  double reduction = 0;
  if (splits > 1) // parts are written and read as f32, and one more step waits for them
    reduction = 2 * 4 * splits * rows * n / l2BytesPerSecond() + kMemoryLatency;
  return launchSeconds() + pipeline + reduction + std::max({memory, l2, operands * balance, arithmetic});
}
