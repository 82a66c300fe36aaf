// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of encodings, read and printed from the rows of Formats.def, and the sizes that follow from an encoding alone.
#include "whit/Encoding.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>

namespace whit {
namespace {

struct IntRow {
  std::string_view stem, suffix;
  uint8_t bits;
  ZeroKind zero;
  std::string_view alias;
};

struct PlainRow {
  std::string_view stem;
  ScaleType type;
};

constexpr PlainRow kPlainRows[] = {
#define WHIT_PLAIN_FORMAT(stem, scaleType) {stem, ScaleType::scaleType},
#include "whit/Formats.def"
};

constexpr IntRow kIntRows[] = {
#define WHIT_INT_FORMAT(stem, suffix, bits, zeroKind, alias) {stem, suffix, bits, ZeroKind::zeroKind, alias},
#include "whit/Formats.def"
};

Encoding plainEncoding(const PlainRow &row) {
  return {Codec::Plain, uint8_t(8 * scaleBytes(row.type)), ZeroKind::Constant, row.type, Grouping::Tensor, 0};
}

std::optional<Encoding> refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return std::nullopt;
}

/// Takes the text up to the next '_' (or all of it) from the front of `rest`.
std::string_view takeWord(std::string_view &rest) {
  size_t end = rest.find('_');
  std::string_view word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

/// Removes `suffix` from the end of `text` if it is there.
bool takeSuffix(std::string_view &text, std::string_view suffix) {
  if (text.size() <= suffix.size() || !text.ends_with(suffix))
    return false;
  text.remove_suffix(suffix.size());
  return true;
}

/// Reads "gN", "channel" or "tensor" into `encoding`; false if it is none of them or N is out of range.
bool parseGrouping(std::string_view word, Encoding &encoding) {
  if (word == "channel" || word == "tensor") {
    encoding.grouping = word == "channel" ? Grouping::Channel : Grouping::Tensor;
    encoding.group = 0;
    return true;
  }
  if (word.size() < 2 || word[0] != 'g' || word[1] == '0')
    return false;
  encoding.grouping = Grouping::Group;
  auto [end, error] = std::from_chars(word.data() + 1, word.data() + word.size(), encoding.group);
  return error == std::errc() && end == word.data() + word.size() && encoding.group >= 1 && encoding.group <= kMaxGroup;
}

/// Letters to add, take away or exchange to make `b` of `a`.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] != b[j])});
      diagonal = above;
    }
  }
  return row.back();
}

/// "; did you mean 'a', 'b' or 'c'?" with the names that are spelled most like `name`, or nothing if none is.
std::string suggestion(std::string_view name) {
  constexpr size_t kFarthest = 4, kMost = 3;
  name = name.substr(0, 40);
  std::vector<std::string> groupings = {"_g32", "_channel"};
  // A group size that was asked for stays.
  size_t digits = name.find_last_of('g');
  if (digits != name.npos && digits + 1 < name.size() && std::isdigit(uint8_t(name[digits + 1])))
    groupings[0] =
        "_g" + std::string(name.substr(digits + 1, name.find_first_not_of("0123456789", digits + 1) - digits - 1));
  std::vector<std::pair<size_t, std::string>> near;
  auto add = [&](std::string known) {
    if (size_t far = distance(name, known); far <= kFarthest && parseEncoding(known, nullptr))
      near.emplace_back(far, std::move(known));
  };
  for (const PlainRow &row : kPlainRows)
    add(std::string(row.stem));
  for (const IntRow &row : kIntRows) {
    if (!row.alias.empty())
      add(std::string(row.alias));
    for (const std::string &grouping : groupings)
      add(std::string(row.stem) + grouping + std::string(row.suffix));
  }
  std::sort(near.begin(), near.end());
  std::string text;
  for (size_t i = 0; i < std::min(near.size(), kMost) && near[i].first <= near[0].first + 1; ++i)
    text += (i ? ", '" : "; did you mean '") + near[i].second + "'";
  return text.empty() ? text : text + "?";
}

} // namespace

