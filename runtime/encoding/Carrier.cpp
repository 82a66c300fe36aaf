// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Numbers are taken as integers times a power of two, and the greatest common divisor of the integers is the unit.
#include "runtime/encoding/Carrier.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace whit {
namespace {

/// Integers beyond this could not be counted exactly.
constexpr double kLargest = 0x1p52;

/// Whether every code that has a meaning is its own byte.
bool isIdentity(const std::vector<uint8_t> &table, size_t values) {
  for (size_t code = 0; code < values; ++code)
    if (table[code] != code)
      return false;
  return true;
}

/// `mayBeCode`: no table is needed where codes are their bytes.
std::optional<IntegerCarrier> carrierOf(const Codec &codec, float constant, bool mayBeCode) {
  IntegerCarrier carrier;
  // A byte has to stand for 0 where elements have no code.
  bool hasZero = !codec.isSparse || (constant >= 0 && constant <= 255);
  if (codec.isNumber() && constant == std::nearbyint(constant) && std::fabs(constant) < 0x1p20f && hasZero) {
    carrier.offset = int32_t(constant);
    return carrier;
  }
  std::vector<float> table = codec.table();
  // Codes past the end of a table are never stored; those of a float that are no numbers may be.
  bool mayBeUnused = codec.kind != CodecKind::Float;
  std::vector<double> numbers;
  int lowest = std::numeric_limits<int>::max(); // exponent of the last bit of any number
  for (float value : table) {
    if (!std::isfinite(value) && !(mayBeUnused && std::isnan(value)))
      return std::nullopt;
    double number = std::isnan(value) ? 0 : double(value) - double(constant);
    if (float(number + constant) != (std::isnan(value) ? constant : value))
      return std::nullopt; // the difference itself was rounded
    numbers.push_back(number);
    int exponent = 0;
    double fraction = std::frexp(number, &exponent); // |fraction| in [0.5, 1): 53 bits at most
    if (number != 0) {
      int bits = 53;
      while (bits > 1 && std::ldexp(fraction, bits - 1) == std::nearbyint(std::ldexp(fraction, bits - 1)))
        --bits;
      lowest = std::min(lowest, exponent - bits);
    }
  }
  int64_t divisor = 0, least = 0, most = 0;
  std::vector<int64_t> integers;
  for (double number : numbers) {
    double integer = std::ldexp(number, -lowest);
    if (std::fabs(integer) > kLargest)
      return std::nullopt;
    integers.push_back(int64_t(integer));
    divisor = std::gcd(divisor, std::llabs(integers.back()));
  }
  double scale = divisor ? std::ldexp(double(divisor), lowest) : 0;
  carrier.scale = float(scale);
  if (!std::isnormal(carrier.scale) || double(carrier.scale) != scale)
    return std::nullopt;
  for (int64_t &integer : integers) {
    integer /= divisor;
    least = std::min(least, integer);
    most = std::max(most, integer);
  }
  if (most - least > 255)
    return std::nullopt;
  carrier.offset = int32_t(-least);
  for (int64_t integer : integers)
    carrier.table.push_back(uint8_t(integer - least));
  // As many as the choice has bits for, so that a code with its choice above it is an index.
  while (carrier.table.size() & (carrier.table.size() - 1))
    carrier.table.push_back(0);
  if (mayBeCode && codec.kind == CodecKind::Table && !codec.isSparse && isIdentity(carrier.table, codec.values.size()))
    carrier.table.clear();
  return carrier.table.size() <= 256 ? std::optional(carrier) : std::nullopt;
}

} // namespace

std::optional<std::vector<IntegerCarrier>> integerCarriers(const Encoding &encoding) {
  if (encoding.isPlain())
    return std::nullopt;
  bool isZero = encoding.zero == ZeroKind::Integer; // which is subtracted from numbers, not from their bytes
  std::vector<IntegerCarrier> carriers;
  for (const Term &term : encoding.terms) {
    bool hasConstant = carriers.empty() && encoding.zero == ZeroKind::Constant;
    std::optional<IntegerCarrier> carrier =
        carrierOf(term.codec, hasConstant ? encoding.constant : 0, !carriers.empty() || !isZero);
    if (!carrier)
      return std::nullopt;
    carriers.push_back(*carrier);
  }
  return carriers;
}

/// The byte of a float of 8 bits, if `number` is one.
static std::optional<uint8_t> float8Of(float number) {
  if (std::isnan(number))
    return uint8_t(0x7f);
  int exponent = 0;
  float magnitude = std::fabs(number);
  std::frexp(magnitude, &exponent); // magnitude < 2^exponent
  exponent = magnitude == 0 ? -6 : std::max(exponent - 1, -6);
  float eighths = std::ldexp(magnitude, 3 - exponent);
  if (!(magnitude <= 448) || eighths != std::nearbyint(eighths))
    return std::nullopt;
  // A leading one goes over into the exponent, whose smallest value stands for -6 with one and without.
  return uint8_t((std::signbit(number) ? 0x80 : 0) + ((exponent + 6) << 3) + int(eighths));
}

std::optional<std::vector<IntegerCarrier>> float8Carriers(const Encoding &encoding) {
  if (encoding.isPlain() || encoding.zero != ZeroKind::Constant)
    return std::nullopt;
  std::vector<IntegerCarrier> carriers;
  for (const Term &term : encoding.terms) {
    IntegerCarrier carrier;
    for (float value : term.codec.table()) {
      std::optional<uint8_t> byte = float8Of(carriers.empty() ? value - encoding.constant : value);
      if (!byte)
        return std::nullopt;
      carrier.table.push_back(*byte);
    }
    while (carrier.table.size() & (carrier.table.size() - 1))
      carrier.table.push_back(0);
    if (carrier.table.size() > 256)
      return std::nullopt;
    if (carrier.table.size() == 256 && isIdentity(carrier.table, 256))
      carrier.table.clear();
    carriers.push_back(std::move(carrier));
  }
  return carriers;
}

int64_t longestIntegerGroup(const std::vector<IntegerCarrier> &carriers) {
  int64_t largest = 255; // a stored integer zero moves a number by as much as it may be itself
  for (const IntegerCarrier &carrier : carriers)
    largest = std::max({largest, int64_t(std::abs(carrier.offset)), int64_t(std::abs(255 - carrier.offset))});
  return std::numeric_limits<int32_t>::max() / (127 * largest);
}

} // namespace whit
