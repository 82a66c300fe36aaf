// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formats that a user names. The file is the part of TOML that two kinds of rows need, read line by line so that every error can name
// its line and key; a whole TOML library would bring dates, arrays and nesting that no row has.
#include "runtime/encoding/Formula.h"

#include <algorithm>
#include <cctype>

namespace whit {
namespace {

std::vector<AddedFormat> &added() {
  static std::vector<AddedFormat> formats;
  return formats;
}

bool refuse(std::string *why, std::string what) {
  if (why)
    *why = std::move(what);
  return false;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(uint8_t(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(uint8_t(text.back())))
    text.remove_suffix(1);
  return text;
}

bool isName(std::string_view name) {
  auto isPart = [](char c) { return std::islower(uint8_t(c)) || std::isdigit(uint8_t(c)) || c == '_'; };
  return !name.empty() && std::islower(uint8_t(name[0])) && std::all_of(name.begin(), name.end(), isPart);
}

/// Takes a quoted string from the front of `text`: "basic" without escapes, or 'literal'.
std::optional<std::string> takeString(std::string_view &text) {
  if (text.empty() || (text[0] != '"' && text[0] != '\''))
    return std::nullopt;
  size_t end = text.find(text[0], 1);
  if (end == text.npos || (text[0] == '"' && text.substr(0, end).find('\\') != text.npos))
    return std::nullopt;
  std::string value(text.substr(1, end - 1));
  text = trimmed(text.substr(end + 1));
  return value;
}

bool isEnd(std::string_view rest) { return rest.empty() || rest[0] == '#'; }

} // namespace

const std::vector<AddedFormat> &addedFormats() { return added(); }

bool addFormat(std::string_view name, std::string_view formula, std::string_view source, std::string *why) {
  std::string quoted = "format '" + std::string(name.substr(0, 120)) + "'";
  if (!isName(name))
    return refuse(why, quoted + ": a name is lower-case letters, digits and '_', a letter first");
  for (const AddedFormat &format : added())
    if (format.name == name && format.formula == formula)
      return true;
  if (parseEncoding(name, nullptr))
    return refuse(why, quoted + " is known already; give it another name");
  std::string reason;
  if (!parseFormula(formula, &reason))
    return refuse(why, quoted + ": formula '" + std::string(formula.substr(0, 200)) + "': " + reason);
  added().push_back({std::string(name), std::string(formula), std::string(source)});
  return true;
}

bool addFormats(std::string_view text, std::string *why) {
  struct Row {
    std::string name, formula, source;
    int line;
  };
  std::vector<Row> rows;
  bool inTable = false;
  int number = 0;
  auto at = [&] { return "line " + std::to_string(number) + ": "; };
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (isEnd(line))
      continue;
    if (line[0] == '[') {
      size_t close = line.find(']');
      if (close == line.npos || !isEnd(trimmed(line.substr(close + 1))))
        return refuse(why, at() + "'" + std::string(line.substr(0, 80)) + "' is not [NAME]");
      rows.push_back({std::string(trimmed(line.substr(1, close - 1))), "", "", number});
      inTable = true;
      continue;
    }
    size_t equal = line.find('=');
    std::string_view key = trimmed(line.substr(0, equal)),
                     rest = equal == line.npos ? "" : trimmed(line.substr(equal + 1));
    std::optional<std::string> value = takeString(rest);
    if (!value || !isEnd(rest))
      return refuse(why,
                    at() + "key '" + std::string(key.substr(0, 80)) +
                        "': found no string in quotes; rows are NAME = \"FORMULA\", or [NAME] with the keys formula "
                        "and source");
    if (!inTable)
      rows.push_back({std::string(key), *value, "", number});
    else if (key == "formula")
      rows.back().formula = *value;
    else if (key == "source")
      rows.back().source = *value;
    else
      return refuse(why, at() + "key '" + std::string(key.substr(0, 80)) + "' of '" + rows.back().name +
                             "'; formula and source are known");
  }
  size_t before = added().size();
  for (const Row &row : rows) {
    std::string reason = "format '" + row.name + "' has no formula";
    if (!row.formula.empty() && addFormat(row.name, row.formula, row.source, &reason))
      continue;
    added().resize(before);
    return refuse(why, "line " + std::to_string(row.line) + ": " + reason);
  }
  return true;
}

} // namespace whit
