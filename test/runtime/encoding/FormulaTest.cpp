// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas that mean nothing, and files of them: every message names what is wrong and what would be right.
#include "whit/Encoding.h"

#include <gtest/gtest.h>

using namespace whit;

namespace {

struct Bad {
  const char *formula, *message;
};

class Malformed : public testing::TestWithParam<Bad> {};

TEST_P(Malformed, IsRefusedWithTheFieldNamed) {
  std::string why;
  EXPECT_FALSE(parseEncoding(GetParam().formula, &why)) << GetParam().formula;
  EXPECT_NE(why.find(GetParam().message), why.npos) << GetParam().formula << ": " << why;
  EXPECT_FALSE(parseEncoding(GetParam().formula, nullptr));
}

INSTANTIATE_TEST_SUITE_P(
    Formulas, Malformed,
    testing::Values(Bad{"int<9> * f16/32", "a width from 1 to 8"}, Bad{"int<0> * f16/32", "a width from 1 to 8"},
                    Bad{"float<e5m6> * f16/32", "a float of 12 bits; 3 to 8 are allowed"},
                    Bad{"float<e1m0> * f16/32", "a float of 2 bits; 3 to 8 are allowed"},
                    Bad{"float<e4m3> * f16/32", "no rule for codes that are no numbers"},
                    Bad{"float<e4m3 fn bias=999> * f16/32", "a bias from -100 to 100"},
                    Bad{"table<1> * f16/32", "a table of 1 values; 2 to 256 are allowed"},
                    Bad{"table<0 0> * f16/32", "a codec that has no number but zero"},
                    Bad{"table<1 x> * f16/32", "a finite number must stand"},
                    Bad{"radix<> * f16/32", "a radix of 0 values; 3, 5 and 6 are allowed"},
                    Bad{"radix<-1 1> * f16/32", "a radix of 2 values; 3, 5 and 6 are allowed"},
                    Bad{"radix<-2 -1 0 1> * f16/32", "a radix of 4 values; 3, 5 and 6 are allowed"},
                    Bad{"radix<-3 -2 -1 0 1 2 3> * f16/32", "take no fewer bits than in table<VALUES>"},
                    Bad{"radix<0 0 0> * f16/32", "a codec that has no number but zero"},
                    Bad{"nested<6> * f32/32", "nested codes of 6 bits; 4 and 8 are allowed"},
                    Bad{"nested<8:3> * f32/32", "a reading of 3 of 8 bits; 2, 4 and 8 are allowed"},
                    Bad{"nested<4:8> * f32/32", "a reading of 8 of 4 bits"},
                    Bad{"nested<8:> * f32/32", "a width to read from 1 to 8"},
                    Bad{"(nested<8:4> - u7/32) * f16/32", "zero points of type u7 for codes of 8 bits"},
                    Bad{"sparse<2:4> radix<-1 0 1> * f16/32", "sparse<2:4> of radix<-1 0 1>; its codes must have bits"},
                    Bad{"sparse<2:4> (nested<8> - 128) * f16/32", "sparse<2:4> of nested<8>; its codes must have bits"},
                    Bad{"table<1 inf> * f16/32", "a finite number must stand"},
                    Bad{"choice<0 1 | 0 1 2> * f16/32", "a table of 3 values beside one of 2"},
                    Bad{"choice<0 1> * f16/32", "a choice of 1 tables; 2 to 4 are allowed"},
                    Bad{"choice<0 1|0 2|0 3|0 4|0 5> * f16/32", "a choice of 5 tables; 2 to 4 are allowed"},
                    Bad{"int<4> * f16/0", "a block size from 1 to"}, Bad{"int<4> * f16/32x0", "a block size from 1 to"},
                    Bad{"int<4> * f16/99999999999", "a block size from 1 to"}, Bad{"int<4> * f16", "'/' must stand"},
                    Bad{"int<4> * f17/32", "a type of scales must stand, one of f32 f16"},
                    Bad{"(int<4> - 8)", "'* TYPE/BLOCK' must stand"},
                    Bad{"(int<4> - 8) * f16/32 f16", "the formula should end"},
                    Bad{"int<4> * f16/32 * f16/48", "blocks of 32 and of 48 elements along K"},
                    Bad{"int<4> * f16/32 + int<4> * f16/24", "the larger must be a multiple of the smaller"},
                    Bad{"(int<4> - u4/20) * f16/32", "blocks of 20 and of 32"},
                    Bad{"(int<4> - u3/32) * f16/32", "zero points of type u3 for codes of 4 bits"},
                    Bad{"(int<4> - i8/32) * f16/32", "zero points of type i8"},
                    Bad{"(int<4> - e8m0/32) * f16/32", "zero points of type e8m0, which has no 0"},
                    Bad{"(int<4> - 8) * u1/32", "u1 as the type of a scale"},
                    Bad{"(int<4> - 8) * u4/32", "the scale u4/32, which cannot hold the range of weights"},
                    Bad{"(int<4> - 8) * i6/32 * shift/channel", "which cannot hold the range of weights"},
                    Bad{"int<4> * e8m0/32", "the scale e8m0/32, which has no sign"},
                    Bad{"int<4> * f16/32 + u6/32", "the minimum u6/32, which cannot be negative"},
                    Bad{"int<4> * f16/32 + i6/32", "the minimum i6/32, which cannot hold the range"},
                    Bad{"(int<4> - 8) * f16/32 + f16/32", "both a zero point and a minimum"},
                    Bad{"int<1> * f16/32 + (int<1> - 1) * f16/32", "a zero point in a term that is not the first"},
                    Bad{"sparse<1:4> int<4> * f16/32", "'1:4> int<4> * f16/32' where '2:4' must stand"},
                    Bad{"sparse<2:4>", "the end where a codec must stand"},
                    Bad{"sparse<2:4> (int<4> - 8) * f16/6", "blocks of 6 elements along K under sparse<2:4>"},
                    Bad{"int<4> * f16/32 + sparse<2:4> int<4> * f16/2", "blocks of 2 elements along K under"},
                    Bad{"sparse<2:4> int<4> * f16/32 + f16/32", "the minimum f16/32 beside sparse<2:4>"},
                    Bad{"sparse<2:4> (int<4> - f16/32) * f16/32", "a stored zero point is u1 to u8"},
                    Bad{"sparse<2:4> (float<e2m1> - u4/32) * f16/32", "its codes are int<BITS>"},
                    Bad{"vector<2x3 1 2 3 4 5 6> * f32/tensor", "3 where elements of a row of a block, 1, 2 or 4"},
                    Bad{"vector<2x8 1 2> * f32/tensor", "elements of a row of a block from 1 to 4"},
                    Bad{"vector<2x2 1 0 0 1 | 1 2> * f32/tensor", "a code of 2 numbers for a block of 2x2"},
                    Bad{"vector<2x2 1 0 0 1> * f32/tensor", "a vector of 1 codes; 2 to 16 are allowed"},
                    Bad{"vector<2x1 1 2 | 2 1 | 1 3 | 3 1 | 4 1> * f32/tensor", "5 codes for blocks of one element"},
                    Bad{"vector<2x2 1 0 0 1 | -1 0 0 -1> * f16/32", "the scale f16/32, which cuts blocks of 2x2"},
                    Bad{"vector<2x2 1 0 0 1 | -1 0 0 -1> * f16/2x7", "the scale f16/2x7, which cuts blocks of 2x2"},
                    Bad{"vector<2x2 1 0 0 1 | -1 0 0 -1> * f16/2x32 * f32/tensor", "it must be one factor"},
                    Bad{"int<4> * f16/1 + vector<1x2 1 0 | -1 0> * f16/32", "1 elements along K, which cut blocks"},
                    Bad{"sparse<2:4> vector<1x2 1 0 | -1 0> * f16/32", "sparse<2:4> before vector<1x2"},
                    Bad{"vector<1x2 1 0 | -1 0> * f16/32 + f16/32", "a zero point or minimum beside vector<1x2"},
                    Bad{"(vector<1x2 1 0 | -1 0> - 2) * f16/32", "a zero point or minimum beside vector<1x2"},
                    Bad{"again<1x2 1 0 | -1 0> * f16/32", "behind a term that has no such codes"},
                    Bad{"vector<1x2 1 0 | -1 0> * f16/32 + again<1x2 1 0 | -1 0> * f16/64", "no such codes"}));

TEST(FormatsFile, GivesNamesToFormulas) {
  std::string why;
  ASSERT_TRUE(addFormats("# ours\n\nours_line = \"(int<4> - 8) * f16/48\" # 48\n"
                         "[ours_table]\nformula = 'float<e2m1> * e4m3/32 * f32/channel'\nsource = \"ours, 2026\"\n",
                         &why))
      << why;
  EXPECT_EQ(parseEncoding("ours_line", nullptr), parseEncoding("int4_g48", nullptr));
  std::optional<Encoding> table = parseEncoding("ours_table", &why);
  ASSERT_TRUE(table) << why;
  EXPECT_EQ(nameOf(*table), "float<e2m1> * e4m3/32 * f32/channel"); // IR needs no file to be read back
  EXPECT_EQ(addedFormats().back().source, "ours, 2026");
  EXPECT_TRUE(addFormats("ours_line = \"(int<4> - 8) * f16/48\"", &why)) << "the same again: " << why;
}

TEST(FormatsFile, ErrorsNameLineKeyAndField) {
  auto why = [](const char *text) {
    std::string reason;
    size_t before = addedFormats().size();
    EXPECT_FALSE(addFormats(text, &reason)) << text;
    EXPECT_EQ(addedFormats().size(), before);
    return reason;
  };
  auto expect = [](const std::string &found, const char *line, const char *what) {
    EXPECT_EQ(found.find(line), 0u) << found;
    EXPECT_NE(found.find(what), found.npos) << found;
  };
  expect(why("good_one = \"int<4> * f16/32\"\nbad_one = \"int<4> * f16/0\""), "line 2: format 'bad_one'",
         "a block size");
  expect(why("\nx = 4"), "line 2: key 'x'", "found no string in quotes");
  expect(why("[x]\nformular = \"int<4> * f16/32\""), "line 2: key 'formular' of 'x'", "formula and source are known");
  expect(why("[x]\nsource = \"y\""), "line 1:", "has no formula");
  expect(why("[x"), "line 1:", "is not [NAME]");
  expect(why("int4_g32 = \"int<4> * f16/32\""), "line 1:", "is known already");
  expect(why("A-B = \"int<4> * f16/32\""), "line 1:", "lower-case letters");
  expect(why("x = \"f16\""), "line 1: format 'x'", "a codec must stand");
}

} // namespace
