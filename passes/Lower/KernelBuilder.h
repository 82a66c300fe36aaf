// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Short spellings for what kernels are made of: index arithmetic that folds constants as it goes, vectors, loops. A vector has a lane for
// each of the 16 columns of a panel, or one or two where each thread of a GPU has columns of its own.

#pragma once

#include "Lower/TargetFacts.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace mlir::whit {

class KernelBuilder {
public:
  static constexpr int64_t kLanes = 16;

  KernelBuilder(OpBuilder &b, Location loc, const TargetFacts &facts) : b(b), loc(loc), facts(facts) {}
  /// Vectors of so few lanes, for the columns from `column` on of the panels that are read; it is a multiple of their number.
  KernelBuilder(OpBuilder &b, Location loc, const TargetFacts &facts, Value column, int64_t lanes = 1)
      : b(b), loc(loc), facts(facts), lanes(lanes), column(column) {}

  OpBuilder &b;
  Location loc;
  const TargetFacts &facts;
  const int64_t lanes = kLanes;
  Value column; ///< of the first lane; null where there are lanes for all

  VectorType floats() { return VectorType::get({lanes}, b.getF32Type()); }
  VectorType ints() { return VectorType::get({lanes}, b.getI32Type()); }
  /// The bytes of all lanes of a line.
  VectorType lineBytes() { return bytes(4 * lanes); }
  VectorType bytes(int64_t count) { return VectorType::get({count}, b.getI8Type()); }

  Value index(int64_t value);
  Value scalar(int32_t value);
  Value splat(int32_t value);
  Value splat(float value);

  /// Index arithmetic, folded where operands are constant.
  Value plus(Value x, Value y);
  Value plus(Value x, int64_t y);
  Value minus(Value x, Value y);
  Value times(Value x, int64_t y);
  Value times(Value x, Value y);
  /// x rounded down to a multiple of y, x >= 0.
  Value roundDown(Value x, int64_t y);
  Value smaller(Value x, Value y);
  Value dim(Value memref, int64_t i);

  /// Lane-wise f32 with one rounding each, in the order written.
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  /// x * y + z: one rounding if the target has such an instruction, two if not.
  Value multiplyAdd(Value x, Value y, Value z);

  /// Lane-wise i32.
  Value bitAnd(Value x, int32_t mask);
  Value bitOr(Value x, Value y);
  Value shiftLeft(Value x, int32_t by);
  Value shiftRight(Value x, int32_t by);
  Value bitcast(Value x, VectorType type);
  Value toFloat(Value ints);

  /// A number of bf16 or e4m3 as f32.
  Value widen(Value scalar);
  /// Two bf16 numbers of a row as the 32 bits that whit.dot takes; with a count of 1, only the first is read and the other 0.
  Value loadPair(Value memref, ValueRange indices, int64_t count);
  /// Lanes of 32 bits as pairs of bf16.
  Value pairs(Value words);
  /// The upper halves of two vectors of floats, side by side.
  Value pairs(Value first, Value second);

  /// A scalar in every lane.
  Value broadcast(Value scalar);
  Value load(Value memref, ValueRange indices);
  Value load(VectorType type, Value memref, ValueRange indices);
  /// `each` bytes per lane of what a panel holds for all its columns from byte `offset` on.
  Value loadColumns(Value packed, Value panel, Value offset, int64_t each);
  void store(Value vector, Value memref, ValueRange indices);

  /// for (i = begin; i < end; i += step) values = body(i, values). No loop where it is known to run at most once.
  SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange values,
                          function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body);
  /// if (x < y) one() else two(); decided now if both are constant.
  void ifLess(Value x, Value y, function_ref<void()> one, function_ref<void()> two);
};

} // namespace mlir::whit
