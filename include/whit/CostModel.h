// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What fusion, layout and tiling ask before they choose. Features go in as plain numbers, seconds come out; nothing here knows
// of IR, so a model can be trained and tested outside the compiler, and another one put in its place.
//
// Sizes that are known only at run time are asked for at the nominal sizes of `kNominalRows`: one row (decode) and a prompt.
#ifndef WHIT_COST_MODEL_H
#define WHIT_COST_MODEL_H

#include <array>
#include <cstdint>
#include <limits>
#include <string>

namespace whit {

/// Row counts for which dynamic shapes are judged: a decoded token and a prompt.
inline constexpr std::array<int64_t, 2> kNominalRows = {1, 128};

/// What multiplies: f32 multiply-adds, dot products of bf16 pairs, or dot products of int8 quads.
enum class Products : uint8_t { Float, Bfloat, Integer };

/// Work of a region at one row count.
struct RegionWork {
  double bytesRead = 0;                ///< activations read from memory, in bytes
  double bytesWritten = 0;             ///< activations written to memory, in bytes
  double weightBytes = 0;              ///< packed weights streamed, in bytes
  double multiplyAdds = 0;             ///< multiply-adds of matmuls and attention
  double otherOps = 0;                 ///< elementwise floating-point operations
  Products products = Products::Float; ///< of the multiplyAdds
};

/// A matmul kernel to be cut into tiles.
struct MatmulWork {
  int64_t rows = 0, n = 0, k = 0, group = 0; ///< y[rows, n], contraction length k, elements per scale
  double bitsPerWeight = 0;                  ///< stored, scales included
  Products products = Products::Float;       ///< by the activations
  int64_t sums = 24;                         ///< vectors of 16 that registers hold beside what is multiplied
  int64_t unit = 4;                          ///< elements of K that are read at once
  bool isStored = false;                     ///< the weight is floats, with nothing to decode
};

/// A tile: the unit that a thread claims (tileRows x tileColumns, 0 rows = all) and its register block (rows x panels of 16 columns).
struct MatmulTile {
  int64_t tileRows = 0, tileColumns = 0, rows = 1, panels = 1;
  int64_t unroll = kUsual;   ///< elements of K that are laid out without a loop
  int64_t prefetch = kUsual; ///< bytes ahead at which codes are fetched

  static constexpr int64_t kUsual = -1; ///< what the lowering takes by itself
  bool operator==(const MatmulTile &) const = default;
};

/// A matmul kernel of a GPU: the part of the result that a block computes (rows x columns), and how.
struct GpuTile {
  int64_t rows = 16, columns = 128;
  int64_t depth = 64;      ///< of the contraction, in one step of the pipeline
  int64_t splits = 1;      ///< blocks that share a contraction; their sums are added in a fixed order
  int32_t warps = 4;       ///< of a block
  int32_t stages = 1;      ///< of the pipeline in shared memory; 1: loads go to registers
  int32_t registers = 128; ///< of a thread, estimated
  int64_t sharedBytes = 0; ///< of a block; 0: what the stages hold
  bool usesMatrixUnits = true;
  bool usesWarpgroups = false; ///< four warps multiply together, with the activations of the tile in shared memory
};

/// Predicts seconds on one thread of a CPU, or on a whole GPU. Implementations are pure and thread-safe.
class CostModel {
public:
  virtual ~CostModel() = default;

  /// Time of a region, its launch included.
  virtual double regionSeconds(const RegionWork &work) const = 0;

  /// Time to hand `bytes` from one region to the next through memory.
  virtual double edgeSeconds(double bytes) const = 0;

  /// Time of a matmul under a schedule.
  virtual double matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const = 0;

  /// Whether it tells all knobs of a matmul on a CPU apart. Others are asked only about tiles and blocks, the rest being as the lowering takes it.
  virtual bool knowsAllKnobs(const MatmulWork &work) const {
    (void)work;
    return false;
  }

  /// In words: where answers come from, and what takes longest of a matmul under a schedule.
  virtual std::string source(const MatmulWork &work) const {
    (void)work;
    return "the analytic model";
  }
  virtual std::string binding(const MatmulWork &work, const MatmulTile &tile) const {
    (void)work, (void)tile;
    return "";
  }

  /// Time of a matmul as a kernel of a GPU; infinite if a block does not fit, and on CPUs.
  virtual double kernelSeconds(const MatmulWork &work, const GpuTile &tile) const {
    (void)work, (void)tile;
    return std::numeric_limits<double>::infinity();
  }
};

} // namespace whit

#endif // WHIT_COST_MODEL_H
