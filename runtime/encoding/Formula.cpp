// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The text of an encoding, read and written. One function per rule of the grammar:
//
//   formula   sum
//   sum       term { '+' term } [ '+' product ]
//   term      [ 'sparse<2:4>' ] number { '*' factor }
//   number    codec | '(' codec '-' (constant | factor) ')'
//   product   factor { '*' factor }
//   factor    type '/' (COLUMNS | ROWS 'x' COLUMNS | 'channel' | 'tensor')
//   codec     'int<' BITS '>' | 'float<e' E 'm' M [RULE] ['bias=' B] '>' | 'table<' values '>'
//             | 'choice<' values { '|' values } '>' | 'radix<' values '>' | 'nested<' BITS [':' READ] '>'
//             | ('vector<' | 'again<') ROWS 'x' COLUMNS values { '|' values } '>'
#include "runtime/encoding/Formula.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <set>

namespace whit {
namespace {

constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16", "e8m0", "e4m3", "ue5m3", "shift", "u1",
                                           "u2",  "u3",  "u4",   "u5",   "u6",   "u7",    "u8",    "i2",
                                           "i3",  "i4",  "i5",   "i6",   "i7",   "i8"};
constexpr std::string_view kRuleNames[] = {"ieee", "fn", "fnuz", "finite"};

/// Reads one formula from front to back. After the first error nothing more is read.
class Parser {
public:
  explicit Parser(std::string_view text) : text(text) {}

  std::optional<Encoding> run(std::string *why) {
    Encoding encoding = sum();
    if (error.empty() && !at().empty())
      fail("'" + std::string(at().substr(0, 20)) + "' where the formula should end");
    if (error.empty())
      error = misfitOf(encoding);
    if (error.empty())
      return encoding;
    if (why)
      *why = error;
    return std::nullopt;
  }

private:
  std::string_view at() {
    while (position < text.size() && std::isspace(uint8_t(text[position])))
      ++position;
    return text.substr(position);
  }
  bool take(std::string_view word) {
    if (!at().starts_with(word))
      return false;
    position += word.size();
    return true;
  }
  void fail(std::string what) {
    if (error.empty())
      error = "found " + std::move(what) + " at character " + std::to_string(position + 1);
    position = text.size();
  }
  void expect(std::string_view word) {
    if (!take(word))
      fail((at().empty() ? "the end" : "'" + std::string(at().substr(0, 20)) + "'") + " where '" + std::string(word) +
           "' must stand");
  }
  int64_t integer(std::string_view what, int64_t low, int64_t high) {
    std::string_view rest = at();
    int64_t value = 0;
    auto [end, status] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (status != std::errc() || value < low || value > high) {
      fail("'" + std::string(rest.substr(0, 20)) + "' where " + std::string(what) + " from " + std::to_string(low) +
           " to " + std::to_string(high) + " must stand");
      return low;
    }
    position += size_t(end - rest.data());
    return value;
  }
  float number() {
    std::string_view rest = at();
    float value = 0;
    auto [end, status] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (status != std::errc() || !std::isfinite(value)) {
      fail("'" + std::string(rest.substr(0, 20)) + "' where a finite number must stand");
      return 0;
    }
    position += size_t(end - rest.data());
    return value;
  }
  std::string_view word() {
    std::string_view rest = at();
    size_t length = 0;
    while (length < rest.size() && (std::isalnum(uint8_t(rest[length])) || rest[length] == '_'))
      ++length;
    return rest.substr(0, length);
  }
  bool atFactor() {
    std::string_view name = word(), rest = at().substr(name.size());
    return !name.empty() && rest.starts_with("/");
  }

