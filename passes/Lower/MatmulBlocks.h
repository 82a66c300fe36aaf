// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The inner part of a matmul: a block of rows x panels of 16 columns whose sums live in registers while the whole of K goes
// by. Every sum is formed in the same order whatever the size of the block, so a row's bits do not depend on its neighbours.

#pragma once

#include "Lower/DecodeCodes.h"

#include "runtime/encoding/Carrier.h"

namespace mlir::whit {

/// Emits blocks of one matmul.
class MatmulBlocks {
public:
  /// How K goes by.
  struct Stream {
    int64_t prefetchDistance;      ///< bytes ahead at which codes are fetched; 0: they are not
    std::optional<int64_t> unroll; ///< elements whose code is laid out without a loop, if a schedule says it
  };
  virtual ~MatmulBlocks() = default;

  /// The sums of rows row .. row+rows-1 and panels panel .. panel+panels-1, row by row: rows * panels vectors of f32.
  SmallVector<Value> emit(Value row, int64_t rows, Value panel, int64_t panels);
  /// Sums that a block may have; the other registers hold what they are made of.
  virtual int64_t accumulators() const { return k.facts.accumulators(); }
  /// Panels of a block of one or two rows: enough sums for the units to be busy, and few, since panels that are read one after the other
  /// come from memory faster than side by side.
  virtual int64_t streams() const { return 4; }

protected:
  MatmulBlocks(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
               const Stream &stream)
      : k(k), encoding(encoding), place(place), packed(packed), unroll(stream.unroll) {
    for (size_t term = 0; term < encoding.terms.size(); ++term)
      decoders.emplace_back(k, encoding, place, term, packed, stream.prefetchDistance);
  }

  virtual SmallVector<Value> wholeK(SmallVector<Value> sums) = 0;
  /// Adds units 0 .. count/elementsPerUnit of a block to `sums`, `unrolled` elements of K at a time. `add` gets the first unit
  /// of its step, a unit relative to it, and how many elements of that unit there are.
  SmallVector<Value> overUnits(int64_t count, int64_t perUnit, int64_t unrolled, SmallVector<Value> sums,
                               function_ref<void(Value, int64_t, int64_t, SmallVector<Value> &)> add);

  KernelBuilder &k;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  SmallVector<PanelDecoder, 1> decoders; ///< of the terms
  Value packed;
  std::optional<int64_t> unroll;
  // The block being emitted.
  SmallVector<Value> rowIndices, panelIndices;
};

/// int8 activations: codes [rows, GROUPS, PADDED], scales and sums [rows, GROUPS]. The weight must have carriers.
class IntegerBlocks : public MatmulBlocks {
public:
  IntegerBlocks(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
                const Stream &stream, Value codes, Value scales, Value sums)
      : MatmulBlocks(k, encoding, place, packed, stream), carriers(*::whit::integerCarriers(encoding)), codes(codes),
        scales(scales), sums(sums) {}
  int64_t streams() const override;

private:
  SmallVector<Value> wholeK(SmallVector<Value> sums) override;
  SmallVector<Value> addTerm(size_t term, Value g, ArrayRef<Value> rowSums, SmallVector<Value> acc);
  SmallVector<Value> startOf(size_t term, Value g, ArrayRef<Value> rowSums);
  /// Whether what is subtracted from the codes of the first term is part of the sums in int32.
  bool hasExactZeros() const;
  Value activations(int64_t row, Value g, Value at);

  std::vector<::whit::IntegerCarrier> carriers;
  Value codes, scales, sums;
};

/// f32 or bf16 activations [rows, K]. Where the numbers of the weight are bf16 too, two products are added at once; elsewhere
/// bf16 activations are widened.
class FloatBlocks : public MatmulBlocks {
public:
  FloatBlocks(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
              const Stream &stream, Value x);
  int64_t accumulators() const override;

private:
  SmallVector<Value> wholeK(SmallVector<Value> sums) override;
  SmallVector<Value> addTerm(size_t term, Value g, int64_t count, SmallVector<Value> acc);
  SmallVector<Value> plain(SmallVector<Value> acc);
  /// acc += the `count` elements of x from `at` times their weights, for all rows and panels. `weight` gives a vector of floats
  /// for an element and a panel.
  void addElements(Value at, int64_t count, function_ref<Value(int64_t, size_t)> weight, SmallVector<Value> &acc);
  void addElement(Value at, ArrayRef<Value> weights, SmallVector<Value> &acc);
  /// The same for one or two elements; a weight is 16 pairs of bf16.
  void addPair(Value at, int64_t count, ArrayRef<Value> weights, SmallVector<Value> &acc);

  Value x;
  bool pairs; ///< both operands are bf16
};

} // namespace mlir::whit
