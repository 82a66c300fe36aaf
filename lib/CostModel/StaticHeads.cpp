// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Features are those of the format, the sizes and the schedule, as whole numbers: a forecast has the same bits on every machine, but for the last
// byte of code, which is 2^x.

#include "CostModel/StaticHeads.h"

#include "CostModel/ForestTrainer.h"
#include "runtime/encoding/Place.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <map>

// What trainStaticHeads() made of models/gpu.rows. cmake/Rooms.cmake says which file.
asm(R"(
  .section .rodata.whit_gpu_model,"a",@progbits
  .hidden whit_gpu_model
  .globl whit_gpu_model
whit_gpu_model:
  .incbin ")" WHIT_GPU_MODEL R"("
  .hidden whit_gpu_model_end
  .globl whit_gpu_model_end
whit_gpu_model_end:
  .byte 0
  .text
)");
extern "C" const char whit_gpu_model[], whit_gpu_model_end[];

namespace whit {

static constexpr llvm::StringLiteral kSchema = "whit-static-heads/1";
/// Of a prediction of the second head: from here on a kernel is taken for one that spills.
static constexpr int32_t kSpillThreshold = 512;
static constexpr int64_t kMostWarps = 8;

static constexpr std::pair<std::string_view, Products> kProducts[] = {
    {"float", Products::Float}, {"bfloat", Products::Bfloat}, {"integer", Products::Integer}};

std::optional<KernelRow> parseKernelRow(std::string_view line, std::string *why) {
  auto refuse = [&](const llvm::Twine &reason) {
    if (why)
      *why = reason.str();
    return std::nullopt;
  };
  llvm::SmallVector<llvm::StringRef> words;
  llvm::StringRef(line).split(words, ' ', -1, /*KeepEmpty=*/false);
  if (words.size() != 17 || words[11] != ":")
    return refuse("a row has 11 words, a colon and 5 numbers");
  KernelRow row;
  row.plan.target = words[0].str();
  row.plan.format = words[1].str();
  auto known = std::find_if(std::begin(kProducts), std::end(kProducts),
                            [&](auto &x) { return std::string_view(words[2]) == x.first; });
  if (known == std::end(kProducts))
    return refuse("products are '" + words[2] + "', expected float, bfloat or integer");
  row.plan.products = known->second;
  int64_t threads = 0, registers = 0;
  int64_t *const fields[] = {
      &row.plan.n,        &row.plan.k,           &row.plan.rows,   &row.plan.matmuls, &row.plan.ops,
      &row.plan.tileRows, &row.plan.tileColumns, &row.plan.splits, nullptr,           &threads,
      &registers,         &row.spilled,          &row.shared,      &row.code};
  for (auto [i, field] : llvm::enumerate(fields))
    if (field && (words[i + 3].getAsInteger(10, *field) || *field < 0 || *field > (int64_t(1) << 40)))
      return refuse("'" + words[i + 3] + "' is no number of 0 to 2^40");
  row.threads = int32_t(threads);
  row.registers = int32_t(registers);
  return row;
}

int splitOfShape(int64_t n, int64_t k) {
  uint64_t hash = uint64_t(n) * 0x9e3779b97f4a7c15 ^ uint64_t(k) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 30)) * 0x94d049bb133111eb;
  return int((hash ^ (hash >> 31)) % 10);
}

// ---------------------------------------------------------------------------------------------------- features

const std::vector<std::string> &StaticHeads::featureNames() {
  static const std::vector<std::string> names{
      "products",     "bits",         "codec",  "code_bits",   "terms",          "factors", "zero",
      "group",        "padded_group", "groups", "block_bytes", "align",          "n",       "k",
      "tail_n",       "tail_k",       "rows",   "tail_rows",   "matmuls",        "ops",     "tile_rows",
      "tile_columns", "splits",       "panels", "warps",       "panels_of_warp", "sums"};
  return names;
}

std::optional<std::vector<int32_t>> StaticHeads::featuresOf(const KernelPlan &plan) {
  std::optional<Encoding> stored = parseEncoding(plan.format, nullptr);
  if (!stored || plan.n < 1 || plan.k < 1 || plan.tileColumns < 1 || plan.tileRows < 1)
    return std::nullopt;
  Encoding encoding = readPart(*stored);
  Place place = readPart(*stored, solvePlace(*stored, plan.n, plan.k));
  auto small = [](int64_t value) { return int32_t(std::clamp<int64_t>(value, 0, 1 << 24)); };
  int64_t factors = 0;
  for (const Term &term : encoding.terms)
    factors += int64_t(term.scale.size());
  int64_t bytes = place.blockBytes | place.headerBytes | place.panelBytes;
  int64_t panels = (std::min(plan.tileColumns, plan.n) + kPanelColumns - 1) / kPanelColumns;
  int64_t warps = std::clamp<int64_t>(panels * plan.splits, 1, kMostWarps);
  int64_t panelsOfWarp = std::max<int64_t>(1, panels * plan.splits / warps);
  int64_t tileRows = plan.rows ? std::min(plan.tileRows, plan.rows) : plan.tileRows;
  return std::vector<int32_t>{int32_t(plan.products),
                              small(2048 * place.bytes() / (plan.n * plan.k)),
                              int32_t(encoding.codec().kind),
                              encoding.bits(),
                              int32_t(encoding.terms.size()),
                              small(factors),
                              int32_t(encoding.zero) * 4 + int32_t(encoding.offset.size()),
                              small(place.group),
                              small(place.paddedGroup),
                              small(place.groups),
                              small(place.blockBytes),
                              int32_t(bytes ? bytes & -bytes : 0),
                              small(plan.n),
                              small(plan.k),
                              int32_t(plan.n % plan.tileColumns != 0),
                              int32_t(plan.k % 128),
                              small(plan.rows),
                              plan.rows ? int32_t(plan.rows % plan.tileRows != 0) : 2,
                              small(plan.matmuls),
                              small(plan.ops),
                              small(tileRows),
                              small(plan.tileColumns),
                              small(plan.splits),
                              small(panels),
                              small(warps),
                              small(panelsOfWarp),
                              small(tileRows * panelsOfWarp)};
}

