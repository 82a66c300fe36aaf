// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul by the matrix instructions of a GPU. Each warp of the block has a panel of 16 columns of the weight at a time. A lane reads the
// codes of its own fragment from the panel stream and decodes them in registers: with four lanes along K, the first has the first unit of every
// four and so on, and activations are read in the same order, since a sum over K may be formed in any. Where a group does not have units
// for all lanes, the warp decodes a piece of it to shared memory instead, from where lanes read their fragments.
//
// Warps that are left over share the K of a panel; their sums are added in the order of the warps. Where a schedule cuts K into more parts than a
// block has warps, they share one slice of K after another, and the sums of slices are added in ascending order. Each slice may have a block of
// its own (PartialSums.h); sums are the same. A sum is formed in one order whatever the tile, so a row's bits do not depend on its neighbours.

#pragma once

#include "Lower/DecodeCodes.h"
#include "Lower/MatrixUnit.h"
#include "Lower/PanelRing.h"
#include "Lower/PartialSums.h"

#include "runtime/encoding/Carrier.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::whit {

/// A matmul for a tile of a block.
struct MatrixWork {
  const MatrixUnit &unit;
  int64_t warpSize;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  std::optional<int64_t>
      splits;       ///< parts of K, of a slice; as many as there are warps without a panel if it is not said
  int64_t room = 0; ///< bytes of shared memory that it may take
  static constexpr int64_t kAnyTokens = 1 << 20;
  int64_t tokens = kAnyTokens; ///< of a tile at most
  int64_t slices = 1;
  std::optional<PartialSums> partial = std::nullopt; ///< where the sums of slices go, if each has a block of its own

  /// Warps of a block: no schedule gets more of them.
  static constexpr int64_t kMostWarps = 8;
  /// Warps of a block for which a tile of so many panels has work and shared memory room, how many of them share a panel, and slices of K, in
  /// each of which they do. Powers of 2. The last two follow from the schedule's parts of K, not from the tile.
  struct Share {
    int64_t warps, splits, slices;
  };
  Share shareOf(int64_t panels) const;
};

class MatrixKernel {
  friend class WarpgroupKernel;

public:
  virtual ~MatrixKernel() = default;

  /// How the K of a group is cut: what a warp decodes at a time.
  struct Cut {
    bool inRegisters;
    int64_t elements; ///< of a unit
    int64_t run;      ///< units side by side of a lane, in registers
    int64_t units;    ///< of a chunk
    int64_t padded;   ///< elements of a chunk, whole instructions
  };

  static Cut cutOf(const MatrixWork &work, size_t term);

  /// Words behind each row of what is decoded to shared memory, so that the rows that a warp reads at once start in different banks.
  static constexpr int64_t kPadding = 4;

