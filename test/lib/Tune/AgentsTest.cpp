// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every agent asks for each schedule at most once and for all of them in the end, does not lose the best it saw, lives with failures, and is
// the same for the same seed. On a smooth landscape those that learn are better than luck.

#include "Tune/Agents.h"

#include <gtest/gtest.h>
#include <limits>
#include <set>

using namespace whit;
using namespace whit::tune;

static MatmulWork makeWork() {
  MatmulWork work;
  work.rows = 128;
  work.n = work.k = 2048;
  work.group = 32;
  work.bitsPerWeight = 4.5;
  work.products = Products::Integer;
  work.unit = 8;
  return work;
}

static SearchSpace makeSpace() { return SearchSpace(matmulKnobs(makeWork()), matmulTiles(makeWork())); }

/// Best for blocks of 8 rows x 2 panels, 128 columns, unrolled by 32, fetched ahead.
static int64_t timeOf(const MatmulTile &tile) {
  auto off = [](int64_t x, int64_t best) { return (x - best) * (x - best); };
  return 10000 + 300 * off(tile.rows, 8) + 900 * off(tile.panels, 2) + off(tile.tileColumns, 128) / 8 +
         (tile.unroll == 32 ? 0 : 1500) + (tile.prefetch ? 0 : 700);
}

TEST(TuneSpace, HoldsOnlyWhatFits) {
  MatmulWork work = makeWork();
  std::vector<MatmulTile> tiles = matmulTiles(work);
  EXPECT_GE(tiles.size(), 200u);
  for (const MatmulTile &tile : tiles) {
    EXPECT_EQ(whyNotMatmulTile(work, tile), nullptr);
    EXPECT_LE(tile.rows * tile.panels, work.sums);
    EXPECT_EQ(tile.tileColumns % (16 * tile.panels), 0);
    EXPECT_LE(tile.unroll, 32) << "a group has no more";
  }
  // Fewer registers, fewer blocks; long groups can be unrolled further; stored floats have no codes to fetch.
  work.sums = 6;
  EXPECT_LT(matmulTiles(work).size(), tiles.size() / 2);
  work = makeWork();
  work.group = 128;
  EXPECT_GT(matmulTiles(work).size(), tiles.size());
  work.isStored = true;
  for (const MatmulTile &tile : matmulTiles(work))
    EXPECT_EQ(tile.prefetch, MatmulTile::kUsual);
  // However small a matmul is, there is a schedule.
  work.n = 16;
  EXPECT_FALSE(matmulTiles(work).empty());
}

TEST(TuneSpace, FewRowsRunTheSameCode) {
  MatmulTile tile{0, 64, 8, 2, 32, 0}, other{0, 64, 24, 1, 32, 0};
  EXPECT_EQ(sameCode(tile, 1), sameCode(other, 3));
  EXPECT_FALSE(sameCode(tile, 4) == sameCode(other, 4));
  tile.rows = 2;
  EXPECT_EQ(sameCode(tile, 1), tile);
}

TEST(TuneSpace, NeighboursDifferInOneKnob) {
  SearchSpace space = makeSpace();
  for (Position place : {Position(0), space.size() / 2, space.size() - 1})
    for (Position other : space.neighbours(place)) {
      int different = 0;
      for (size_t knob = 0; knob < space.getKnobs().size(); ++knob)
        different += space.coordinates(place)[knob] != space.coordinates(other)[knob];
      EXPECT_EQ(different, 1);
    }
}

TEST(TuneAgents, TryEverythingOnceAndKeepTheBest) {
  SearchSpace space = makeSpace();
  for (std::string_view name : agentNames()) {
    SCOPED_TRACE(std::string(name));
    // Trees are trained again for each question: a part of the space shows as much.
    int64_t budget = name == "forest" ? 60 : int64_t(space.size()) + 10;
    auto agent = makeAgent(name, space, 3);
    Search found = search(*agent, budget, [&](Position place) { return Outcome(timeOf(space[place])); });
    EXPECT_EQ(std::set<Position>(found.tried.begin(), found.tried.end()).size(), found.tried.size());
    EXPECT_EQ(found.tried.size(), std::min(size_t(budget), space.size()));
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < found.tried.size(); ++i) {
      least = std::min(least, timeOf(space[found.tried[i]]));
      EXPECT_EQ(found.best[i], least);
    }
    ASSERT_TRUE(found.chosen);
    EXPECT_EQ(timeOf(space[*found.chosen]), least);
  }
  EXPECT_EQ(makeAgent("luck", space, 1), nullptr);
}

TEST(TuneAgents, AreTheSameForTheSameSeed) {
  SearchSpace space = makeSpace();
  for (std::string_view name : agentNames()) {
    auto run = [&](uint64_t seed) {
      auto agent = makeAgent(name, space, seed);
      return search(*agent, 30, [&](Position place) { return Outcome(timeOf(space[place])); }).tried;
    };
    EXPECT_EQ(run(5), run(5)) << name;
    if (name != "exhaustive") {
      EXPECT_NE(run(5), run(6)) << name;
    }
  }
}

TEST(TuneAgents, LiveWithFailures) {
  SearchSpace space = makeSpace();
  for (std::string_view name : agentNames()) {
    SCOPED_TRACE(std::string(name));
    auto agent = makeAgent(name, space, 1);
    Search found =
        search(*agent, 40, [&](Position place) { return place % 3 ? Outcome() : Outcome(timeOf(space[place])); });
    EXPECT_EQ(found.tried.size(), 40u);
    ASSERT_TRUE(found.chosen);
    EXPECT_EQ(*found.chosen % 3, 0u);
    auto hopeless = makeAgent(name, space, 1);
    EXPECT_FALSE(search(*hopeless, 20, [](Position) { return Outcome(); }).chosen);
  }
}

TEST(TuneAgents, LearningIsBetterThanLuck) {
  SearchSpace space = makeSpace();
  auto excess = [&](std::string_view name) {
    int64_t sum = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      auto agent = makeAgent(name, space, seed);
      sum += search(*agent, 40, [&](Position place) { return Outcome(timeOf(space[place])); }).best.back() - 10000;
    }
    return sum;
  };
  int64_t luck = excess("random");
  EXPECT_LT(excess("climb"), luck);
  EXPECT_LT(excess("genetic"), luck);
  EXPECT_LT(excess("forest"), luck / 2);
}