std::optional<KernelForecast> StaticHeads::forecast(const KernelPlan &plan) const {
  auto found = std::find_if(targets.begin(), targets.end(), [&](const OfTarget &x) { return x.target == plan.target; });
  if (found == targets.end())
    return std::nullopt;
  std::optional<std::vector<int32_t>> row = featuresOf(plan);
  if (!row)
    return std::nullopt;
  KernelForecast forecast;
  forecast.registers = std::clamp(found->heads[0].predict(*row), 1, 512);
  forecast.spills = found->heads[1].predict(*row) >= kSpillThreshold;
  forecast.code = int64_t(std::exp2(std::clamp(found->heads[2].predict(*row), 0, 32 * 256) / 256.0));
  return forecast;
}

// ---------------------------------------------------------------------------------------------------- training

StaticHeads trainStaticHeads(std::span<const KernelRow> rows) {
  std::map<std::string, std::array<std::vector<ForestRow>, StaticHeads::kHeads>> labels;
  StaticHeads result;
  for (const KernelRow &row : rows) {
    auto features = StaticHeads::featuresOf(row.plan);
    if (!features)
      continue;
    ++result.rows;
    auto &heads = labels[row.plan.target];
    const int32_t found[] = {row.registers, row.spilled ? 1024 : 0, log2Q8(uint64_t(std::max<int64_t>(row.code, 1)))};
    for (size_t head = 0; head < StaticHeads::kHeads; ++head)
      heads[head].push_back({*features, found[head], 1, uint64_t(splitOfShape(row.plan.n, row.plan.k))});
  }
  ForestOptions options;
  options.trees = 120;
  options.depth = 4;
  options.leastRows = 2;
  options.learningRateQ8 = 32;
  for (auto &[target, heads] : labels) {
    StaticHeads::OfTarget of{target, {}};
    for (const std::vector<ForestRow> &head : heads)
      of.heads.push_back(trainForest(StaticHeads::featureNames(), head, options));
    result.targets.push_back(std::move(of));
  }
  return result;
}

// ---------------------------------------------------------------------------------------------------- files

std::string StaticHeads::print() const {
  std::string text, forests;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream out(stream);
  out.object([&] {
    out.attribute("schema", kSchema);
    out.attribute("rows", rows);
    out.attributeArray("targets", [&] {
      for (const OfTarget &of : targets)
        out.object([&] {
          out.attribute("target", of.target);
          out.attributeArray("bytes", [&] {
            for (const Forest &head : of.heads) {
              std::string one = head.print();
              out.value(int64_t(one.size()));
              forests += one;
            }
          });
        });
    });
  });
  return text + "\n" + forests;
}

std::optional<StaticHeads> StaticHeads::parse(std::string_view text, std::string *why) {
  auto refuse = [&](const llvm::Twine &reason) {
    if (why)
      *why = reason.str();
    return std::nullopt;
  };
  auto [head, body] = llvm::StringRef(text).split('\n');
  auto value = llvm::json::parse(head);
  if (!value) {
    llvm::consumeError(value.takeError());
    return refuse("the first line is no JSON");
  }
  const llvm::json::Object *object = value->getAsObject();
  auto schema = object ? object->getString("schema") : std::nullopt;
  if (!schema || *schema != kSchema)
    return refuse("the schema is '" + schema.value_or("") + "', expected '" + kSchema + "'");
  const llvm::json::Array *list = object->getArray("targets");
  auto rows = object->getInteger("rows");
  if (!list || !rows)
    return refuse("it needs 'rows' and 'targets'");
  StaticHeads result;
  result.rows = *rows;
  for (const llvm::json::Value &entry : *list) {
    const llvm::json::Object *of = entry.getAsObject();
    auto target = of ? of->getString("target") : std::nullopt;
    const llvm::json::Array *bytes = of ? of->getArray("bytes") : nullptr;
    if (!target || !bytes || bytes->size() != kHeads)
      return refuse("a target needs 'target' and 'bytes' of " + llvm::Twine(kHeads) + " heads");
    OfTarget found{target->str(), {}};
    for (const llvm::json::Value &size : *bytes) {
      auto length = size.getAsInteger();
      if (!length || *length < 0 || uint64_t(*length) > body.size())
        return refuse("a head of " + *target + " is longer than the file");
      std::string problem;
      auto forest = Forest::parse(body.take_front(size_t(*length)), &problem);
      if (!forest)
        return refuse("a head of " + *target + ": " + problem);
      if (forest->features() != featureNames())
        return refuse("a head of " + *target + " asks for other features than there are; train it again");
      found.heads.push_back(std::move(*forest));
      body = body.drop_front(size_t(*length));
    }
    result.targets.push_back(std::move(found));
  }
  if (!body.empty())
    return refuse("there are " + llvm::Twine(body.size()) + " bytes behind the last head");
  return result;
}

const StaticHeads &staticHeads() {
  // A test compares the file with its rows; of one that cannot be read there are no forecasts.
  static const StaticHeads heads =
      StaticHeads::parse({whit_gpu_model, size_t(whit_gpu_model_end - whit_gpu_model)}, nullptr)
          .value_or(StaticHeads());
  return heads;
}

} // namespace whit