  /// y[tokens, columns] of the tile; `w` holds its panels.
  void emit();
  /// The same in two steps: the sums of the block's slice go to memory; and y follows from those of all slices.
  void emitSlice();
  void emitResult();

protected:
  MatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value packed, Value y);

  static constexpr int64_t kMostParts = MatrixUnit::kMostParts;
  using Words = MatrixUnit::Parts;

  /// Where the codes of a group are read: in the packed matrix itself, or in a stage of the ring.
  struct Source {
    Value packed;
    const ::whit::Place *place;
    Value panel, group;
  };
  /// Where the lane stands.
  struct Position {
    Value panel, group; ///< of the packed matrix
    size_t term;
    Value firstToken; ///< of the tile
    int64_t tiles;    ///< of `unit.tokens` tokens
    bool isFull;      ///< all of them exist
    bool isWhole;     ///< all elements of its chunks have activations
    Source source;
  };
  /// A column of the weight that the lane decodes, with what a group of it shares.
  struct Column {
    KernelBuilder builder;
    PanelDecoder::Group zero;
    Value scale, minimum; ///< where numbers are scaled before they are multiplied
    Value pairZero;       ///< what is to be added to codes that are decoded in pairs
  };

  /// Words of A that stand for one element each: 1, or more where bf16 does not hold a number.
  virtual int64_t parts(size_t term) const = 0;
  virtual int64_t activationParts() const = 0;
  /// Reads what all elements of a term in a group share.
  virtual void open(PanelDecoder &decoder, Column &column, const Position &at) = 0;
  /// The words of four elements of a column, those from `first` of the group on, part by part.
  virtual SmallVector<Value> decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines,
                                    int64_t quad, Value first, const Position &at) = 0;
  /// Of the lane's token of a tile, `count` elements from `first` of the group on.
  virtual Words activations(const Position &at, int64_t tile, Value first, int64_t count) = 0;
  /// Elements of every group for which there are activations.
  virtual int64_t activationElements() const = 0;
  /// What the sums of a term of a group start from.
  virtual Value zeroSum() = 0;
  /// The totals after the sums of a term of a group.
  virtual SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) = 0;
  /// What flush() wants of a token in a group, as i32.
  virtual SmallVector<Value> factorsOf(const Position &, Value token) { return {}; }
  /// Whether sums go on from one group to the next, as no scale stands before them.
  virtual bool sumsAllGroups(size_t term) const { return false; }

  /// The column of the panel and the token of sum `i` of a tile, this lane's.
  Value sumColumn(int64_t i) { return unit.column(b, firstSumRow, unit.sums[i].row); }
  Value sumToken(const Position &at, int64_t tile, int64_t i) {
    return b.add(b.add(at.firstToken, firstSumToken), tile * unit.tokens + unit.sums[i].other);
  }
  /// The token of the lane's words of B.
  Value operandToken(const Position &at, int64_t tile) {
    return b.add(b.add(at.firstToken, laneRow), tile * unit.tokens);
  }
  /// The token itself, or the last one of the tile where there is none; and whether there is, null if there always is.
  std::pair<Value, Value> inside(const Position &at, Value token);
  /// Conditions that may be null, where they always hold.
  Value both(Value x, Value y) { return x ? Value(arith::AndIOp::create(b, x, y)) : y; }
  Value orZero(Value condition, Value value, Value zero) {
    return condition ? b.select(condition, value, zero) : value;
  }
  Value scalarOf(Value vector) { return vector::ExtractOp::create(b, vector, 0); }
  /// `count` elements of `memref`, whole words, `at` being a multiple of them; in loads as wide as its rows are aligned.
  SmallVector<Value> loadWords(Value memref, ValueRange at, int64_t count);

  LaneBuilder &b;
  const MatrixUnit &unit;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  Value packed, y, tokens;
  /// What `read` gives for the columns of the lane's sums: one number for each.
  SmallVector<Value> ofSumColumns(const Position &at, function_ref<Value(PanelDecoder &)> read);
  SmallVector<int64_t, 8> sumColumnOf; ///< by sum: which of them it belongs to

  struct Span {
    Value from, to;
  };
  /// The part of `turns` of `step` each of this warp, of those that share a panel.
  Span ofSplit(int64_t turns, int64_t step);
  /// Groups of a turn, or chunks of the only one: what warps that share a panel have is whole turns.
  int64_t turnSize() const;
  /// The totals after the groups of this warp.
  virtual SmallVector<Value> addGroups(Position at, SmallVector<Value> totals);
  SmallVector<Column, 2> operands; ///< the lane's rows of A
  /// Where factors have been copied to, and which of its rows: i32 [groups, tokens of the tile, factors]. Null if they are in memory.
  Value copiedFactors, copiedGroup;

private:
  int64_t groups() const { return encoding.isPlain() ? 1 : place.groups; }
  int64_t elementsOfGroup() const { return encoding.isPlain() ? place.k : place.paddedGroup; }
  int64_t chunksOf(size_t term) const {
    return llvm::divideCeil(elementsOfGroup(), cuts[term].units * cuts[term].elements);
  }
  void prepare();
  void overPanels();
  void overTokens(Value panel, Value isMine);
  /// `isMine`: whether this warp stores the sums; null if it always does.
  void block(Value panel, Value isMine, Value firstToken, int64_t tiles, bool isFull);
  /// The sums of a term where there is one group, and the totals behind them.
  SmallVector<Value> sumOfTerm(Position at);
  SmallVector<Value> finishTerm(const Position &at, SmallVector<Value> totals, SmallVector<Value> sums);
  /// Adds up what `sum` gives for each slice, from `zeros` on; that of the block's own slice if it has one.
  SmallVector<Value> overSlices(SmallVector<Value> zeros, function_ref<SmallVector<Value>()> sum);
  Value plus(Value x, Value y) {
    return isa<FloatType>(x.getType()) ? b.addf(x, y) : Value(arith::AddIOp::create(b, x, y));
  }
  void storeSlice(const Position &at, Value isMine, ArrayRef<Value> sums);
  /// The sums of all slices.
  SmallVector<Value> loadSlices(const Position &at, Value zero);
  /// The loop over a span: what `load` gives for a turn is what `add` gets in it, loaded a turn ahead.
  SmallVector<Value> pipeline(Span span, int64_t step, SmallVector<Value> sums,
                              function_ref<SmallVector<Value>(Value)> load,
                              function_ref<SmallVector<Value>(Value, ValueRange, ValueRange)> add);
  /// Words that a lane loads of some chunks of a group, more than allowed if they are not to be loaded ahead.
  int64_t loadedWords(size_t term, int64_t chunks) const;
  /// The sums of all warps that share a panel, in one order.
  SmallVector<Value> addSplits(SmallVector<Value> sums);
  void store(const Position &at, Value isMine, ArrayRef<Value> totals);

  /// The sums behind a chunk of a group, whose lines may be there already.
  SmallVector<Value> addChunk(Position at, Value chunk, ValueRange loaded, SmallVector<Value> sums);
  /// The lines of a chunk's units, column by column.
  SmallVector<Value> loadChunk(const Position &at, Value chunk);
  /// The lane's words of A for one instruction, part by part: those of its elements of the chunk from `from` on.
  Words decodeStep(const Position &at, MutableArrayRef<PanelDecoder> decoders, Value chunk, int64_t from,
                   ValueRange loaded);
  SmallVector<Value> multiply(const Position &at, const Words &a, function_ref<Words(int64_t tile)> operand,
                              SmallVector<Value> sums);
  SmallVector<Value> addShared(const Position &at, Value chunk, SmallVector<Value> sums);
  void fill(const Position &at, Value firstUnit);

  SmallVector<Cut, 2> cuts; ///< by term
  /// Columns side by side are read together.
  SmallVector<KernelBuilder, 2> sumReaders;
  std::optional<KernelBuilder> operandReader;
  Value warp, share;
  int64_t shares;             ///< lanes that decode one column to shared memory
  int64_t splits, mostTokens; ///< warps that share a panel; tokens of the tile
  Value split;                ///< of this warp
  int64_t slices;
  std::optional<PartialSums> sliced;
  Value slice;                   ///< the one that is being summed up, if there are several
  bool isResult = false;         ///< all slices have been summed up
  Value buffer;                  ///< [warps, 16, words], the parts of a row one behind another
  Value partial;                 ///< [warps, sums, lanes]
  std::optional<PanelRing> ring; ///< what comes next of the panel, where it can be had
  int64_t room;                  ///< bytes of shared memory
  std::optional<Column> filled;  ///< this lane's column on the way to shared memory

