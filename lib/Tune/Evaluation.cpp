// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everyone chooses from the same list, and what is compared is measured time, never predictions.

#include "Tune/Training.h"

#include "CostModel/Models.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <numeric>
#include <tuple>

using namespace llvm;

namespace whit::tune {

static std::string nameOf(const Matmul &matmul, ArrayRef<int64_t> rows) {
  std::string counts;
  for (int64_t count : rows)
    counts += (counts.empty() ? "" : " and ") + std::to_string(count);
  return formatv("{0}:{1} {2}x{3}, {4} {5}", matmul.format, nameOfActivations(matmul.activations), matmul.n, matmul.k,
                 counts, rows.size() == 1 && rows[0] == 1 ? "row" : "rows");
}

static auto orderOf(const MatmulTile &tile) {
  return std::tuple(tile.tileColumns, tile.rows, tile.panels, tile.unroll, tile.prefetch);
}

std::vector<Grid> gridsOf(const std::vector<Row> &rows, size_t least) {
  using Key = std::tuple<std::string, Products, int64_t, int64_t>;
  auto before = [](const MatmulTile &x, const MatmulTile &y) { return orderOf(x) < orderOf(y); };
  using Times = std::map<MatmulTile, int64_t, decltype(before)>;
  std::map<Key, std::map<int64_t, Times>> all;
  std::map<Key, Matmul> matmuls;
  for (const Row &row : rows) {
    const Matmul &matmul = row.operation.matmul;
    Key key(matmul.format, matmul.activations, matmul.n, matmul.k);
    matmuls[key] = matmul;
    Times &times = all[key].try_emplace(row.operation.rows, before).first->second;
    int64_t &time = times.try_emplace(row.tile, row.times.least).first->second;
    time = std::min(time, row.times.least);
  }
  std::vector<Grid> grids;
  for (const auto &[key, byRows] : all) {
    for (const auto &[count, times] : byRows) {
      Grid grid{nameOf(matmuls[key], {count}), matmuls[key], {count}, {}, {}};
      for (auto [tile, nanoseconds] : times) {
        grid.tiles.push_back(tile);
        grid.nanoseconds.push_back(nanoseconds);
      }
      if (grid.tiles.size() >= least)
        grids.push_back(std::move(grid));
    }
    // What the compiler asks about where it does not know how many rows there will be.
    std::vector<int64_t> nominal(kNominalRows.begin(), kNominalRows.end());
    if (!llvm::all_of(nominal, [&](int64_t count) { return byRows.count(count); }))
      continue;
    Grid grid{nameOf(matmuls[key], nominal), matmuls[key], nominal, {}, {}};
    for (auto [tile, nanoseconds] : byRows.at(nominal[0])) {
      double product = double(nanoseconds);
      bool isWhole = true;
      for (int64_t count : ArrayRef(nominal).drop_front()) {
        auto found = byRows.at(count).find(tile);
        isWhole &= found != byRows.at(count).end();
        product *= isWhole ? double(found->second) : 1;
      }
      if (isWhole) {
        grid.tiles.push_back(tile);
        grid.nanoseconds.push_back(std::llround(std::pow(product, 1.0 / double(nominal.size()))));
      }
    }
    if (grid.tiles.size() >= least)
      grids.push_back(std::move(grid));
  }
  return grids;
}

static double excess(int64_t time, int64_t best) { return double(time) / double(best) - 1; }

Regret regretOf(const Grid &grid, const std::function<double(const MatmulTile &)> &cost) {
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < grid.tiles.size(); ++i)
    order.emplace_back(cost(grid.tiles[i]), i);
  llvm::sort(order);
  int64_t best = *std::min_element(grid.nanoseconds.begin(), grid.nanoseconds.end()), five = INT64_MAX;
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i)
    five = std::min(five, grid.nanoseconds[order[i].second]);
  return {excess(grid.nanoseconds[order.front().second], best), excess(five, best)};
}

Regret regretAtRandom(const Grid &grid) {
  std::vector<int64_t> times = grid.nanoseconds;
  llvm::sort(times);
  // The best of five: the chance that it is at a place, which is that the others are behind it.
  double count = double(times.size()), first = 0, five = 0, left = 1;
  for (size_t i = 0; i < times.size(); ++i) {
    double chance = std::min(1.0, 5 / (count - double(i)));
    first += excess(times[i], times[0]) / count;
    five += excess(times[i], times[0]) * left * chance;
    left *= 1 - chance;
  }
  return {first, five};
}

/// How many knobs are not as the lowering takes them by itself.
static int unusual(const Matmul &matmul, const MatmulTile &tile) {
  return (tile.unroll != (matmul.activations == Products::Integer ? 32 : 8)) + (tile.prefetch == 0);
}

/// The best schedule of the nearest matmul of the same format and rows, if any.
static const MatmulTile *nearest(const std::vector<Grid> &known, const Grid &grid) {
  const MatmulTile *tile = nullptr;
  double least = INFINITY;
  for (const Grid &other : known) {
    if (other.matmul.format != grid.matmul.format || other.matmul.activations != grid.matmul.activations ||
        other.rows != grid.rows)
      continue;
    double far = std::abs(std::log2(double(other.matmul.n) / double(grid.matmul.n))) +
                 std::abs(std::log2(double(other.matmul.k) / double(grid.matmul.k)));
    if (far >= least)
      continue;
    least = far;
    tile =
        &other.tiles[std::min_element(other.nanoseconds.begin(), other.nanoseconds.end()) - other.nanoseconds.begin()];
  }
  return tile;
}

