// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Term after term, each on what the ones before it left (planes of the same blocks together: PlaneFit.h). A term first gets the
// scale that each of its smallest blocks would like, in f32; then the factors are chosen from the largest block to the smallest,
// each rounded to its type in the light of those above it; then every value gets the nearest code under the scale that came of
// it. With least squares, what the smallest blocks store is chosen once more, the factors above staying as they are: so no block
// loses by it (BlockFit.h).
#include "runtime/encoding/QuantizeTerms.h"

#include "runtime/encoding/BlockFit.h"
#include "runtime/encoding/FactorGrid.h"
#include "runtime/encoding/Formula.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/PlaneFit.h"
#include "runtime/encoding/VectorFit.h"
#include "runtime/encoding/ZeroFit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

/// The scale (and offset) that a block would like to have.
struct Wish {
  float scale = 0, offset = 0;
  float high = 0; ///< the largest value, where there is an offset
};

class TermQuantizer {
public:
  TermQuantizer(const Encoding &encoding, size_t t, std::vector<float> &rest, Matrix &result, Quantizer quantizer)
      : encoding(encoding), term(encoding.terms[t]), hasOffset(t == 0 && encoding.zero != ZeroKind::Constant),
        rest(rest), result(result), values(result.terms[t]), quantizer(quantizer), n(result.n), k(result.k),
        grid(term.scale.front().block, n, k), block(grid.block) {
    for (int choice = 0; choice < term.codec.choices; ++choice)
      books.emplace_back(term.codec, t == 0 ? encoding.constant : 0, choice);
  }