  Factor factor() {
    Factor result;
    std::string_view name = word();
    const std::string_view *found = std::find(std::begin(kTypeNames), std::end(kTypeNames), name);
    if (found == std::end(kTypeNames)) {
      std::string known;
      for (std::string_view each : kTypeNames)
        known += (known.empty() ? "" : " ") + std::string(each);
      fail("'" + std::string(at().substr(0, 20)) + "' where a type of scales must stand, one of " + known);
      return result;
    }
    result.type = ScaleType(found - std::begin(kTypeNames));
    position += name.size();
    expect("/");
    if (take("channel"))
      result.block = {1, 0};
    else if (take("tensor"))
      result.block = {0, 0};
    else {
      result.block = {1, integer("a block size", 1, kMaxGroup)};
      if (take("x"))
        result.block = {result.block.columns, integer("a block size", 1, kMaxGroup)};
    }
    return result;
  }
  std::vector<Factor> product() {
    std::vector<Factor> factors{factor()};
    while (take("*"))
      factors.push_back(factor());
    return factors;
  }

  std::vector<float> values() {
    std::vector<float> result;
    while (error.empty() && !at().empty() && at()[0] != '>' && at()[0] != '|' && result.size() <= 256)
      result.push_back(number());
    return result;
  }

  Codec codec() {
    Codec result;
    if (take("int<")) {
      result.kind = CodecKind::Int;
      result.bits = uint8_t(integer("a width", 1, 8));
    } else if (take("float<e")) {
      floatCodec(result);
    } else if (take("nested<")) {
      nestedCodec(result);
    } else if (take("radix<")) {
      radixCodec(result);
    } else if (take("table<") || at().starts_with("choice<")) {
      result.kind = take("choice<") ? CodecKind::Choice : CodecKind::Table;
      result.values = values();
      size_t count = result.values.size();
      while (result.kind == CodecKind::Choice && take("|")) {
        std::vector<float> next = values();
        if (next.size() != count)
          fail("a table of " + std::to_string(next.size()) + " values beside one of " + std::to_string(count));
        result.values.insert(result.values.end(), next.begin(), next.end());
        ++result.choices;
      }
      if (error.empty() && (count < 2 || count > 256))
        fail("a table of " + std::to_string(count) + " values; 2 to 256 are allowed");
      if (error.empty() && result.kind == CodecKind::Choice && (result.choices < 2 || result.choices > 4))
        fail("a choice of " + std::to_string(int(result.choices)) + " tables; 2 to 4 are allowed");
      result.bits = bitsOf(count);
    } else if (take("vector<") || at().starts_with("again<")) {
      vectorCodec(result);
    } else {
      fail((at().empty() ? "the end" : "'" + std::string(at().substr(0, 20)) + "'") +
           " where a codec must stand: int<BITS>, float<eXmY RULE>, table<VALUES>, choice<VALUES|VALUES>, "
           "radix<VALUES>, "
           "nested<BITS:READ> or vector<ROWSxCOLUMNS VALUES|VALUES>");
      return result;
    }
    expect(">");
    return result;
  }

  void vectorCodec(Codec &result) {
    result.kind = CodecKind::Vector;
    result.isAgain = take("again<");
    auto size = [&](std::string_view what) {
      int64_t elements = integer(what, 1, 4);
      if (elements == 3)
        fail("3 where " + std::string(what) + ", 1, 2 or 4, must stand");
      return uint8_t(elements);
    };
    result.rows = size("rows of a block");
    expect("x");
    result.columns = size("elements of a row of a block");
    size_t each = size_t(result.rows) * result.columns, count = 0;
    do {
      std::vector<float> numbers = values();
      if (error.empty() && numbers.size() != each)
        fail("a code of " + std::to_string(numbers.size()) + " numbers for a block of " +
             std::to_string(int(result.rows)) + "x" + std::to_string(int(result.columns)));
      result.values.insert(result.values.end(), numbers.begin(), numbers.end());
      ++count;
    } while (error.empty() && count <= 16 && take("|"));
    if (error.empty() && (count < 2 || count > 16))
      fail("a vector of " + std::to_string(count) + " codes; 2 to 16 are allowed");
    result.bits = count <= 2 ? 1 : count <= 4 ? 2 : 4;
    if (error.empty() && result.bitsOfFour() > 8)
      fail(std::to_string(count) + " codes for blocks of one element of a row; 2 to 4 are allowed");
  }

