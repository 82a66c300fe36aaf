// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names, places, packing and the meaning of codes, for every format of Formats.def.
#include "AllEncodings.h"

#include "runtime/encoding/Half.h"
#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Place.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace whit;

namespace {

/// Random codes, scales and zeros, all exact in their types.
Matrix randomMatrix(const Encoding &encoding, int64_t n, int64_t k, uint32_t seed) {
  std::mt19937 random(seed);
  Matrix matrix = makeMatrix(encoding, n, k);
  if (encoding.isPlain()) {
    for (float &value : matrix.values)
      value = roundToScale(encoding.scaleType(), float(int32_t(random() % 2001) - 1000) / 512);
    return matrix;
  }
  for (uint8_t &code : matrix.codes())
    code = uint8_t(random() & ((1u << encoding.bits()) - 1));
  auto number = [&] { return roundToScale(encoding.scaleType(), float(int32_t(random() % 2001) - 1000) / 512); };
  for (float &scale : matrix.scales())
    scale = number();
  for (FactorValues &zeros : matrix.offset)
    for (float &zero : zeros)
      zero = encoding.zero == ZeroKind::Integer ? float(random() & ((1u << encoding.bits()) - 1)) : number();
  return matrix;
}

TEST(EncodingNames, RoundTripForEveryRow) {
  EXPECT_EQ(integerEncodings({"g1", "g32", "g100", "channel", "tensor"}).size(), 3u + 32 * 5 * 3);
  EXPECT_GT(allEncodings({"g16", "channel"}).size(), 300u);
  std::set<std::string> names;
  for (const FormatRow &row : formatRows())
    EXPECT_TRUE(names.insert(std::string(row.stem) + " " + std::string(row.suffix)).second)
        << row.stem << " stands twice";
}

TEST(EncodingNames, RefusesWhatIsNotSpelledCanonically) {
  for (const char *name : {"", "int4", "int9_g32", "int4_g0", "int4_g032", "int4_g32_", "int4_g32_f16", "int4_g32_min",
                           "int4_g32_f32_bf16", "uint4_g99999999999999999999", "f32_g32", "int4_g32_float",
                           "uint4_float_g32", "INT4_G32", "int4_g-1", "int4__g32", "uint4_g32_max"}) {
    std::string why;
    EXPECT_FALSE(parseEncoding(name, &why)) << name;
    EXPECT_NE(why.find(name), why.npos) << why;
    EXPECT_FALSE(parseEncoding(name, nullptr));
  }
}

/// Names of other systems mean one of ours, and are not given to two rows.
TEST(EncodingNames, AliasesMeanWhatTheySay) {
  auto name = [](const char *alias) {
    std::string why;
    std::optional<Encoding> encoding = parseEncoding(alias, &why);
    return encoding ? nameOf(*encoding) : why;
  };
  EXPECT_EQ(name("q4_0"), "int4_g32");
  EXPECT_EQ(name("gguf:3"), "uint4_g32_min");
  EXPECT_EQ(name("gguf:12"), "q4_k");
  EXPECT_EQ(name("nf4"), "nf4_g64_f32");
  EXPECT_EQ(name("bnb4:1"), "nf4_g64_f32");
  EXPECT_EQ(name("bitnet"), "ternary_tensor_f32");
  EXPECT_EQ(name("mxfp4"), "mxfp4");
  std::set<std::string> aliases;
  for (const FormatRow &row : formatRows())
    for (size_t begin = 0; begin < row.aliases.size();) {
      size_t end = std::min(row.aliases.find(' ', begin), row.aliases.size());
      std::string alias(row.aliases.substr(begin, end - begin));
      alias = alias.substr(0, alias.find('='));
      EXPECT_TRUE(aliases.insert(alias).second) << alias << " stands twice";
      EXPECT_TRUE(parseEncoding(alias, nullptr)) << alias;
      begin = end + 1;
    }
}

TEST(EncodingNames, TypesThatAreInTheFormulaAreNotInTheName) {
  std::string why;
  EXPECT_FALSE(parseEncoding("w4s4_g32_f32", &why));
  EXPECT_NE(why.find("are part of its formula"), why.npos) << why;
}

TEST(EncodingNames, SuggestsCloseOnes) {
  auto why = [](const char *name) {
    std::string text;
    parseEncoding(name, &text);
    return text;
  };
  EXPECT_NE(why("int4g32").find("did you mean 'int4_g32'"), std::string::npos) << why("int4g32");
  EXPECT_NE(why("in4_g128").find("did you mean 'int4_g128'"), std::string::npos) << why("in4_g128");
  EXPECT_NE(why("int8_chanel").find("'int8_channel'"), std::string::npos) << why("int8_chanel");
  EXPECT_NE(why("int9").find("did you mean"), std::string::npos) << why("int9");
  EXPECT_NE(why("fp16").find("did you mean 'f16'"), std::string::npos) << why("fp16");
  EXPECT_EQ(why("completely_different").find("did you mean"), std::string::npos) << why("completely_different");
}

TEST(EncodingPlace, MatchesTheWorkedExample) {
  Place place = solvePlace(*parseEncoding("int4_g32", nullptr), 33, 70);
  EXPECT_EQ(place.panels, 3);
  EXPECT_EQ(place.groups, 3);
  EXPECT_EQ(place.blockBytes, 288);
  EXPECT_EQ(place.panelBytes, 3 * 288);
  EXPECT_EQ(place.terms.front().factors.front().offset, 256);
  EXPECT_TRUE(place.offset.empty());
  EXPECT_EQ(place.headerBytes, 0);
  EXPECT_EQ(codeBit(place, 0, 0, 0, 0), (BitPosition{0, 0}));
  EXPECT_EQ(codeBit(place, 0, 0, 4, 0), (BitPosition{0, 4}));
  EXPECT_EQ(codeBit(place, 0, 1, 9, 3), (BitPosition{64 + 4 + 1, 3}));
  EXPECT_EQ(codeBit(place, 0, 17, 32, 0), (BitPosition{3 * 288 + 288 + 4, 0}));
}

/// Two k of a column side by side, and a partner of 0 for the last of an odd number.
TEST(EncodingPlace, Bf16ComesInPairs) {
  Place place = solvePlace(*parseEncoding("bf16", nullptr), 17, 5);
  EXPECT_EQ(place.panelBytes, 3 * 64);
  EXPECT_EQ(codeBit(place, 0, 0, 1, 0), (BitPosition{2, 0}));
  EXPECT_EQ(codeBit(place, 0, 1, 0, 9), (BitPosition{5, 1}));
  EXPECT_EQ(codeBit(place, 0, 16, 4, 0), (BitPosition{3 * 64 + 2 * 64, 0}));
  EXPECT_EQ(solvePlace(*parseEncoding("f16", nullptr), 17, 5).panelBytes, 5 * 32);
}

/// The bit map hits every position at most once and covers the codes of a block completely.
TEST(EncodingPlace, BitMapIsAPermutation) {
  for (const Encoding &encoding : integerEncodings({"g1", "g7", "g16", "g32", "channel"})) {
    if (encoding.isPlain() || encoding.scaleType() != ScaleType::F16)
      continue;
    Place place = solvePlace(encoding, 18, 35);
    std::set<std::pair<int64_t, int32_t>> seen;
    for (int64_t n = 0; n < 32; ++n)
      for (int64_t k = 0; k < 35; ++k)
        for (int32_t bit = 0; bit < encoding.bits(); ++bit) {
          BitPosition at = codeBit(place, 0, n, k, bit);
          EXPECT_TRUE(seen.insert({at.byte, at.bit}).second) << nameOf(encoding);
          EXPECT_LT(at.byte, place.bytes());
          EXPECT_LT(at.byte % place.panelBytes % place.blockBytes, place.terms.front().factors.front().offset);
        }
    const CodeUnit &unit = place.terms.front().unit;
    int64_t planeBytes = place.paddedGroup / unit.elements() * unit.bytes();
    EXPECT_EQ(unit.bytes() * 8, unit.elements() * kPanelColumns * encoding.bits());
    EXPECT_EQ(planeBytes, place.terms.front().factors.front().offset);
    EXPECT_EQ(planeBytes % kLineBytes, 0);
    EXPECT_EQ(seen.size(), size_t(32 * 35 * encoding.bits()));
  }
}

class PackTest : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(PackTest, UnpackIsTheInverseAndTheBitMapAgrees) {
  auto [n, k] = GetParam();
  for (const Encoding &encoding : integerEncodings({"g1", "g6", "g16", "g32", "g100", "channel", "tensor"})) {
    Matrix matrix = randomMatrix(encoding, n, k, uint32_t(n * 1000 + k));
    Place place = solvePlace(encoding, n, k);
    std::vector<uint8_t> packed(place.bytes() + 64, 0xA5);
    packPanels(place, matrix, packed.data());
    ASSERT_EQ(packed[place.bytes()], 0xA5) << nameOf(encoding) << " writes past its end";
    Matrix back = unpackPanels(encoding, place, n, packed.data());
    for (size_t t = 0; t < matrix.terms.size(); ++t) {
      EXPECT_EQ(back.terms[t].codes, matrix.terms[t].codes) << nameOf(encoding);
      EXPECT_EQ(back.terms[t].factors, matrix.terms[t].factors) << nameOf(encoding);
    }
    EXPECT_EQ(back.offset, matrix.offset) << nameOf(encoding);
    EXPECT_EQ(back.values, matrix.values) << nameOf(encoding);

    // Rebuild the bytes bit by bit from the map; everything not in it must be zero.
    std::vector<uint8_t> mapped(place.bytes(), 0);
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t column = 0; column < k; ++column) {
        uint32_t code = 0;
        if (encoding.isPlain())
          storeScale(encoding.scaleType(), matrix.values[row * k + column], reinterpret_cast<uint8_t *>(&code));
        else
          code = matrix.codes()[row * k + column];
        for (int32_t bit = 0; bit < encoding.bits(); ++bit) {
          BitPosition at = codeBit(place, 0, row, column, bit);
          mapped[at.byte] |= uint8_t(((code >> bit) & 1) << at.bit);
        }
      }
      for (int64_t g = 0; !encoding.isPlain() && g < place.groups; ++g) {
        storeScale(encoding.scaleType(), matrix.scales()[row * place.groups + g],
                   &mapped[factorByte(place, place.terms.front().factors.front(), row, g)]);
        if (!matrix.offset.empty())
          storeScale(encoding.offset.front().type, matrix.zeros()[row * place.groups + g],
                     &mapped[factorByte(place, place.offset.front(), row, g)]);
      }
    }
    packed.resize(place.bytes());
    EXPECT_EQ(packed, mapped) << nameOf(encoding);
  }
}

