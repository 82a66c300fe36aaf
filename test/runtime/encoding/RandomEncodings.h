// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formats that no row of the table has: one formula of each kind that the algebra can make, and formulas drawn from all of it.
// A kernel, a place or a reader that works for these works for the next row.
#pragma once

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Matrix.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace whit {

/// What each of these has that the others have not is said behind it.
inline std::vector<std::string> formulasOfEveryKind() {
  return {
      "float<e2m1> * e4m3/16 * f32/tensor",   // a product; its second factor in the header
      "float<e2m1> * e8m0/32",                // powers of two
      "float<e2m1> * ue5m3/16",               // 8 bits of scale without a sign
      "float<e2m3> * e8m0/32",                // 64 numbers that bytes hold
      "float<e3m2> * e8m0/32",                // 64 that they do not
      "float<e4m3 fn> * f32/128x128",         // blocks of rows, NaN
      "float<e5m2 ieee> * f32/channel",       // infinity
      "float<e4m3 fnuz> * f32/tensor",        // no -0
      "float<e3m4 finite bias=-90> * f32/64", // exponents that only a table decodes
      "table<-127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113> * f16/32", // bytes by themselves
      "table<-1 -0.6962 -0.5251 -0.3949 -0.2844 -0.1848 -0.0911 0 0.0796 0.1609 0.2461 0.3379 0.4407 0.5626 0.723 1> * "
      "f32/64",                                                   // no common unit
      "table<-1 0 1> * f16/128",                                  // three of four codes
      "table<-0.3 0 0.3 0.6> * bf16/24",                          // a unit that is no power of two
      "(table<0 1 2 3 5 8 13 21> - f16/32) * f16/32",             // a table with a zero
      "(table<0 1 2 3 5 8 13 21 34> - u6/16) * f16/32",           // integer zeros that are no codes
      "(table<-1 0 1> - u2/32) * f16/32",                         // the same for numbers that are codes less one
      "choice<-4 0 1 3 | -4 0 1 6> * f16/128",                    // two tables
      "choice<-1 0 1 2 | -2 0 1 2 | -4 -1 0 3> * u4/16 * f16/64", // three, chosen in blocks with scales of integers
      "choice<-1 0.1 0.7 | -2 0.3 1.1 | -4 -1.9 0 | 0 1 9> * f16/96 * f32/channel", // in the header, without a unit
      "int<4> * u6/32 * f16/256 + u6/32 * f16/256",                                 // a minimum that is a product
      "int<6> * i8/16 * f16/256",                                                   // signed scales
      "(int<4> - 8) * i4/32 * f32/channel",                                         // both integers, and a header
      "(int<3> - 3.5) * f16/32",                                                    // a zero between the codes
      "(int<4> - u4/64) * shift/32 * f32/channel",                                  // a zero with a block of its own
      "table<-1 0 1> * f16/128 + table<-1 0 1> * f16/128",                          // planes
      "int<4> * f16/32 + table<-1 0.5 2 3> * u3/16 * f16/64 + f16/64", // terms of two kinds and widths, and a minimum
      "(int<2> - 2) * f16/32 + float<e4m3 fn> * e8m0/64 + int<1> * bf16/channel",                // three
      "vector<2x2 1 0 0 1 | -1 0 0 -1> * f16/2x64 + again<2x2 0 1 -1 0 | 0.5 0 0 2> * f32/2x64", // blocks of two rows
      "vector<1x4 1 2 3 4 | 0 -1 0 -0.3 | 4 4 4 4> * f16/20 + table<-1 0 1> * f16/20",           // no common unit
      "vector<4x1 1 2 3 4 | 0 -1 0 -2 | 4 4 4 4> * f16/4x32",                                    // of one element a row
      "vector<1x2 1 2 | 0 -1 | 4 4 | 7 3 | -1 -1> * e8m0/32",                                    // of 16 codes
      "sparse<2:4> (int<4> - 8) * f16/32",                                     // zeros that are not code 0
      "sparse<2:4> (int<2> - u2/64) * f16/64",                                 // nor any constant
      "sparse<2:4> (int<3> - 3.5) * f32/20",                                   // no number of a code is 0
      "sparse<2:4> float<e2m1> * e4m3/16 * f32/tensor",                        // a byte for each code
      "sparse<2:4> float<e3m2> * f16/channel",                                 // none
      "sparse<2:4> choice<-4 1 3 | 1 6 9> * f16/128 + table<-1 0 1> * f16/64", // beside a term that is dense
      "radix<-1 0 1> * f16/channel",                                           // five digits to a byte; units of 20
      "(radix<-2 0.5 1 2 3> - f16/40) * f16/40",                               // three, that are looked up
      "radix<-1.5 -0.1 0 0.2 0.7 1> * f16/64 + radix<-1 0 1> * f16/32",        // two bases; 60 elements
      "(radix<0 1 2> - u2/32) * f16/32",                    // digits that are no numbers less their zero
      "(nested<8> - 128) * f16/32",                         // planes
      "(nested<8:4> - u8/32) * f16/32",                     // of which some are read; stored zeros
      "nested<4:2> * f16/20 + f16/20",                      // a minimum
      "(nested<8:2> - 128) * e8m0/64 + nested<4> * f16/32", // both in one block
  };
}

/// A name for each row of the table; families take the groupings and the types of scales in turn.
inline std::vector<std::string> oneOfEachRow(const std::vector<std::string> &groupings) {
  const char *types[] = {"", "_f32", "_bf16"};
  std::vector<std::string> names;
  size_t i = 0;
  for (const FormatRow &row : formatRows()) {
    std::string name(row.stem);
    if (row.isFamily) {
      bool hasTypes = row.formula.find("$T") != row.formula.npos;
      do { // not every family can have groups of every size
        name = std::string(row.stem) + "_" + groupings[i % groupings.size()] + std::string(row.suffix) +
               (hasTypes ? types[i % 3] : "");
        ++i;
      } while (!parseEncoding(name, nullptr));
    }
    names.push_back(name);
  }
  return names;
}

namespace random_encodings {
using Random = std::mt19937;

inline int integer(Random &random, int low, int high) { return low + int(random() % uint32_t(high - low + 1)); }
inline float real(Random &random) { return float(random() % 20001) / 10000.0f - 1; }

inline std::string table(Random &random, int count, bool isDyadic) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    float value = isDyadic ? float(integer(random, -40, 40)) / 4 : real(random);
    text += (i ? " " : "") + std::to_string(i == 0 ? 1 + std::fabs(value) : value); // not all zero
  }
  return text;
}

