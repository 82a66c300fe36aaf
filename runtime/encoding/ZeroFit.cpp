// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Zero points or minima come first, from the range of their own blocks; then each block of scales takes the least scale that reaches all
// of its values from there. With least squares, either is then chosen again while the other stays, twice: the scale of a block, or the
// zero of one, changes only if the block's squared error becomes less, so that the sum over the matrix never grows.
#include "runtime/encoding/ZeroFit.h"

#include "runtime/encoding/BlockFit.h"
#include "runtime/encoding/FactorGrid.h"
#include "runtime/encoding/Half.h"

#include <cmath>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

class ApartQuantizer {
public:
  ApartQuantizer(std::vector<float> &rest, Matrix &result)
      : encoding(result.encoding), term(encoding.terms.front()), rest(rest), result(result),
        values(result.terms.front()), k(result.k), scaleGrid(term.scale.front().block, result.n, k),
        offsetGrid(encoding.offset.front().block, result.n, k),
        context{encoding, books, term.codec.kind, true, term.scale.front().type, {}, {}} {
    for (int choice = 0; choice < term.codec.choices; ++choice)
      books.emplace_back(term.codec, 0, choice);
  }

  bool run(std::string *why, Quantizer quantizer) {
    offsets = offsetGrid.factorize(wishedOffsets(), encoding.offset, result.offset);
    scales = scaleGrid.factorize(wishedScales(), term.scale, values.factors);
    auto isFinite = [](float number) { return std::isfinite(number); };
    if (!std::all_of(scales.begin(), scales.end(), isFinite) ||
        !std::all_of(offsets.begin(), offsets.end(), isFinite)) {
      if (why)
        *why = "a scale or minimum does not fit its type in " + nameOf(encoding) +
               "; use a format with f32 or bf16 scales";
      return false;
    }
    for (int round = 0; quantizer == Quantizer::LeastSquares && round < 2; ++round) {
      scaleGrid.forBlocks([&](int64_t row, int64_t b) { improveScale(row, b); });
      offsetGrid.forBlocks([&](int64_t row, int64_t b) { improveOffset(row, b); });
    }
    encode();
    return true;
  }

private:
  bool isMinimum() const { return encoding.zero == ZeroKind::Minimum; }

  template <typename Body> std::vector<float> wishes(const FactorGrid &grid, Body &&wish) const {
    std::vector<float> ideal(result.n * grid.block.perRow);
    grid.forBlocks([&](int64_t row, int64_t b) {
      float value = wish(row, b);
      grid.forRows(row, [&](int64_t r) { ideal[grid.index(r, b)] = value; });
    });
    return ideal;
  }

  /// Where the number 0 of a code falls, or which number means 0, if the codes span the values of a block.
  std::vector<float> wishedOffsets() const {
    const CodeBook &book = books.front();
    return wishes(offsetGrid, [&](int64_t row, int64_t b) {
      float low = std::numeric_limits<float>::max(), high = -low;
      offsetGrid.forElements(row, b, [&](int64_t r, int64_t j) {
        low = std::min(low, rest[r * k + j]), high = std::max(high, rest[r * k + j]);
      });
      if (low > high)
        return 0.0f;
      if (!isMinimum())
        low = std::min(low, 0.0f), high = std::max(high, 0.0f);
      else if (!isSigned(encoding.offset.front().type)) // its sign is that of the factors above, as in ggml
        low = std::min(low, 0.0f);
      float scale = (high - low) / (book.highest() - book.lowest());
      if (isMinimum())
        return low - book.lowest() * scale;
      return scale == 0 ? 0 : book.lowest() - low / scale;
    });
  }

  /// The least scale under which the codes reach every value of the block, its zeros being given.
  std::vector<float> wishedScales() const {
    const CodeBook &book = books.front();
    return wishes(scaleGrid, [&](int64_t row, int64_t b) {
      float scale = 0;
      scaleGrid.forElements(row, b, [&](int64_t r, int64_t j) {
        float offset = offsets[offsetGrid.indexOfElement(r, j)];
        float value = rest[r * k + j] - (isMinimum() ? offset : 0);
        float reach = (value > 0 ? book.highest() : book.lowest()) - (isMinimum() ? 0 : offset);
        if (value * reach > 0)
          scale = std::max(scale, value / reach);
      });
      return scale;
    });
  }

  /// Numbers beside what a block stores: multiples of it, those beside it, and `wanted`.
  static std::vector<float> candidates(ScaleType type, float number, float wanted) {
    std::vector<float> result = neighboursOf(type, number);
    for (float each : neighboursOf(type, roundToScale(type, wanted)))
      result.push_back(each);
    return result;
  }

  /// Sets `number` to the candidate with the least error, if that is less than the error of what it is.
  template <typename Error> static void choose(float &number, const std::vector<float> &candidates, Error &&error) {
    double least = error(number);
    float best = number;
    for (float candidate : candidates)
      if (double found = std::isfinite(candidate) ? error(candidate) : least; found < least)
        least = found, best = candidate;
    number = best;
  }

  /// The product of the factors above the first, for a block.
  float outerOf(const FactorGrid &grid, const std::vector<Factor> &factors, const std::vector<FactorValues> &stored,
                int64_t row, int64_t b, float first) const {
    for (size_t f = 1; f < factors.size(); ++f)
      first *= stored[f][grid.indexIn(factors[f], row, b)];
    return first;
  }

