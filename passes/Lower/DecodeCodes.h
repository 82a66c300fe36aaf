// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the panel stream (include/whit/Encoding.h) inside a kernel: lines of packed codes become the byte operand of a dot
// product, or f32 lanes, by shifts and masks that follow from the place of each bit. Blocks are walked in units, the smallest
// runs of k that fill whole lines (4-bit codes: 8 elements, 3-bit codes: 32).

#pragma once

#include "Lower/KernelBuilder.h"

#include "whit/Encoding.h"

namespace mlir::whit {

class PanelDecoder {
public:
  /// The lines of one unit as vectors of 16 x i32: lane c holds bytes of column c.
  using Unit = SmallVector<Value, 8>;

  /// `packed` is a memref of panels x bytes. A prefetch distance of 0 asks for no prefetch.
  PanelDecoder(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
               int64_t prefetchDistance);

  int64_t quadsPerUnit() const { return quads; }
  int64_t elementsPerUnit() const { return 4 * quads; }

  /// Loads unit `first + unit` of the block that starts `block` bytes into `panel`.
  Unit loadUnit(Value panel, Value block, Value first, int64_t unit);
  /// Codes 4*quad .. 4*quad+3 of the unit for 16 columns: the unsigned operand of whit.dot.
  Value quad(const Unit &unit, int64_t quad);
  /// Code `element` of the unit for 16 columns, as f32, minus `bias` (see biasOf).
  Value element(const Unit &unit, int64_t element, Value bias);
  /// What `element` must subtract so that the result is code - zero, exactly.
  Value biasOf(int32_t zero);
  Value biasOf(Value integerZeros);

  /// The 16 scales of a block, as f32.
  Value scales(Value panel, Value block);
  /// The 16 float zeros or minima of a block, as f32.
  Value floatZeros(Value panel, Value block);
  /// The 16 integer zeros of a block, as i32.
  Value integerZeros(Value panel, Value block);
  /// 16 stored floats at a byte offset.
  Value storedFloats(::whit::ScaleType type, Value panel, Value offset);

private:
  /// Codes 4*quad .. 4*quad+3 of the unit as bytes of 16 x i32.
  Value codes(const Unit &unit, int64_t quad);

  KernelBuilder &k;
  const ::whit::Encoding &encoding;
  const ::whit::Place &place;
  Value packed;
  int64_t prefetchDistance;
  int64_t quads = 1; ///< per unit
};

} // namespace mlir::whit
