// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Walks a matrix group by group. Contraction of a*b+c is off, as in GroupCode.cpp.
#include "runtime/encoding/Quantize.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/LeastSquares.h"
#include "runtime/encoding/QuantizeTerms.h"

#pragma clang fp contract(off)

namespace whit {
namespace {

struct GroupRange {
  float minimum = 0, maximum = 0; // with 0 included
  float extreme = 0;              // the signed element of largest magnitude, the first if several
};

GroupRange rangeOf(std::span<const float> w) {
  GroupRange range;
  for (float value : w) {
    range.minimum = std::min(range.minimum, value);
    range.maximum = std::max(range.maximum, value);
  }
  range.extreme = range.maximum > -range.minimum ? range.maximum : range.minimum;
  if (range.maximum == -range.minimum && range.maximum > 0)
    range.extreme = *std::find_if(w.begin(), w.end(), [&](float value) { return std::fabs(value) == range.maximum; });
  return range;
}

/// What codes in planes are made for, however many of their bits this format reads.
Encoding withAllBits(Encoding encoding) {
  for (Term &term : encoding.terms)
    term.codec.read = 0;
  return encoding;
}

GroupCode nearestGroup(const Encoding &encoding, std::span<const float> w) {
  GroupRange range = rangeOf(w);
  float levels = float((1 << encoding.bits()) - 1);
  GroupCode code;
  if (encoding.zero == ZeroKind::Constant) {
    code.scale = roundToScale(encoding.scaleType(), range.extreme / -encoding.constant);
    return code;
  }
  code.scale = roundToScale(encoding.scaleType(), (range.maximum - range.minimum) / levels);
  if (encoding.zero == ZeroKind::Minimum)
    code.zero = roundToScale(encoding.scaleType(), range.minimum);
  else if (code.scale == 0)
    code.zero = 0;
  else if (encoding.zero == ZeroKind::Integer)
    code.zero = roundToEven(std::clamp(-range.minimum / code.scale, 0.0f, levels));
  else
    code.zero = roundToScale(encoding.scaleType(), -range.minimum / code.scale);
  return code;
}

/// Integer codes whose scales are floats: what the loops over groups here and in LeastSquares.cpp know.
bool isPlainGroups(const Encoding &encoding) {
  ScaleType scale = encoding.scaleType();
  return encoding.isSimple() && (scale == ScaleType::F32 || scale == ScaleType::F16 || scale == ScaleType::BF16) &&
         encoding == intEncoding(encoding.bits(), encoding.zero, scale, encoding.terms.front().scale.front().block);
}

bool refuse(std::string *why, const std::string &what, int64_t row, int64_t column) {
  if (why)
    *why = what + " at row " + std::to_string(row) + ", column " + std::to_string(column);
  return false;
}

bool quantizePlain(const float *w, Matrix &result, std::string *why) {
  for (int64_t i = 0, count = result.n * result.k; i < count; ++i) {
    result.values[i] = roundToScale(result.encoding.scaleType(), w[i]);
    if (std::isinf(result.values[i]) && std::isfinite(w[i]))
      return refuse(why, "value " + std::to_string(w[i]) + " is out of the range of " + nameOf(result.encoding),
                    i / result.k, i % result.k);
  }
  return true;
}

} // namespace

std::string_view nameOf(Quantizer quantizer) { return quantizer == Quantizer::Nearest ? "nearest" : "least-squares"; }

std::optional<Quantizer> parseQuantizer(std::string_view name) {
  for (Quantizer quantizer : {Quantizer::Nearest, Quantizer::LeastSquares})
    if (name == nameOf(quantizer))
      return quantizer;
  return std::nullopt;
}

bool quantize(const Encoding &encoding, const float *w, int64_t n, int64_t k, Matrix &result, std::string *why,
              Quantizer quantizer) {
  if (Encoding whole = withAllBits(encoding); whole != encoding) {
    bool isDone = quantize(whole, w, n, k, result, why, quantizer);
    result.encoding = encoding;
    return isDone;
  }
  result = makeMatrix(encoding, n, k);
  if (encoding.isPlain())
    return quantizePlain(w, result, why);
  for (int64_t i = 0; i < n * k; ++i)
    if (!std::isfinite(w[i]))
      return refuse(why,
                    std::isnan(w[i]) ? "found NaN; weights to quantize must be finite"
                                     : "found infinity; weights to quantize must be finite",
                    i / k, i % k);

  if (!isPlainGroups(encoding))
    return quantizeTerms(w, result, why, quantizer);
  int64_t groups = result.groups(), group = groupSize(encoding, k);
  bool isOne = encoding.isWhole();
  auto solve = [&](std::span<const float> source) {
    GroupCode code = nearestGroup(encoding, source);
    return quantizer == Quantizer::LeastSquares ? fitLeastSquares(encoding, source, code) : code;
  };
  GroupCode whole;
  if (isOne)
    whole = solve({w, size_t(n * k)});
  for (int64_t row = 0; row < n; ++row)
    for (int64_t g = 0; g < groups; ++g) {
      int64_t begin = g * group;
      std::span<const float> source(w + row * k + begin, std::min(group, k - begin));
      GroupCode code = isOne ? whole : solve(source);
      if (!code.isFinite())
        return refuse(why,
                      "the scale or minimum of a group does not fit its type in " + nameOf(encoding) +
                          "; use a format with f32 or bf16 scales",
                      row, begin);
      result.scales()[row * groups + g] = code.scale;
      if (!result.offset.empty())
        result.zeros()[row * groups + g] = code.zero;
      encodeGroup(encoding, code, source, result.codes().data() + row * k + begin);
    }
  return true;
}

} // namespace whit