Evaluation evaluate(const std::vector<Row> &rows, StringRef split, const LearnedCostModel *learned,
                    const Target &target) {
  std::vector<Grid> known = gridsOf(usable(rows, "train"), 4);
  AnalyticCostModel analytic;
  Evaluation evaluation;
  for (const Grid &grid : gridsOf(usable(rows, split), kExhaustiveGrid)) {
    auto costBy = [&](const CostModel &model) {
      return [&](const MatmulTile &tile) {
        double product = 1;
        for (int64_t count : grid.rows)
          product *= model.matmulSeconds(workOf(grid.matmul, count, target), tile);
        return product;
      };
    };
    Evaluation::Line line{grid.name, grid.tiles.size(), {}};
    // It knows nothing of some knobs: they are then as the lowering takes them by itself.
    auto byAnalytic = [&](const MatmulTile &tile) {
      return costBy(analytic)(tile) * (1 + 1e-9 * unusual(grid.matmul, tile));
    };
    line.regrets["analytic"] = regretOf(grid, byAnalytic);
    line.regrets["random"] = regretAtRandom(grid);
    if (learned)
      line.regrets["learned"] = regretOf(grid, costBy(*learned));
    // The schedule itself if there is one, else the analytic model's.
    if (const MatmulTile *near = nearest(known, grid))
      line.regrets["nearest"] =
          regretOf(grid, [&](const MatmulTile &tile) { return tile == *near ? 0 : byAnalytic(tile); });
    evaluation.lines.push_back(std::move(line));
  }
  return evaluation;
}

static bool isOf(const Evaluation::Line &line, StringRef suffix) { return StringRef(line.name).ends_with(suffix); }

double Evaluation::mean(const std::string &who, bool five, StringRef suffix) const {
  double sum = 0, count = 0;
  for (const Line &line : lines)
    if (auto found = line.regrets.find(who); found != line.regrets.end() && isOf(line, suffix)) {
      sum += std::log1p(five ? found->second.five : found->second.first);
      ++count;
    }
  return count ? std::expm1(sum / count) : 0;
}

static constexpr StringLiteral kWho[] = {"random", "nearest", "analytic", "learned"};
static std::string percent(double fraction) { return formatv("{0:f1} %", fraction * 100); }

std::string Evaluation::markdown() const {
  std::string text;
  raw_string_ostream out(text);
  std::vector<std::string> suffixes;
  for (const Line &line : lines) {
    std::string suffix = StringRef(line.name).split(", ").second.str();
    if (!is_contained(suffixes, suffix))
      suffixes.push_back(suffix);
  }
  out << "| held-out matmuls | who chooses | top 1 | top 5 | 90th percentile | most | within 5 % "
         "|\n|---|---|---|---|---|---|---|\n";
  for (const std::string &suffix : suffixes)
    for (StringRef who : kWho) {
      std::vector<double> all;
      for (const Line &line : lines)
        if (auto found = line.regrets.find(who.str()); found != line.regrets.end() && isOf(line, ", " + suffix))
          all.push_back(found->second.first);
      if (all.empty())
        continue;
      llvm::sort(all);
      auto close = llvm::count_if(all, [](double regret) { return regret <= 0.05; });
      out << formatv("| {0}, {1} | {2} | {3} | {4} | {5} | {6} | {7} of {8} |\n", all.size(), suffix, who,
                     percent(mean(who.str(), false, ", " + suffix)), percent(mean(who.str(), true, ", " + suffix)),
                     percent(all[std::min(all.size() - 1, all.size() * 9 / 10)]), percent(all.back()), close,
                     all.size());
    }
  out << "\n| matmul | schedules |";
  for (StringRef who : kWho)
    out << " " << who << " |";
  out << "\n|---|---|---|---|---|---|\n";
  for (const Line &line : lines) {
    out << formatv("| {0} | {1} |", line.name, line.schedules);
    for (StringRef who : kWho) {
      auto found = line.regrets.find(who.str());
      out << " " << (found == line.regrets.end() ? "" : percent(found->second.first)) << " |";
    }
    out << "\n";
  }
  return text;
}

std::string Evaluation::json() const {
  std::string text;
  raw_string_ostream stream(text);
  json::OStream out(stream, 1);
  out.object([&] {
    out.attribute("schema", "whit-tune-evaluation/1");
    out.attributeArray("matmuls", [&] {
      for (const Line &line : lines)
        out.object([&] {
          out.attribute("name", line.name);
          out.attribute("schedules", int64_t(line.schedules));
          for (const auto &[who, regret] : line.regrets)
            out.attributeArray(who, [&, r = regret] {
              out.value(int64_t(std::lround(r.first * 10000)));
              out.value(int64_t(std::lround(r.five * 10000)));
            });
        });
    });
  });
  return text + "\n";
}

} // namespace whit::tune
