// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference decoder. The same bits everywhere: contraction of a*b+c is off.
#include "runtime/encoding/Matrix.h"

#include <algorithm>

#pragma clang fp contract(off)

namespace whit {
namespace {

/// What one group of one term needs.
struct GroupNumbers {
  float scale, offset;
};

template <typename Number, typename Element>
void decodeGroup(const Encoding &encoding, const float *table, GroupNumbers group, const uint8_t *codes, int64_t count,
                 Element &&element) {
  // The order of operations is the definition; do not simplify.
  Number scale(group.scale), offset(group.offset);
  switch (encoding.zero) {
  case ZeroKind::Constant:
    for (int64_t i = 0; i < count; ++i)
      element(i, (Number(table[codes[i]]) - Number(encoding.constant)) * scale);
    return;
  case ZeroKind::Integer:
  case ZeroKind::Float:
    for (int64_t i = 0; i < count; ++i)
      element(i, (Number(table[codes[i]]) - offset) * scale);
    return;
  case ZeroKind::Minimum:
    for (int64_t i = 0; i < count; ++i)
      element(i, scale * Number(table[codes[i]]));
    return;
  }
}

template <typename Number> void dequantizeAs(const Matrix &matrix, Number *out) {
  const Encoding &encoding = matrix.encoding;
  if (encoding.isPlain()) {
    std::copy(matrix.values.begin(), matrix.values.end(), out);
    return;
  }
  int64_t groups = matrix.groups(), group = groupSize(encoding, matrix.k);
  std::vector<float> offsets;
  if (encoding.zero != ZeroKind::Constant)
    offsets = productPerGroup(matrix, encoding.offset, matrix.offset);
  Encoding without; // what later terms decode by: no zero
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    const TermValues &values = matrix.terms[t];
    std::vector<float> scales = productPerGroup(matrix, term.scale, values.factors), table = term.codec.table();
    int64_t chosen = term.codec.kind == CodecKind::Choice ? blockCount(term.scale[0], matrix.k) : 0;
    int64_t blockSize = term.scale[0].block.columns ? term.scale[0].block.columns : matrix.k;
    int64_t codesPerTable = int64_t(1) << term.codec.bits;
    for (int64_t at = 0; at < matrix.n * groups; ++at) {
      int64_t row = at / groups, begin = at % groups * group, end = std::min(begin + group, matrix.k);
      const float *numbers = table.data();
      if (chosen)
        numbers += codesPerTable * values.choices[row * chosen + begin / blockSize];
      Number *to = out + row * matrix.k + begin;
      auto store = [&](int64_t i, Number value) {
        if (term.codec.isSparse && !values.keeps(row, matrix.k, begin + i))
          value = 0;
        to[i] = t ? to[i] + value : value;
      };
      decodeGroup<Number>(t ? without : encoding, numbers, {scales[at], offsets.empty() ? 0 : offsets[at]},
                          values.codes.data() + row * matrix.k + begin, end - begin, store);
    }
  }
  if (encoding.zero != ZeroKind::Minimum)
    return;
  for (int64_t at = 0; at < matrix.n * groups; ++at) {
    int64_t row = at / groups, begin = at % groups * group, end = std::min(begin + group, matrix.k);
    for (int64_t i = begin; i < end; ++i)
      out[row * matrix.k + i] += Number(offsets[at]);
  }
}

} // namespace

uint8_t keptPair(uint8_t bits) {
  for (uint8_t pair : kKeptPairs)
    if (keptBits(pair) == bits)
      return pair;
  return 14;
}

Matrix makeMatrix(const Encoding &encoding, int64_t n, int64_t k) {
  Matrix matrix;
  matrix.encoding = encoding;
  matrix.n = n;
  matrix.k = k;
  if (encoding.isPlain()) {
    matrix.values.resize(n * k);
    return matrix;
  }
  auto numbers = [&](const std::vector<Factor> &factors) {
    std::vector<FactorValues> result;
    for (const Factor &factor : factors)
      result.emplace_back(n * blockCount(factor, k));
    return result;
  };
  for (const Term &term : encoding.terms) {
    TermValues values{std::vector<uint8_t>(n * k), numbers(term.scale), {}, {}};
    if (term.codec.isSparse)
      values.kept.assign(n * ((k + 3) / 4), keptPair(0));
    if (term.codec.kind == CodecKind::Choice)
      values.choices.resize(n * blockCount(term.scale[0], k));
    if (term.codec.kind == CodecKind::Vector)
      for (int64_t i = 0; i < n * k; ++i)
        values.codes[i] = uint8_t(term.codec.at(i / k, i % k));
    matrix.terms.push_back(std::move(values));
  }
  matrix.offset = numbers(encoding.offset);
  return matrix;
}

std::vector<float> productPerGroup(const Matrix &matrix, const std::vector<Factor> &factors,
                                   const std::vector<FactorValues> &values) {
  int64_t groups = matrix.groups(), group = groupSize(matrix.encoding, matrix.k);
  std::vector<float> products(matrix.n * groups);
  for (size_t f = 0; f < factors.size(); ++f) {
    int64_t blocks = blockCount(factors[f], matrix.k),
            span = factors[f].block.columns ? factors[f].block.columns / group : 0;
    for (int64_t row = 0; row < matrix.n; ++row)
      for (int64_t g = 0; g < groups; ++g) {
        float value = values[f][row * blocks + (span ? g / span : 0)];
        float &product = products[row * groups + g];
        product = f ? product * value : value;
      }
  }
  return products;
}

void dequantize(const Matrix &matrix, float *out) { dequantizeAs(matrix, out); }
void dequantize(const Matrix &matrix, double *out) { dequantizeAs(matrix, out); }

void copyRows(const Matrix &rows, int64_t from, int64_t count, Matrix &into, int64_t to) {
  auto copy = [&](const auto &source, auto &target) {
    if (source.empty())
      return;
    int64_t each = int64_t(source.size()) / rows.n;
    std::copy_n(source.begin() + from * each, count * each, target.begin() + to * each);
  };
  auto copyAll = [&](const std::vector<FactorValues> &source, std::vector<FactorValues> &target) {
    for (size_t i = 0; i < source.size(); ++i)
      copy(source[i], target[i]);
  };
  copy(rows.values, into.values);
  for (size_t t = 0; t < rows.terms.size(); ++t) {
    copy(rows.terms[t].codes, into.terms[t].codes);
    copy(rows.terms[t].choices, into.terms[t].choices);
    copy(rows.terms[t].kept, into.terms[t].kept);
    copyAll(rows.terms[t].factors, into.terms[t].factors);
  }
  copyAll(rows.offset, into.offset);
}

} // namespace whit
