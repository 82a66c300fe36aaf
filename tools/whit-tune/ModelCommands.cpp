// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Commands that learn from rows: a model, how good its choices are and why it makes them, and searching with or without a clock.

#include "Commands.h"

#include "CostModel/MatmulFeatures.h"
#include "Emit/TargetNames.h"
#include "Tune/Agents.h"
#include "Tune/Measure.h"
#include "Tune/Tasks.h"
#include "Tune/Training.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <numeric>

using namespace llvm;

namespace whit::tune {

static constexpr size_t kMostModelBytes = size_t(256) << 10;

static Expected<std::vector<Row>> readAll(const std::vector<std::string> &paths) {
  std::vector<Row> all;
  for (const std::string &path : paths) {
    auto rows = readMeasurements(path);
    if (!rows)
      return rows.takeError();
    all.insert(all.end(), rows->begin(), rows->end());
  }
  return all;
}

Expected<LearnedCostModel> readModel(const std::string &path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return fail(Exit::Files, "cannot read: " + buffer.getError().message(), path);
  std::string why;
  auto model = LearnedCostModel::parse((*buffer)->getBuffer(), &why);
  if (!model)
    return fail(Exit::Invalid, why, path, "train it again with whit-tune train");
  return std::move(*model);
}

Error runPack(const Request &request) {
  auto rows = readAll(request.databases);
  if (!rows)
    return rows.takeError();
  std::vector<Row> packed;
  for (StringRef split : {"train", "validation", "test"})
    for (Row &row : usable(*rows, split))
      packed.push_back(std::move(row));
  return writeText(request.output, pack(packed));
}

Error runTrain(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto rows = readAll(request.databases);
  if (!rows)
    return rows.takeError();
  auto model = train(*rows, *target, usualForestOptions());
  if (!model)
    return model.takeError();
  std::string text = model->print();
  if (text.size() > kMostModelBytes)
    return fail(Exit::Limit,
                formatv("the model has {0} bytes; at most {1} are allowed", text.size(), kMostModelBytes).str());
  if (Error error = writeText(request.output, text))
    return error;
  errs() << formatv("trained on {0} rows of {1}: {2} bytes\n", model->origin.rows, model->origin.cpu, text.size());
  return Error::success();
}

Error runEval(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto rows = readAll(request.databases);
  if (!rows)
    return rows.takeError();
  std::optional<LearnedCostModel> learned;
  if (!request.model.empty()) {
    auto model = readModel(request.model);
    if (!model)
      return model.takeError();
    learned.emplace(std::move(*model));
  }
  Evaluation evaluation =
      evaluate(*rows, request.split.empty() ? "test" : request.split, learned ? &*learned : nullptr, *target);
  if (evaluation.lines.empty())
    return fail(Exit::Invalid, "no matmul of this split has all its schedules measured", "",
                "measure more with whit-tune run");
  return writeText(request.output, request.json ? evaluation.json() : evaluation.markdown());
}

// ---------------------------------------------------------------------------------------------------- explain

static std::string textOf(const MatmulTile &tile) {
  std::string text = formatv("{0} columns, block of {1} rows x {2} panels", tile.tileColumns, tile.rows, tile.panels);
  if (tile.unroll != MatmulTile::kUsual)
    text += formatv(", unroll {0}", tile.unroll);
  if (tile.prefetch != MatmulTile::kUsual)
    text += formatv(", prefetch {0}", tile.prefetch);
  return text;
}

static std::string differences(const MatmulTile &from, const MatmulTile &to, const std::vector<MatmulKnob> &knobs) {
  std::string text;
  for (const MatmulKnob &knob : knobs)
    if (from.*knob.value != to.*knob.value)
      text +=
          formatv("{0}{1} {2} -> {3}", text.empty() ? "" : ", ", knob.name.data(), from.*knob.value, to.*knob.value);
  return text;
}

static void explain(const Matmul &matmul, int64_t rows, const Target &target, const LearnedCostModel *learned,
                    raw_ostream &out) {
  MatmulWork work = workOf(matmul, rows, target);
  AnalyticCostModel analytic;
  const CostModel &model = learned ? static_cast<const CostModel &>(*learned) : analytic;
  std::vector<MatmulTile> tiles = matmulTiles(work);
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < tiles.size(); ++i)
    order.emplace_back(model.matmulSeconds(work, tiles[i]), i);
  llvm::sort(order);
  const MatmulTile &best = tiles[order[0].second];
  MatmulTerms terms = analytic.matmulTerms(work, best);
  out << formatv("{0}:{1} {2}x{3}, {4} rows: {5} schedules\n", matmul.format, nameOfActivations(matmul.activations),
                 matmul.n, matmul.k, rows, tiles.size());
  out << formatv("  chosen     {0}: {1:f1} us\n", textOf(best), order[0].first * 1e6);
  auto other = llvm::find_if(
      order, [&](const auto &entry) { return !(sameCode(tiles[entry.second], rows) == sameCode(best, rows)); });
  if (other != order.end())
    out << formatv("  runner-up  {0:f1} % slower: {1}\n", (other->first / order[0].first - 1) * 100,
                   differences(best, tiles[other->second], matmulKnobs(work)));
  out << formatv("  binds      {0}; us: memory {1:f1}, multiply {2:f1}, decode {3:f1}, groups {4:f1}, spills {5:f1}, "
                 "loads {6:f1}\n",
                 terms.binding(), terms.memory * 1e6, terms.multiply * 1e6, terms.decode * 1e6, terms.flush * 1e6,
                 terms.spill * 1e6, terms.loads() * 1e6);
  if (!learned)
    return;
  std::vector<int32_t> features = matmulFeatures(analytic, work, best), parts = learned->forest.contributions(features);
  out << formatv("  learned    {0:f2} times the {1:f1} us of the analytic model",
                 std::exp2(learned->correction(work, best) / 256.0), terms.seconds() * 1e6);
  std::vector<size_t> most(parts.size());
  std::iota(most.begin(), most.end(), 0);
  llvm::stable_sort(most, [&](size_t x, size_t y) { return std::abs(parts[x]) > std::abs(parts[y]); });
  for (size_t i = 0; i < std::min<size_t>(5, most.size()); ++i)
    out << formatv("{0}{1} {2}{3:f1} %", i ? ", " : ": ", matmulFeatureNames()[most[i]], parts[most[i]] < 0 ? "" : "+",
                   (std::exp2(parts[most[i]] / 256.0) - 1) * 100);
  out << "\n";
}