TEST_P(PackTest, PanelsCanBeStreamed) {
  auto [n, k] = GetParam();
  Encoding encoding = *parseEncoding("uint3_g6", nullptr);
  Matrix matrix = randomMatrix(encoding, n, k, 1);
  Place place = solvePlace(encoding, n, k);
  std::vector<uint8_t> whole(place.bytes()), streamed(place.bytes());
  packPanels(place, matrix, whole.data());
  for (int64_t panel = 0; panel < place.panels; ++panel) {
    int64_t rows = std::min<int64_t>(16, n - 16 * panel);
    Matrix part = makeMatrix(encoding, rows, k);
    copyRows(matrix, 16 * panel, rows, part, 0);
    packPanels(place, part, streamed.data() + panel * place.panelBytes);
  }
  EXPECT_EQ(streamed, whole);
}

INSTANTIATE_TEST_SUITE_P(Shapes, PackTest,
                         testing::Values(std::pair{0, 32}, std::pair{1, 1}, std::pair{3, 93}, std::pair{16, 32},
                                         std::pair{17, 100}, std::pair{33, 5}, std::pair{2, 0}));

/// All 2^bits codes against all zero codes and several scales, decoded by the formula written out again.
/// Repacking keeps what a stored scale means, whichever of its codes says it.
TEST(EncodingScales, EveryByteRoundTrips) {
  for (ScaleType type = ScaleType::E8M0; type <= ScaleType::I8; type = ScaleType(int(type) + 1))
    for (int code = 0; code < 256; ++code) {
      uint8_t byte = uint8_t(code), again = 0;
      float value = loadScale(type, &byte);
      bool isCode =
          scaleBits(type) == 8 || (value < 0 ? -value <= largestScale(type) + 1 : value <= largestScale(type));
      if (std::isnan(value) || !isCode)
        continue;
      storeScale(type, value, &again);
      EXPECT_EQ(loadScale(type, &again), value) << nameOf(type) << " code " << code;
    }
}

