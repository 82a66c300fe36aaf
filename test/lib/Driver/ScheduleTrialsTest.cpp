// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rounds of compiling with made-up kernels: what is refused, when it ends, and what is said of it.

#include "Driver/ScheduleTrials.h"
#include "Register.h"
#include "Whit/Whit.h"

#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/JSON.h"

#include <gtest/gtest.h>

using namespace mlir;
using ::whit::KernelFacts;
using mlir::whit::RegionOp;
using mlir::whit::ScheduleAttr;
using ::whit::ScheduleTrials;

namespace {
/// Regions 0 ("up") and 1 ("gate") share their kernels; region 2 ("down") has another one, of a single cut.
class Trials : public testing::Test {
protected:
  Trials() : builder(&context) {
    DialectRegistry registry;
    ::whit::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    std::string text = "func.func @main(%x: tensor<4xf32>) {\n";
    for (const char *name : {"up", "gate", "down"})
      text += std::string("  whit.region \"") + name + "\" { whit.yield %x : tensor<4xf32> } -> tensor<4xf32>\n";
    laidOut = parseSourceString<ModuleOp>(text + "  return\n}\n", &context);
    trials.emplace(laidOut ? OwningOpRef<ModuleOp>(laidOut.get().clone()) : nullptr);
  }

  ScheduleAttr cut(int64_t rows, int64_t splits = 8) {
    return ScheduleAttr::get(&context, {rows, 16}, 1, 1, {}, splits);
  }

  /// A round: what the kernels for few and many rows spill under these cuts. Whether there is to be another one.
  bool note(ScheduleAttr few, int64_t ofFew, ScheduleAttr many, int64_t ofMany, int64_t ofDown = 0) {
    SmallVector<Attribute> entries, names;
    std::vector<KernelFacts> facts;
    auto add = [&](StringRef name, ScheduleAttr cut, ArrayRef<int64_t> regions, int64_t spills) {
      SmallVector<NamedAttribute> entry{builder.getNamedAttr("name", builder.getStringAttr(name)),
                                        builder.getNamedAttr("regions", builder.getDenseI64ArrayAttr(regions))};
      if (cut)
        entry.push_back(builder.getNamedAttr("cut", cut));
      entries.push_back(builder.getDictionaryAttr(entry));
      facts.emplace_back().name = name.str();
      facts.back().spills = spills;
    };
    add("region_0_tiles0", few, {0, 1}, ofFew);
    add("region_0_tiles1", many, {0, 1}, ofMany);
    add("region_2_tiles", {}, {2}, ofDown);
    for (const char *name : {"up", "gate", "down"})
      names.push_back(builder.getDictionaryAttr(builder.getNamedAttr("name", builder.getStringAttr(name))));
    OwningOpRef<ModuleOp> lowered = ModuleOp::create(builder.getUnknownLoc());
    lowered.get()->setAttr("whit.kernels", builder.getArrayAttr(entries));
    lowered.get()->setAttr("whit.regions", builder.getArrayAttr(names));
    return trials->note({{*lowered, facts, {}}});
  }

  /// A list of the next module, by region.
  std::vector<SmallVector<Attribute>> listed(StringRef list) {
    OwningOpRef<ModuleOp> next = trials->next();
    std::vector<SmallVector<Attribute>> cuts;
    next.get().walk([&](RegionOp region) {
      auto array = region->getAttrOfType<ArrayAttr>(list);
      cuts.emplace_back(array ? SmallVector<Attribute>(array.getValue()) : SmallVector<Attribute>());
    });
    return cuts;
  }

