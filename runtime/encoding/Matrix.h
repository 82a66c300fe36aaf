// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The canonical form of an encoded matrix: one byte per code, f32 scales and zeros, nothing packed. Every source layout
// is read into it, every place is packed from it, and decoding it is the definition of what a format means.
#ifndef WHIT_RUNTIME_ENCODING_MATRIX_H
#define WHIT_RUNTIME_ENCODING_MATRIX_H

#include "whit/Encoding.h"

#include <vector>

namespace whit {

/// Rows of an encoded matrix. Int formats fill codes, scales and (unless Constant) zeros; plain formats fill values.
struct Matrix {
  Encoding encoding;
  int64_t n = 0, k = 0;
  std::vector<uint8_t> codes; ///< [n][k], each 0 .. 2^bits-1
  std::vector<float> scales;  ///< [n][groups], exact in the scale's type
  std::vector<float> zeros;   ///< [n][groups]: integer zeros, float zeros or minima; empty for Constant
  std::vector<float> values;  ///< [n][k], exact in the stored type; plain formats only

  int64_t groups() const { return groupCount(encoding, k); }
};

/// A matrix of `n` rows with everything zero (code 0, scale 0).
Matrix makeMatrix(const Encoding &encoding, int64_t n, int64_t k);

/// The value of every element, [n][k]. f32: one rounding per operation in the order of the formula of Formats.def, no
/// fused multiply-add; these bits are the reference. f64: the same formula in f64, exact products for all formats.
void dequantize(const Matrix &matrix, float *out);
void dequantize(const Matrix &matrix, double *out);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_MATRIX_H
