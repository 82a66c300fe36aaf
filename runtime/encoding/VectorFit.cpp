// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Nearest is the rule of iFairy (2025) for any vectors: a block gets the code whose direction is nearest to its own, whatever the
// scales will be, and then each term the scale that is best for the codes it got (for phases: the mean of the parts that are not 0).
// Where codes differ in length, a direction is not enough: they are compared as if both had the same mean length. Least squares
// does both in turn, codes for scales and scales for codes, and keeps the best (Lloyd, 1982).
#include "runtime/encoding/VectorFit.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cmath>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

constexpr int kRounds = 8;

/// The terms that share one scale block's codes.
class VectorFit {
public:
  VectorFit(Matrix &result, size_t first, std::vector<float> &rest)
      : result(result), first(first), codec(result.encoding.terms[first].codec), rest(rest) {
    const std::vector<Term> &terms = result.encoding.terms;
    for (last = first + 1; last < terms.size() && terms[last].codec.isAgain;)
      ++last;
    for (size_t t = first; t < last; ++t)
      for (float value : terms[t].codec.values)
        numbers.push_back(value);
    each = size_t(codec.rows) * codec.columns;
    count = codec.values.size() / each;
  }

  size_t end() const { return last; }
  bool fit(int64_t row, int64_t rowEnd, int64_t column, int64_t columnEnd, Quantizer quantizer) {
    rows = {row, rowEnd}, columns = {column, columnEnd};
    std::vector<uint8_t> codes = byDirection();
    std::vector<float> scales = scalesFor(codes);
    if (!std::all_of(scales.begin(), scales.end(), [](float scale) { return std::isfinite(scale); }))
      return false;
    if (quantizer == Quantizer::LeastSquares) {
      double least = error(codes, scales);
      std::vector<float> trial = scales;
      for (int round = 0; round < kRounds; ++round) {
        std::vector<uint8_t> next = byDistance(trial);
        trial = scalesFor(next);
        double found = error(next, trial);
        if (!(found < least))
          break;
        least = found, codes = next, scales = trial;
      }
    }
    store(codes, scales);
    return true;
  }

private:
  template <typename Body> void forBlocks(Body &&body) const {
    std::vector<double> block(each);
    size_t at = 0;
    for (int64_t n = rows.first; n < rows.second; n += codec.rows)
      for (int64_t k = columns.first; k < columns.second; k += codec.columns) {
        for (size_t i = 0; i < each; ++i) {
          int64_t r = n + int64_t(i) / codec.columns, c = k + int64_t(i) % codec.columns;
          block[i] = r < result.n && c < result.k ? rest[r * result.k + c] : 0;
        }
        body(at++, n, k, block);
      }
  }
  float number(size_t part, size_t code, size_t i) const { return numbers[(part * count + code) * each + i]; }
  size_t parts() const { return last - first; }
  double direction(size_t code, size_t i) const {
    double sum = 0;
    for (size_t part = 0; part < parts(); ++part)
      sum += number(part, code, i);
    return sum;
  }
  double length(size_t code) const {
    double squares = 0;
    for (size_t i = 0; i < each; ++i)
      squares += direction(code, i) * direction(code, i);
    return std::sqrt(squares);
  }

  std::vector<uint8_t> byDirection() const {
    double shortest = std::numeric_limits<double>::infinity(), longest = 0, codeSquares = 0, squares = 0;
    for (size_t code = 0; code < count; ++code) {
      shortest = std::min(shortest, length(code)), longest = std::max(longest, length(code));
      codeSquares += length(code) * length(code) / double(count);
    }
    size_t blocks = 0;
    forBlocks([&](size_t, int64_t, int64_t, const std::vector<double> &block) {
      ++blocks;
      for (double value : block)
        squares += value * value;
    });
    std::vector<uint8_t> codes(blocks);
    if (longest - shortest > 1e-6 * longest) {
      float scale = float(std::sqrt(squares / double(std::max<size_t>(blocks, 1)) / codeSquares));
      return byDistance(std::vector<float>(parts(), scale));
    }
    forBlocks([&](size_t at, int64_t, int64_t, const std::vector<double> &block) {
      // Of two directions that are equally near, the next one around the circle: a phase of pi/4 is i, one of -pi/4 is 1.
      double best = 0;
      for (size_t code = 0; code < count; ++code) {
        double product = 0;
        for (size_t i = 0; i < each; ++i)
          product += block[i] * direction(code, i);
        if (code == 0 || product > best || (product == best && product > 0 && code == codes[at] + size_t(1)))
          best = product, codes[at] = uint8_t(code);
      }
    });
    return codes;
  }