  bool run(std::string *why) {
    if (term.codec.isSparse)
      keepBest([](int64_t, int64_t, float value) { return std::fabs(value); });
    std::vector<Wish> wishes;
    forBlocks([&](int64_t row, int64_t b) { wishes.push_back(wishOf(row, b)); });
    std::vector<float> offsets = factorizeMinima(wishes), ideal(n * block.perRow);
    size_t at = 0;
    forBlocks([&](int64_t row, int64_t b) {
      Wish &wish = wishes[at++];
      // A minimum that was rounded, or cannot have its sign, moves the range that is left for the codes.
      if (hasMinimum() && books[0].lowest() == 0 && books[0].highest() > 0)
        wish.scale = std::max(wish.high - offsets[row * block.perRow + b], 0.0f) / books[0].highest();
      forRows(row, [&](int64_t r) { ideal[r * block.perRow + b] = wish.scale; });
    });
    std::vector<float> scales = grid.factorize(ideal, term.scale, values.factors);
    if (hasOffset && !hasMinimum())
      offsets = zerosOf(wishes, scales);
    if (!allFinite(scales) || !allFinite(offsets))
      return refuse(why);
    if (quantizer == Quantizer::LeastSquares) {
      auto improveAll = [&] {
        forBlocks([&](int64_t row, int64_t b) { improve(row, b); });
        scales = grid.products(term.scale, values.factors);
        if (hasOffset)
          offsets = grid.products(encoding.offset, result.offset);
      };
      improveAll();
      if (term.codec.isSparse) {
        // Of four elements those are kept whose codes take most away from the error, and then the scales are theirs to choose.
        keepBest([&](int64_t row, int64_t j, float value) {
          double left = double(value) - coded(row, j, scales, offsets).value;
          return double(value) * value - left * left;
        });
        improveAll();
      }
    }
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

  static bool allFinite(const std::vector<float> &numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); });
  }

  bool hasMinimum() const { return hasOffset && encoding.zero == ZeroKind::Minimum; }

  template <typename Body> void forBlocks(Body &&body) const { grid.forBlocks(body); }
  template <typename Body> void forRows(int64_t row, Body &&body) const { grid.forRows(row, body); }
  /// The values of a block that have codes.
  template <typename Body> void forBlock(int64_t row, int64_t b, Body &&body) const {
    grid.forElements(row, b, [&](int64_t r, int64_t j) {
      if (!term.codec.isSparse || values.keeps(r, k, j))
        body(rest[r * k + j]);
    });
  }

  /// Keeps the two of each four for which worth(row, element, value) is largest. Of equals, and of what lies past the end of a
  /// row, the order is what CUTLASS and PyTorch do with zeros (Matrix.h).
  template <typename Worth> void keepBest(Worth &&worth) {
    int64_t fours = (k + 3) / 4;
    for (int64_t row = 0; row < n; ++row)
      for (int64_t four = 0; four < fours; ++four) {
        double worths[4];
        for (int64_t i = 0, j = 4 * four; i < 4; ++i, ++j)
          worths[i] = j < k ? double(worth(row, j, rest[row * k + j])) : 0;
        int order[] = {2, 3, 0, 1};
        std::stable_sort(order, order + 4, [&](int x, int y) { return worths[x] > worths[y]; });
        values.kept[row * fours + four] = keptPair(uint8_t(1 << order[0] | 1 << order[1]));
      }
  }

  /// Tables with numbers of both signs: the largest value of the block meets the largest number. One or two numbers beside 0, or
  /// a sign alone: the mean magnitude meets them ("BitNet b1.58", 2024). With an offset: the range of the block, and 0 where it is
  /// a zero point, is laid over the range of the table.
  Wish nearestWish(const CodeBook &book, int64_t row, int64_t b) const {
    float low = std::numeric_limits<float>::max(), high = -low, extreme = 0;
    double magnitudes = 0;
    int64_t count = 0;
    forBlock(row, b, [&](float value) {
      low = std::min(low, value), high = std::max(high, value);
      extreme = std::fabs(value) > std::fabs(extreme) ? value : extreme;
      magnitudes += std::fabs(value);
      ++count;
    });
    if (!count)
      return {};
    if (hasOffset) {
      if (encoding.zero != ZeroKind::Minimum)
        low = std::min(low, 0.0f), high = std::max(high, 0.0f);
      else if (!isSigned(encoding.offset.front().type)) // its sign is that of the factors above, as in ggml
        low = std::min(low, 0.0f);
      float scale = (high - low) / (book.highest() - book.lowest());
      return {scale, encoding.zero == ZeroKind::Minimum ? low - book.lowest() * scale : low, high};
    }
    bool isSymmetric = book.highest() == -book.lowest();
    if (isSymmetric && book.ascending().size() <= 3)
      return {float(magnitudes / double(count)) / book.highest()};
    if (isSigned(term.scale.front().type) && !isSymmetric)
      return {extreme / book.extreme()};
    float above = book.highest() > 0 ? std::max(high, 0.0f) / book.highest() : 0;
    float below = book.lowest() < 0 ? std::min(low, 0.0f) / book.lowest() : 0;
    return {std::max(above, below)};
  }

  std::vector<float> gather(int64_t row, int64_t b) const {
    std::vector<float> w;
    forBlock(row, b, [&](float value) { w.push_back(value); });
    return w;
  }

  /// Everything about a block but what it stores; before factors are chosen it is as if it could store any float.
  BlockContext contextOf(int64_t row, int64_t b, bool isStored) const {
    BlockContext context{
        encoding, books, term.codec.kind, hasOffset, isStored ? term.scale.front().type : ScaleType::F32, {}, {}};
    auto outer = [&](const std::vector<Factor> &factors, const std::vector<FactorValues> &stored,
                     std::vector<float> &to) {
      for (size_t f = 1; f < factors.size(); ++f)
        to.push_back(stored[f][grid.indexIn(factors[f], row, b)]);
    };
    if (isStored) {
      outer(term.scale, values.factors, context.outerScales);
      if (hasOffset)
        outer(encoding.offset, result.offset, context.outerOffsets);
    }
    return context;
  }

  Wish wishOf(int64_t row, int64_t b) {
    if (books.size() == 1)
      return nearestWish(books[0], row, b);
    std::vector<float> w = gather(row, b);
    BlockContext context = contextOf(row, b, false);
    Wish best;
    double least = std::numeric_limits<double>::infinity();
    for (size_t choice = 0; choice < books.size(); ++choice) {
      Wish wish = nearestWish(books[choice], row, b);
      double error = blockError(context, {wish.scale, wish.offset, int(choice)}, w);
      if (error >= least)
        continue;
      least = error, best = wish;
      forRows(row, [&](int64_t r) { values.choices[r * block.perRow + b] = uint8_t(choice); });
    }
    return best;
  }

  /// Replaces what a block stores by what loses least.
  void improve(int64_t row, int64_t b) {
    BlockContext context = contextOf(row, b, true);
    size_t at = grid.indexIn(term.scale[0], row, b), choice = size_t(row * block.perRow + b);
    BlockNumbers numbers{values.factors[0][at], hasOffset ? result.offset[0][at] : 0,
                         values.choices.empty() ? 0 : int(values.choices[choice])};
    std::vector<float> w = gather(row, b);
    if (w.empty())
      return;
    numbers = fitBlock(context, numbers, w);
    forRows(row, [&](int64_t r) {
      values.factors[0][r * block.perRow + b] = numbers.scale;
      if (hasOffset)
        result.offset[0][r * block.perRow + b] = numbers.offset;
      if (!values.choices.empty())
        values.choices[r * block.perRow + b] = uint8_t(numbers.choice);
    });
  }

  std::vector<float> factorizeMinima(const std::vector<Wish> &wishes) {
    if (!hasMinimum())
      return {};
    std::vector<float> ideal(n * block.perRow);
    size_t at = 0;
    forBlocks([&](int64_t row, int64_t b) {
      forRows(row, [&](int64_t r) { ideal[r * block.perRow + b] = wishes[at].offset; });
      ++at;
    });
    return grid.factorize(ideal, encoding.offset, result.offset);
  }

  /// Zero points: the code whose number means 0.
  std::vector<float> zerosOf(const std::vector<Wish> &wishes, const std::vector<float> &scales) {
    std::vector<float> ideal(scales.size());
    size_t at = 0;
    forBlocks([&](int64_t row, int64_t b) {
      forRows(row, [&](int64_t r) {
        size_t i = size_t(r * block.perRow + b);
        ideal[i] = scales[i] == 0 ? 0 : books[0].lowest() - wishes[at].offset / scales[i];
      });
      ++at;
    });
    return grid.factorize(ideal, encoding.offset, result.offset);
  }

  /// What becomes of the value of an element that has a code.
  CodedValue coded(int64_t row, int64_t j, const std::vector<float> &scales, const std::vector<float> &offsets) const {
    BlockContext context{encoding, books, term.codec.kind, hasOffset, term.scale.front().type, {}, {}};
    int64_t at = row * block.perRow + j / block.columns;
    const CodeBook &book = books[values.choices.empty() ? 0 : values.choices[at]];
    return codeOf(context, book, scales[at], offsets.empty() ? 0 : offsets[at], rest[row * k + j]);
  }

  void encode(const std::vector<float> &scales, const std::vector<float> &offsets) {
    for (int64_t row = 0; row < n; ++row)
      for (int64_t j = 0; j < k; ++j) {
        if (term.codec.isSparse && !values.keeps(row, k, j))
          continue;
        CodedValue found = coded(row, j, scales, offsets);
        values.codes[row * k + j] = found.code;
        rest[row * k + j] -= found.value;
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
  FactorGrid grid;
  const Blocks &block;
  std::vector<CodeBook> books;
};

bool quantizePlanes(const float *w, Matrix &result, std::string *why, Quantizer quantizer) {
  const Encoding &encoding = result.encoding;
  PlaneFit planes(encoding);
  int64_t group = groupSize(encoding, result.k), groups = result.groups();
  for (int64_t row = 0; row < result.n; ++row)
    for (int64_t g = 0; g < groups; ++g) {
      int64_t begin = g * group;
      std::span<const float> source(w + row * result.k + begin, size_t(std::min(group, result.k - begin)));
      if (source.empty())
        continue;
      PlaneFit::Numbers numbers = planes.nearest(source);
      if (!std::all_of(numbers.begin(), numbers.end(), [](float number) { return std::isfinite(number); })) {
        if (why)
          *why = "a scale or minimum does not fit its type in " + nameOf(encoding) +
                 "; use a format with f32 or bf16 scales, at row " + std::to_string(row) + ", column " +
                 std::to_string(begin);
        return false;
      }
      if (quantizer == Quantizer::LeastSquares)
        numbers = planes.fit(source, numbers);
      std::vector<uint8_t *> codes;
      for (size_t t = 0; t < encoding.terms.size(); ++t) {
        result.terms[t].factors[0][row * groups + g] = numbers[t];
        codes.push_back(result.terms[t].codes.data() + row * result.k + begin);
      }
      if (encoding.zero == ZeroKind::Minimum)
        result.offset[0][row * groups + g] = numbers.back();
      planes.encode(numbers, source, codes);
    }
  return true;
}

/// Blocks of elements at the ends of a matrix are filled up with zeros, of which a later term must see what the ones before it made.
bool quantizeFilled(const float *w, Matrix &result, std::string *why, Quantizer quantizer) {
  int64_t rows = 1, columns = 1;
  for (const Term &term : result.encoding.terms) {
    rows = std::max<int64_t>(rows, term.codec.rows);
    columns = std::max<int64_t>(columns, term.codec.columns);
  }
  Matrix whole =
      makeMatrix(result.encoding, (result.n + rows - 1) / rows * rows, (result.k + columns - 1) / columns * columns);
  std::vector<float> filled(whole.n * whole.k);
  for (int64_t n = 0; n < result.n; ++n)
    std::copy_n(w + n * result.k, result.k, filled.begin() + n * whole.k);
  if (!quantizeTerms(filled.data(), whole, why, quantizer))
    return false;
  for (size_t t = 0; t < result.terms.size(); ++t) {
    std::copy_n(whole.terms[t].factors[0].begin(), result.terms[t].factors[0].size(),
                result.terms[t].factors[0].begin());
    for (int64_t n = 0; n < result.n; ++n)
      std::copy_n(whole.terms[t].codes.begin() + n * whole.k, result.k, result.terms[t].codes.begin() + n * result.k);
  }
  return true;
}

} // namespace

