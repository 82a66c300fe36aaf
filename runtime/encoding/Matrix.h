// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The canonical form of an encoded matrix: one byte per code, stored factors as f32, nothing packed. Every source layout is
// read into it, every place is packed from it, and decoding it is the definition of what a format means.
#ifndef WHIT_RUNTIME_ENCODING_MATRIX_H
#define WHIT_RUNTIME_ENCODING_MATRIX_H

#include "whit/Encoding.h"

#include <vector>

namespace whit {

/// Stored numbers of one factor: [n][blockCount], exact in the factor's type. Rows that share a number each have it.
using FactorValues = std::vector<float>;

/// One term of an encoded matrix.
struct TermValues {
  std::vector<uint8_t> codes;        ///< [n][k], each 0 .. 2^bits-1; 0 where a sparse term has none.
                                     ///< Vector: code of its block + Codec::at, so that the number is table()[this]
  std::vector<FactorValues> factors; ///< as Term::scale
  std::vector<uint8_t> choices;      ///< [n][blocks of the first factor]: which table; empty unless Choice
  std::vector<uint8_t> kept;         ///< [n][ceil(k / 4)]: which two of each four (kKeptPairs); empty unless sparse

  /// Whether row n of a matrix of rows of k has a code for element j.
  bool keeps(int64_t n, int64_t k, int64_t j) const;
};

/// Which two of four consecutive elements are kept: the index of the first, and 4 times that of the second, as CUTLASS and
/// PyTorch write it. Of four that have fewer nonzeros,
/// later ones are kept beside them: 14 for none, and for one at 0, 1, 2, 3: 8, 9, 14, 14.
inline constexpr uint8_t kKeptPairs[] = {4, 8, 9, 12, 13, 14};
/// Bit i: element i is kept. The inverse gives 14 for what has not two bits.
inline uint8_t keptBits(uint8_t pair) { return uint8_t(1 << (pair & 3) | 1 << (pair >> 2 & 3)); }
uint8_t keptPair(uint8_t bits);

inline bool TermValues::keeps(int64_t n, int64_t k, int64_t j) const {
  return kept.empty() || (keptBits(kept[n * ((k + 3) / 4) + j / 4]) >> (j % 4) & 1);
}

/// Rows of an encoded matrix. Plain formats fill `values`, all others `terms` and, unless the zero is constant, `offset`.
struct Matrix {
  Encoding encoding;
  int64_t n = 0, k = 0;
  std::vector<TermValues> terms;    ///< as Encoding::terms
  std::vector<FactorValues> offset; ///< as Encoding::offset
  std::vector<float> values;        ///< [n][k], exact in the stored type; plain formats only

  int64_t groups() const { return groupCount(encoding, k); }
  /// Codes and the first factor of the first term, and the first factor of the zero or minimum: all there is in most formats.
  std::vector<uint8_t> &codes() { return terms.front().codes; }
  const std::vector<uint8_t> &codes() const { return terms.front().codes; }
  FactorValues &scales() { return terms.front().factors.front(); }
  const FactorValues &scales() const { return terms.front().factors.front(); }
  FactorValues &zeros() { return offset.front(); }
  const FactorValues &zeros() const { return offset.front(); }
};

/// A matrix of `n` rows with everything zero (code 0, factors 0).
Matrix makeMatrix(const Encoding &encoding, int64_t n, int64_t k);

/// The product of `factors` for each group of the matrix, [n][groups], in f32 from left to right. This is the scale (or the
/// minimum, or the zero point) that a reader of the panel stream works with.
std::vector<float> productPerGroup(const Matrix &matrix, const std::vector<Factor> &factors,
                                   const std::vector<FactorValues> &values);

/// The value of every element, [n][k]. f32: one rounding per operation in the order of the formula, no fused multiply-add;
/// these bits are the reference. f64: the same formula in f64 on the f32 products of productPerGroup.
void dequantize(const Matrix &matrix, float *out);
void dequantize(const Matrix &matrix, double *out);

/// Rows [from, from + count) of `rows` become rows `to`.. of `into`, which has the same encoding and k.
void copyRows(const Matrix &rows, int64_t from, int64_t count, Matrix &into, int64_t to);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_MATRIX_H