  std::vector<uint8_t> byDistance(const std::vector<float> &scales) const {
    std::vector<uint8_t> codes;
    forBlocks([&](size_t, int64_t, int64_t, const std::vector<double> &block) {
      double least = std::numeric_limits<double>::infinity();
      uint8_t nearest = 0;
      for (size_t code = 0; code < count; ++code)
        if (double found = distance(block, code, scales); found < least)
          least = found, nearest = uint8_t(code);
      codes.push_back(nearest);
    });
    return codes;
  }

  double distance(const std::vector<double> &block, size_t code, const std::vector<float> &scales) const {
    double squares = 0;
    for (size_t i = 0; i < each; ++i) {
      double left = block[i];
      for (size_t part = 0; part < parts(); ++part)
        left -= double(scales[part]) * number(part, code, i);
      squares += left * left;
    }
    return squares;
  }

  double error(const std::vector<uint8_t> &codes, const std::vector<float> &scales) const {
    double sum = 0;
    forBlocks([&](size_t at, int64_t, int64_t, const std::vector<double> &block) {
      sum += distance(block, codes[at], scales);
    });
    return sum;
  }

  /// One term after another, each on what the ones before it leave.
  std::vector<float> scalesFor(const std::vector<uint8_t> &codes) const {
    std::vector<float> scales;
    for (size_t part = 0; part < parts(); ++part) {
      double products = 0, squares = 0;
      forBlocks([&](size_t at, int64_t, int64_t, const std::vector<double> &block) {
        for (size_t i = 0; i < each; ++i) {
          double left = block[i], mine = number(part, codes[at], i);
          for (size_t before = 0; before < part; ++before)
            left -= double(scales[before]) * number(before, codes[at], i);
          products += left * mine;
          squares += mine * mine;
        }
      });
      scales.push_back(roundToScale(result.encoding.terms[first + part].scale[0].type,
                                    squares > 0 ? float(products / squares) : 0.0f));
    }
    return scales;
  }

  void store(const std::vector<uint8_t> &codes, const std::vector<float> &scales) {
    int64_t size = result.encoding.terms[first].scale[0].block.columns;
    forBlocks([&](size_t at, int64_t n, int64_t k, const std::vector<double> &) {
      for (size_t i = 0; i < each; ++i) {
        int64_t r = n + int64_t(i) / codec.columns, c = k + int64_t(i) % codec.columns;
        if (r >= result.n || c >= result.k)
          continue;
        for (size_t part = 0; part < parts(); ++part) {
          TermValues &values = result.terms[first + part];
          values.codes[r * result.k + c] = uint8_t(codes[at] + codec.at(r, c));
          FactorValues &factor = values.factors[0];
          int64_t blocks = int64_t(factor.size()) / std::max<int64_t>(result.n, 1);
          factor[r * blocks + (size ? c / size : 0)] = scales[part];
          rest[r * result.k + c] -= number(part, codes[at], i) * scales[part];
        }
      }
    });
  }

  Matrix &result;
  size_t first, last;
  const Codec &codec;
  std::vector<float> &rest;
  std::vector<float> numbers; ///< [part][code][element]
  size_t each, count;
  std::pair<int64_t, int64_t> rows, columns;
};

} // namespace

size_t fitVectors(Matrix &result, size_t first, std::vector<float> &rest, Quantizer quantizer) {
  VectorFit fit(result, first, rest);
  const BlockShape &block = result.encoding.terms[first].scale[0].block;
  int64_t rows = block.rows ? block.rows : result.n, columns = block.columns ? block.columns : result.k;
  for (int64_t n = 0; n < result.n; n += rows)
    for (int64_t k = 0; k < result.k; k += columns)
      if (!fit.fit(n, std::min(n + rows, result.n), k, std::min(k + columns, result.k), quantizer))
        return 0;
  return fit.end();
}

} // namespace whit