bool quantizeTerms(const float *w, Matrix &result, std::string *why, Quantizer quantizer) {
  const Encoding &encoding = result.encoding;
  if (isPlanes(encoding))
    return quantizePlanes(w, result, why, quantizer);
  auto isCut = [&](const Term &term) { return result.n % term.codec.rows || result.k % term.codec.columns; };
  bool isVector = std::all_of(encoding.terms.begin(), encoding.terms.end(),
                              [](const Term &term) { return term.codec.kind == CodecKind::Vector; });
  if (isVector && std::any_of(encoding.terms.begin(), encoding.terms.end(), isCut))
    return quantizeFilled(w, result, why, quantizer);
  std::vector<float> rest(w, w + result.n * result.k);
  bool isApart = hasZerosApart(encoding);
  if (isApart && encoding.codec().isSparse) {
    if (why)
      *why = "the zero points of " + nameOf(encoding) +
             " have other blocks than its scales; floats cannot be quantized so where only two of four are kept";
    return false;
  }
  if (isApart && !quantizeApart(rest, result, why, quantizer))
    return false;
  for (size_t t = isApart; t < encoding.terms.size();) {
    if (encoding.terms[t].codec.kind != CodecKind::Vector) {
      if (!TermQuantizer(encoding, t++, rest, result, quantizer).run(why))
        return false;
    } else if (t = fitVectors(result, t, rest, quantizer); !t) {
      if (why)
        *why = "a scale does not fit its type in " + nameOf(encoding) + "; use a format with f32 or bf16 scales";
      return false;
    }
  }
  return true;
}

} // namespace whit