  const CodeBook &bookOf(int64_t row, int64_t j) const {
    return books[values.choices.empty() ? 0 : values.choices[scaleGrid.indexOfElement(row, j)]];
  }
  double squared(const CodeBook &book, float scale, float offset, float value) const {
    double difference = double(value) - double(codeOf(context, book, scale, offset, value).value);
    return difference * difference;
  }

  void improveScale(int64_t row, int64_t b) {
    float number = values.factors[0][scaleGrid.index(row, b)], scale = scales[scaleGrid.index(row, b)];
    int choice = values.choices.empty() ? 0 : values.choices[scaleGrid.index(row, b)], best = choice;
    double bestError = std::numeric_limits<double>::infinity();
    float bestNumber = number;
    for (int tried = 0; tried < term.codec.choices; ++tried) {
      const CodeBook &book = books[size_t(tried)];
      auto error = [&](float stored) {
        float product = outerOf(scaleGrid, term.scale, values.factors, row, b, stored);
        double sum = 0;
        scaleGrid.forElements(row, b, [&](int64_t r, int64_t j) {
          sum += squared(book, product, offsets[offsetGrid.indexOfElement(r, j)], rest[r * k + j]);
        });
        return std::isfinite(product) ? sum : std::numeric_limits<double>::infinity();
      };
      // The slope that suits the codes as they are.
      double products = 0, squares = 0;
      scaleGrid.forElements(row, b, [&](int64_t r, int64_t j) {
        float offset = offsets[offsetGrid.indexOfElement(r, j)], value = rest[r * k + j];
        double x = double(book.number(codeOf(context, book, scale, offset, value).code)) - (isMinimum() ? 0 : offset);
        products += x * (double(value) - (isMinimum() ? offset : 0));
        squares += x * x;
      });
      std::vector<float> all =
          candidates(term.scale[0].type, number,
                     scale != 0 && squares > 0 ? float(double(number) * (products / squares / double(scale))) : number);
      for (float ratio = 0.5f; ratio < 1.2f; ratio *= 1.07f)
        all.push_back(roundToScale(term.scale[0].type, number * ratio));
      float chosen = number;
      choose(chosen, all, error);
      if (double found = error(chosen); tried == choice ? found <= bestError : found < bestError)
        bestError = found, bestNumber = chosen, best = tried;
    }
    scaleGrid.forRows(row, [&](int64_t r) {
      size_t at = scaleGrid.index(r, b);
      values.factors[0][at] = bestNumber;
      scales[at] = outerOf(scaleGrid, term.scale, values.factors, r, b, bestNumber);
      if (!values.choices.empty())
        values.choices[at] = uint8_t(best);
    });
  }

  void improveOffset(int64_t row, int64_t b) {
    float number = result.offset[0][offsetGrid.index(row, b)], offset = offsets[offsetGrid.index(row, b)];
    auto error = [&](float stored) {
      float product = outerOf(offsetGrid, encoding.offset, result.offset, row, b, stored);
      double sum = 0;
      offsetGrid.forElements(row, b, [&](int64_t r, int64_t j) {
        sum += squared(bookOf(r, j), scales[scaleGrid.indexOfElement(r, j)], product, rest[r * k + j]);
      });
      return std::isfinite(product) ? sum : std::numeric_limits<double>::infinity();
    };
    // The offset that suits the codes as they are.
    double residuals = 0, weights = 0;
    offsetGrid.forElements(row, b, [&](int64_t r, int64_t j) {
      float scale = scales[scaleGrid.indexOfElement(r, j)], value = rest[r * k + j];
      CodedValue coded = codeOf(context, bookOf(r, j), scale, offset, value);
      double lost = double(value) - double(coded.value);
      residuals += isMinimum() ? lost : -lost * double(scale);
      weights += isMinimum() ? 1 : double(scale) * double(scale);
    });
    float outer = outerOf(offsetGrid, encoding.offset, result.offset, row, b, 1);
    float wanted = weights > 0 && outer != 0 ? float((double(offset) + residuals / weights) / double(outer)) : number;
    choose(number, candidates(encoding.offset[0].type, number, wanted), error);
    offsetGrid.forRows(row, [&](int64_t r) {
      size_t at = offsetGrid.index(r, b);
      result.offset[0][at] = number;
      offsets[at] = outerOf(offsetGrid, encoding.offset, result.offset, r, b, number);
    });
  }

  void encode() {
    for (int64_t row = 0; row < result.n; ++row)
      for (int64_t j = 0; j < k; ++j) {
        float &value = rest[row * k + j];
        CodedValue coded = codeOf(context, bookOf(row, j), scales[scaleGrid.indexOfElement(row, j)],
                                  offsets[offsetGrid.indexOfElement(row, j)], value);
        values.codes[row * k + j] = coded.code;
        value -= coded.value;
      }
  }

  const Encoding &encoding;
  const Term &term;
  std::vector<float> &rest;
  Matrix &result;
  TermValues &values;
  int64_t k;
  FactorGrid scaleGrid, offsetGrid;
  std::vector<CodeBook> books;
  BlockContext context;
  std::vector<float> scales, offsets; ///< products, on their grids
};

} // namespace

bool hasZerosApart(const Encoding &encoding) {
  return !encoding.offset.empty() && encoding.offset.front().block != encoding.terms.front().scale.front().block;
}

bool quantizeApart(std::vector<float> &rest, Matrix &result, std::string *why, Quantizer quantizer) {
  return ApartQuantizer(rest, result).run(why, quantizer);
}

} // namespace whit
