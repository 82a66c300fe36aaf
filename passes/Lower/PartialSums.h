// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tile of a matmul whose K is shared by several blocks. Each leaves the sums of its slice in memory and counts itself in; the one that is the
// last to come adds up those of all slices, in ascending order, so that nobody can see which it was:
//
//   block 0 (slice 0)   sums -> memory[0]   barrier, fence, count -> 0
//   block 1 (slice 1)   sums -> memory[1]   barrier, fence, count -> 2 of 3: the last; fence, barrier, memory[0] + [1] + [2] -> y, and what follows
//   block 2 (slice 2)   sums -> memory[2]   barrier, fence, count -> 1
//
// The count goes from the number of slices back to 0, ready for the next launch. Decision 027 has the reasons.

#pragma once

#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::whit {

/// Sums of slices in memory: words [tile][term][slice][token][column].
struct PartialSums {
  Value slice;             ///< of this block
  Value memory;            ///< memref<?xi32>
  Value tile;              ///< of this block
  int64_t terms;           ///< sums that are kept apart
  int64_t tokens, columns; ///< of a tile

  Value place(LaneBuilder &b, int64_t slices, int64_t term, Value slice, Value token, Value column) const;
};

/// How the blocks of a loop share K.
struct SlicedLoop {
  int64_t slices, terms, tokens, columns;
  int64_t tiles; ///< that blocks share

  int64_t words() const { return tiles * terms * slices * tokens * columns; }
};

/// Arguments of a region's function: memory for sums of slices, and counts of those that have come.
inline constexpr char kPartialSums[] = "whit.partial_sums", kArrivals[] = "whit.arrivals";

/// Gives functions of regions these two, as `loops` of each ask for it. Their callers get memory for them; counts are 0 before the first call.
void addPartialSums(ModuleOp module, function_ref<SmallVector<SlicedLoop>(func::FuncOp)> loops);

/// Counts the block in at counts[tile]. Whether it is the last one (i1, the same for all threads), which then sees what the others have written.
Value countIn(LaneBuilder &b, Value counts, Value tile, int64_t slices);

} // namespace mlir::whit
