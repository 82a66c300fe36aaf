// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What follows from an encoding alone: the number of each code, and sizes.
#include "runtime/encoding/Formula.h"
#include "runtime/encoding/Half.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace whit {
namespace {

/// The number of one code of a float of few bits. Every step is exact in f32.
float floatOf(const Codec &codec, int code) {
  int mantissaMask = (1 << codec.mantissaBits) - 1, top = (1 << codec.exponentBits) - 1;
  int fraction = code & mantissaMask, exponent = (code >> codec.mantissaBits) & top, sign = code >> (codec.bits - 1);
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  switch (codec.rule) {
  case FloatRule::Ieee:
    if (exponent == top)
      return fraction ? kNaN : sign ? -kInfinity : kInfinity;
    break;
  case FloatRule::Fn:
    if (exponent == top && fraction == mantissaMask)
      return kNaN;
    break;
  case FloatRule::Fnuz:
    if (sign && !exponent && !fraction)
      return kNaN;
    break;
  case FloatRule::Finite:
    break;
  }
  float magnitude =
      exponent ? std::ldexp(float((1 << codec.mantissaBits) + fraction), exponent - codec.bias - codec.mantissaBits)
               : std::ldexp(float(fraction), 1 - codec.bias - codec.mantissaBits);
  return sign ? -magnitude : magnitude;
}

} // namespace

std::vector<float> Codec::table() const {
  size_t codes = size_t(1) << bits;
  std::vector<float> result;
  switch (kind) {
  case CodecKind::Plain:
    break;
  case CodecKind::Int:
    for (size_t code = 0; code < codes; ++code)
      result.push_back(isNumber() ? float(code)
                                  : float((code >> (bits - read) << (bits - read)) + (1 << (bits - read - 1))));
    break;
  case CodecKind::Float:
    for (size_t code = 0; code < codes; ++code)
      result.push_back(floatOf(*this, int(code)));
    break;
  case CodecKind::Table:
  case CodecKind::Choice:
    for (size_t each = values.size() / choices, choice = 0; choice < choices; ++choice)
      for (size_t code = 0; code < codes; ++code)
        result.push_back(code < each ? values[choice * each + code] : std::numeric_limits<float>::quiet_NaN());
    break;
  case CodecKind::Vector:
    for (size_t each = size_t(rows) * columns, element = 0; element < each; ++element)
      for (size_t code = 0; code < codes; ++code)
        result.push_back(code * each < values.size() ? values[code * each + element]
                                                     : std::numeric_limits<float>::quiet_NaN());
    break;
  }
  return result;
}

bool Encoding::isSimple() const {
  const Term &term = terms.front();
  if (terms.size() != 1 || term.scale.size() != 1 || offset.size() > 1 || term.codec.kind == CodecKind::Choice ||
      term.codec.kind == CodecKind::Vector || term.codec.isSparse || term.codec.perByte || term.codec.read)
    return false;
  BlockShape block = term.scale[0].block;
  return (block.rows == 1 || block.isTensor()) && (offset.empty() || offset[0].block == block);
}

bool Encoding::isWhole() const {
  if (isPlain())
    return false;
  auto shared = [](const Factor &factor) { return factor.block.rows != 1; };
  for (const Term &term : terms)
    if (std::any_of(term.scale.begin(), term.scale.end(), shared))
      return true;
  return std::any_of(offset.begin(), offset.end(), shared);
}

Encoding plainEncoding(ScaleType type) {
  Encoding encoding;
  encoding.terms.front().codec.bits = uint8_t(scaleBits(type));
  encoding.terms.front().scale.front().type = type;
  return encoding;
}

Encoding intEncoding(int bits, ZeroKind zero, ScaleType scale, BlockShape block) {
  Encoding encoding;
  encoding.terms.front().codec.kind = CodecKind::Int;
  encoding.terms.front().codec.bits = uint8_t(bits);
  encoding.terms.front().scale = {{scale, block}};
  encoding.zero = zero;
  if (zero == ZeroKind::Constant)
    encoding.constant = float(1 << (bits - 1));
  else
    encoding.offset = {{zero == ZeroKind::Integer ? ScaleType(int(ScaleType::U1) + bits - 1) : scale, block}};
  return encoding;
}

bool hasIntegerCodes(const Encoding &encoding) {
  return encoding.isSimple() && encoding.codec().kind == CodecKind::Int &&
         encoding.constant == float(int(encoding.constant));
}

int32_t scaleBits(ScaleType type) {
  switch (type) {
  case ScaleType::F32:
    return 32;
  case ScaleType::F16:
  case ScaleType::BF16:
    return 16;
  case ScaleType::E8M0:
  case ScaleType::E4M3:
  case ScaleType::UE5M3:
  case ScaleType::Shift:
    return 8;
  default:
    return type <= ScaleType::U8 ? int32_t(type) - int32_t(ScaleType::U1) + 1
                                 : int32_t(type) - int32_t(ScaleType::I2) + 2;
  }
}

int64_t scaleBytes(ScaleType type) { return (scaleBits(type) + 7) / 8; }

int64_t groupSize(const Encoding &encoding, int64_t k) {
  int64_t smallest = 0; // of those that have one; a group may be longer than the row
  auto look = [&](const std::vector<Factor> &factors) {
    for (const Factor &factor : factors)
      if (factor.block.columns && (!smallest || factor.block.columns < smallest))
        smallest = factor.block.columns;
  };
  for (const Term &term : encoding.terms)
    look(term.scale);
  look(encoding.offset);
  return smallest ? smallest : k;
}

int64_t groupCount(const Encoding &encoding, int64_t k) {
  int64_t group = groupSize(encoding, k);
  return group == k ? 1 : (k + group - 1) / group;
}

bool hasBfloatNumbers(const Encoding &encoding) {
  if (encoding.isPlain())
    return encoding.scaleType() == ScaleType::BF16;
  bool isInteger = encoding.zero == ZeroKind::Integer && encoding.codec().isNumber();
  if (encoding.zero != ZeroKind::Constant && !isInteger) // a difference of two bytes has 8 significant bits
    return false;
  for (const Term &term : encoding.terms)
    for (float number : term.codec.table()) {
      float zero = &term == &encoding.terms.front() ? encoding.constant : 0;
      if (!std::isnan(number) && bfloatToFloat(floatToBfloat(number - zero)) != number - zero)
        return false;
    }
  return true;
}

int64_t blockCount(const Factor &factor, int64_t k) {
  return factor.block.columns ? (k + factor.block.columns - 1) / factor.block.columns : 1;
}

double bitsPerWeight(const Encoding &encoding, int64_t n, int64_t k) {
  if (encoding.isPlain())
    return encoding.bits();
  double bits = 0, weights = double(n) * double(k);
  auto add = [&](const std::vector<Factor> &factors) {
    for (const Factor &factor : factors) {
      int64_t rows = factor.block.rows ? (n + factor.block.rows - 1) / factor.block.rows : 1;
      bits += double(rows) * double(blockCount(factor, k)) * scaleBits(factor.type) / weights;
    }
  };
  for (const Term &term : encoding.terms) {
    bits += term.codec.storedBits();
    if (term.codec.kind == CodecKind::Choice)
      bits += double(n) * double(blockCount(term.scale.front(), k)) * (term.codec.choices > 2 ? 2 : 1) / weights;
    add(term.scale);
  }
  add(encoding.offset);
  return bits;
}

} // namespace whit
