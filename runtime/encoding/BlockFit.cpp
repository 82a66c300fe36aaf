// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The coarse search multiplies by a reciprocal and adds floats in lanes, so that it becomes vector code; blockError is exact.
#include "runtime/encoding/BlockFit.h"

#include "runtime/encoding/Formula.h"
#include "runtime/encoding/GroupCode.h"
#include "runtime/encoding/Half.h"

#include <array>
#include <cmath>
#include <limits>

#pragma clang fp contract(off)

namespace whit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kLanes = 8, kRun = 256, kFinalists = 3;
/// Tables of more numbers are searched by halves instead of compared with every bound.
constexpr size_t kFewNumbers = 32;

/// Sums over numbers v of codes and the residuals e that they leave.
struct Sums {
  double count = 0, v = 0, vv = 0, e = 0, ev = 0, ee = 0;
};

template <typename Number> Sums measure(float scale, float offset, std::span<const float> w, Number &&number) {
  float inverse = 1 / scale;
  Sums total;
  total.count = double(w.size());
  for (size_t begin = 0; begin < w.size(); begin += kRun) {
    const float *part = w.data() + begin;
    size_t count = std::min(kRun, w.size() - begin), i = 0;
    float v[kLanes] = {}, vv[kLanes] = {}, e[kLanes] = {}, ev[kLanes] = {}, ee[kLanes] = {};
    // Lanes stand inside every loop, so that they become one vector; those past the end are not added.
    for (; i < count; i += kLanes) {
      float x[kLanes], found[kLanes];
      size_t lanes = std::min(kLanes, count - i);
      for (size_t lane = 0; lane < kLanes; ++lane)
        x[lane] = lane < lanes ? (part[i + lane] - offset) * inverse : 0;
      number(x, found);
      for (size_t lane = 0; lane < lanes; ++lane) {
        float residual = (part[i + lane] - offset) - scale * found[lane];
        v[lane] += found[lane];
        vv[lane] += found[lane] * found[lane];
        e[lane] += residual;
        ev[lane] += residual * found[lane];
        ee[lane] += residual * residual;
      }
    }
    for (size_t lane = 0; lane < kLanes; ++lane) {
      total.v += v[lane];
      total.vv += vv[lane];
      total.e += e[lane];
      total.ev += ev[lane];
      total.ee += ee[lane];
    }
  }
  return total;
}

/// The numbers nearest to x, nearly: ties and last bits do not matter to the search.
Sums measure(const CodeBook &book, bool isInteger, float scale, float offset, std::span<const float> w) {
  float low = book.lowest(), high = book.highest();
  if (isInteger) {
    float shift = low - std::floor(low);
    return measure(scale, offset, w, [=](const float *x, float *found) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        found[lane] = roundToEven(std::min(std::max(x[lane], low), high) - shift) + shift;
    });
  }
  const std::vector<float> &values = book.ascending(), &bounds = book.ceilings();
  if (values.size() > kFewNumbers)
    return measure(scale, offset, w, [&](const float *x, float *found) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        found[lane] = book.number(book.nearest(x[lane]));
    });
  float steps[kFewNumbers];
  for (size_t i = 0; i < bounds.size(); ++i)
    steps[i] = values[i + 1] - values[i];
  return measure(scale, offset, w, [&, count = bounds.size()](const float *x, float *found) {
    float sum[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane)
      sum[lane] = low;
    for (size_t i = 0; i < count; ++i)
      for (size_t lane = 0; lane < kLanes; ++lane)
        sum[lane] += x[lane] > bounds[i] ? steps[i] : 0;
    for (size_t lane = 0; lane < kLanes; ++lane)
      found[lane] = sum[lane];
  });
}

struct Fit {
  float scale = 0, offset = 0;
  double error = kInfinity;
};

