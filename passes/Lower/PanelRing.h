// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A warp's panel on its way from memory: a panel is one stream of bytes (include/whit/Encoding.h), so what comes next is copied to a ring
// of stages in shared memory while the warp works on the oldest one. No other warp takes part. Two engines do it:
//
//   cp.async                 each lane copies 16 bytes at a time and waits for its own copies
//   cp.async.bulk (sm_90)    one lane asks for a whole stage, an mbarrier counts its bytes
//
// The second-level cache is told that these bytes will not be needed again.
// A stage is a small packed matrix of its own: the blocks of some groups of one panel, without a header.

#pragma once

#include "Lower/LaneBuilder.h"

#include "whit/Encoding.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::whit {

class PanelRing {
public:
  /// Stages of `groups` groups for each of `warps` that fit into `room` bytes of shared memory; 0 if a ring cannot be had, as the target copies
  /// nothing by itself, or what belongs to a group is not all in its block.
  static int64_t stagesOf(const TargetFacts &facts, const ::whit::Encoding &encoding, const ::whit::Place &place,
                          int64_t groups, int64_t warps, int64_t room);

  PanelRing(LaneBuilder &b, const ::whit::Place &place, Value packed, int64_t groups, int64_t stages);

  /// How a stage lies in `memory()`, i8 [warps * stages, bytes of a stage].
  const ::whit::Place &place() const { return ofStage; }
  Value memory() const { return ring; }

  /// for (group = from; group < to; group += groups of a stage) carried = body(group, its row of `memory()`, carried). At least once.
  SmallVector<Value> loop(Value panel, Value from, Value to, ValueRange init,
                          function_ref<SmallVector<Value>(Value group, Value row, ValueRange carried)> body);

private:
  int64_t bytes() const { return ofStage.panelBytes; }
  /// Starts to copy the groups from `group` on, if they are below `to`.
  void copy(Value panel, Value group, Value to, Value row);
  void wait(Value turn, Value row);
  /// The address of an element, in an address space.
  Value pointer(Value memref, Value row, Value offset, int64_t rowBytes, unsigned space);
  Value countOf(Value row) { return pointer(arrived, row, b.index(0), 8, 3); }

  LaneBuilder &b;
  const ::whit::Place &whole;
  ::whit::Place ofStage;
  Value packed, ring, arrived; ///< `arrived`: i64 [warps * stages, 1], mbarriers; null with cp.async
  Value policy;                ///< for the second-level cache
  int64_t groups, stages;
  Value firstRow; ///< of the warp
};

} // namespace mlir::whit
