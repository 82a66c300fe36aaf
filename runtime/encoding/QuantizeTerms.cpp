// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Term after term, each on what the ones before it left. A term first gets the scale that each of its smallest blocks would
// like, in f32; then the factors are chosen from the largest block to the smallest, each rounded to its type in the light of
// those above it; then every value gets the nearest code under the scale that came of it.
#include "runtime/encoding/QuantizeTerms.h"

#include "runtime/encoding/CodeBook.h"
#include "runtime/encoding/Formula.h"
#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cmath>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

/// The blocks of one factor, laid over the matrix.
struct Blocks {
  int64_t rows, columns, perRow;
  Blocks(const BlockShape &shape, int64_t n, int64_t k)
      : rows(shape.rows ? shape.rows : std::max<int64_t>(n, 1)),
        columns(shape.columns ? shape.columns : std::max<int64_t>(k, 1)),
        perRow(std::max<int64_t>((k + columns - 1) / columns, 1)) {}
};

/// The scale (and offset) that a block would like to have.
struct Wish {
  float scale = 0, offset = 0;
};

class TermQuantizer {
public:
  TermQuantizer(const Encoding &encoding, size_t t, std::vector<float> &rest, Matrix &result, Quantizer quantizer)
      : encoding(encoding), term(encoding.terms[t]), hasOffset(t == 0 && encoding.zero != ZeroKind::Constant),
        rest(rest), result(result), values(result.terms[t]), quantizer(quantizer), n(result.n), k(result.k),
        block(term.scale.front().block, n, k) {
    for (int choice = 0; choice < term.codec.choices; ++choice)
      books.emplace_back(term.codec, t == 0 ? encoding.constant : 0, choice);
  }

  bool run(std::string *why) {
    std::vector<Wish> wishes;
    for (int64_t row = 0; row < n; row += block.rows)
      for (int64_t b = 0; b < block.perRow; ++b)
        wishes.push_back(wishOf(row, b));
    std::vector<float> ideal(n * block.perRow), offsets(hasOffset ? ideal.size() : 0);
    for (int64_t row = 0; row < n; ++row)
      for (int64_t b = 0; b < block.perRow; ++b) {
        const Wish &wish = wishes[row / block.rows * block.perRow + b];
        ideal[row * block.perRow + b] = wish.scale;
        if (hasOffset)
          offsets[row * block.perRow + b] = wish.offset;
      }
    std::vector<float> scales = factorize(ideal, term.scale, values.factors);
    if (hasOffset && encoding.zero == ZeroKind::Minimum)
      offsets = factorize(offsets, encoding.offset, result.offset);
    else if (hasOffset)
      offsets = zerosOf(offsets, scales);
    for (float number : scales)
      if (!std::isfinite(number))
        return refuse(why);
    for (float number : offsets)
      if (!std::isfinite(number))
        return refuse(why);
    encode(scales, offsets);
    return true;
  }

private:
  bool refuse(std::string *why) const {
    if (why)
      *why =
          "a scale or minimum does not fit its type in " + nameOf(encoding) + "; use a format with f32 or bf16 scales";
    return false;
  }

  template <typename Body> void forBlock(int64_t row, int64_t b, Body &&body) const {
    for (int64_t r = row; r < std::min(row + block.rows, n); ++r)
      for (int64_t j = b * block.columns; j < std::min((b + 1) * block.columns, k); ++j)
        body(rest[r * k + j]);
  }

  /// Tables with numbers of both signs: the largest value of the block meets the largest number. With an offset: the range of
  /// the block, and 0 where it is a zero point, is laid over the range of the table.
  Wish nearestWish(const CodeBook &book, int64_t row, int64_t b) const {
    float low = std::numeric_limits<float>::max(), high = -low, extreme = 0;
    forBlock(row, b, [&](float value) {
      low = std::min(low, value), high = std::max(high, value);
      extreme = std::fabs(value) > std::fabs(extreme) ? value : extreme;
    });
    if (hasOffset) {
      if (encoding.zero != ZeroKind::Minimum)
        low = std::min(low, 0.0f), high = std::max(high, 0.0f);
      Wish wish;
      wish.scale = (high - low) / (book.highest() - book.lowest());
      wish.offset = encoding.zero == ZeroKind::Minimum ? low - book.lowest() * wish.scale : low;
      return wish;
    }
    bool isSymmetric = book.highest() == -book.lowest();
    if (isSigned(term.scale.front().type) && !isSymmetric)
      return {extreme / book.extreme(), 0};
    float above = book.highest() > 0 ? std::max(high, 0.0f) / book.highest() : 0;
    float below = book.lowest() < 0 ? std::min(low, 0.0f) / book.lowest() : 0;
    return {std::max(above, below), 0};
  }