inline std::string codec(Random &random) {
  switch (random() % 6) {
  case 4: {
    const int counts[] = {3, 5, 6};
    return "radix<" + table(random, counts[random() % 3], random() % 2) + ">";
  }
  case 5: {
    const char *widths[] = {"8", "8:4", "8:2", "4", "4:2"};
    return "nested<" + std::string(widths[random() % 5]) + ">";
  }
  case 0:
    return "int<" + std::to_string(integer(random, 1, 8)) + ">";
  case 1: {
    int e = integer(random, 1, 5), m = integer(random, e == 1 ? 1 : 0, 7 - e);
    const char *rules[] = {" finite", " ieee", " fn", " fnuz"};
    return "float<e" + std::to_string(e) + "m" + std::to_string(m) + rules[random() % 4] + ">";
  }
  case 2:
    return "table<" + table(random, random() % 4 ? integer(random, 2, 17) : integer(random, 18, 130), random() % 2) +
           ">";
  default: {
    int count = random() % 4 ? integer(random, 2, 8) : integer(random, 9, 40);
    bool isDyadic = random() % 2;
    std::string text = table(random, count, isDyadic);
    for (int more = integer(random, 1, 3); more > 0; --more)
      text += " | " + table(random, count, isDyadic);
    return "choice<" + text + ">";
  }
  }
}

/// A vector term and perhaps one that shares its codes.
inline std::string vectors(Random &random, int64_t group) {
  int rows = 1 << random() % 3, columns = 1 << random() % 3, count = integer(random, 2, columns == 1 ? 4 : 16);
  bool isDyadic = random() % 2;
  std::string shape = std::to_string(rows) + "x" + std::to_string(columns);
  const char *types[] = {"f32", "f16", "bf16", "e8m0"};
  std::string size =
                  random() % 3 ? std::to_string(rows * integer(random, 1, 3)) + "x" + std::to_string(group) : "tensor",
              text;
  for (int term = integer(random, 1, 2); term > 0; --term) {
    text += text.empty() ? "vector<" : " + again<";
    text += shape + " ";
    for (int code = 0; code < count; ++code)
      text += (code ? " | " : "") + table(random, rows * columns, isDyadic);
    text += std::string("> * ") + types[random() % 4] + "/" + size;
  }
  return text;
}

