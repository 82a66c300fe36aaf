// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul by the matrix instructions of a GPU. Each warp of the block has a panel of 16 columns of the weight at a time: it decodes a piece
// of the panel's K to shared memory, from where lanes read their fragments, and multiplies it with all tokens of the tile. A sum is formed
// in the same order whatever the tile, so a row's bits do not depend on its neighbours.

#pragma once

#include "Lower/DecodeCodes.h"
#include "Lower/MatrixUnit.h"

#include "runtime/encoding/Carrier.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::whit {

class MatrixKernel {
public:
  virtual ~MatrixKernel() = default;

  /// How the K of a group is cut: what is decoded at a time.
  struct Cut {
    int64_t elements; ///< of a unit
    int64_t units;    ///< of a chunk
    int64_t padded;   ///< elements of a chunk, whole instructions
  };

  /// y[tokens, columns] of the tile; `w` holds its panels.
  void emit();

  /// Warps of a block that have room in shared memory to decode a weight side by side, 1 at least.
  static int64_t mostWarps(const MatrixUnit &unit, int64_t warpSize, const ::whit::Encoding &encoding,
                           const ::whit::Place &place);

protected:
  MatrixKernel(LaneBuilder &b, const MatrixUnit &unit, const ::whit::Encoding &encoding, const ::whit::Place &place,
               Value packed, Value y);

  static constexpr int64_t kMostParts = 3;

  /// Where the lane stands.
  struct Position {
    Value panel, group; ///< of the packed matrix
    size_t term;
    Value chunk;      ///< of the group: its first element
    Value firstToken; ///< of the tile
    int64_t tiles;    ///< of `unit.tokens` tokens
    PanelDecoder::Group zero;
    bool isWhole;         ///< all elements of its chunks have activations
    Value scale, minimum; ///< of the lane's column, where numbers are scaled before they are multiplied
  };

  /// Words of A that stand for one element each: 1, or more where bf16 does not hold a number.
  virtual int64_t parts(size_t term) const = 0;
  /// Reads what all elements of a term in a group share.
  virtual void open(PanelDecoder &decoder, Position &at) = 0;
  /// The words of four elements of the lane's column, those from `first` of the group on, part by part.
  virtual SmallVector<Value> decode(PanelDecoder &decoder, const PanelDecoder::Unit &lines, int64_t quad, Value first,
                                    const Position &at) = 0;
  /// Adds the products of `depth` elements from `k` of the group on: `a` by part and word.
  virtual void multiply(const Position &at, Value k, ArrayRef<SmallVector<Value>> a, SmallVector<Value> &sums) = 0;
  /// Elements of every group for which there are activations.
  virtual int64_t activationElements() const = 0;
  /// What the sums of a term of a group start from.
  virtual Value zeroSum() = 0;
  /// The totals after the sums of a term of a group.
  virtual SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) = 0;
  /// Whether sums go on from one group to the next, as no scale stands before them.
  virtual bool sumsAllGroups(size_t term) const { return false; }

  /// The row and the token of sum `i` of a tile, this lane's.
  Value sumRow(int64_t i) { return b.add(firstSumRow, unit.sums[i].row); }
  Value sumToken(const Position &at, int64_t tile, int64_t i) {
    return b.add(b.add(at.firstToken, firstSumToken), tile * unit.tokens + unit.sums[i].other);
  }
  /// The token of the lane's words of B.
  Value operandToken(const Position &at, int64_t tile) {
    return b.add(b.add(at.firstToken, laneRow), tile * unit.tokens);
  }
  /// The token itself, or the last one of the tile where there is none; and whether there is.
  std::pair<Value, Value> inside(Value token);
  Value scalarOf(Value vector) { return vector::ExtractOp::create(b, vector, 0); }

  LaneBuilder &b;
  const MatrixUnit &unit;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  Value packed, y, tokens;
  /// Decodes this lane's column: lanes that share it have every so many units.
  KernelBuilder columnBuilder;
  /// Read the factors of the rows of the lane's sums.
  SmallVector<KernelBuilder, 2> rowBuilders;
  SmallVector<int64_t, 8> rowBuilderOf; ///< by sum