  /// Bits of a code that is one of `count`.
  static uint8_t bitsOf(size_t count) {
    uint8_t bits = 1;
    while (size_t(1) << bits < count)
      ++bits;
    return bits;
  }

  /// Digits are worth a multiplication where more of them share a byte than would with bits of their own.
  void radixCodec(Codec &result) {
    result.kind = CodecKind::Table;
    result.values = values();
    size_t count = result.values.size();
    if (error.empty() && count != 3 && count != 5 && count != 6)
      fail("a radix of " + std::to_string(count) +
           " values; 3, 5 and 6 are allowed, as others take no fewer bits than in table<VALUES>");
    result.bits = bitsOf(count);
    for (size_t codes = count; error.empty() && codes <= 256; codes *= count)
      ++result.perByte;
  }

  void nestedCodec(Codec &result) {
    result.kind = CodecKind::Int;
    result.bits = result.read = uint8_t(integer("a width", 1, 8));
    if (error.empty() && result.bits != 4 && result.bits != 8)
      fail("nested codes of " + std::to_string(int(result.bits)) + " bits; 4 and 8 are allowed");
    if (take(":"))
      result.read = uint8_t(integer("a width to read", 1, 8));
    if (error.empty() && (result.read > result.bits || (result.read != 2 && result.read != 4 && result.read != 8)))
      fail("a reading of " + std::to_string(int(result.read)) + " of " + std::to_string(int(result.bits)) +
           " bits; 2, 4 and 8 are allowed, up to all of them");
  }

  void floatCodec(Codec &result) {
    result.kind = CodecKind::Float;
    result.exponentBits = uint8_t(integer("bits of an exponent", 1, 6));
    expect("m");
    result.mantissaBits = uint8_t(integer("bits of a fraction", 0, 6));
    int bits = 1 + result.exponentBits + result.mantissaBits;
    if (error.empty() && (bits < 3 || bits > 8))
      fail("a float of " + std::to_string(bits) + " bits; 3 to 8 are allowed");
    result.bits = uint8_t(bits);
    bool hasRule = false;
    for (size_t i = 0; i < std::size(kRuleNames); ++i)
      if (word() == kRuleNames[i] && take(kRuleNames[i])) {
        result.rule = FloatRule(i);
        hasRule = true;
        break;
      }
    // A byte has codes to spare for infinity and NaN, so whoever writes one has to say which.
    if (error.empty() && bits == 8 && !hasRule)
      fail("no rule for codes that are no numbers; after e" + std::to_string(int(result.exponentBits)) + "m" +
           std::to_string(int(result.mantissaBits)) + " one of ieee, fn, fnuz, finite must stand");
    if (error.empty() && result.mantissaBits == 0 && (result.rule == FloatRule::Ieee || result.rule == FloatRule::Fn) &&
        result.exponentBits < 2)
      fail("a float without any finite number but zero");
    result.bias = int16_t((1 << (result.exponentBits - 1)) - (result.rule == FloatRule::Fnuz ? 0 : 1));
    if (take("bias="))
      result.bias = int16_t(integer("a bias", -100, 100));
  }

  Term term(Encoding &encoding, bool isFirst) {
    Term result;
    bool isSparse = take("sparse<");
    if (isSparse) {
      expect("2:4");
      expect(">");
    }
    if (take("(")) {
      result.codec = codec();
      expect("-");
      if (!isFirst)
        fail("a zero point in a term that is not the first");
      if (atFactor()) {
        encoding.offset = {factor()};
        encoding.zero = isInteger(encoding.offset[0].type) ? ZeroKind::Integer : ZeroKind::Float;
      } else {
        encoding.constant = number();
      }
      expect(")");
    } else {
      result.codec = codec();
    }
    result.codec.isSparse = isSparse;
    while (take("*"))
      result.scale.push_back(factor());
    if (error.empty() && result.scale.empty())
      fail((at().empty() ? "the end" : "'" + std::string(at().substr(0, 20)) + "'") +
           " where '* TYPE/BLOCK' must stand");
    return result;
  }