protected:
  Value laneRow, laneK, laneOfK, firstSumRow, firstSumToken;
};

/// whit.matmul: numbers and activations are cut into bf16 parts that add up to them, and the parts multiplied. Products of parts that are too
/// small to matter in f32 are left out.
class FloatMatrixKernel : public MatrixKernel {
public:
  FloatMatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value x, Value packed, Value y);

private:
  int64_t parts(size_t term) const override { return weightParts[term]; }
  int64_t activationParts() const override { return isBfloat ? 1 : kMostParts; }
  void open(PanelDecoder &decoder, Column &column, const Position &at) override;
  SmallVector<Value> decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines, int64_t quad,
                            Value first, const Position &at) override;
  Words activations(const Position &at, int64_t tile, Value first, int64_t count) override;
  int64_t activationElements() const override;
  Value zeroSum() override { return b.f32(0.0f); }
  SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) override;
  bool sumsAllGroups(size_t term) const override { return encoding.isPlain() || isMinimum(term); }
  bool isMinimum(size_t term) const { return term == 0 && encoding.zero == ::whit::ZeroKind::Minimum; }
  /// Whether codes of a term are small whole numbers, which are written into the fractions of pairs of bf16.
  bool decodesPairs(size_t term) const;

  Value x;
  bool isBfloat; ///< the activations
  SmallVector<int64_t, 1> weightParts;
};

/// whit.quantized_matmul: exact sums of products of bytes, flushed as on every other target.
class ByteMatrixKernel : public MatrixKernel {
public:
  ByteMatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value codes, Value scales, Value sums,
                   Value packed, Value y)
      : MatrixKernel(b, work, splits, packed, y), carriers(*::whit::integerCarriers(encoding)), codes(codes),
        scales(scales), rowSums(sums) {}

private:
  int64_t parts(size_t) const override { return 1; }
  int64_t activationParts() const override { return 1; }
  void open(PanelDecoder &decoder, Column &column, const Position &at) override;
  SmallVector<Value> decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines, int64_t quad,
                            Value first, const Position &at) override;
  Words activations(const Position &at, int64_t tile, Value first, int64_t count) override;
  SmallVector<Value> factorsOf(const Position &at, Value token) override;
  int64_t activationElements() const override { return place.paddedGroup; }
  Value zeroSum() override { return b.i32(0); }
  SmallVector<Value> flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) override;

  std::vector<::whit::IntegerCarrier> carriers;
  Value codes, scales, rowSums;
};

/// bf16 numbers that add up to `value`, cut from the top: three hold every f32.
int64_t bfloatPartsOf(float value);
/// The same for the numbers of a term as they are multiplied: before they are scaled unless the format has minima.
int64_t bfloatPartsOf(const ::whit::Encoding &encoding, size_t term);

} // namespace mlir::whit