class Search {
public:
  Search(const BlockContext &context, const BlockNumbers &nearest, std::span<const float> w)
      : context(context), w(w), best(nearest), least(blockError(context, nearest, w)) {
    low = high = w[0];
    for (float value : w)
      low = std::min(low, value), high = std::max(high, value);
    for (float factor : context.outerScales)
      outerScale *= factor;
    for (float factor : context.outerOffsets)
      outerOffset *= factor;
  }

  BlockNumbers run() {
    for (size_t choice = 0; choice < context.books.size(); ++choice)
      if (context.hasOffset && !context.hasMinimum())
        tryZeros(int(choice));
      else if (!context.hasOffset && (context.scaleType == ScaleType::E8M0 || context.scaleType == ScaleType::Shift))
        for (float number : neighboursOf(context.scaleType, best.scale))
          compare({number, 0, int(choice)});
      else
        trySearch(int(choice));
    return best;
  }

private:
  /// Multiples of the scale that the whole range asks for.
  std::vector<float> ratios(const CodeBook &book) const {
    size_t numbers = book.ascending().size();
    float from = 0.3f, to = 1.25f, step = 1.1f;
    if (numbers > 128)
      from = 0.8f, to = 1.3f, step = 1.13f;
    else if (numbers > 24)
      from = 0.75f, to = 1.15f, step = 1.04f;
    else if (numbers > 6)
      from = 0.5f, to = 1.2f, step = 1.07f;
    std::vector<float> result;
    for (float ratio = from; ratio < to; ratio *= step)
      result.push_back(ratio);
    result.push_back(1);
    return result;
  }

  void compare(const BlockNumbers &numbers) {
    if (double error = blockError(context, numbers, w); error < least)
      least = error, best = numbers;
  }

  /// Keeps the line that suits the codes of (scale, offset) best if it is among the best few.
  void consider(const CodeBook &book, float scale, float offset) {
    if (!std::isfinite(scale) || scale == 0 || !std::isfinite(1 / scale))
      return;
    Sums s = measure(book, context.kind == CodecKind::Int, scale, offset, w);
    Fit fit{scale, offset, s.ee};
    if (context.hasMinimum()) {
      double variance = s.vv - s.v * s.v / s.count, slope = variance > 0 ? (s.ev - s.v * s.e / s.count) / variance : 0;
      double shift = (s.e - slope * s.v) / s.count;
      fit = {float(scale + slope), float(offset + shift), s.ee - slope * s.ev - shift * s.e};
    } else if (s.vv > 0) {
      fit = {float(scale + s.ev / s.vv), 0, s.ee - s.ev / s.vv * s.ev};
    }
    for (Fit &place : finalists)
      if (fit.error < place.error)
        std::swap(fit, place);
  }

  void trySearch(int choice) {
    const CodeBook &book = context.books[size_t(choice)];
    finalists.fill({});
    float bottom = low, top = high, span = book.highest() - book.lowest();
    bool canBeNegative = isSigned(context.scaleType) && book.highest() != -book.lowest();
    if (context.hasMinimum()) {
      for (float ratio : ratios(book))
        for (float below : {0.0f, 0.5f, 1.0f}) {
          float scale = (top - bottom) / span * ratio;
          consider(book, scale, bottom + below * (1 - ratio) * (top - bottom) - book.lowest() * scale);
        }
    } else {
      float magnitude = std::max(top, -bottom);
      float scale = book.lowest() < 0 ? magnitude / std::max(book.highest(), -book.lowest()) : top / book.highest();
      for (float ratio : ratios(book)) {
        consider(book, scale * ratio, 0);
        if (canBeNegative)
          consider(book, -scale * ratio, 0);
      }
    }
    for (const Fit &fit : finalists)
      if (std::isfinite(fit.error))
        tryRounded(book, fit, choice);
  }

