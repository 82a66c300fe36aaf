// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One line for each row of the table.
#include "runtime/encoding/FormatLists.h"

#include "whit/Encoding.h"

#include <algorithm>
#include <cstdio>

namespace whit {
namespace {

/// What is longer than its column moves the others.
std::string cell(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

std::string line(std::string name, std::string formula, std::string_view aliases, std::string_view source) {
  return cell(std::move(name), 22) + cell(std::move(formula), 54) + cell(std::string(aliases), 14) +
         std::string(source) + "\n";
}

std::string nameOf(const FormatRow &row) {
  return std::string(row.stem) + (row.isFamily ? "_gN" : "") + std::string(row.suffix);
}

/// The formula of a row with a block written for `$S`.
std::string formulaOf(const FormatRow &row, std::string_view block) {
  std::string formula(row.formula);
  for (auto [mark, text] : {std::pair<std::string_view, std::string_view>("$T", "f16"), {"$S", block}})
    for (size_t at; (at = formula.find(mark)) != formula.npos;)
      formula.replace(at, 2, text);
  return formula;
}

} // namespace

std::string formatList() {
  std::string text = line("NAME", "VALUE", "ALIASES", "DEFINED BY");
  for (const FormatRow &row : formatRows())
    text += line(nameOf(row), formulaOf(row, "N"), row.aliases, row.source);
  for (const AddedFormat &format : addedFormats())
    text += line(format.name, format.formula, "", format.source);
  return text +
         "\nN: elements along K that share a scale; `_channel` or `_tensor` instead of `_gN` for one scale per row or"
         " per matrix.\nScales of such families are f16; a last `_f32` or `_bf16` changes their type. Aliases of a "
         "family have groups\nof 32, or what follows their `=`.\n"
         "A formula is a format too: #whit.format<\"int<4> * f16/32 + f16/32\">.\n";
}

std::string formatsDoc() {
  std::string text =
      "<!-- Written by `./dev docs` from include/whit/Formats.def; do not edit. -->\n\n# Number formats\n\n"
      "A format is a formula; the top of [`include/whit/Encoding.h`](../include/whit/Encoding.h) says how to read one, "
      "and\n[adding-a-format.md](adding-a-format.md) how to write one. `N` is the number of elements of a row that "
      "share "
      "a scale: a name ends in `_gN`,\n`_channel` or `_tensor`, and perhaps in `_f32` or `_bf16`, where the formula "
      "shows "
      "`f16/N`. Bits per weight are those of a matrix of\n4096 x 4096 with groups of 32.\n\n"
      "| format | value | bits per weight | also called | source |\n|---|---|--:|---|---|\n";
  for (const FormatRow &row : formatRows()) {
    double bits = bitsPerWeight(*parseEncoding(formulaOf(row, "32"), nullptr), 4096, 4096);
    char number[32];
    snprintf(number, sizeof number, "%.3f", bits);
    std::string formula, aliases;
    for (char c : formulaOf(row, "N")) // a bar would end the cell
      formula += c == '|' ? std::string("\\|") : std::string(1, c);
    for (size_t begin = 0; begin < row.aliases.size();) {
      size_t end = std::min(row.aliases.find(' ', begin), row.aliases.size());
      std::string_view alias = row.aliases.substr(begin, end - begin);
      aliases += (aliases.empty() ? "`" : ", `") + std::string(alias.substr(0, alias.find('='))) + "`";
      begin = end + 1;
    }
    text += "| `" + nameOf(row) + "` | `" + formula + "` | " + number + " | " + aliases + " | " +
            std::string(row.source) + " |\n";
  }
  return text;
}

} // namespace whit