Error runExplain(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto matmuls = matmulsOf(request);
  if (!matmuls)
    return matmuls.takeError();
  std::optional<LearnedCostModel> learned;
  if (!request.model.empty()) {
    auto model = readModel(request.model);
    if (!model)
      return model.takeError();
    learned.emplace(std::move(*model));
    if (Machine machine = Machine::of(*target);
        machine.cpu != learned->origin.cpu || machine.features != learned->origin.features) {
      errs() << "warning: the model is of " << learned->origin.cpu << " (" << learned->origin.features
             << "), the target is " << machine.cpu << " (" << machine.features << "); the analytic model answers\n";
      learned.reset();
    }
  }
  for (const Matmul &matmul : *matmuls)
    for (int64_t rows : request.rows)
      explain(matmul, rows, *target, learned ? &*learned : nullptr, outs());
  return Error::success();
}

// ---------------------------------------------------------------------------------------------------- search

/// The budgets that are reported: powers of two, and all of it.
static std::vector<int64_t> budgetsOf(int64_t budget) {
  std::vector<int64_t> all;
  for (int64_t part = 4; part < budget; part *= 2)
    all.push_back(part);
  all.push_back(budget);
  return all;
}

static Error checkAgents(const Request &request) {
  for (const std::string &name : request.agents)
    if (!is_contained(agentNames(), std::string_view(name)))
      return fail(Exit::Usage, "--agent: there is no agent '" + name + "'", "",
                  "known are exhaustive, random, climb, genetic and forest");
  return Error::success();
}