  void tryRounded(const CodeBook &book, Fit fit, int choice) {
    std::vector<float> offsets = {0};
    if (context.hasMinimum()) {
      ScaleType type = context.encoding.offset.front().type;
      offsets = neighboursOf(type, outerOffset == 0 ? 0 : roundToScale(type, fit.offset / outerOffset));
    }
    for (float offset : offsets) {
      float scale = fit.scale;
      if (context.hasMinimum()) { // what rounding did to the minimum is made up for by the scale
        Sums s = measure(book, context.kind == CodecKind::Int, scale, offset * outerOffset, w);
        scale = s.vv > 0 ? float(scale + s.ev / s.vv) : scale;
      }
      for (float number :
           neighboursOf(context.scaleType, outerScale == 0 ? 0 : roundToScale(context.scaleType, scale / outerScale)))
        compare({number, offset, choice});
    }
  }

  /// Zero points: every scale of the search with the zeros that it may have.
  void tryZeros(int choice) {
    const CodeBook &book = context.books[size_t(choice)];
    ScaleType type = context.encoding.offset.front().type;
    float bottom = std::min(low, 0.0f), span = std::max(high, 0.0f) - bottom;
    for (float ratio : ratios(book)) {
      BlockNumbers numbers{
          roundToScale(context.scaleType, span / (book.highest() - book.lowest()) * ratio / outerScale), 0, choice};
      float scale = context.scaleOf(numbers);
      if (!(scale > 0))
        continue;
      for (float below : {0.0f, 0.5f, 1.0f}) {
        numbers.offset =
            roundToScale(type, (book.lowest() - (bottom + below * (1 - ratio) * span) / scale) / outerOffset);
        compare(numbers);
      }
    }
  }

  const BlockContext &context;
  std::span<const float> w;
  BlockNumbers best;
  double least;
  float low, high, outerScale = 1, outerOffset = 1;
  std::array<Fit, kFinalists> finalists;
};

float product(float first, const std::vector<float> &others) {
  for (float other : others)
    first *= other;
  return first;
}

} // namespace

float BlockContext::scaleOf(const BlockNumbers &numbers) const { return product(numbers.scale, outerScales); }
float BlockContext::offsetOf(const BlockNumbers &numbers) const {
  return hasOffset ? product(numbers.offset, outerOffsets) : 0;
}

CodedValue codeOf(const BlockContext &context, const CodeBook &book, float scale, float offset, float value) {
  bool isMinimum = context.hasMinimum();
  float wanted = scale == 0 ? 0 : (isMinimum ? value - offset : value) / scale;
  uint8_t code = book.nearest(isMinimum ? wanted : wanted + offset);
  float number = book.number(code);
  return {code, isMinimum ? scale * number + offset : (number - offset) * scale};
}

double blockError(const BlockContext &context, const BlockNumbers &numbers, std::span<const float> w) {
  float scale = context.scaleOf(numbers), offset = context.offsetOf(numbers);
  if (!std::isfinite(scale) || !std::isfinite(offset))
    return kInfinity;
  const CodeBook &book = context.books[size_t(numbers.choice)];
  double sum = 0;
  for (float value : w) {
    double difference = double(value) - double(codeOf(context, book, scale, offset, value).value);
    sum += difference * difference;
  }
  return sum;
}

BlockNumbers fitBlock(const BlockContext &context, const BlockNumbers &nearest, std::span<const float> w) {
  bool isZero = std::all_of(w.begin(), w.end(), [](float value) { return value == 0; });
  return isZero ? nearest : Search(context, nearest, w).run();
}

std::vector<float> neighboursOf(ScaleType type, float number) {
  std::vector<float> result = {number};
  auto add = [&](float candidate) {
    if (std::isfinite(candidate) && std::find(result.begin(), result.end(), candidate) == result.end())
      result.push_back(candidate);
  };
  if (isInteger(type)) {
    add(roundToScale(type, number - 1));
    add(roundToScale(type, number + 1));
  } else if (scaleBits(type) == 8) {
    uint8_t byte;
    storeScale(type, number, &byte);
    for (int step : {-1, 1, -2})
      if (int code = byte + step; code >= 0 && code <= (type == ScaleType::E4M3 ? 0x7e : 0xfe)) {
        uint8_t moved = uint8_t(code);
        add(loadScale(type, &moved));
      }
  }
  return result;
}

} // namespace whit
