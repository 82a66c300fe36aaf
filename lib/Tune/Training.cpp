// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Labels are 256 * log2 of measured over analytic time, less their mean over the schedules of an operation: what is chosen among is the same
// operation, and trees that need not learn how fast it is learn sooner which schedule is faster. An operation weighs as much as any other.

#include "Tune/Training.h"

#include "CostModel/MatmulFeatures.h"
#include "Emit/Failure.h"
#include "runtime/trust/Sha256.h"
#include "whit/MatmulSpace.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace llvm;

namespace whit::tune {

static constexpr StringLiteral kPack = "whit-tune-pack/1";

/// Operation, split, machine and toolchain as the text that stands before the schedules of a pack.
static std::string headOf(const Row &row) {
  Row plain = row;
  plain.failure = "compile"; // a row without times
  plain.message = "";
  plain.tile = MatmulTile{0, 16, 1, 1};
  return plain.print();
}

std::string hashOf(const std::vector<Row> &rows) {
  std::string text = pack(rows);
  return toHex(sha256({reinterpret_cast<const uint8_t *>(text.data()), text.size()}));
}

std::string pack(const std::vector<Row> &rows) {
  std::vector<std::pair<std::string, const Row *>> sorted;
  for (const Row &row : rows)
    sorted.emplace_back(headOf(row), &row);
  llvm::stable_sort(sorted, [](const auto &x, const auto &y) { return x.first < y.first; });
  std::string text;
  raw_string_ostream stream(text);
  for (size_t i = 0; i < sorted.size();) {
    size_t end = i;
    while (end < sorted.size() && sorted[end].first == sorted[i].first)
      ++end;
    auto head = json::parse(sorted[i].first);
    json::Object object = *cantFail(std::move(head)).getAsObject();
    for (StringRef name : {"key", "failure", "message", "schedule"})
      object.erase(name);
    object["schema"] = kPack;
    std::vector<std::vector<int64_t>> lines;
    for (size_t at = i; at < end; ++at) {
      const Row &row = *sorted[at].second;
      lines.push_back({row.tile.tileColumns, row.tile.rows, row.tile.panels, row.tile.unroll, row.tile.prefetch,
                       row.failure.empty() ? row.times.least : 0});
    }
    llvm::sort(lines);
    lines.erase(llvm::unique(lines), lines.end()); // what was measured twice has one time
    json::Array schedules;
    for (const auto &line : lines)
      schedules.push_back(json::Array(line));
    object["schedules"] = std::move(schedules);
    stream << json::Value(std::move(object)) << "\n";
    i = end;
  }
  return text;
}

/// The rows of one line of a pack.
static Error unpack(json::Object object, std::vector<Row> &rows) {
  const json::Array *schedules = object.getArray("schedules");
  if (!schedules)
    return fail(Exit::Invalid, "'schedules' is missing or not a list");
  for (const json::Value &value : *schedules) {
    const json::Array *numbers = value.getAsArray();
    std::vector<int64_t> line;
    for (size_t i = 0; numbers && i < numbers->size(); ++i)
      if (auto number = (*numbers)[i].getAsInteger())
        line.push_back(*number);
    if (line.size() != 6)
      return fail(Exit::Invalid, "'schedules' has an entry that is not six whole numbers");
    json::Object whole = object;
    whole.erase("schedules");
    json::Object tile{{"columns", line[0]}, {"rows", line[1]}, {"panels", line[2]}};
    if (line[3] != MatmulTile::kUsual)
      tile["unroll"] = line[3];
    if (line[4] != MatmulTile::kUsual)
      tile["prefetch"] = line[4];
    whole["schedule"] = std::move(tile);
    if (line[5] > 0) {
      whole["nanoseconds"] = json::Object{{"min", line[5]}, {"p10", line[5]}, {"median", line[5]}, {"n", 1}};
      whole["reference"] = json::Object{{"min", 1}, {"drift", 0}};
    } else {
      whole["failure"] = "crash";
      whole["message"] = "";
    }
    auto row = Row::read(whole);
    if (!row)
      return row.takeError();
    rows.push_back(std::move(*row));
  }
  return Error::success();
}

Expected<std::vector<Row>> readMeasurements(const std::string &path) {
  std::vector<Row> rows;
  Error error = forLines(path, [&](StringRef line) -> Error {
    auto value = json::parse(line);
    if (!value)
      return fail(Exit::Invalid, "it is no JSON: " + llvm::toString(value.takeError()));
    const json::Object *object = value->getAsObject();
    auto schema = object ? object->getString("schema") : std::nullopt;
    if (schema && *schema == kPack)
      return unpack(*object, rows);
    auto row = Row::parse(line);
    if (row)
      rows.push_back(std::move(*row));
    return row.takeError();
  });
  if (error)
    return std::move(error);
  return rows;
}

std::vector<Row> usable(const std::vector<Row> &rows, StringRef split) {
  std::map<std::string, std::vector<int64_t>> drifts;
  std::vector<std::pair<std::string, const Row *>> found;
  for (const Row &row : rows)
    if (row.failure.empty() && row.split == split && row.operation.isCold == (row.operation.rows <= kColdRows)) {
      found.emplace_back(headOf(row), &row);
      drifts[found.back().first].push_back(row.drift);
    }
  for (auto &[head, all] : drifts)
    llvm::sort(all);
  // Twice measured, or the same code: the least counts.
  std::map<std::pair<std::string, std::string>, int64_t> least;
  auto codeOf = [](const std::string &head, const Row &row) {
    Row same = row;
    same.tile = sameCode(row.tile, row.operation.rows);
    return std::pair(head, same.key());
  };
  std::vector<Row> kept;
  for (const auto &[head, row] : found) {
    const std::vector<int64_t> &all = drifts[head];
    if (std::abs(row->drift - all[all.size() / 2]) > kMostDrift)
      continue;
    kept.push_back(*row);
    int64_t &time = least.try_emplace(codeOf(head, *row), row->times.least).first->second;
    time = std::min(time, row->times.least);
  }
  for (Row &row : kept)
    row.times.least = least.at(codeOf(headOf(row), row));
  return kept;
}

ForestOptions usualForestOptions() {
  ForestOptions options;
  options.trees = 200;
  options.depth = 5;
  options.learningRateQ8 = 40;
  return options;
}

/// Of all schedules of an operation.
static constexpr int64_t kOperationWeight = 100000;

static uint64_t shapeOf(const Matmul &matmul) { return uint64_t(matmul.n) << 32 | uint64_t(matmul.k); }

Expected<LearnedCostModel> train(const std::vector<Row> &all, const Target &target, const ForestOptions &options) {
  std::vector<Row> rows = usable(all, "train");
  if (rows.empty())
    return fail(Exit::Invalid, "there are no rows to train on", "", "measure tasks of the split train");
  ModelOrigin origin{rows[0].machine.cpu, rows[0].machine.features, rows[0].toolchain.llvm, rows[0].toolchain.lowering,
                     hashOf(rows),        int64_t(rows.size())};
  // Of an operation: how far the analytic model is off in the mean, and how many there are.
  struct Group {
    int64_t count = 0, sum = 0, least = INT64_MAX;
  };
  std::map<std::string, Group> groups;
  AnalyticCostModel analytic;
  std::vector<ForestRow> samples;
  auto labelOf = [&](const Row &row, const MatmulWork &work, const MatmulTile &tile) {
    return log2Q8(uint64_t(row.times.least) * 1000, picoseconds(analytic.matmulSeconds(work, tile)));
  };
  for (const Row &row : rows) {
    if (row.machine != rows[0].machine)
      return fail(Exit::Invalid, "rows are of " + row.machine.cpu + " (" + row.machine.features + ") and of " +
                                     rows[0].machine.cpu + " (" + rows[0].machine.features +
                                     "); a model is of one machine");
    Group &group = groups[headOf(row)];
    ++group.count;
    group.sum +=
        labelOf(row, workOf(row.operation.matmul, row.operation.rows, target), sameCode(row.tile, row.operation.rows));
    group.least = std::min(group.least, row.times.least);
  }
  for (const Row &row : rows) {
    const Group &group = groups.at(headOf(row));
    MatmulWork work = workOf(row.operation.matmul, row.operation.rows, target);
    MatmulTile tile = sameCode(row.tile, row.operation.rows);
    // By the square of how good it is: nobody asks which of two bad schedules is worse.
    int64_t weight = kOperationWeight / group.count * group.least / row.times.least * group.least / row.times.least;
    int32_t label = labelOf(row, work, tile) - int32_t(group.sum / group.count);
    samples.push_back({matmulFeatures(analytic, work, tile), label, int32_t(std::clamp<int64_t>(weight, 1, 65536)),
                       shapeOf(row.operation.matmul)});
  }
  // In the order of what they are: models do not depend on the order of files.
  llvm::stable_sort(samples, [](const ForestRow &x, const ForestRow &y) {
    return std::tie(x.features, x.label, x.weight) < std::tie(y.features, y.label, y.weight);
  });
  return LearnedCostModel(origin, trainForest(matmulFeatureNames(), samples, options));
}

} // namespace whit::tune
