// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference decoder; the formulas stand in GroupCode.h. The same bits everywhere: contraction of a*b+c is off.
#include "runtime/encoding/Matrix.h"

#include "runtime/encoding/GroupCode.h"

#include <algorithm>

#pragma clang fp contract(off)

namespace whit {
namespace {

template <typename Number> void dequantizeAs(const Matrix &matrix, Number *out) {
  if (matrix.encoding.codec == Codec::Plain) {
    std::copy(matrix.values.begin(), matrix.values.end(), out);
    return;
  }
  int64_t groups = matrix.groups(), group = groupSize(matrix.encoding, matrix.k);
  withKind(matrix.encoding.zero, [&]<ZeroKind kind> {
    for (int64_t at = 0; at < matrix.n * groups; ++at) {
      float scale = matrix.scales[at], zero = matrix.zeros.empty() ? 0.0f : matrix.zeros[at];
      int64_t begin = at % groups * group, end = std::min(begin + group, matrix.k), row = at / groups * matrix.k;
      for (int64_t i = row + begin; i < row + end; ++i)
        out[i] = decode<kind, Number>(matrix.encoding.bits, matrix.codes[i], scale, zero);
    }
  });
}

} // namespace

Matrix makeMatrix(const Encoding &encoding, int64_t n, int64_t k) {
  Matrix matrix;
  matrix.encoding = encoding;
  matrix.n = n;
  matrix.k = k;
  if (encoding.codec == Codec::Plain) {
    matrix.values.resize(n * k);
    return matrix;
  }
  matrix.codes.resize(n * k);
  matrix.scales.resize(n * matrix.groups());
  if (encoding.zero != ZeroKind::Constant)
    matrix.zeros.resize(n * matrix.groups());
  return matrix;
}

void dequantize(const Matrix &matrix, float *out) { dequantizeAs(matrix, out); }
void dequantize(const Matrix &matrix, double *out) { dequantizeAs(matrix, out); }

} // namespace whit