TEST(EncodingDecode, EveryCodeOfEveryFormat) {
  for (const Encoding &encoding : integerEncodings({"channel"})) {
    if (encoding.isPlain())
      continue;
    int64_t codes = int64_t(1) << encoding.bits();
    std::vector<float> zeros;
    for (int64_t i = 0; i < codes; ++i)
      zeros.push_back(encoding.zero == ZeroKind::Integer ? float(i)
                                                         : roundToScale(encoding.scaleType(), float(i) * 0.61f - 1.3f));
    if (encoding.zero == ZeroKind::Constant)
      zeros = {0};
    for (float scale : {0.0f, 1.0f, -0.03125f, 0.0123f, 6e-8f}) {
      Matrix matrix = makeMatrix(encoding, int64_t(zeros.size()), codes);
      for (size_t row = 0; row < zeros.size(); ++row) {
        for (int64_t code = 0; code < codes; ++code)
          matrix.codes()[row * codes + code] = uint8_t(code);
        matrix.scales()[row] = roundToScale(encoding.scaleType(), scale);
        if (encoding.zero != ZeroKind::Constant)
          matrix.zeros()[row] = zeros[row];
      }
      std::vector<float> single(matrix.codes().size());
      std::vector<double> wide(matrix.codes().size());
      dequantize(matrix, single.data());
      dequantize(matrix, wide.data());
      for (size_t row = 0; row < zeros.size(); ++row)
        for (int64_t code = 0; code < codes; ++code) {
          volatile float s = matrix.scales()[row], z = zeros[row], q = float(code), step, expected;
          double exact = 0;
          switch (encoding.zero) {
          case ZeroKind::Constant:
            expected = s * (q - float(codes / 2));
            exact = double(s) * (double(code) - double(codes / 2));
            break;
          case ZeroKind::Integer:
          case ZeroKind::Float:
            step = q - z;
            expected = s * step;
            exact = double(s) * (double(code) - double(z));
            break;
          case ZeroKind::Minimum:
            step = s * q;
            expected = step + z;
            exact = double(s) * double(code) + double(z);
            break;
          }
          ASSERT_EQ(single[row * codes + code], expected) << nameOf(encoding) << " code " << code << " row " << row;
          ASSERT_EQ(wide[row * codes + code], exact) << nameOf(encoding) << " code " << code << " row " << row;
        }
    }
  }
}

} // namespace
