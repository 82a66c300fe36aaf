// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All draw from one generator whose numbers are the same everywhere, and none asks twice for the same.

#include "Tune/Agents.h"

#include "CostModel/ForestTrainer.h"

#include <algorithm>
#include <limits>
#include <random>

namespace whit::tune {

SearchSpace::SearchSpace(std::vector<MatmulKnob> knobList, std::vector<MatmulTile> tileList)
    : knobs(std::move(knobList)), tiles(std::move(tileList)) {
  for (const MatmulTile &tile : tiles) {
    std::vector<int32_t> point;
    for (const MatmulKnob &knob : knobs)
      point.push_back(
          int32_t(std::find(knob.options.begin(), knob.options.end(), tile.*knob.value) - knob.options.begin()));
    points.push_back(std::move(point));
  }
}

std::optional<Position> SearchSpace::find(const std::vector<int32_t> &coordinates) const {
  auto found = std::find(points.begin(), points.end(), coordinates);
  return found == points.end() ? std::nullopt : std::optional<Position>(found - points.begin());
}

std::vector<Position> SearchSpace::neighbours(Position place) const {
  std::vector<Position> found;
  for (size_t knob = 0; knob < knobs.size(); ++knob)
    for (int32_t direction : {-1, 1}) {
      std::vector<int32_t> point = points[place];
      do {
        point[knob] += direction;
        if (auto other = find(point)) {
          found.push_back(*other);
          break;
        }
      } while (point[knob] >= 0 && point[knob] < int32_t(knobs[knob].options.size()));
    }
  return found;
}

namespace {
/// What all agents need: random numbers, what was asked for, what came of it.
class Remembering : public Agent {
public:
  Remembering(const SearchSpace &space, uint64_t seed) : space(space), random(seed), isAsked(space.size(), false) {}

  void tell(Position place, Outcome outcome) override { told.emplace_back(place, outcome); }

protected:
  size_t below(size_t count) { return size_t(random() % count); }
  std::optional<Position> take(Position place) {
    isAsked[place] = true;
    return place;
  }
  std::optional<Position> anyNew() {
    std::vector<Position> left;
    for (Position place = 0; place < space.size(); ++place)
      if (!isAsked[place])
        left.push_back(place);
    if (left.empty())
      return std::nullopt;
    return take(left[below(left.size())]);
  }
  /// What was told, the fastest first and failures left out.
  std::vector<std::pair<int64_t, Position>> ranked() const {
    std::vector<std::pair<int64_t, Position>> all;
    for (auto [place, outcome] : told)
      if (outcome)
        all.emplace_back(*outcome, place);
    std::sort(all.begin(), all.end());
    return all;
  }

