// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file is trusted as far as it was checked: a node whose child lies outside of its tree, or that asks for a feature that there is not, is
// refused before anything is predicted.

#include "CostModel/Forest.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CRC.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <bit>

namespace whit {

static constexpr llvm::StringLiteral kSchema = "whit-forest/1";
static constexpr size_t kMostFeatures = 1024, kMostNodes = 1 << 20;

/// log2 of x > 0 with 16 bits behind the point.
static int64_t log2Q16(uint64_t x) {
  int whole = 63 - std::countl_zero(x);
  // In 1 .. 2 with 62 bits behind the point; each squaring doubles the logarithm.
  uint64_t mantissa = x << (63 - whole) >> 1;
  int64_t result = whole;
  for (int bit = 0; bit < 16; ++bit) {
    mantissa = uint64_t((unsigned __int128)(mantissa)*mantissa >> 62);
    result = result << 1 | int64_t(mantissa >> 63);
    mantissa >>= mantissa >> 63;
  }
  return result;
}

int32_t log2Q8(uint64_t numerator, uint64_t denominator) {
  auto of = [](uint64_t x) { return x ? log2Q16(x) : -(int64_t(64) << 16); };
  return int32_t((of(numerator) - of(denominator) + 128) >> 8);
}

int32_t Forest::predict(std::span<const int32_t> row) const {
  int64_t sum = base;
  for (const Tree &tree : trees) {
    size_t at = 0;
    while (tree[at].feature >= 0)
      at += row[size_t(tree[at].feature)] <= tree[at].threshold ? 1 : size_t(tree[at].right);
    sum += tree[at].value;
  }
  return int32_t((sum + 128) >> 8);
}

std::vector<int32_t> Forest::contributions(std::span<const int32_t> row) const {
  std::vector<int64_t> sums(names.size());
  for (const Tree &tree : trees)
    for (size_t at = 0; tree[at].feature >= 0;) {
      const Node &node = tree[at];
      at += row[size_t(node.feature)] <= node.threshold ? 1 : size_t(node.right);
      sums[size_t(node.feature)] += tree[at].value - node.value;
    }
  std::vector<int32_t> result;
  for (int64_t sum : sums)
    result.push_back(int32_t((sum + 128) >> 8));
  return result;
}

/// All but the checksum.
static std::string body(const std::vector<std::string> &names, int64_t base, const std::vector<Forest::Tree> &trees) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << "{\"schema\":\"" << kSchema << "\",\"features\":[";
  for (size_t i = 0; i < names.size(); ++i)
    out << (i ? "," : "") << llvm::json::Value(names[i]);
  out << "],\"base\":" << base << ",\"trees\":[";
  for (size_t i = 0; i < trees.size(); ++i) {
    out << (i ? ",\n[" : "\n[");
    for (size_t at = 0; at < trees[i].size(); ++at) {
      const Forest::Node &node = trees[i][at];
      out << (at ? "," : "") << node.feature << "," << node.value;
      if (node.feature >= 0)
        out << "," << node.threshold << "," << node.right;
    }
    out << "]";
  }
  out << "]";
  return text;
}

static std::string checksum(const std::string &text) {
  return llvm::utohexstr(llvm::crc32({reinterpret_cast<const uint8_t *>(text.data()), text.size()}), /*LowerCase=*/true,
                         8);
}

std::string Forest::print() const {
  std::string text = body(names, base, trees);
  return text + ",\n\"crc32\":\"" + checksum(text) + "\"}\n";
}

/// The nodes of a list of numbers: two for a leaf, four for others. False if they are no tree.
static bool readTree(const llvm::json::Array *numbers, size_t features, Forest::Tree &tree) {
  std::vector<int64_t> values;
  for (size_t i = 0; numbers && i < numbers->size(); ++i) {
    auto value = (*numbers)[i].getAsInteger();
    if (!value || *value < INT32_MIN || *value > INT32_MAX)
      return false;
    values.push_back(*value);
  }
  for (size_t at = 0; at < values.size();) {
    Forest::Node node;
    if (values[at] < -1 || values[at] >= int64_t(features) || at + (values[at] < 0 ? 2 : 4) > values.size())
      return false;
    node.feature = int32_t(values[at]);
    node.value = int32_t(values[at + 1]);
    at += 2;
    if (node.feature >= 0) {
      node.threshold = int32_t(values[at]);
      node.right = int32_t(values[at + 1]);
      at += 2;
    }
    tree.push_back(node);
  }
  for (size_t at = 0; at < tree.size(); ++at)
    if (tree[at].feature >= 0 && (tree[at].right < 2 || at + size_t(tree[at].right) >= tree.size()))
      return false;
  return !tree.empty() && tree.back().feature < 0;
}

std::optional<Forest> Forest::parse(std::string_view text, std::string *why) {
  auto refuse = [&](const llvm::Twine &reason) {
    if (why)
      *why = reason.str();
    return std::nullopt;
  };
  auto value = llvm::json::parse(text);
  if (!value)
    return refuse("it is no JSON: " + llvm::toString(value.takeError()));
  const llvm::json::Object *object = value->getAsObject();
  auto schema = object ? object->getString("schema") : std::nullopt;
  if (!schema || *schema != kSchema)
    return refuse("its schema is '" + schema.value_or("") + "', expected '" + kSchema + "'");
  const llvm::json::Array *names = object->getArray("features"), *lists = object->getArray("trees");
  auto base = object->getInteger("base");
  auto crc = object->getString("crc32");
  if (!names || !lists || !base || !crc || names->size() > kMostFeatures)
    return refuse("it needs 'features', 'base', 'trees' and 'crc32'");
  std::vector<std::string> known;
  for (const llvm::json::Value &name : *names)
    if (auto string = name.getAsString())
      known.push_back(string->str());
  if (known.size() != names->size() || known.empty())
    return refuse("'features' is no list of names");
  std::vector<Tree> trees;
  size_t nodes = 0;
  for (const llvm::json::Value &list : *lists) {
    Tree tree;
    if (!readTree(list.getAsArray(), known.size(), tree) || (nodes += tree.size()) > kMostNodes)
      return refuse("tree " + llvm::Twine(trees.size()) + " is none");
    trees.push_back(std::move(tree));
  }
  if (std::string expected = checksum(body(known, *base, trees)); *crc != expected)
    return refuse("its checksum is '" + *crc + "', but that of what it holds is '" + expected + "'");
  return Forest(std::move(known), *base, std::move(trees));
}

} // namespace whit