inline std::string block(Random &random, int64_t group) {
  switch (random() % 6) {
  case 0:
    return "channel";
  case 1:
    return "tensor";
  case 2:
    return std::to_string(integer(random, 2, 40)) + "x" + std::to_string(group * 2);
  case 3:
    return std::to_string(group * 4);
  default:
    return std::to_string(group);
  }
}

inline std::string factors(Random &random, int64_t group) {
  const char *types[] = {"f32", "f16", "bf16", "e8m0", "e4m3", "ue5m3", "shift", "u4", "u6", "u8", "i4", "i8"};
  std::string text;
  for (int count = integer(random, 1, 3); count > 0; --count)
    text += std::string(text.empty() ? "" : " * ") + types[random() % 12] + "/" + block(random, group);
  return text;
}
} // namespace random_encodings

/// A formula that parseEncoding takes.
inline std::string randomFormula(std::mt19937 &random) {
  using namespace random_encodings;
  while (true) {
    const int64_t groups[] = {4, 6, 16, 20, 32, 32, 48};
    int64_t group = groups[random() % 7];
    std::string first = codec(random), text, minimum;
    switch (random() % 6) {
    case 0:
      first = "(" + first + " - " + std::to_string(integer(random, -3, 9)) + (random() % 2 ? ".5" : "") + ")";
      break;
    case 1:
      first = "(" + first + " - u8/" + block(random, group) + ")";
      break;
    case 2:
      first = "(" + first + " - f16/" + block(random, group) + ")";
      break;
    case 3:
      minimum = " + " + factors(random, group);
      break;
    default:
      break;
    }
    auto sparse = [&] { return std::string(random() % 6 ? "" : "sparse<2:4> "); };
    text = sparse() + first + " * " + factors(random, group);
    for (int more = integer(random, -2, 2); more > 0; --more)
      text += " + " + sparse() + codec(random) + " * " + factors(random, group);
    text += minimum;
    if (random() % 8 == 0)
      text = minimum.empty() ? text + " + " + vectors(random, group) : vectors(random, group);
    if (parseEncoding(text, nullptr))
      return text;
  }
}

/// Elements of a block of a vector term have the code of its first one, and so have those of a term that shares codes.
inline void shareCodes(Matrix &matrix, size_t t) {
  const Codec &codec = matrix.encoding.terms[t].codec;
  std::vector<uint8_t> &codes = matrix.terms[t].codes;
  for (int64_t i = 0; codec.kind == CodecKind::Vector && i < int64_t(codes.size()); ++i) {
    int64_t n = i / matrix.k, k = i % matrix.k, first = (n - n % codec.rows) * matrix.k + k - k % codec.columns;
    codes[i] = uint8_t((codec.isAgain ? matrix.terms[t - 1].codes[i] : codes[first]) & ((1 << codec.bits) - 1)) +
               uint8_t(codec.at(n, k));
  }
}

/// Two of each four elements of a sparse term; the others have no code.
inline void keepAtRandom(Matrix &matrix, size_t t, std::mt19937 &random) {
  TermValues &values = matrix.terms[t];
  for (uint8_t &pair : values.kept)
    pair = kKeptPairs[random() % 6];
  for (int64_t i = 0; i < matrix.n * matrix.k; ++i)
    if (!values.keeps(i / matrix.k, matrix.k, i % matrix.k))
      values.codes[i] = 0;
}