  Encoding sum() {
    Encoding encoding;
    encoding.terms = {term(encoding, true)};
    while (error.empty() && take("+")) {
      if (!atFactor()) {
        encoding.terms.push_back(term(encoding, false));
        continue;
      }
      if (encoding.zero != ZeroKind::Constant || encoding.constant != 0)
        fail("both a zero point and a minimum");
      encoding.offset = product();
      encoding.zero = ZeroKind::Minimum;
      break;
    }
    return encoding;
  }

  std::string_view text;
  size_t position = 0;
  std::string error;
};

std::string textOf(float value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr};
}

std::string textOf(const BlockShape &block) {
  if (block.isTensor())
    return "tensor";
  if (block == BlockShape{1, 0})
    return "channel";
  return (block.rows == 1 ? "" : std::to_string(block.rows) + "x") + std::to_string(block.columns);
}

std::string textOf(const std::vector<Factor> &factors) {
  std::string text;
  for (const Factor &factor : factors)
    text += (text.empty() ? "" : " * ") + std::string(nameOf(factor.type)) + "/" + textOf(factor.block);
  return text;
}

std::string textOf(const Codec &codec) {
  switch (codec.kind) {
  case CodecKind::Plain:
    break;
  case CodecKind::Int:
    if (codec.read)
      return "nested<" + std::to_string(int(codec.bits)) +
             (codec.read < codec.bits ? ":" + std::to_string(int(codec.read)) : "") + ">";
    return "int<" + std::to_string(int(codec.bits)) + ">";
  case CodecKind::Float: {
    std::string text =
        "float<e" + std::to_string(int(codec.exponentBits)) + "m" + std::to_string(int(codec.mantissaBits));
    if (codec.bits == 8 || codec.rule != FloatRule::Finite)
      text += " " + std::string(kRuleNames[size_t(codec.rule)]);
    if (codec.bias != (1 << (codec.exponentBits - 1)) - (codec.rule == FloatRule::Fnuz ? 0 : 1))
      text += " bias=" + std::to_string(codec.bias);
    return text + ">";
  }
  case CodecKind::Table:
  case CodecKind::Choice:
  case CodecKind::Vector: {
    bool isVector = codec.kind == CodecKind::Vector;
    std::string text = codec.perByte ? "radix<" : codec.kind == CodecKind::Table ? "table<" : "choice<";
    if (isVector)
      text = (codec.isAgain ? "again<" : "vector<") + std::to_string(int(codec.rows)) + "x" +
             std::to_string(int(codec.columns)) + " ";
    size_t each = isVector ? size_t(codec.rows) * codec.columns : codec.values.size() / codec.choices;
    for (size_t i = 0; i < codec.values.size(); ++i)
      text += (i == 0 ? "" : i % each ? " " : " | ") + textOf(codec.values[i]);
    return text + ">";
  }
  }
  return "";
}

} // namespace

std::string_view nameOf(ScaleType type) { return kTypeNames[size_t(type)]; }

bool isInteger(ScaleType type) { return type >= ScaleType::U1; }

