// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul of floats of 8 bits: activations are bytes already, and a code of the weight becomes one byte by way of a table, or is it. Units of
// gfx942 take the same bytes for half the numbers ("FNUZ"), so that a product there is a quarter of what it should be: exactly, as all are
// scaled by a power of two. Only -0 is another byte, which stands for no number.

#pragma once

#include "Lower/MatrixKernel.h"

namespace mlir::whit {

class Float8MatrixKernel : public MatrixKernel {
public:
  Float8MatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value x, Value packed, Value y);

protected:
  int64_t parts(size_t) const override { return 1; }
  int64_t activationParts() const override { return 1; }
  void open(PanelDecoder &decoder, Column &column, const Position &at) override;
  SmallVector<Value> decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines, int64_t quad,
                            Value first, const Position &at) override;
  Words activations(const Position &at, int64_t tile, Value first, int64_t count) override;
  int64_t activationElements() const override { return place.k % place.group == 0 ? place.group : 1; }
  Value zeroSum() override { return b.f32(0.0f); }
  SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) override;
  /// Four bytes, as the unit takes them.
  Value asOperand(Value word);

  std::vector<::whit::IntegerCarrier> carriers;
  Value x;
  bool isHalved;
};

/// The same for weights whose groups are 32 elements with a power of two (MX formats), by an instruction that scales: each lane has a group of
/// its own, four of them one behind another make an instruction, and sums go through all of K.
class ScaledMatrixKernel : public Float8MatrixKernel {
public:
  using Float8MatrixKernel::Float8MatrixKernel;
  static bool takes(const ::whit::Encoding &encoding, const ::whit::Place &place);

private:
  SmallVector<Value> addGroups(Position at, SmallVector<Value> totals) override;
};

} // namespace mlir::whit
