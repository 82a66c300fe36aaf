// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads codes that lie element by element, as ONNX's DequantizeLinear takes them, into canonical rows:
//
//   codes    [N, K], or transposed [K, N]; `bits`-wide (2, 4 or 8), packed over the whole tensor, the first in the lowest
//            bits; signed codes are two's complement
//   scales   one; or [N]; or [N, blocks], transposed [blocks, N]; f32, f16 or bf16; or none: the numbers are the integers
//   zeros    like the scales, of the codes' type; or the same for all
//
// A format has unsigned codes: signed ones, and their zeros, are moved up by 2^(bits-1), which changes no value.
#ifndef WHIT_RUNTIME_ENCODING_CODESOURCE_H
#define WHIT_RUNTIME_ENCODING_CODESOURCE_H

#include "runtime/encoding/Matrix.h"

#include <span>

namespace whit {

/// Zeros of a source as unsigned codes: 2^(bits-1), 0, or a tensor of them.
enum class CodeZero : uint8_t { Middle, Lowest, Stored };

/// Borrowed bytes of codes. The caller has checked nothing: readCodes compares every size with what it needs.
struct CodeSource {
  int64_t n, k;      ///< logical shape
  bool isTransposed; ///< codes lie as [K, N]
  int32_t bits;      ///< 2, 4 or 8
  bool isSigned;
  BlockShape block; ///< of a row ({1, elements along k per scale}, {1, 0} for all of it) or {0, 0}: one scale for all
  std::span<const uint8_t> codes;
  std::span<const uint8_t> scales;
  ScaleType scaleType;
  CodeZero zero = CodeZero::Middle;
  std::span<const uint8_t> zeros = {}; ///< if Stored
  bool isUnscaled = false;             ///< one scale for all, which is 1; `scales` is empty
};

/// The encoding that holds such a source exactly.
Encoding encodingOf(const CodeSource &source);

/// Reads rows [rowBegin, rowEnd) into rows `outRow`.. of `out`, whose encoding must be encodingOf(source). False with
/// `why` if the source is too short or does not fit.
bool readCodes(const CodeSource &source, int64_t rowBegin, int64_t rowEnd, Matrix &out, int64_t outRow,
               std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_CODESOURCE_H