  const SearchSpace &space;
  std::mt19937_64 random;
  std::vector<bool> isAsked;
  std::vector<std::pair<Position, Outcome>> told;
};

class Exhaustive final : public Remembering {
public:
  Exhaustive(const SearchSpace &space, uint64_t seed, std::vector<Position> order)
      : Remembering(space, seed), order(std::move(order)) {}
  std::optional<Position> ask() override {
    while (next < space.size()) {
      Position place = order.empty() ? next : order[next];
      ++next;
      if (!isAsked[place])
        return take(place);
    }
    return std::nullopt;
  }

private:
  std::vector<Position> order;
  size_t next = 0;
};

class Random final : public Remembering {
public:
  using Remembering::Remembering;
  std::optional<Position> ask() override { return anyNew(); }
};

class Climb final : public Remembering {
public:
  using Remembering::Remembering;
  std::optional<Position> ask() override {
    // From the best of this climb; told schedules since it began are part of it.
    std::optional<std::pair<int64_t, Position>> best;
    for (size_t i = begun; i < told.size(); ++i)
      if (told[i].second && (!best || std::pair(*told[i].second, told[i].first) < *best))
        best = {*told[i].second, told[i].first};
    std::vector<Position> next;
    if (best)
      for (Position place : space.neighbours(best->second))
        if (!isAsked[place])
          next.push_back(place);
    if (!next.empty())
      return take(next[below(next.size())]);
    begun = told.size();
    return anyNew();
  }

private:
  size_t begun = 0;
};

class Genetic final : public Remembering {
public:
  using Remembering::Remembering;
  std::optional<Position> ask() override {
    auto parents = ranked();
    if (told.size() < kFirst || parents.size() < 2)
      return anyNew();
    parents.resize(std::min(parents.size(), kParents));
    for (int attempt = 0; attempt < 100; ++attempt) {
      const auto &mother = space.coordinates(parents[below(parents.size())].second);
      const auto &father = space.coordinates(parents[below(parents.size())].second);
      std::vector<int32_t> child;
      for (size_t knob = 0; knob < mother.size(); ++knob) {
        bool isOther = below(6) == 0;
        child.push_back(isOther ? int32_t(below(space.getKnobs()[knob].options.size()))
                                : (below(2) ? mother : father)[knob]);
      }
      if (auto place = space.find(child); place && !isAsked[*place])
        return take(*place);
    }
    return anyNew();
  }

private:
  static constexpr size_t kFirst = 8, kParents = 6;
};

/// Trees over what was told, trained again as it grows. One in eight questions is not about the best, so that a wrong forest is found out.
class Bayesian final : public Remembering {
public:
  Bayesian(const SearchSpace &space, uint64_t seed, std::vector<Position> order)
      : Remembering(space, seed), order(std::move(order)) {}
  std::optional<Position> ask() override {
    size_t count = ++asked;
    if (count <= kFirst && !order.empty() && count <= kFirst / 2)
      for (Position place : order)
        if (!isAsked[place])
          return take(place);
    if (told.size() < kFirst || count % 8 == 0)
      return anyNew();
    std::vector<std::string> names;
    for (const MatmulKnob &knob : space.getKnobs())
      names.emplace_back(knob.name);
    names.emplace_back("sums");
    std::vector<ForestRow> rows;
    int64_t worst = 1;
    for (auto [place, outcome] : told)
      worst = std::max(worst, outcome.value_or(1));
    for (auto [place, outcome] : told) // what failed is as bad as can be
      rows.push_back({features(place), log2Q8(uint64_t(outcome.value_or(2 * worst))), 1, place});
    ForestOptions options;
    options.trees = 40;
    options.depth = 4;
    options.leastRows = 2;
    options.learningRateQ8 = 64;
    options.seed = random();
    Forest forest = trainForest(names, rows, options);
    std::optional<Position> best;
    int32_t least = std::numeric_limits<int32_t>::max();
    for (Position place = 0; place < space.size(); ++place)
      if (int32_t predicted = isAsked[place] ? least : forest.predict(features(place)); predicted < least) {
        least = predicted;
        best = place;
      }
    return best ? take(*best) : anyNew();
  }

private:
  static constexpr size_t kFirst = 8;
  std::vector<int32_t> features(Position place) const {
    std::vector<int32_t> row = space.coordinates(place);
    row.push_back(int32_t(space[place].rows * space[place].panels));
    return row;
  }
  std::vector<Position> order;
  size_t asked = 0;
};
} // namespace

const std::vector<std::string_view> &agentNames() {
  static const std::vector<std::string_view> names{"exhaustive", "random", "climb", "genetic", "forest"};
  return names;
}

std::unique_ptr<Agent> makeAgent(std::string_view name, const SearchSpace &space, uint64_t seed,
                                 std::vector<Position> order) {
  if (name == "exhaustive")
    return std::make_unique<Exhaustive>(space, seed, std::move(order));
  if (name == "random")
    return std::make_unique<Random>(space, seed);
  if (name == "climb")
    return std::make_unique<Climb>(space, seed);
  if (name == "genetic")
    return std::make_unique<Genetic>(space, seed);
  if (name == "forest")
    return std::make_unique<Bayesian>(space, seed, std::move(order));
  return nullptr;
}

Search search(Agent &agent, int64_t budget, const std::function<Outcome(Position)> &evaluate) {
  Search result;
  int64_t best = std::numeric_limits<int64_t>::max();
  while (int64_t(result.tried.size()) < budget) {
    std::optional<Position> place = agent.ask();
    if (!place)
      break;
    Outcome outcome = evaluate(*place);
    agent.tell(*place, outcome);
    if (outcome && *outcome < best) {
      best = *outcome;
      result.chosen = place;
    }
    result.tried.push_back(*place);
    result.best.push_back(best);
  }
  return result;
}

} // namespace whit::tune
