// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The matrix instructions of GPUs, as rows (MatrixUnits.def): which elements a lane holds, and how one is emitted.

#pragma once

#include "Lower/LaneBuilder.h"

#include <optional>

namespace mlir::whit {

/// Part of a number of a lane: lane / divide % modulo * times.
struct LaneTerm {
  int64_t divide = 1, modulo = 0, times = 1; ///< modulo 0: none

  constexpr LaneTerm operator/(int64_t by) const { return {divide * by, modulo, times}; }
  constexpr LaneTerm operator%(int64_t by) const { return {divide, by, times}; }
  constexpr LaneTerm operator*(int64_t by) const { return {divide, modulo, times * by}; }
  /// Which of the lanes it is that differ in it.
  constexpr LaneTerm digit() const { return {divide, modulo, times ? 1 : 0}; }
  Value emit(LaneBuilder &b, Value lane) const;
};

enum class MatrixProduct : uint8_t { Bfloat, Bytes, SignedBytes, SmallFloats, HalvedFloats, ScaledFloats };

struct MatrixUnit {
  struct Place {
    int64_t row, other; ///< and k, or token
  };
  enum class Form : uint8_t { Words, MfmaHalves, MfmaBytes, WmmaHalves, WmmaBytes, MfmaScaled };

  StringRef name, feature, intrinsic;
  Form form;
  MatrixProduct product;
  int64_t tokens, depth; ///< columns of B and D; elements of K
  LaneTerm row, k;
  SmallVector<Place, 8> a;
  SmallVector<int64_t, 8> b;
  LaneTerm sumRow, sumToken;
  SmallVector<Place, 8> sums;

  static constexpr int64_t kRows = 16;
  /// Elements of a word.
  int64_t perWord() const { return product == MatrixProduct::Bfloat ? 2 : 4; }
  /// Elements of K that one lane has of a row, and how many lanes there are for all.
  int64_t depthOfLane() const { return int64_t(b.size()) * perWord(); }
  int64_t lanesOfK() const { return depth / depthOfLane(); }

  /// Which column of a panel row `first + row` of A and D is. Where a lane has rows 8 apart, they are columns side by side, so that it reads and
  /// writes both at once.
  Value column(LaneBuilder &builder, Value first, int64_t row) const;
  bool hasPairs() const;

  /// What kinds of activations units multiply.
  enum class Operands { Bfloats, Bytes, Floats8, ScaledFloats8 };
  Operands operands() const;
  /// What a whit.matmul or whit.quantized_matmul wants of one.
  static Operands operandsOf(Operation *matmul);
  /// The unit of a target for them; null if there is none.
  static const MatrixUnit *find(const TargetFacts &facts, Operands operands);

  /// The lane's sums of D from its words of A and B and its sums of C.
  SmallVector<Value> emit(LaneBuilder &builder, ValueRange wordsA, ValueRange wordsB, ValueRange sums) const;

  /// Words of a fragment, part by part: numbers that add up to what is multiplied, the largest first.
  using Parts = SmallVector<SmallVector<Value>>;
  static constexpr int64_t kMostParts = 3;
  /// The same for operands in parts; the smallest products first, those below the precision of f32 not at all.
  SmallVector<Value> emitParts(LaneBuilder &builder, const Parts &a, const Parts &b, SmallVector<Value> sums) const;
};

/// Two f32 as a word of bf16 for each part: exactly, with three of them.
SmallVector<Value> cutPair(LaneBuilder &b, Value first, Value second, int64_t parts);

} // namespace mlir::whit
