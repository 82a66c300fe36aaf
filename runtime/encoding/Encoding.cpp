// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of encodings, read and printed from the rows of Formats.def.
#include "runtime/encoding/Formula.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>

namespace whit {
namespace {

constexpr ScaleType kPlainTypes[] = {
#define WHIT_PLAIN_FORMAT(name, type, aliases, source) ScaleType::type,
#include "whit/Formats.def"
};

/// `formula` with the type and the block of its scales filled in.
std::string instance(std::string_view formula, std::string_view type, std::string_view shape) {
  std::string text;
  for (size_t i = 0; i < formula.size(); ++i) {
    if (formula[i] != '$') {
      text += formula[i];
      continue;
    }
    text += formula[++i] == 'T' ? type : shape;
  }
  return text;
}

bool hasTypes(const FormatRow &row) { return row.formula.find("$T") != row.formula.npos; }

/// A format of a family, given by the type and the block of its scales.
std::optional<Encoding> member(const FormatRow &row, ScaleType type, std::string_view shape, std::string *why) {
  return parseFormula(instance(row.formula, nameOf(type), shape), why);
}

/// Calls body(name, grouping) for every alias of a row; the grouping, "g64_f32", is empty where the table gives none.
template <typename Body> void forAliases(const FormatRow &row, Body &&body) {
  for (size_t begin = 0; begin < row.aliases.size();) {
    size_t end = std::min(row.aliases.find(' ', begin), row.aliases.size());
    std::string_view alias = row.aliases.substr(begin, end - begin);
    size_t cut = std::min(alias.find('='), alias.size());
    body(alias.substr(0, cut), alias.substr(std::min(cut + 1, alias.size())));
    begin = end + 1;
  }
}

std::optional<Encoding> refuse(std::string *why, std::string text) {
  if (why)
    *why = std::move(text);
  return std::nullopt;
}

/// The format of a row; of a family its member with groups of 32 and f16 scales.
std::optional<Encoding> encodingOf(const FormatRow &row) {
  for (ScaleType type : kPlainTypes)
    if (row.stem == nameOf(type))
      return plainEncoding(type);
  return row.isFamily ? member(row, ScaleType::F16, "32", nullptr) : parseFormula(row.formula, nullptr);
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

/// The block of a formula for "gN", "channel" or "tensor"; nothing if it is none of them or N is out of range.
std::optional<std::string> shapeOf(std::string_view word) {
  if (word == "channel" || word == "tensor")
    return std::string(word);
  if (word.size() < 2 || word[0] != 'g' || word[1] == '0')
    return std::nullopt;
  int64_t group = 0;
  auto [end, error] = std::from_chars(word.data() + 1, word.data() + word.size(), group);
  if (error != std::errc() || end != word.data() + word.size() || group < 1 || group > kMaxGroup)
    return std::nullopt;
  return std::string(word.substr(1));
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
  for (const FormatRow &row : formatRows()) {
    forAliases(row, [&](std::string_view alias, std::string_view) { add(std::string(alias)); });
    if (!row.isFamily)
      add(std::string(row.stem));
    else
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

const std::vector<FormatRow> &formatRows() {
  static const std::vector<FormatRow> rows = {
#define WHIT_PLAIN_FORMAT(name, type, aliases, source) {name, "", name, false, aliases, source},
#define WHIT_FORMAT(name, formula, aliases, source) {name, "", formula, false, aliases, source},
#define WHIT_FORMAT_FAMILY(stem, suffix, formula, aliases, source) {stem, suffix, formula, true, aliases, source},
#include "whit/Formats.def"
  };
  return rows;
}

std::optional<Encoding> parseEncoding(std::string_view name, std::string *why) {
  for (const FormatRow &row : formatRows()) {
    if (!row.isFamily && name == row.stem)
      return encodingOf(row);
    std::optional<std::string> meant;
    forAliases(row, [&](std::string_view alias, std::string_view grouping) {
      if (alias != name)
        return;
      meant = std::string(row.stem);
      if (!row.isFamily)
        return;
      // The suffix of a family stands between the block and the type.
      size_t cut = std::min(grouping.find('_'), grouping.size());
      meant = *meant + "_" + (grouping.empty() ? "g32" : std::string(grouping.substr(0, cut))) +
              std::string(row.suffix) + std::string(grouping.substr(cut));
    });
    if (meant)
      return parseEncoding(*meant, why);
  }

  for (const AddedFormat &format : addedFormats())
    if (name == format.name)
      return parseFormula(format.formula, why);

  // Words only for who reads them: suggestions come from parsing other names.
  auto similar = [&] { return why ? suggestion(name) : ""; };
  std::string quoted = "'" + std::string(name.substr(0, 120)) + "'";
  if (name.find_first_of("<(") != name.npos) {
    std::optional<Encoding> encoding = parseFormula(name, why);
    if (!encoding && why)
      *why = "format " + quoted + ": " + *why;
    return encoding;
  }
  std::string_view rest = name;
  ScaleType type = ScaleType::F16;
  if (takeSuffix(rest, "_f32"))
    type = ScaleType::F32;
  else if (takeSuffix(rest, "_bf16"))
    type = ScaleType::BF16;

  bool stemKnown = false;
  std::string_view stem;
  for (const FormatRow &row : formatRows()) {
    if (!row.isFamily || !rest.starts_with(row.stem))
      continue;
    std::string_view left = rest.substr(row.stem.size());
    if (!left.empty() && left[0] != '_')
      continue;
    stemKnown = true;
    stem = row.stem;
    left = left.empty() ? left : left.substr(1);
    std::string_view grouping = takeWord(left);
    if (rest.ends_with('_') || left != (row.suffix.empty() ? row.suffix : row.suffix.substr(1)))
      continue;
    std::optional<std::string> shape = shapeOf(grouping);
    if (!shape)
      return refuse(why, "format " + quoted + " has the grouping '" + std::string(grouping.substr(0, 40)) +
                             "'; it must be gN (N from 1 to " + std::to_string(kMaxGroup) +
                             "), channel or tensor, as in " + std::string(row.stem) + "_g32" + std::string(row.suffix) +
                             similar());
    if (type != ScaleType::F16 && !hasTypes(row))
      return refuse(why, "format " + quoted + " ends in a type of scales; those of " + std::string(row.stem) +
                             " are part of its formula, " + std::string(row.formula));
    std::string reason;
    std::optional<Encoding> encoding = member(row, type, *shape, &reason);
    return encoding ? encoding : refuse(why, "format " + quoted + ": " + reason);
  }
  if (stemKnown)
    return refuse(why, "format " + quoted + " ends in something that '" + std::string(stem) +
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
  if (encoding.isPlain())
    return std::string(nameOf(encoding.scaleType()));
  const Factor &first = encoding.terms.front().scale.front();
  std::string shape = first.block.isTensor()            ? "tensor"
                      : first.block == BlockShape{1, 0} ? "channel"
                      : first.block.rows == 1           ? std::to_string(first.block.columns)
                                                        : "";
  bool hasSuffix = first.type == ScaleType::F16 || first.type == ScaleType::F32 || first.type == ScaleType::BF16;
  // Most rows differ in what a code means: only the others are instantiated.
  static const std::vector<Encoding> samples = [] {
    std::vector<Encoding> result;
    for (const FormatRow &row : formatRows())
      result.push_back(encodingOf(row).value_or(Encoding()));
    return result;
  }();
  for (size_t i = 0; i < samples.size(); ++i) {
    const FormatRow &row = formatRows()[i];
    bool isAlike = samples[i].zero == encoding.zero && samples[i].constant == encoding.constant &&
                   std::ranges::equal(samples[i].terms, encoding.terms, {}, &Term::codec, &Term::codec);
    if (!isAlike)
      continue;
    if (!row.isFamily) {
      if (samples[i] == encoding)
        return std::string(row.stem);
      continue;
    }
    ScaleType type = hasTypes(row) ? first.type : ScaleType::F16;
    if (shape.empty() || (hasTypes(row) && !hasSuffix) || member(row, type, shape, nullptr) != encoding)
      continue;
    std::string name(row.stem);
    name += (std::isdigit(uint8_t(shape[0])) ? "_g" : "_") + shape + std::string(row.suffix);
    if (type != ScaleType::F16)
      name += "_" + std::string(nameOf(type));
    return name;
  }
  return formulaOf(encoding);
}

std::vector<std::string> formatStems() {
  std::vector<std::string> stems;
  for (const FormatRow &row : formatRows())
    stems.push_back(std::string(row.stem) + std::string(row.suffix));
  return stems;
}

} // namespace whit
