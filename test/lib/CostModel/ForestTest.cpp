// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A forest learns what it was shown, from the same rows the same bytes, and a file that was touched is refused.

#include "CostModel/ForestTrainer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace whit;

static const std::vector<std::string> kNames = {"x", "y", "noise"};

/// label = 10 x, and 500 more where y > 3.
static std::vector<ForestRow> makeRows() {
  std::mt19937 random(1);
  std::vector<ForestRow> rows;
  for (int i = 0; i < 2000; ++i) {
    int32_t x = int32_t(random() % 100), y = int32_t(random() % 8), noise = int32_t(random() % 50);
    rows.push_back({{x, y, noise}, 10 * x + (y > 3 ? 500 : 0), 1 + int32_t(random() % 3), uint64_t(x)});
  }
  return rows;
}

TEST(Forest, LogarithmsAreThoseOfTheReals) {
  EXPECT_EQ(log2Q8(1), 0);
  EXPECT_EQ(log2Q8(1024), 2560);
  EXPECT_EQ(log2Q8(1, 1024), -2560);
  EXPECT_EQ(log2Q8(3, 3), 0);
  EXPECT_EQ(log2Q8(0), -64 * 256);
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) {
    uint64_t n = 1 + (random() >> (random() % 63)), d = 1 + (random() >> (random() % 63));
    EXPECT_NEAR(log2Q8(n, d), 256 * (std::log2(double(n)) - std::log2(double(d))), 0.51) << n << " / " << d;
  }
}

TEST(Forest, LearnsWhatItWasShown) {
  std::vector<ForestRow> rows = makeRows();
  Forest forest = trainForest(kNames, rows, ForestOptions());
  for (int32_t x : {5, 50, 95})
    for (int32_t y : {1, 6}) {
      int32_t row[] = {x, y, 25};
      EXPECT_NEAR(forest.predict(row), 10 * x + (y > 3 ? 500 : 0), 25) << x << " " << y;
    }
  int32_t here[] = {50, 6, 25}, there[] = {50, 1, 25};
  std::vector<int32_t> parts = forest.contributions(here), others = forest.contributions(there);
  EXPECT_NEAR(parts[1] - others[1], 500, 40);
  EXPECT_NEAR(parts[2], 0, 15);
  // What the roots hold is the same for all rows.
  int32_t sum = 0, otherSum = 0;
  for (size_t i = 0; i < kNames.size(); ++i) {
    sum += parts[i];
    otherSum += others[i];
  }
  EXPECT_NEAR(forest.predict(here) - sum, forest.predict(there) - otherSum, 4);
}

TEST(Forest, TheSameRowsGiveTheSameBytes) {
  std::vector<ForestRow> rows = makeRows();
  ForestOptions options;
  options.trees = 20;
  std::string text = trainForest(kNames, rows, options).print();
  EXPECT_EQ(text, trainForest(kNames, rows, options).print());
  options.seed = 2;
  EXPECT_NE(text, trainForest(kNames, rows, options).print());
}

TEST(Forest, KeepsOrdersThatAreAskedFor) {
  std::vector<ForestRow> rows = makeRows();
  for (ForestRow &row : rows)
    row.label += row.features[2] % 7 * 20 - row.features[0] % 9 * 30; // neither rises all the way
  ForestOptions options;
  options.monotone = {1, 0, -1};
  Forest forest = trainForest(kNames, rows, options);
  for (int32_t y = 0; y < 8; ++y)
    for (int32_t other = 0; other < 50; other += 7) {
      int32_t last = INT32_MIN;
      for (int32_t x = 0; x < 100; ++x) {
        int32_t row[] = {x, y, other};
        EXPECT_LE(last, forest.predict(row)) << x;
        last = forest.predict(row);
      }
      last = INT32_MAX;
      for (int32_t noise = 0; noise < 50; ++noise) {
        int32_t row[] = {2 * other, y, noise};
        EXPECT_GE(last, forest.predict(row)) << noise;
        last = forest.predict(row);
      }
    }
}

TEST(Forest, ComesBackAsItWasAndIsRefusedWhenTouched) {
  ForestOptions options;
  options.trees = 5;
  Forest forest = trainForest(kNames, makeRows(), options);
  std::string text = forest.print(), why;
  std::optional<Forest> back = Forest::parse(text, &why);
  ASSERT_TRUE(back) << why;
  EXPECT_EQ(back->print(), text);
  EXPECT_EQ(back->features(), kNames);
  int32_t row[] = {30, 2, 7};
  EXPECT_EQ(back->predict(row), forest.predict(row));

  // Any digit, and any end.
  size_t refused = 0, digits = 0;
  for (size_t at = text.find("\"base\""); at < text.size(); ++at)
    if (std::isdigit(static_cast<unsigned char>(text[at]))) {
      std::string touched = text;
      touched[at] = touched[at] == '1' ? '2' : '1';
      ++digits;
      refused += !Forest::parse(touched, &why);
    }
  EXPECT_EQ(refused, digits);
  for (size_t length = 0; length + 2 < text.size(); length += 97)
    EXPECT_FALSE(Forest::parse(text.substr(0, length), &why));
  std::string other = text;
  other.replace(other.find("forest/1"), 8, "forest/2");
  EXPECT_FALSE(Forest::parse(other, &why));
  EXPECT_EQ(why, "its schema is 'whit-forest/2', expected 'whit-forest/1'");
}

/// A checksum is not all: a tree that leaves itself would be walked out of bounds.
TEST(Forest, RefusesTreesThatAreNone) {
  for (const char *tree :
       {"[]", "[0,1,5,2]", "[0,1,5,9,-1,1,-1,2]", "[0,1,5,0,-1,1,-1,2]", "[7,1,5,2,-1,1,-1,2]", "[-1]", "[-2,1]"}) {
    std::string why, text = std::string("{\"schema\":\"whit-forest/1\",\"features\":[\"x\"],\"base\":0,\"trees\":[\n") +
                            tree + "],\n\"crc32\":\"00000000\"}\n";
    EXPECT_FALSE(Forest::parse(text, &why)) << tree;
    EXPECT_EQ(why, "tree 0 is none") << tree;
  }
}
