// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the block layout of ONNX Runtime's MatMulNBits and GatherBlockQuantized (com.microsoft, ContribOperators.md)
// into canonical rows:
//
//   codes    uint8 [N, blocks, blockSize*bits/8], inside a block a little-endian stream of `bits`-wide codes
//   scales   [N, blocks] f32, f16 or bf16
//   zeros    uint8 [N, ceil(blocks*bits/8)], one little-endian stream per row; or [N, blocks] of a float type; or
//            absent: 2^(bits-1)
//   indices  int32 [K]: the block whose scale and zero element k has (act-order, "GPTQ", 2022; g_idx); absent: k / blockSize
//
// With indices, canonical rows are in the order of groups: element j of them is element order[j] of the source.
//
// One row of codes may be unpacked 8-bit values as well (bits == 8).
#ifndef WHIT_RUNTIME_ENCODING_BLOCKSOURCE_H
#define WHIT_RUNTIME_ENCODING_BLOCKSOURCE_H

#include "runtime/encoding/Matrix.h"

#include <optional>
#include <span>
#include <vector>

namespace whit {

/// What the zero points of a source are.
enum class SourceZero : uint8_t { Absent, Packed, Float };

/// Borrowed bytes of a quantized initializer. The caller has checked nothing: readBlocks compares every size with what
/// it needs.
struct BlockSource {
  int64_t n, k;      ///< logical shape
  int64_t blockSize; ///< elements along k per scale
  int32_t bits;      ///< 1..8
  std::span<const uint8_t> codes;
  std::span<const uint8_t> scales;
  ScaleType scaleType;
  SourceZero zero = SourceZero::Absent;
  std::span<const uint8_t> zeros = {};   ///< empty if Absent
  ScaleType zeroType = ScaleType::F32;   ///< if Float
  std::span<const uint8_t> indices = {}; ///< empty: elements are in the order of their groups
};

/// The elements of a row group by group, in ascending order within each: the stable order of `indices`, which are int32 [k]. Nothing,
/// with `why`, unless every group gets the `blockSize` elements that it has in a row in order (the last one what is left).
std::optional<std::vector<int64_t>> orderOfGroups(std::span<const uint8_t> indices, int64_t k, int64_t blockSize,
                                                  std::string *why);

/// The encoding that holds such a source exactly: its own bits, blocks as groups and scale type, with zero kind
/// Constant, Integer or Float. (A float zero of another type than the scale's is held exactly only in f32, so the scale
/// type is widened to f32 then.)
Encoding encodingOf(const BlockSource &source);

/// Reads rows [rowBegin, rowEnd) into rows `outRow`.. of `out`, whose encoding must be encodingOf(source) or one that
/// the source fits: a zero kind Integer or Float for absent zeros, Float for packed ones, a wider scale type. `out` may
/// hold rows of other sources besides. False with `why` (found and required sizes) if the source is too short or does
/// not fit; `out` may then be partly written.
bool readBlocks(const BlockSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
                std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_BLOCKSOURCE_H