  double errorOf(const CodeBook &book, const Wish &wish, int64_t row, int64_t b, Wish *refit) const {
    double error = 0, vv = 0, vw = 0;
    forBlock(row, b, [&](float value) {
      float x = value - (encoding.zero == ZeroKind::Minimum && hasOffset ? wish.offset : 0);
      float number = book.number(book.nearest(wish.scale == 0 ? 0 : x / wish.scale));
      double difference = double(x) - double(number) * double(wish.scale);
      error += difference * difference;
      vv += double(number) * number;
      vw += double(number) * x;
    });
    if (refit && vv > 0)
      refit->scale = float(vw / vv);
    return error;
  }

  /// Scales around the nearest one, each improved once by what suits its codes best.
  Wish wishOf(const CodeBook &book, int64_t row, int64_t b, double *error) const {
    Wish best = nearestWish(book, row, b);
    bool hasZero = hasOffset && encoding.zero != ZeroKind::Minimum;
    if (quantizer == Quantizer::LeastSquares && best.scale != 0 && !hasZero) {
      constexpr float kRatios[] = {0.6f,  0.67f, 0.72f, 0.76f, 0.8f,  0.84f, 0.88f,
                                   0.92f, 0.96f, 1.0f,  1.04f, 1.08f, 1.14f, 1.2f};
      Wish start = best;
      double least = errorOf(book, best, row, b, nullptr);
      for (float ratio : kRatios) {
        Wish candidate = start, improved;
        candidate.scale *= ratio;
        improved = candidate;
        double first = errorOf(book, candidate, row, b, &improved), second = errorOf(book, improved, row, b, nullptr);
        if (first < least)
          least = first, best = candidate;
        if (second < least)
          least = second, best = improved;
      }
    }
    if (error)
      *error = errorOf(book, best, row, b, nullptr);
    return best;
  }

  Wish wishOf(int64_t row, int64_t b) {
    if (books.size() == 1)
      return wishOf(books[0], row, b, nullptr);
    Wish best;
    double least = std::numeric_limits<double>::infinity();
    for (size_t choice = 0; choice < books.size(); ++choice) {
      double error;
      Wish wish = wishOf(books[choice], row, b, &error);
      if (error >= least)
        continue;
      least = error, best = wish;
      for (int64_t r = row; r < std::min(row + block.rows, n); ++r)
        values.choices[r * block.perRow + b] = uint8_t(choice);
    }
    return best;
  }

  /// Chooses stored numbers whose product is near `ideal` ([n][block.perRow]); gives the products.
  std::vector<float> factorize(const std::vector<float> &ideal, const std::vector<Factor> &factors,
                               std::vector<FactorValues> &stored) const {
    std::vector<float> outer(ideal.size(),
                             1.0f); // the product of the factors of larger blocks, in f64 order of the walk
    for (size_t f = factors.size(); f-- > 0;) {
      Blocks shape(factors[f].block, n, k);
      ScaleType type = factors[f].type;
      // The largest number that the factors below can make: the part of the scale that they take over.
      float below = 1;
      for (size_t inner = 0; inner < f; ++inner)
        if (isInteger(factors[inner].type) || scaleBits(factors[inner].type) == 8)
          below *= factors[inner].type == ScaleType::E8M0 ? 1 : largestScale(factors[inner].type);
      bool isLast = f == 0;
      for (int64_t row = 0; row < n; row += shape.rows)
        for (int64_t b = 0; b < shape.perRow; ++b) {
          float wanted = 0;
          forCovered(shape, row, b, [&](int64_t at) {
            float value = outer[at] == 0 ? 0 : ideal[at] / outer[at];
            wanted = std::fabs(value) > std::fabs(wanted) ? value : wanted;
          });
          if (!isLast)
            wanted = std::fabs(wanted) / below;
          float number = roundToScale(type, wanted);
          // A scale too small for its type still has to keep the sign and the size of what it can.
          if (number == 0 && wanted > 0 && !isInteger(type))
            number = smallestScale(type);
          for (int64_t r = row; r < std::min(row + shape.rows, n); ++r)
            stored[f][r * shape.perRow + b] = number;
          forCovered(shape, row, b, [&](int64_t at) { outer[at] *= number; });
        }
    }
    // What a reader computes: from the smallest block up.
    std::vector<float> products(ideal.size());
    for (size_t f = 0; f < factors.size(); ++f) {
      Blocks shape(factors[f].block, n, k);
      for (int64_t row = 0; row < n; ++row)
        for (int64_t b = 0; b < block.perRow; ++b) {
          float number = stored[f][row * shape.perRow + b * block.columns / shape.columns];
          float &product = products[row * block.perRow + b];
          product = f ? product * number : number;
        }
    }
    return products;
  }