/// The schedules of a grid as the analytic model would try them.
static std::vector<Position> orderOf(const Grid &grid, const Target &target) {
  std::vector<double> product(grid.tiles.size(), 1);
  for (int64_t rows : grid.rows) {
    MatmulWork work = workOf(grid.matmul, rows, target);
    for (size_t i = 0; i < grid.tiles.size(); ++i)
      product[i] *= AnalyticCostModel().matmulSeconds(work, grid.tiles[i]);
  }
  std::vector<Position> order(grid.tiles.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::stable_sort(order, [&](Position x, Position y) { return product[x] < product[y]; });
  return order;
}

/// Agents on measurements that there are: how far from the best they come, over all grids and seeds.
static Error replay(const Request &request, const Target &target) {
  auto rows = readAll(request.databases);
  if (!rows)
    return rows.takeError();
  std::vector<Grid> grids = gridsOf(usable(*rows, request.split.empty() ? "test" : request.split), kExhaustiveGrid);
  if (grids.empty())
    return fail(Exit::Invalid, "no matmul of this split has all its schedules measured");
  std::vector<int64_t> budgets = budgetsOf(request.budget);
  outs() << "| agent |";
  for (int64_t budget : budgets)
    outs() << " " << budget << " tries |";
  outs() << "\n|---|";
  for (size_t i = 0; i < budgets.size(); ++i)
    outs() << "---|";
  outs() << "\n";
  for (const std::string &name : request.agents) {
    std::vector<double> logs(budgets.size());
    double count = 0;
    for (const Grid &grid : grids) {
      SearchSpace space(matmulKnobs(workOf(grid.matmul, 1, target)), grid.tiles);
      int64_t best = *std::min_element(grid.nanoseconds.begin(), grid.nanoseconds.end());
      for (int64_t seed = 0; seed < request.seeds; ++seed, ++count) {
        auto agent = makeAgent(name, space, uint64_t(request.seed + seed), orderOf(grid, target));
        Search found = search(*agent, request.budget, [&](Position place) { return Outcome(grid.nanoseconds[place]); });
        for (size_t i = 0; i < budgets.size(); ++i)
          logs[i] += std::log(double(found.best[std::min<size_t>(budgets[i], found.best.size()) - 1]) / double(best));
      }
    }
    outs() << "| " << name << " |";
    for (double sum : logs)
      outs() << formatv(" {0:f2} % |", std::expm1(sum / count) * 100);
    outs() << "\n";
  }
  return Error::success();
}

Error runSearch(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  if (Error error = checkAgents(request))
    return error;
  if (!request.databases.empty())
    return replay(request, *target);
  auto matmuls = matmulsOf(request);
  if (!matmuls)
    return matmuls.takeError();
  if (matmuls->empty())
    return fail(Exit::Usage, "there is nothing to search for", "", "give --shapes and --formats, or --replay ROWS");
  MeasureOptions options;
  auto measurer = Measurer::create(*target, options);
  if (!measurer)
    return measurer.takeError();
  Database nothing = Database::inMemory();
  for (const Matmul &matmul : *matmuls)
    for (const std::string &name : request.agents) {
      std::vector<MatmulTile> tiles = byModel(matmul, *target, AnalyticCostModel());
      SearchSpace space(matmulKnobs(workOf(matmul, 1, *target)), tiles);
      std::vector<Position> order(tiles.size());
      std::iota(order.begin(), order.end(), 0);
      auto agent = makeAgent(name, space, uint64_t(request.seed), order);
      Error failure = Error::success();
      Search found = search(*agent, request.budget, [&](Position place) -> Outcome {
        auto rows = (*measurer)->measure({matmul, request.rows, space[place], "train"}, nothing);
        if (!rows) {
          failure = joinErrors(std::move(failure), rows.takeError());
          return std::nullopt;
        }
        double product = 1;
        for (const Row &row : *rows) {
          if (!row.failure.empty())
            return std::nullopt;
          if (row.operation.isCold == (row.operation.rows <= kColdRows))
            product *= double(row.times.least);
        }
        return std::llround(std::pow(product, 1.0 / double(request.rows.size())));
      });
      if (failure)
        return failure;
      outs() << formatv("{0}:{1} {2}x{3}, {4}: {5} of {6} schedules tried\n", matmul.format,
                        nameOfActivations(matmul.activations), matmul.n, matmul.k, name, found.tried.size(),
                        space.size());
      if (!found.chosen)
        return fail(Exit::Mismatch, "all schedules failed");
      outs() << formatv("  {0}: {1:f1} us in the geometric mean; the first that was tried: {2:f1} us\n",
                        textOf(space[*found.chosen]), double(found.best.back()) * 1e-3,
                        double(found.best.front()) * 1e-3);
    }
  return Error::success();
}

} // namespace whit::tune
