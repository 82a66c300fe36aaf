// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the panel stream (include/whit/Encoding.h) inside a kernel: lines of packed codes become the byte operand of a dot
// product, or f32 lanes, by shifts and masks that follow from the place of each bit. Blocks are walked in units, the smallest
// runs of k that fill whole lines (4-bit codes: 8 elements, 3-bit codes: 32).

#pragma once

#include "Lower/CodeNumbers.h"
#include "Lower/KernelBuilder.h"

#include "runtime/encoding/Carrier.h"

#include "whit/Encoding.h"

namespace mlir::whit {

/// Reads one term.
class PanelDecoder {
public:
  /// The lines of one unit as vectors of 16 x i32: lane c holds bytes of column c.
  /// Of a sparse term its codes come first, then its kept bits; codes that are digits are bytes already, a vector for each quad.
  using Unit = SmallVector<Value, 8>;

  /// What all codes of a group in a panel share.
  struct Group {
    Value bias;   ///< of integers, see number
    Value zero;   ///< to be subtracted from numbers; null if there is none, or it is part of the bias or the table
    Value choice; ///< of a table: the bits above those of a code, as i32
    Value absent; ///< of integers of a sparse term: four codes that stand for 0, as i32
  };

  /// `packed` is a memref of panels x bytes. A prefetch distance of 0 asks for no prefetch. Encoding and place are what is read of them
  /// (readPart).
  PanelDecoder(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, size_t term,
               Value packed, int64_t prefetchDistance);

  /// Quads of a unit of a term.
  static int64_t quadsOf(const ::whit::TermPlace &term);
  /// Vectors of a Unit of a term, for one column.
  static int64_t valuesOf(const ::whit::Term &term, const ::whit::TermPlace &place);
  int64_t quadsPerUnit() const { return quads; }
  int64_t elementsPerUnit() const { return 4 * quads; }

  /// What is read from now on belongs to group `g` of one of `panels` panels that are read side by side: past the end of a panel,
  /// the one to prefetch is that many panels on.
  void lookAhead(Value g, int64_t panels);
  /// Loads unit `first + unit` of group `g` of `panel`.
  Unit loadUnit(Value panel, Value g, Value first, int64_t unit);

  Group open(Value panel, Value g);
  /// Codes 4*quad .. 4*quad+3 of the unit for 16 columns, as bytes: the unsigned operand of whit.dot. Where the carrier has a
  /// table, its entries instead of the codes.
  Value quad(const Unit &unit, int64_t quad, const Group &group, const ::whit::IntegerCarrier &carrier);
  /// Code `element` of the unit for 16 columns as the number it stands for, less the zero.
  Value number(const Unit &unit, int64_t element, const Group &group);
  /// The same for an integer: code `element` minus `bias` (see biasOf).
  Value element(const Unit &unit, int64_t element, Value bias);
  /// Codes 4*quad .. 4*quad+3 of the unit as the bytes of an i32 for each column; of a sparse term those that there are of two quads.
  Value codes(const Unit &unit, int64_t quad);
  /// What `element` must subtract so that the result is code - zero, exactly.
  Value biasOf(int32_t zero);
  Value biasOf(Value integerZeros);

  /// The 16 scales of the term in a group, as f32: the product of its factors from left to right.
  Value scales(Value panel, Value g);
  /// The 16 zeros or minima of a group, as f32.
  Value offsets(Value panel, Value g);
  /// The 16 integer zeros of a group, as i32.
  Value integerZeros(Value panel, Value g);
  /// 16 stored numbers at a byte offset, as f32.
  Value storedFloats(::whit::ScaleType type, Value panel, Value offset);

private:
  /// Where group `g` starts in a panel.
  Value blockOf(Value g) { return k.plus(k.times(g, place.blockBytes), place.headerBytes); }
  Value loadLine(Value panel, Value at);
  /// Of a vector term: the 32 bits of every column that hold its codes of element `element` of the unit, moved so that those of the
  /// element, or of its quad, are lowest. Columns of the same block rows have the same bits.
  Value vectorCodes(const Unit &unit, int64_t element, bool ofQuad);
  /// first + r * step for the columns, r being their place among those that share codes.
  Value byColumn(int32_t first, int32_t step);
  /// The line of `unit` with the kept bits of `quad`.
  Value keptOf(const Unit &unit, int64_t quad);
  /// One of them, in the lowest byte of each lane.
  Value element(const Unit &unit, int64_t element);
  const ::whit::Term &term() const { return encoding.terms[index]; }
  void prefetch(Value panel, Value offset);
  Value byteOf(const ::whit::FactorPlace &factor, Value g);
  Value product(ArrayRef<::whit::Factor> factors, ArrayRef<::whit::FactorPlace> places, Value panel, Value g);
  Value storedBytes(Value panel, Value offset);

  KernelBuilder &k;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  size_t index;
  Value packed;
  int64_t prefetchDistance;
  Value ahead;                          ///< the distance in this group, if it is not that
  int64_t quads = 1;                    ///< per unit
  int64_t codeUnits = 1, keptLines = 0; ///< of which a unit consists: one and none where a term is not sparse
  bool biased = false;                  ///< whether code - zero is an integer
};

} // namespace mlir::whit
