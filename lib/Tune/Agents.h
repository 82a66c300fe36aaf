// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Who decides what to try next. An agent is asked for schedules and told what became of them; an environment knows what became of them, by
// measuring or by looking it up. Neither knows the other, so that agents are compared without a clock.
//
//   Agents  exhaustive  in the order of the space, or that of a model
//           random      without repetition
//           climb       neighbours of the best that differ in one knob; from a random place again when there are none
//           genetic     children of good schedules, each knob from one of two, sometimes another value
//           forest      trees learn from what was told; next is what they expect most of, and now and then what is unlike anything known

#pragma once

#include "whit/CostModel.h"
#include "whit/MatmulSpace.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whit::tune {

/// A schedule of a space by its place in the list.
using Position = size_t;

/// What agents know of the schedules: for each, how far up its knobs stand.
class SearchSpace {
public:
  SearchSpace(std::vector<MatmulKnob> knobs, std::vector<MatmulTile> tiles);

  size_t size() const { return tiles.size(); }
  const MatmulTile &operator[](Position place) const { return tiles[place]; }
  const std::vector<MatmulKnob> &getKnobs() const { return knobs; }
  /// The place of each knob's value among its options.
  const std::vector<int32_t> &coordinates(Position place) const { return points[place]; }
  std::optional<Position> find(const std::vector<int32_t> &coordinates) const;
  /// Those that differ in one knob, by one step where there is a schedule.
  std::vector<Position> neighbours(Position place) const;

private:
  std::vector<MatmulKnob> knobs;
  std::vector<MatmulTile> tiles;
  std::vector<std::vector<int32_t>> points;
};

/// Nanoseconds, or nothing for one that failed.
using Outcome = std::optional<int64_t>;

class Agent {
public:
  virtual ~Agent() = default;
  /// The next schedule to try, which was not asked for before; nothing when all were.
  virtual std::optional<Position> ask() = 0;
  virtual void tell(Position place, Outcome outcome) = 0;
};

/// Names of agents.
const std::vector<std::string_view> &agentNames();
/// Null for an unknown name. `order`: the schedules as a model would try them, best first; may be empty.
std::unique_ptr<Agent> makeAgent(std::string_view name, const SearchSpace &space, uint64_t seed,
                                 std::vector<Position> order = {});

/// Tries up to `budget` schedules. The best so far after each.
struct Search {
  std::vector<Position> tried;
  std::vector<int64_t> best; ///< nanoseconds; INT64_MAX as long as all failed
  std::optional<Position> chosen;
};
Search search(Agent &agent, int64_t budget, const std::function<Outcome(Position)> &evaluate);

} // namespace whit::tune