  /// The blocks of this term that a block of a factor covers.
  template <typename Body> void forCovered(const Blocks &shape, int64_t row, int64_t b, Body &&body) const {
    for (int64_t r = row; r < std::min(row + shape.rows, n); ++r)
      for (int64_t at = b * shape.columns / block.columns;
           at < block.perRow && at * block.columns < (b + 1) * shape.columns; ++at)
        body(r * block.perRow + at);
  }

  static float smallestScale(ScaleType type) {
    switch (type) {
    case ScaleType::E4M3:
      return 0x1p-9f;
    case ScaleType::UE5M3:
      return 0x1p-17f;
    default:
      return 0;
    }
  }

  /// Zero points: the code whose number means 0.
  std::vector<float> zerosOf(const std::vector<float> &lows, const std::vector<float> &scales) {
    std::vector<float> zeros(lows.size());
    for (size_t i = 0; i < lows.size(); ++i) {
      float wanted = scales[i] == 0 ? 0 : books[0].lowest() - lows[i] / scales[i];
      zeros[i] = roundToScale(encoding.offset.front().type, wanted);
      result.offset.front()[i] = zeros[i];
    }
    return zeros;
  }

  void encode(const std::vector<float> &scales, const std::vector<float> &offsets) {
    for (int64_t row = 0; row < n; ++row)
      for (int64_t j = 0; j < k; ++j) {
        int64_t at = row * block.perRow + j / block.columns;
        const CodeBook &book = books[values.choices.empty() ? 0 : values.choices[at]];
        float scale = scales[at], &value = rest[row * k + j];
        float offset = offsets.empty() ? 0 : offsets[at];
        bool isMinimum = hasOffset && encoding.zero == ZeroKind::Minimum;
        float x = isMinimum ? value - offset : value;
        float wanted = scale == 0 ? 0 : x / scale;
        uint8_t code = book.nearest(isMinimum ? wanted : wanted + offset);
        values.codes[row * k + j] = code;
        float number = book.number(code);
        value = isMinimum ? x - scale * number : value - (number - offset) * scale;
      }
  }

  const Encoding &encoding;
  const Term &term;
  bool hasOffset; ///< a zero or a minimum is this term's to choose
  std::vector<float> &rest;
  Matrix &result;
  TermValues &values;
  Quantizer quantizer;
  int64_t n, k;
  Blocks block;
  std::vector<CodeBook> books;
};

} // namespace

bool quantizeTerms(const float *w, Matrix &result, std::string *why, Quantizer quantizer) {
  const Encoding &encoding = result.encoding;
  if (!encoding.offset.empty() && encoding.offset.front().block != encoding.terms.front().scale.front().block) {
    if (why)
      *why = "the zero points of " + nameOf(encoding) +
             " have other blocks than its scales; floats cannot be quantized so";
    return false;
  }
  std::vector<float> rest(w, w + result.n * result.k);
  for (size_t t = 0; t < encoding.terms.size(); ++t)
    if (!TermQuantizer(encoding, t, rest, result, quantizer).run(why))
      return false;
  return true;
}

} // namespace whit
