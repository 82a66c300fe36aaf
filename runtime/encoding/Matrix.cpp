// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference quantizer and decoder. Written for reading, and for the same bits everywhere: contraction of a*b+c is
// off.
#include "runtime/encoding/Matrix.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cmath>

#pragma clang fp contract(off)

namespace whit {
namespace {

/// Round half to even, whatever the thread's rounding mode was set to for nearest.
float roundToEven(float value) { return std::nearbyintf(value); }

struct GroupRange {
  float minimum = 0, maximum = 0; // with 0 included
  float extreme = 0;              // the signed element of largest magnitude
};

void widen(GroupRange &range, const float *w, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    range.minimum = std::min(range.minimum, w[i]);
    range.maximum = std::max(range.maximum, w[i]);
    if (std::fabs(w[i]) > std::fabs(range.extreme))
      range.extreme = w[i];
  }
}

struct GroupCode {
  float scale = 0, zero = 0; // zero: as in Matrix::zeros
};

GroupCode solveGroup(const Encoding &encoding, const GroupRange &range) {
  float levels = float((1 << encoding.bits) - 1);
  GroupCode code;
  if (encoding.zero == ZeroKind::Constant) {
    code.scale = roundToScale(encoding.scale, range.extreme / -float(1 << (encoding.bits - 1)));
    return code;
  }
  code.scale = roundToScale(encoding.scale, (range.maximum - range.minimum) / levels);
  if (encoding.zero == ZeroKind::Minimum)
    code.zero = roundToScale(encoding.scale, range.minimum);
  else if (code.scale == 0)
    code.zero = 0;
  else if (encoding.zero == ZeroKind::Integer)
    code.zero = std::clamp(roundToEven(-range.minimum / code.scale), 0.0f, levels);
  else
    code.zero = roundToScale(encoding.scale, -range.minimum / code.scale);
  return code;
}

uint8_t nearestCode(const Encoding &encoding, const GroupCode &group, float value) {
  float half = float(1 << (encoding.bits - 1)), levels = float((1 << encoding.bits) - 1);
  float code = 0;
  switch (encoding.zero) {
  case ZeroKind::Constant:
    code = group.scale == 0 ? half : roundToEven(value / group.scale) + half;
    break;
  case ZeroKind::Integer:
    code = group.scale == 0 ? group.zero : roundToEven(value / group.scale) + group.zero;
    break;
  case ZeroKind::Float:
    code = group.scale == 0 ? 0 : roundToEven(value / group.scale + group.zero);
    break;
  case ZeroKind::Minimum:
    code = group.scale == 0 ? 0 : roundToEven((value - group.zero) / group.scale);
    break;
  }
  return uint8_t(std::clamp(code, 0.0f, levels));
}

bool refuse(std::string *why, const std::string &what, int64_t row, int64_t column) {
  if (why)
    *why = what + " at row " + std::to_string(row) + ", column " + std::to_string(column);
  return false;
}

bool quantizePlain(const float *w, Matrix &result, std::string *why) {
  for (int64_t i = 0, count = result.n * result.k; i < count; ++i) {
    result.values[i] = roundToScale(result.encoding.scale, w[i]);
    if (std::isinf(result.values[i]) && std::isfinite(w[i]))
      return refuse(why, "value " + std::to_string(w[i]) + " is out of the range of " + nameOf(result.encoding),
                    i / result.k, i % result.k);
  }
  return true;
}

/// One element's value in `Number` (float or double). The order of operations is the definition; do not simplify.
template <typename Number> Number decode(const Encoding &encoding, uint8_t code, float scale, float zero) {
  switch (encoding.zero) {
  case ZeroKind::Constant:
    return Number(int(code) - (1 << (encoding.bits - 1))) * Number(scale);
  case ZeroKind::Integer:
    return Number(int(code) - int(zero)) * Number(scale);
  case ZeroKind::Float:
    return (Number(code) - Number(zero)) * Number(scale);
  case ZeroKind::Minimum:
    return Number(scale) * Number(code) + Number(zero);
  }
  return 0;
}

template <typename Number> void dequantizeAs(const Matrix &matrix, Number *out) {
  if (matrix.encoding.codec == Codec::Plain) {
    std::copy(matrix.values.begin(), matrix.values.end(), out);
    return;
  }
  int64_t groups = matrix.groups(), group = groupSize(matrix.encoding, matrix.k);
  for (int64_t n = 0; n < matrix.n; ++n)
    for (int64_t k = 0; k < matrix.k; ++k) {
      int64_t at = n * groups + k / group;
      out[n * matrix.k + k] = decode<Number>(matrix.encoding, matrix.codes[n * matrix.k + k], matrix.scales[at],
                                             matrix.zeros.empty() ? 0.0f : matrix.zeros[at]);
    }
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

bool quantize(const Encoding &encoding, const float *w, int64_t n, int64_t k, Matrix &result, std::string *why) {
  result = makeMatrix(encoding, n, k);
  if (encoding.codec == Codec::Plain)
    return quantizePlain(w, result, why);
  for (int64_t i = 0; i < n * k; ++i)
    if (!std::isfinite(w[i]))
      return refuse(why,
                    std::isnan(w[i]) ? "found NaN; weights to quantize must be finite"
                                     : "found infinity; weights to quantize must be finite",
                    i / k, i % k);

  GroupRange whole;
  if (encoding.grouping == Grouping::Tensor)
    widen(whole, w, n * k);
  int64_t groups = result.groups(), group = groupSize(encoding, k);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t g = 0; g < groups; ++g) {
      int64_t begin = g * group, count = std::min(group, k - begin);
      const float *source = w + row * k + begin;
      GroupRange range = whole;
      if (encoding.grouping != Grouping::Tensor)
        widen(range, source, count);
      GroupCode code = solveGroup(encoding, range);
      if (!std::isfinite(code.scale) || !std::isfinite(code.zero))
        return refuse(why,
                      "the scale or minimum of a group does not fit its type in " + nameOf(encoding) +
                          "; use a format with f32 or bf16 scales",
                      row, begin);
      result.scales[row * groups + g] = code.scale;
      if (!result.zeros.empty())
        result.zeros[row * groups + g] = code.zero;
      for (int64_t i = 0; i < count; ++i)
        result.codes[row * k + begin + i] = nearestCode(encoding, code, source[i]);
    }
  return true;
}

void dequantize(const Matrix &matrix, float *out) { dequantizeAs(matrix, out); }
void dequantize(const Matrix &matrix, double *out) { dequantizeAs(matrix, out); }

} // namespace whit
