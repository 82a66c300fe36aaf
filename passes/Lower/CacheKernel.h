// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Caches in a low-bit format (runtime/encoding/CacheBlock.h) inside kernels: quantizing a token's row and writing its bytes, and
// reading blocks of keys and rows of values back as f32 lanes.

#pragma once

#include "Lower/DecodeCodes.h"
#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

namespace mlir::whit {

/// Multiplies a row, given as vectors of 16 features (zero past the last) or as those of a warp's lanes, by the normalized Hadamard matrix of size `depth`, a
/// power of two, in place and in the order of `multiplyByHadamard`.
void emitHadamard(LaneBuilder &b, SmallVectorImpl<Value> &row, int64_t depth);

/// Emits an append to a cache of packed bytes.
void emitPackedAppend(LaneBuilder &b, CacheAppendOp op);

/// Blocks of one head of a packed cache. Values of a token t are scale[t] * number + offset[t], where number is what a code stands
/// for, a number around zero for formats with a constant zero, and offset[t] then is nothing.
class PackedHead {
public:
  /// `cache` is [B, H, BLOCKS, BYTES]. With a `column` it is read for that token of each block alone, by vectors of one lane.
  PackedHead(LaneBuilder &b, FormatAttr format, ::whit::CacheOrder order, int64_t depth, Value cache, Value batch,
             Value head, Value column = nullptr);

  bool hasOffsets() const { return block.hasZeros(); }
  /// For 16 tokens, lane by lane.
  Value scales(Value at);
  /// -scale * zero, or the minimum. Only if `hasOffsets`.
  Value offsets(Value at, Value scales);
  Value lastBlock() { return b.sub(b.dim(bytes, 0), b.index(1)); }

  // Panels: features one after the other, 16 tokens in the lanes.
  /// Features that are read together.
  int64_t unitFeatures() { return decoder.elementsPerUnit(); }
  PanelDecoder::Unit loadUnit(Value at, Value unit);
  /// The numbers of feature `feature` of a unit for 16 tokens.
  Value feature(const PanelDecoder::Unit &unit, int64_t feature) { return decoder.number(unit, feature, group); }

  // Rows: tokens one after the other, 16 features in the lanes.
  /// Where the row of a token begins: its block and the byte in it.
  std::pair<Value, Value> rowOf(Value token);
  /// The numbers of features [16 * vector, 16 * vector + 16) of a row.
  Value numbers(std::pair<Value, Value> row, Value vector);
  /// The number of one feature of a row, in a vector of one lane.
  Value number(std::pair<Value, Value> row, Value feature);

private:
  Value numberOf(Value codes);
  Value planeOf(const ::whit::RowPlane &plane, std::pair<Value, Value> row, Value vector);

  LaneBuilder &b;
  ::whit::CacheBlock block;
  ::whit::Place place;
  KernelBuilder kernel;
  Value bytes; ///< [BLOCKS, BYTES]
  PanelDecoder decoder;
  PanelDecoder::Group group;
};

} // namespace mlir::whit