/// A matrix with random codes, none of which is infinite or NaN. `exact`: numbers, scales and zeros are such that sums of a
/// hundred products with small integers are exact in f32; codes whose numbers are not such are avoided.
inline Matrix randomMatrix(const Encoding &encoding, int64_t n, int64_t k, bool exact, std::mt19937 &random) {
  using namespace random_encodings;
  Matrix matrix = makeMatrix(encoding, n, k);
  auto rounded = [](float value) { // to 8 significant bits: exact in each of the types of plain formats
    int exponent;
    float fraction = std::frexp(value, &exponent);
    return std::ldexp(std::round(fraction * 256), exponent - 8);
  };
  for (float &value : matrix.values)
    value = exact ? float(integer(random, -4, 4)) : rounded(real(random));
  auto fill = [&](const std::vector<Factor> &factors, std::vector<FactorValues> &values, bool isOffset) {
    for (size_t f = 0; f < factors.size(); ++f)
      for (float &value : values[f]) {
        ScaleType type = factors[f].type;
        int most = (1 << (scaleBits(type) - (type >= ScaleType::I2))) - 1;
        bool isInteger = type >= ScaleType::U1;
        if (isInteger)
          value = exact && !(isOffset && encoding.zero == ZeroKind::Integer)
                      ? float(integer(random, type >= ScaleType::I2 ? -1 : 1, 1))
                      : float(integer(random, type >= ScaleType::I2 ? -most - 1 : 0, most));
        else if (exact)
          value = isOffset && f == 0 && type <= ScaleType::BF16 ? float(integer(random, -8, 8))
                                                                : std::ldexp(1.0f, integer(random, -1, 1));
        else
          value = isOffset && f == 0 && type <= ScaleType::BF16 ? real(random) : 0.05f * std::fabs(real(random));
        value = roundToScale(type, value);
      }
  };
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Codec &codec = encoding.terms[t].codec;
    if (codec.kind == CodecKind::Plain)
      return matrix;
    std::vector<float> table = codec.table();
    std::vector<uint8_t> allowed, finite;
    for (size_t code = 0; code < size_t(1) << codec.bits; ++code) {
      bool isFinite = true, isShort = true;
      for (size_t choice = 0; choice < codec.choices; ++choice) {
        float number = table[(choice << codec.bits) + code];
        isFinite &= std::isfinite(number);
        isShort &= std::fabs(number) <= 255 && number * 8 == std::nearbyint(number * 8);
      }
      if (isFinite)
        finite.push_back(uint8_t(code));
      if (isFinite && isShort)
        allowed.push_back(uint8_t(code));
    }
    if (!exact || allowed.empty())
      allowed = finite;
    for (uint8_t &code : matrix.terms[t].codes)
      code = allowed[random() % allowed.size()];
    for (uint8_t &choice : matrix.terms[t].choices)
      choice = uint8_t(random() % codec.choices);
    keepAtRandom(matrix, t, random);
    shareCodes(matrix, t);
    fill(encoding.terms[t].scale, matrix.terms[t].factors, false);
  }
  fill(encoding.offset, matrix.offset, true);
  return matrix;
}

/// Whether such a matrix can be exact: every codec has numbers that are short.
inline bool canBeExact(const Encoding &encoding) {
  if (std::fabs(encoding.constant) > 255 || encoding.constant * 8 != std::nearbyint(encoding.constant * 8))
    return false;
  for (const Term &term : encoding.terms) {
    const Codec &codec = term.codec;
    if (codec.kind == CodecKind::Vector) {
      for (float number : codec.values)
        if (std::fabs(number) > 255 || number * 8 != std::nearbyint(number * 8))
          return false;
      continue;
    }
    size_t codes = size_t(1) << codec.bits, allowed = codec.kind == CodecKind::Plain;
    std::vector<float> table = codec.table();
    for (size_t code = 0; code < codes && !table.empty(); ++code) {
      bool isShort = true;
      for (size_t choice = 0; choice < codec.choices; ++choice) {
        float number = table[(choice << codec.bits) + code];
        isShort &= std::fabs(number) <= 255 && number * 8 == std::nearbyint(number * 8);
      }
      allowed += isShort;
    }
    if (!allowed)
      return false;
  }
  return true;
}

/// For each element, the sum of what the formula adds up, without signs: what roundings are relative to. [n][k]
inline std::vector<double> magnitudes(const Matrix &matrix) {
  std::vector<double> result(matrix.n * matrix.k), alone(result.size());
  auto clear = [](std::vector<FactorValues> &factors) {
    for (FactorValues &factor : factors)
      std::fill(factor.begin(), factor.end(), 0.0f);
  };
  bool hasMinimum = matrix.encoding.zero == ZeroKind::Minimum;
  for (size_t only = 0; only < matrix.terms.size() + hasMinimum; ++only) {
    Matrix part = matrix; // the scales of all others are 0
    for (size_t t = 0; t < part.terms.size(); ++t)
      if (t != only)
        clear(part.terms[t].factors);
    if (hasMinimum && only < part.terms.size())
      clear(part.offset);
    dequantize(part, alone.data());
    for (size_t i = 0; i < result.size(); ++i)
      result[i] += std::fabs(alone[i]);
  }
  return result;
}

} // namespace whit