namespace {

/// Blocks along K that do not divide each other have no common group.
std::string misfitOfBlocks(const Encoding &encoding) {
  std::set<int64_t> sizes;
  auto look = [&](const std::vector<Factor> &factors) {
    for (const Factor &factor : factors)
      if (factor.block.columns)
        sizes.insert(factor.block.columns);
  };
  for (const Term &term : encoding.terms)
    look(term.scale);
  look(encoding.offset);
  int64_t last = 1;
  for (int64_t size : sizes) {
    if (size % last)
      return "blocks of " + std::to_string(last) + " and of " + std::to_string(size) +
             " elements along K; the larger must be a multiple of the smaller";
    last = size;
  }
  return "";
}

/// A product that is made of whole numbers, or of 2^-code, alone cannot follow weights of any size.
std::string misfitOfRange(std::string_view field, const std::vector<Factor> &factors) {
  for (const Factor &factor : factors)
    if (!isInteger(factor.type) && factor.type != ScaleType::Shift)
      return "";
  return std::string(field) + " " + textOf(factors) +
         ", which cannot hold the range of weights; one of its factors must be f32, f16, bf16, e8m0, e4m3 or ue5m3";
}

bool hasSign(const std::vector<Factor> &factors) {
  return std::any_of(factors.begin(), factors.end(), [](const Factor &factor) { return isSigned(factor.type); });
}

/// Elements without a code are 0: nothing may move them, and the four that one of them belongs to must share all scales.
std::string misfitOfSparse(const Encoding &encoding) {
  auto isSparse = [](const Term &term) { return term.codec.isSparse; };
  if (std::none_of(encoding.terms.begin(), encoding.terms.end(), isSparse))
    return "";
  for (const Term &term : encoding.terms)
    if (isSparse(term) && (term.codec.perByte || term.codec.read))
      return "sparse<2:4> of " + textOf(term.codec) +
             "; its codes must have bits of their own that lie together, as in " +
             (term.codec.read ? "int<BITS>" : "table<VALUES>");
  if (int64_t group = groupSize(encoding, 0); group % 4)
    return "blocks of " + std::to_string(group) + " elements along K under sparse<2:4>; they must be multiples of 4";
  if (encoding.zero == ZeroKind::Minimum)
    return "the minimum " + textOf(encoding.offset) +
           " beside sparse<2:4>, which it would move the zeros of; subtract a zero point instead";
  if (!isSparse(encoding.terms.front()) || encoding.zero == ZeroKind::Constant)
    return "";
  if (encoding.zero == ZeroKind::Float || encoding.codec().kind != CodecKind::Int)
    return "the zero point " + textOf(encoding.offset) +
           " under sparse<2:4>; there a stored zero point is u1 to u8, and its codes are int<BITS>";
  return "";
}

/// Codes of blocks: whoever shares them has the same blocks, and no block has two scales.
std::string misfitOfVectors(const Encoding &encoding) {
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    const Codec &codec = term.codec;
    if (codec.kind != CodecKind::Vector)
      continue;
    std::string name = textOf(codec).substr(0, 10),
                shape = std::to_string(int(codec.rows)) + "x" + std::to_string(int(codec.columns));
    if (codec.isSparse)
      return "sparse<2:4> before " + name + "; blocks of elements have codes as a whole";
    if (t == 0 ? encoding.zero != ZeroKind::Constant || encoding.constant != 0 : encoding.zero == ZeroKind::Minimum)
      return "a zero point or minimum beside " + name + "; its numbers are what they are";
    if (term.scale.size() != 1)
      return "the scale " + textOf(term.scale) + " of " + name + "; it must be one factor";
    const BlockShape &block = term.scale[0].block;
    if (block.rows % codec.rows || block.columns % codec.columns)
      return "the scale " + textOf(term.scale) + ", which cuts blocks of " + shape +
             "; it must be shared by whole ones";
    if (groupSize(encoding, 0) % codec.columns)
      return "blocks of " + std::to_string(groupSize(encoding, 0)) + " elements along K, which cut blocks of " + shape;
    if (!codec.isAgain)
      continue;
    const Term *before = t ? &encoding.terms[t - 1] : nullptr;
    if (!before || before->codec.kind != CodecKind::Vector || before->codec.rows != codec.rows ||
        before->codec.columns != codec.columns || before->codec.values.size() != codec.values.size() ||
        before->scale[0].block != block)
      return name + " behind a term that has no such codes; the one before must be a vector of as many codes, blocks "
                    "and scales";
  }
  return "";
}

