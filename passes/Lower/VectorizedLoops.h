// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linalg operation on memrefs as loops whose innermost one is taken 16 iterations at a time: its body is cloned with
// vectors in place of scalars.
//
// Each scalar of the body is one of three kinds. It is the same in all lanes (and stays a scalar), it counts up from lane
// to lane (an index; its first lane stays a scalar), or it varies. That decides how memory is read: an address that is
// the same is a scalar load, one that counts up in a last dimension of unit stride is a vector load, and any other is one
// scalar load per lane. Where all of those are contiguous along another loop, blocks of 16 x 16 are transposed in registers
// instead. Lanes past the end of a loop are masked, except where single lanes are read: there the last
// iterations run one by one, since a lane that does not exist has no address.

#pragma once

#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::whit {

/// One linalg operation, cut along one of its loops.
class VectorizedLoops {
public:
  VectorizedLoops(LaneBuilder &b, linalg::GenericOp op, unsigned loop);

  /// Whether the body can be taken 16 iterations of the loop at a time.
  bool possible();
  /// Operands that need a load or store per lane.
  int64_t scattered() const { return blockLoop ? 0 : scatteredOperands; }
  /// What is better is less: vectors, blocks that are transposed, single lanes.
  int64_t cost() const { return blockLoop ? 1 : 2 * scatteredOperands; }
  void emit();

private:
  enum class Kind { Same, Counting, Varying };
  /// How an operand is reached from one iteration of the loop to the next.
  enum class Access { Same, Contiguous, Scattered };

  bool isReduction() { return op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction; }
  Access accessOf(OpOperand &operand);
  Kind kindOf(Value value);
  bool classifyBody();
  bool findCombiner();
  bool findBlockLoop();
  bool isContiguous(memref::LoadOp load);

  SmallVector<Value> sizes();
  SmallVector<Value> addressOf(OpOperand &operand, ValueRange at);
  SmallVector<Value> addressOfLane(OpOperand &operand, ValueRange at, int64_t lane);
  Value scalarOf(Value value);
  Value laneValue(Value value);
  Value read(OpOperand &operand, ValueRange at, Value mask);
  void write(Value value, OpOperand &operand, ValueRange at, Value mask);
  Value emitLoad(memref::LoadOp load, Value mask);
  void mapInputs(ValueRange at, Value mask);
  void emitBody(ValueRange at, Value mask);
  void emitOp(Operation &inner, ValueRange at, Value mask);
  SmallVector<Value> emitIteration(ValueRange at, Value mask, ValueRange inits);
  void emitParallel(SmallVector<Value> at, Value mask, ArrayRef<unsigned> reductions, ArrayRef<Value> loopSizes);
  void emitBlocks(ArrayRef<Value> loopSizes, function_ref<SmallVector<Value>(Value)> address);
  void transposeBlock(OpOperand &operand, Value scratch, ArrayRef<Value> at, Value rows, Value columns);
  void emitReduction(Value size, function_ref<SmallVector<Value>(Value)> address);
  Value combine(Value accumulated, Value term);
  bool hasFunctions();
  void lanes(Value size, function_ref<void(Value, Value)> body);

  LaneBuilder &b;
  linalg::GenericOp op;
  unsigned loop;
  int64_t width = LaneBuilder::kLanes; ///< 1 in the iterations that run one by one
  bool readsLanes = false;             ///< single lanes are read or written
  int64_t scatteredOperands = 0;
  std::optional<unsigned> blockLoop; ///< the loop along which scattered operands are contiguous
  DenseMap<Value, Kind> kinds;
  DenseMap<OpOperand *, Value> blocks; ///< transposed blocks of scattered operands
  Value blockRow;                      ///< which of their rows comes next
  IRMapping scalars, vectors;          ///< scalars of the body to their first lane, and to all of them
  Operation *combiner = nullptr;
  unsigned accumulator = 0; ///< operand of the combiner that holds the result so far
};

/// Bytes are the unit of memory; a boolean takes one.
bool isStorable(Type element);
bool hasUnitStride(MemRefType type);

} // namespace mlir::whit
