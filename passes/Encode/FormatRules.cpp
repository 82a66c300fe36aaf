// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Patterns and what they match.

#include "Encode/FormatRules.h"

#include "runtime/encoding/LowRank.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::whit;

llvm::Error FormatRules::add(StringRef flag, StringRef pattern, StringRef format) {
  llvm::Expected<Format> parsed = format.empty() ? Format{"", 0} : parseFormat(format);
  if (!parsed)
    return llvm::createStringError(flag + ": " + llvm::toString(parsed.takeError()));
  llvm::Expected<llvm::GlobPattern> names = llvm::GlobPattern::create(pattern);
  if (!names)
    return llvm::createStringError(flag + ": pattern '" + pattern +
                                   "' cannot be read: " + llvm::toString(names.takeError()));
  rules.push_back({flag.str(), pattern.str(), std::move(*names), parsed->name, parsed->rank});
  return llvm::Error::success();
}

llvm::Expected<FormatRules::Format> FormatRules::parseFormat(StringRef text) {
  constexpr StringLiteral kLowRank = "lowrank";
  Format format{text.str(), 0};
  auto [base, last] = text.rsplit('+');
  if (last.ltrim().starts_with(kLowRank)) {
    StringRef rank = last.trim().drop_front(kLowRank.size());
    format.name = base.rtrim();
    if (rank.getAsInteger(10, format.rank) || format.rank < 1 || format.rank > ::whit::kMaxLowRank)
      return llvm::createStringError("'" + text + "' has a correction of rank '" + rank + "'; it must be from 1 to " +
                                     llvm::Twine(::whit::kMaxLowRank));
  }
  std::string why;
  if (!::whit::parseEncoding(format.name, &why))
    return llvm::createStringError(why);
  return format;
}

llvm::Expected<std::vector<std::pair<StringRef, StringRef>>> FormatRules::split(StringRef formatMap) {
  std::vector<std::pair<StringRef, StringRef>> entries;
  size_t begin = 0, equals = StringRef::npos;
  int depth = 0; // of brackets behind the first equal sign: those of a name may stand alone
  for (size_t i = 0; i <= formatMap.size(); ++i) {
    char letter = i < formatMap.size() ? formatMap[i] : ',';
    bool isEnd = i == formatMap.size() || (letter == ',' && depth <= 0);
    if (letter == '=' && depth <= 0)
      equals = i;
    else if (equals != StringRef::npos)
      depth += (letter == '<' || letter == '(') - (letter == '>' || letter == ')');
    if (!isEnd)
      continue;
    StringRef entry = formatMap.slice(begin, i);
    bool isWhole = equals != StringRef::npos && equals > begin && equals + 1 < i;
    if (!entry.empty() && !isWhole)
      return llvm::createStringError("--format-map: '" + entry + "' is not GLOB=FORMAT");
    if (!entry.empty())
      entries.emplace_back(formatMap.slice(begin, equals), formatMap.slice(equals + 1, i));
    begin = i + 1, equals = StringRef::npos, depth = 0;
  }
  return entries;
}

llvm::Expected<FormatRules> FormatRules::read(StringRef keep, StringRef formatMap, StringRef weights) {
  FormatRules result;
  for (StringRef pattern : llvm::split(keep, ','))
    if (!pattern.empty())
      if (llvm::Error error = result.add("--keep", pattern, ""))
        return std::move(error);
  auto entries = split(formatMap);
  if (!entries)
    return entries.takeError();
  for (auto [pattern, format] : *entries)
    if (llvm::Error error = result.add("--format-map", pattern, format))
      return std::move(error);
  if (!weights.empty())
    if (llvm::Error error = result.add("--weights", "*", weights))
      return std::move(error);
  return result;
}

static void addNodeNames(Location location, SmallVectorImpl<StringRef> &names) {
  location->walk([&](Location inner) {
    if (auto name = dyn_cast<NameLoc>(inner); name && !llvm::is_contained(names, name.getName().getValue()))
      names.push_back(name.getName().getValue());
    return WalkResult::advance();
  });
}

DenseMap<StringAttr, SmallVector<StringRef>> mlir::whit::namesOfWeights(ModuleOp module) {
  DenseMap<StringAttr, SmallVector<StringRef>> names;
  for (auto weight : module.getOps<WeightOp>())
    names[weight.getSymNameAttr()].push_back(weight.getSymName());
  module.walk([&](ConstantOp constant) {
    for (Operation *user : constant->getUsers())
      addNodeNames(user->getLoc(), names[constant.getWeightAttr().getAttr()]);
  });
  return names;
}

const FormatRules::Rule *FormatRules::find(ArrayRef<StringRef> names) const {
  for (const Rule &rule : rules)
    if (llvm::any_of(names, [&](StringRef name) { return rule.names.match(name); }))
      return &rule;
  return nullptr;
}

std::string FormatRules::firstUnused(ModuleOp module) const {
  auto weights = namesOfWeights(module);
  SmallVector<StringRef> all;
  for (auto weight : module.getOps<WeightOp>())
    llvm::append_range(all, weights[weight.getSymNameAttr()]);
  for (const Rule &rule : rules) {
    // --weights=FORMAT may be given to a model without weights.
    if (rule.pattern == "*" || llvm::any_of(all, [&](StringRef name) { return rule.names.match(name); }))
      continue;
    std::string letters = llvm::join(llvm::split(rule.pattern, '*'), "");
    constexpr size_t kMost = 3;
    auto far = [&](StringRef name) {
      // A name that holds what stands between the stars is closest.
      return std::make_pair(!name.contains_insensitive(letters), name.edit_distance_insensitive(letters));
    };
    llvm::stable_sort(all, [&](StringRef a, StringRef b) { return far(a) < far(b); });
    std::string message = rule.flag + ": no weight and no node with a weight matches '" + rule.pattern + "'";
    for (auto [i, name] : llvm::enumerate(ArrayRef(all).take_front(kMost)))
      message += (i ? "', '" : "; similar names are '") + name.str();
    return message + (all.empty() ? "; the model has no weights" : "'");
  }
  return "";
}