std::string misfitOfZero(const Encoding &encoding) {
  std::string type(encoding.offset.empty() ? "" : nameOf(encoding.offset[0].type));
  switch (encoding.zero) {
  case ZeroKind::Constant:
    break;
  case ZeroKind::Integer:
    if (scaleBits(encoding.offset[0].type) < encoding.bits() && encoding.codec().kind == CodecKind::Int)
      return "zero points of type " + type + " for codes of " + std::to_string(encoding.bits()) +
             " bits; they need as many bits";
    if (encoding.offset[0].type > ScaleType::U8)
      return "zero points of type " + type + "; codes start at 0, so that their zero points are u1 to u8";
    break;
  case ZeroKind::Float:
    if (encoding.offset[0].type == ScaleType::E8M0 || encoding.offset[0].type == ScaleType::Shift)
      return "zero points of type " + type + ", which has no 0";
    break;
  case ZeroKind::Minimum:
    if (!hasSign(encoding.offset))
      return "the minimum " + textOf(encoding.offset) +
             ", which cannot be negative; one of its factors must have a sign";
    return misfitOfRange("the minimum", encoding.offset);
  }
  return "";
}

} // namespace

std::string misfitOf(const Encoding &encoding) {
  if (std::string why = misfitOfBlocks(encoding); !why.empty())
    return why;
  bool isNegative = false, isPositive = false;
  for (const Term &term : encoding.terms) {
    std::vector<float> numbers = term.codec.table();
    if (std::none_of(numbers.begin(), numbers.end(), [](float value) { return value != 0 && std::isfinite(value); }))
      return "a codec that has no number but zero";
    for (const Factor &factor : term.scale)
      if (factor.type == ScaleType::U1)
        return "u1 as the type of a scale; it can hold 0 and 1 only";
    if (std::string why = misfitOfRange("the scale", term.scale); !why.empty())
      return why;
    float constant = &term == &encoding.terms.front() ? encoding.constant : 0;
    for (float value : numbers) {
      isNegative |= value - constant < 0 || hasSign(term.scale);
      isPositive |= value - constant > 0 || hasSign(term.scale);
    }
  }
  if (encoding.zero == ZeroKind::Constant && !(isNegative && isPositive))
    return "the scale " + textOf(encoding.terms.front().scale) +
           ", which has no sign, for codes whose numbers have one sign only; subtract a zero point, add a minimum, or "
           "choose f32, f16 or bf16";
  if (std::string why = misfitOfSparse(encoding); !why.empty())
    return why;
  if (std::string why = misfitOfVectors(encoding); !why.empty())
    return why;
  return misfitOfZero(encoding);
}

std::optional<Encoding> parseFormula(std::string_view text, std::string *why) { return Parser(text).run(why); }

std::string formulaOf(const Encoding &encoding) {
  if (encoding.isPlain())
    return std::string(nameOf(encoding.scaleType()));
  std::string text;
  for (const Term &term : encoding.terms) {
    std::string codec = textOf(term.codec);
    if (text.empty() && (encoding.zero == ZeroKind::Integer || encoding.zero == ZeroKind::Float))
      codec = "(" + codec + " - " + textOf(encoding.offset) + ")";
    else if (text.empty() && encoding.constant != 0)
      codec = "(" + codec + " - " + textOf(encoding.constant) + ")";
    text += (text.empty() ? "" : " + ") + std::string(term.codec.isSparse ? "sparse<2:4> " : "") + codec + " * " +
            textOf(term.scale);
  }
  return encoding.zero == ZeroKind::Minimum ? text + " + " + textOf(encoding.offset) : text;
}

} // namespace whit
