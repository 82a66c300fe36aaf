// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is written is read again as it was; what is not whole, or not about what its key says, is refused by name.

#include "Tune/Database.h"

#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>

using namespace whit;
using namespace whit::tune;

static Row makeRow() {
  Row row;
  row.operation = {{"int4_g32", Products::Integer, 1024, 512}, 16, true};
  row.tile = {0, 64, 4, 2, 32, 0};
  row.machine.cpu = "znver5";
  row.machine.features = "avx2,fma";
  row.toolchain = {"22.1.8", "0.1", "0123456789abcdef"};
  row.times = {1000, 1100, 1300, 40};
  row.reference = 5000;
  row.drift = -3;
  row.split = "train";
  return row;
}

static std::string refusalOf(std::string line) {
  auto row = Row::parse(line);
  return row ? "" : llvm::toString(row.takeError());
}

static std::string with(std::string line, const std::string &from, const std::string &to) {
  size_t at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return line.replace(at, from.size(), to);
}

TEST(TuneDatabase, RowsComeBackAsTheyWere) {
  Row row = makeRow();
  auto back = Row::parse(row.print());
  ASSERT_TRUE(bool(back)) << llvm::toString(back.takeError());
  EXPECT_EQ(back->print(), row.print());
  EXPECT_EQ(back->operation, row.operation);
  EXPECT_EQ(back->tile, row.tile);
  EXPECT_EQ(back->times, row.times);
  row.failure = "crash";
  row.message = "ended by signal 11";
  auto failed = Row::parse(row.print());
  ASSERT_TRUE(bool(failed)) << llvm::toString(failed.takeError());
  EXPECT_EQ(failed->failure, "crash");
}

TEST(TuneDatabase, KeysAreOfWhatWasMeasuredNotOfHowLongItTook) {
  Row row = makeRow(), other = row;
  other.times.least = 900;
  other.split = "test";
  EXPECT_EQ(row.key(), other.key());
  other.tile.prefetch = MatmulTile::kUsual;
  EXPECT_NE(row.key(), other.key());
  other = row;
  other.machine.features = "avx2";
  EXPECT_NE(row.key(), other.key());
  other = row;
  other.toolchain.lowering = "fedcba9876543210";
  EXPECT_NE(row.key(), other.key());
}

TEST(TuneDatabase, BrokenRowsAreRefusedByName) {
  std::string line = makeRow().print();
  EXPECT_NE(refusalOf(line.substr(0, line.size() / 2)).find("no JSON"), std::string::npos);
  EXPECT_NE(refusalOf(with(line, "row/1", "row/9")).find("its schema is 'whit-tune-row/9'"), std::string::npos);
  EXPECT_NE(refusalOf(with(line, "\"panels\":2", "\"panels\":4")).find("'key' is"), std::string::npos);
  EXPECT_NE(refusalOf(with(line, "\"panels\":2", "\"panels\":\"2\"")).find("'schedule.panels'"), std::string::npos);
  EXPECT_NE(refusalOf(with(line, "\"min\":1000", "\"min\":-1")).find("'nanoseconds.min'"), std::string::npos);
  EXPECT_NE(refusalOf(with(line, "int4_g32", "int4_g0")), "");
  EXPECT_NE(refusalOf(with(line, "\"train\"", "\"training\"")).find("known are train"), std::string::npos);
}

TEST(TuneDatabase, TasksComeBackAsTheyWere) {
  Task task{{"int4_g32", Products::Float, 64, 32}, {1, 128}, {0, 32, 1, 1}, "test"};
  auto back = Task::parse(task.print());
  ASSERT_TRUE(bool(back)) << llvm::toString(back.takeError());
  EXPECT_EQ(back->print(), task.print());
  auto wrong = Task::parse(with(task.print(), "[1,128]", "[1,0]"));
  ASSERT_FALSE(bool(wrong));
  EXPECT_NE(llvm::toString(wrong.takeError()).find("'rows'"), std::string::npos);
}

TEST(TuneDatabase, GrowsAndKnowsWhatItHas) {
  llvm::SmallString<64> path;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("rows", "jsonl", path));
  Row row = makeRow();
  {
    auto database = Database::open(path.str().str());
    ASSERT_TRUE(bool(database)) << llvm::toString(database.takeError());
    EXPECT_FALSE(database->contains(row.key()));
    ASSERT_FALSE(bool(database->append(row)));
    EXPECT_TRUE(database->contains(row.key()));
  }
  auto again = Database::open(path.str().str());
  ASSERT_TRUE(bool(again)) << llvm::toString(again.takeError());
  EXPECT_EQ(again->size(), 1u);
  EXPECT_TRUE(again->contains(row.key()));
  llvm::sys::fs::remove(path);
}