private:
  Cut cutOf(size_t term) const;
  int64_t groupElements() const { return encoding.isPlain() ? place.k : place.paddedGroup; }

  void block(Value panel, Value firstToken, int64_t tiles);
  SmallVector<Value> addTerm(Position at, SmallVector<Value> totals);
  void fill(const Position &at, PanelDecoder &decoder, const Cut &cut, Value firstUnit);
  SmallVector<Value> multiplyChunk(const Position &at, const Cut &cut, SmallVector<Value> sums);
  void store(const Position &at, ArrayRef<Value> totals);

  Value warp, share;
  int64_t shares; ///< lanes that decode one column
  Value buffer;   ///< [warps, 16, words], the parts of a row one behind another

protected:
  Value laneRow, laneK, firstSumRow, firstSumToken;
};

/// whit.matmul: numbers and activations are cut into bf16 parts that add up to them, and the parts multiplied. Products of parts that are too
/// small to matter in f32 are left out.
class FloatMatrixKernel : public MatrixKernel {
public:
  FloatMatrixKernel(LaneBuilder &b, const MatrixUnit &unit, const ::whit::Encoding &encoding,
                    const ::whit::Place &place, Value x, Value packed, Value y);

private:
  int64_t parts(size_t term) const override { return weightParts[term]; }
  void open(PanelDecoder &decoder, Position &at) override;
  SmallVector<Value> decode(PanelDecoder &decoder, const PanelDecoder::Unit &lines, int64_t quad, Value first,
                            const Position &at) override;
  void multiply(const Position &at, Value k, ArrayRef<SmallVector<Value>> a, SmallVector<Value> &sums) override;
  int64_t activationElements() const override;
  Value zeroSum() override { return b.f32(0.0f); }
  SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) override;
  bool sumsAllGroups(size_t term) const override { return encoding.isPlain() || isMinimum(term); }
  bool isMinimum(size_t term) const { return term == 0 && encoding.zero == ::whit::ZeroKind::Minimum; }
  /// The words of the two activations from element k of the group on, part by part.
  SmallVector<Value> activations(const Position &at, Value k, Value token, Value isToken);
  /// The words of pairs of numbers, which are cut into bf16.
  SmallVector<Value> cutPair(Value first, Value second, int64_t parts);

  Value x;
  int64_t activationParts;
  SmallVector<int64_t, 1> weightParts;
};

/// whit.quantized_matmul: exact sums of products of bytes, flushed as on every other target.
class ByteMatrixKernel : public MatrixKernel {
public:
  ByteMatrixKernel(LaneBuilder &b, const MatrixUnit &unit, const ::whit::Encoding &encoding, const ::whit::Place &place,
                   Value codes, Value scales, Value sums, Value packed, Value y)
      : MatrixKernel(b, unit, encoding, place, packed, y), carriers(*::whit::integerCarriers(encoding)), codes(codes),
        scales(scales), rowSums(sums) {}

private:
  int64_t parts(size_t) const override { return 1; }
  void open(PanelDecoder &decoder, Position &at) override;
  SmallVector<Value> decode(PanelDecoder &decoder, const PanelDecoder::Unit &lines, int64_t quad, Value first,
                            const Position &at) override;
  void multiply(const Position &at, Value k, ArrayRef<SmallVector<Value>> a, SmallVector<Value> &sums) override;
  int64_t activationElements() const override { return place.paddedGroup; }
  Value zeroSum() override { return b.i32(0); }
  SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) override;

  std::vector<::whit::IntegerCarrier> carriers;
  Value codes, scales, rowSums;
};

/// bf16 numbers that add up to `value`, cut from the top: three hold every f32.
int64_t bfloatPartsOf(float value);

} // namespace mlir::whit