  using Cuts = SmallVector<Attribute>;
  MLIRContext context;
  Builder builder;
  OwningOpRef<ModuleOp> laidOut;
  std::optional<ScheduleTrials> trials;
};

TEST_F(Trials, NothingIsTriedAgainWhereNothingSpills) {
  EXPECT_FALSE(note(cut(8), 0, cut(32), 0));
  EXPECT_TRUE(trials->replacements().empty());
  EXPECT_TRUE(trials->warnings().empty());
}

TEST_F(Trials, WhatSpillsIsRefusedUntilNothingDoes) {
  ASSERT_TRUE(note(cut(8), 0, cut(32), 24));
  EXPECT_EQ(listed("whit.refused"), (std::vector<Cuts>{{cut(32)}, {cut(32)}, {}})) << "for all that share the kernel";
  EXPECT_EQ(listed("whit.preferred"), std::vector<Cuts>(3));
  ASSERT_TRUE(note(cut(8), 0, cut(64), 8));
  EXPECT_EQ(listed("whit.refused")[1], (Cuts{cut(64), cut(32)})) << "what spilled least is first";
  EXPECT_FALSE(note(cut(8, 4), 0, cut(32, 4), 0));
  EXPECT_TRUE(trials->warnings().empty());

  std::vector<std::string> said;
  for (const auto &replacement : trials->replacements())
    said.push_back(replacement.text);
  EXPECT_EQ(
      said,
      (std::vector<std::string>{
          "region 'up': blocks of 32 rows x 16 columns in 8 splits spill 24 bytes of each thread; blocks of 64 rows x "
          "16 columns in 8 splits take their place",
          "region 'up': blocks of 64 rows x 16 columns in 8 splits spill 8 bytes of each thread; blocks of 32 rows x "
          "16 "
          "columns in 4 splits take their place"}));
}

TEST_F(Trials, WhereNoCutIsLeftTheBestIsTaken) {
  ASSERT_TRUE(note(cut(8), 0, cut(32), 24));
  ASSERT_TRUE(note(cut(8), 0, cut(64), 32));
  // The cost model has no other: it gives the worse one again.
  ASSERT_TRUE(note(cut(8), 0, cut(64), 32));
  EXPECT_EQ(listed("whit.preferred")[0].front(), cut(8));
  EXPECT_EQ(listed("whit.preferred")[0][3], cut(32)) << "behind the three rounds of the kernel for few rows";
  EXPECT_TRUE(listed("whit.preferred")[2].empty());
  EXPECT_FALSE(note(cut(8), 0, cut(32), 24));
  ASSERT_EQ(trials->warnings().size(), 1u);
  EXPECT_EQ(trials->warnings()[0],
            "kernel region_0_tiles1 of region 'up' moves 24 bytes of each thread to memory for want of "
            "registers; 2 schedules were tried");
}

TEST_F(Trials, ItEndsAfterSomeRounds) {
  int64_t rounds = 1;
  while (note(cut(8), 0, cut(16 << rounds), 40 - rounds) && rounds < 20)
    ++rounds;
  EXPECT_EQ(rounds, 5) << "the last one was the best";
  EXPECT_NE(trials->warnings().at(0).find("5 schedules were tried"), std::string::npos);
}

TEST_F(Trials, KernelsWithoutAChoiceAreOnlyWarnedOf) {
  EXPECT_FALSE(note(cut(8), 0, cut(32), 0, 12));
  ASSERT_EQ(trials->warnings().size(), 1u);
  EXPECT_EQ(trials->warnings()[0], "kernel region_2_tiles of region 'down' moves 12 bytes of each thread to memory for "
                                   "want of registers; it has one schedule only");
}

TEST_F(Trials, NothingIsTriedWithoutTheModuleBeforeSchedules) {
  trials.emplace();
  EXPECT_FALSE(note(cut(8), 0, cut(32), 24));
  EXPECT_TRUE(trials->replacements().empty());
  EXPECT_EQ(trials->warnings().size(), 1u);
}

TEST_F(Trials, EveryRoundHasItsRows) {
  ASSERT_TRUE(note(cut(8), 0, cut(32), 24));
  ASSERT_FALSE(note(cut(8), 0, cut(64), 0));
  std::string text = trials->rows("m", "sm_80", "a100");
  SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n', -1, /*KeepEmpty=*/false);
  ASSERT_EQ(lines.size(), 6u);
  for (auto [i, line] : llvm::enumerate(lines)) {
    auto row = llvm::json::parse(line);
    ASSERT_TRUE(bool(row)) << llvm::toString(row.takeError());
    const llvm::json::Object &object = *row->getAsObject();
    EXPECT_EQ(object.getInteger("round"), int64_t(i / 3));
    EXPECT_EQ(object.getBoolean("is_final"), i >= 3);
    EXPECT_EQ(object.getInteger("spilled"), i == 1 ? 24 : 0);
    EXPECT_EQ(object.get("splits") != nullptr, i % 3 != 2) << "none where there is no choice";
    EXPECT_EQ(object.getInteger("regions"), i % 3 == 2 ? 1 : 2);
  }
}
} // namespace
