// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The model that the compiler has inside, and the measurements it comes from: trained again it is the same bytes, and its choices for shapes
// that it never saw are as much better than those of the analytic model as it takes to be kept. No clock is asked.

#include "Tune/Training.h"
#include "CostModel/Models.h"
#include "Emit/TargetNames.h"
#include "Tune/Agents.h"
#include "Tune/Tasks.h"
#include "whit/MatmulSpace.h"

#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace whit;
using namespace whit::tune;

static std::string pathOf(const std::string &name) { return WHIT_TEST_DIR "/../lib/CostModel/models/" + name; }

static const std::vector<Row> &measured() {
  static const std::vector<Row> rows = [] {
    auto read = readMeasurements(pathOf("cpu.rows"));
    EXPECT_TRUE(bool(read)) << (read ? "" : llvm::toString(read.takeError()));
    return read ? *read : std::vector<Row>();
  }();
  return rows;
}

static std::string modelText() {
  auto buffer = llvm::MemoryBuffer::getFile(pathOf("cpu.model"));
  return buffer ? (*buffer)->getBuffer().str() : "";
}

/// That of the measurements.
static const Target &target() {
  static const Target found = [] {
    const Machine &machine = measured().front().machine;
    std::string features;
    for (llvm::StringRef feature : llvm::split(machine.features, ','))
      features += "+" + feature.str();
    return llvm::cantFail(resolveTarget(machine.cpu + features));
  }();
  return found;
}

TEST(TuneTraining, TheModelIsWhatItsRowsSay) {
  auto model = train(measured(), target(), usualForestOptions());
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  std::string text = modelText();
  EXPECT_LE(text.size(), size_t(256) << 10);
  EXPECT_EQ(model->print(), text)
      << "run whit-tune train lib/CostModel/models/cpu.rows -o lib/CostModel/models/cpu.model";
}

TEST(TuneTraining, ShapesAreEitherLearnedFromOrJudgedBy) {
  for (const Row &row : measured())
    ASSERT_EQ(row.split, splitOf(row.operation.matmul.n, row.operation.matmul.k));
  EXPECT_EQ(pack(measured()), pack(measured()));
}

/// What is not better by a quarter is not worth its bytes.
TEST(TuneTraining, ChoicesForNewShapesAreWorthIt) {
  std::string why;
  auto model = LearnedCostModel::parse(modelText(), &why);
  ASSERT_TRUE(model) << why;
  Evaluation evaluation = evaluate(measured(), "test", &*model, target());
  EXPECT_GE(evaluation.lines.size(), 30u);
  double learned = evaluation.mean("learned", false, ", 1 and 128 rows");
  EXPECT_LE(learned, 0.75 * evaluation.mean("analytic", false, ", 1 and 128 rows"));
  EXPECT_LT(learned, evaluation.mean("random", false, ", 1 and 128 rows") / 3);
}

/// On measurements, not on a landscape made up for it.
TEST(TuneTraining, AgentsOnMeasurements) {
  std::vector<Grid> grids = gridsOf(usable(measured(), "test"), kExhaustiveGrid);
  ASSERT_GE(grids.size(), 12u);
  auto excess = [&](std::string_view name) {
    double sum = 0;
    for (size_t i = 0; i < grids.size(); i += 6) {
      const Grid &grid = grids[i];
      SearchSpace space(matmulKnobs(workOf(grid.matmul, 1, target())), grid.tiles);
      int64_t best = *std::min_element(grid.nanoseconds.begin(), grid.nanoseconds.end());
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        auto agent = makeAgent(name, space, seed);
        Search found = search(*agent, 24, [&](Position place) { return Outcome(grid.nanoseconds[place]); });
        sum += std::log(double(found.best.back()) / double(best));
      }
    }
    return sum;
  };
  EXPECT_LT(excess("forest"), excess("random"));
}

TEST(TuneTraining, OtherMachinesGetTheAnalyticModel) {
  const Machine &machine = measured().front().machine;
  std::string features = "+" + llvm::join(llvm::split(machine.features, ','), ",+");
  MatmulWork work;
  work.products = Products::Integer;
  work.group = 32;
  EXPECT_TRUE(cpuCostModel(machine.cpu, features).knowsAllKnobs(work));
  EXPECT_FALSE(cpuCostModel("x86-64-v4", features).knowsAllKnobs(work));
  EXPECT_FALSE(cpuCostModel(machine.cpu, "+avx2,+fma").knowsAllKnobs(work));
  work.group = 384; // a scale for each channel: no such weight was measured
  EXPECT_FALSE(cpuCostModel(machine.cpu, features).knowsAllKnobs(work));
  // What it predicts stays near what is possible.
  Matmul matmul = measured().front().operation.matmul;
  const CostModel &model = cpuCostModel(machine.cpu, features);
  for (const MatmulTile &tile : spaceOf(matmul, target())) {
    MatmulWork work = workOf(matmul, 128, target());
    double ratio = model.matmulSeconds(work, tile) / cpuCostModel().matmulSeconds(work, tile);
    EXPECT_TRUE(ratio > 0.05 && ratio < 20) << ratio;
  }
}

TEST(TuneTraining, BrokenModelsAreRefused) {
  std::string text = modelText(), why;
  EXPECT_FALSE(LearnedCostModel::parse(text.substr(0, text.size() / 2), &why));
  EXPECT_EQ(why.find("the forest: "), 0u) << why;
  EXPECT_FALSE(LearnedCostModel::parse("", &why));
  std::string other = text;
  other.replace(other.find("block_rows"), 10, "block_cows");
  EXPECT_FALSE(LearnedCostModel::parse(other, &why)) << "its checksum is another";
  other = text;
  other.replace(other.find("model/1"), 7, "model/7");
  EXPECT_FALSE(LearnedCostModel::parse(other, &why));
  EXPECT_EQ(why, "the schema is 'whit-cost-model/7', expected 'whit-cost-model/1'");
}

TEST(TuneTraining, RegretIsAgainstTheBestThatWasMeasured) {
  Grid grid{"g", {}, {1}, {}, {120, 100, 110, 150, 130, 140, 105}};
  for (int64_t i = 0; i < 7; ++i)
    grid.tiles.push_back({0, 32, i + 1, 1});
  auto inOrder = [](const MatmulTile &tile) { return double(tile.rows); };
  EXPECT_NEAR(regretOf(grid, inOrder).first, 0.2, 1e-12);
  EXPECT_NEAR(regretOf(grid, inOrder).five, 0, 1e-12);
  auto backwards = [](const MatmulTile &tile) { return -double(tile.rows); };
  EXPECT_NEAR(regretOf(grid, backwards).first, 0.05, 1e-12);
  EXPECT_NEAR(regretAtRandom(grid).first, (0.2 + 0 + 0.1 + 0.5 + 0.3 + 0.4 + 0.05) / 7, 1e-12);
  // The best of five of seven is the first of all with 5/7, else the second with 5/6 of the rest, ...
  EXPECT_NEAR(regretAtRandom(grid).five, 2. / 7 * 5 / 6 * 0.05 + 2. / 7 / 6 * 0.1, 1e-12);
}