std::optional<Encoding> parseEncoding(std::string_view name, std::string *why) {
  for (const PlainRow &row : kPlainRows)
    if (name == row.stem)
      return plainEncoding(row);
  for (const IntRow &row : kIntRows)
    if (!row.alias.empty() && name == row.alias)
      return Encoding{Codec::Int, row.bits, row.zero, ScaleType::F16, Grouping::Group, 32};

  // Words only for who reads them: suggestions come from parsing other names.
  auto similar = [&] { return why ? suggestion(name) : ""; };
  std::string quoted = "'" + std::string(name.substr(0, 120)) + "'";
  std::string_view rest = name;
  Encoding encoding{Codec::Int, 0, ZeroKind::Constant, ScaleType::F16, Grouping::Group, 0};
  if (takeSuffix(rest, "_f32"))
    encoding.scale = ScaleType::F32;
  else if (takeSuffix(rest, "_bf16"))
    encoding.scale = ScaleType::BF16;

  std::string_view stem = takeWord(rest);
  std::string_view grouping = takeWord(rest);
  bool stemKnown = false;
  for (const IntRow &row : kIntRows) {
    if (stem != row.stem)
      continue;
    stemKnown = true;
    std::string_view suffix = row.suffix.empty() ? row.suffix : row.suffix.substr(1);
    if (rest != suffix)
      continue;
    if (!parseGrouping(grouping, encoding))
      return refuse(why, "format " + quoted + " has the grouping '" + std::string(grouping.substr(0, 40)) +
                             "'; it must be gN (N from 1 to " + std::to_string(kMaxGroup) +
                             "), channel or tensor, as in " + std::string(row.stem) + "_g32" + std::string(row.suffix) +
                             similar());
    encoding.bits = row.bits;
    encoding.zero = row.zero;
    if (std::string spelled = nameOf(encoding); spelled != name)
      return refuse(why, "format " + quoted + " is not spelled as it must be: '" + spelled + "'");
    return encoding;
  }
  if (stemKnown)
    return refuse(why, "format " + quoted + " ends in '" + std::string(rest.substr(0, 40)) + "', which '" +
                           std::string(stem) +
                           "' does not have; formats are stem_gN, with _float or _min for float zeros of unsigned "
                           "codes, then _f32 or _bf16 for scales" +
                           similar());
  std::string known;
  for (const std::string &each : formatStems())
    known += (known.empty() ? "" : " ") + each;
  return refuse(why, "format " + quoted + " is not known; known are " + known +
                         ", each integer with _gN (N values share a scale), _channel or _tensor" + similar());
}

std::string nameOf(const Encoding &encoding) {
  if (encoding.codec == Codec::Plain) {
    for (const PlainRow &row : kPlainRows)
      if (plainEncoding(row) == encoding)
        return std::string(row.stem);
    return "";
  }
  for (const IntRow &row : kIntRows) {
    if (row.bits != encoding.bits || row.zero != encoding.zero)
      continue;
    std::string name(row.stem);
    switch (encoding.grouping) {
    case Grouping::Group:
      name += "_g" + std::to_string(encoding.group);
      break;
    case Grouping::Channel:
      name += "_channel";
      break;
    case Grouping::Tensor:
      name += "_tensor";
      break;
    }
    name += row.suffix;
    if (encoding.scale != ScaleType::F16)
      name += encoding.scale == ScaleType::F32 ? "_f32" : "_bf16";
    return name;
  }
  return "";
}

std::vector<std::string> formatStems() {
  std::vector<std::string> stems;
  for (const PlainRow &row : kPlainRows)
    stems.emplace_back(row.stem);
  for (const IntRow &row : kIntRows)
    stems.push_back(std::string(row.stem) + std::string(row.suffix));
  return stems;
}

int64_t scaleBytes(ScaleType type) { return type == ScaleType::F32 ? 4 : 2; }

int64_t groupSize(const Encoding &encoding, int64_t k) {
  return encoding.codec == Codec::Int && encoding.grouping == Grouping::Group ? encoding.group : k;
}

int64_t groupCount(const Encoding &encoding, int64_t k) {
  if (encoding.codec == Codec::Int && encoding.grouping == Grouping::Group)
    return (k + encoding.group - 1) / encoding.group;
  return 1;
}

} // namespace whit
