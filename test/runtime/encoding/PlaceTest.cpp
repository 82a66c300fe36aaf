// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Maps over GF(2), and the packer against the place bit by bit: all widths, zeros, several terms, factors in the header, tails.
#include "runtime/encoding/Place.h"
#include "runtime/encoding/BitMap.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"

#include "test/runtime/encoding/RandomEncodings.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace whit;

namespace {

TEST(BitMap, InverseAndComposition) {
  std::mt19937_64 random(1);
  for (int32_t bits : {1, 2, 7, 24, 56, 64}) {
    // A product of elementary steps is invertible.
    BitMap map = BitMap::identity(bits);
    for (int32_t step = 0; step < 4 * bits && bits > 1; ++step) {
      int32_t from = int32_t(random() % bits), to = int32_t((from + 1 + random() % (bits - 1)) % bits);
      map.setColumn(to, map.column(to) ^ map.column(from));
    }
    EXPECT_EQ(map.rank(), bits);
    std::optional<BitMap> inverse = map.inverse();
    ASSERT_TRUE(inverse);
    EXPECT_EQ(inverse->after(map), BitMap::identity(bits));
    EXPECT_EQ(map.after(*inverse), BitMap::identity(bits));
    uint64_t in = random() & (~uint64_t(0) >> (64 - bits));
    EXPECT_EQ(inverse->apply(map.apply(in)), in);
    if (bits < 2)
      continue;
    map.setColumn(1, map.column(0));
    EXPECT_EQ(map.rank(), bits - 1);
    EXPECT_FALSE(map.inverse());
  }
  EXPECT_FALSE(BitMap(3, 4).inverse());
}

TEST(Place, UnitsArePermutationsOfBits) {
  for (CodeUse use : {CodeUse::Number, CodeUse::Index})
    for (int32_t bits = 1; bits <= 8; ++bits) {
      const CodeUnit &unit = codeUnit(bits, use);
      EXPECT_EQ(unit.quads * bits, 8 * unit.lines) << bits;
      EXPECT_EQ(unitFrom(picture(unit)), unit) << bits;
      BitMap contents = contentMap(unit, bits);
      EXPECT_EQ(contents.rank(), contents.outs()) << bits;
      std::optional<BitMap> back = contents.inverse();
      ASSERT_TRUE(back) << bits;

      std::mt19937_64 random(bits);
      std::vector<uint64_t> codes(4); // of four k in a row, quad after quad
      for (uint64_t &each : codes)
        each = random() & (~uint64_t(0) >> (64 - contents.ins()));
      std::vector<uint32_t> lines(unit.lines, 0);
      for (const WordMove &move : wordMoves(contents, bits)) {
        uint32_t word = 0;
        for (int32_t i = 0; i < 4; ++i)
          word |= uint32_t(codes[i] >> (move.quad * bits) & ((1u << bits) - 1)) << (8 * i);
        word &= move.mask;
        lines[move.line] |= move.by >= 0 ? word << move.by : word >> -move.by;
      }
      for (int32_t i = 0; i < 4; ++i) {
        uint64_t moved = 0;
        for (int32_t line = 0; line < unit.lines; ++line)
          moved |= uint64_t(lines[line] >> (8 * i) & 255) << (8 * line);
        EXPECT_EQ(moved, contents.apply(codes[i])) << bits;
        EXPECT_EQ(back->apply(moved), codes[i]) << bits;
      }
    }
}

TEST(Place, AddressesAreLinearWhereSizesArePowersOfTwo) {
  for (int32_t bits = 1; bits <= 8; ++bits) {
    std::optional<BitMap> map = addressMap(codeUnit(bits, CodeUse::Number), bits);
    ASSERT_EQ(map.has_value(), (bits & (bits - 1)) == 0) << bits;
    if (map) {
      EXPECT_TRUE(map->inverse()) << bits;
    }
  }
  // 4 bits: digits b0 b1 k0 k1 k2 c0 c1 c2 c3 become b0 b1 k2 of the bit and k0 k1 c0 c1 c2 c3 of the byte.
  BitMap map = *addressMap(codeUnit(4, CodeUse::Number), 4);
  const int32_t goesTo[] = {0, 1, 3, 4, 2, 5, 6, 7, 8};
  for (int32_t i = 0; i < 9; ++i)
    EXPECT_EQ(map.column(i), uint64_t(1) << goesTo[i]) << i;
}

std::vector<std::string> formulas() {
  std::vector<std::string> result = {
      "float<e2m1> * e4m3/16 * f32/tensor",
      "float<e4m3 fn> * f32/8x64",
      "table<-1 -0.5 0 2> * bf16/24",
      "choice<-4 0 1 3 | -4 0 1 6> * f16/16",
      "table<-1 0 1 2> * f16/32 + int<5> * f16/32",
      "vector<2x2 1 0 0 1 | 0 0 0 0 | 3 3 3 3> * f16/2x16 + again<2x2 0 1 1 0 | 0 0 0 0 | 1 2 3 4> * f32/2x16",
      "vector<4x4 1 0 0 1 0 0 0 0 3 3 3 3 1 1 1 1 | 2 0 0 1 0 0 0 0 3 3 3 3 1 1 1 1> * f16/tensor + int<2> * f16/20",
      "radix<-1 0 1> * f16/channel",
      "(radix<-2 -1 0 1 2> - f16/20) * f16/20 + int<3> * f32/20",
      "radix<-3 -2 -1 0 1 2> * f16/32 + radix<1 -1 0> * f16/64",
      "(nested<8> - 128) * f16/32",
      "(nested<8:4> - u8/32) * f16/32",
      "(nested<8:2> - 128) * f32/20 + radix<-1 0 1> * f16/40 + nested<4:2> * f16/channel",
      "nested<4> * f16/16 + f16/16",
      "int<3> * u4/16 * f16/64 + float<e3m2> * e8m0/32 + table<0 1> * f32/channel",
  };
  for (int bits = 1; bits <= 8; ++bits) {
    std::string code = "int<" + std::to_string(bits) + ">";
    result.push_back("(" + code + " - 1) * f16/20");
    result.push_back("(" + code + " - u" + std::to_string(bits) + "/32) * f32/32");
    result.push_back("(" + code + " - bf16/16) * bf16/16");
    result.push_back(code + " * f16/channel + f16/channel");
    result.push_back(code + " * u6/16 * f16/64 + u6/16 * f16/64");
    result.push_back(code + " * f16/32 + int<" + std::to_string(9 - bits) + "> * f16/64");
    result.push_back("sparse<2:4> (" + code + " - 1) * f16/" + (bits % 2 ? "20" : "channel"));
    result.push_back(code + " * f16/32 + sparse<2:4> int<" + std::to_string(9 - bits) + "> * f16/64");
  }
  return result;
}

Matrix randomMatrix(const Encoding &encoding, int64_t n, int64_t k) {
  std::mt19937 random(7);
  Matrix matrix = makeMatrix(encoding, n, k);
  auto fill = [&](const std::vector<Factor> &factors, std::vector<FactorValues> &values) {
    for (size_t f = 0; f < factors.size(); ++f)
      for (float &value : values[f])
        value = roundToScale(factors[f].type, float(random() % 2));
  };
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    for (uint8_t &code : matrix.terms[t].codes)
      code = uint8_t(random() % (term.codec.perByte ? term.codec.values.size() : size_t(1) << term.codec.bits));
    for (uint8_t &choice : matrix.terms[t].choices)
      choice = uint8_t(random() % term.codec.choices);
    keepAtRandom(matrix, t, random);
    shareCodes(matrix, t);
    fill(term.scale, matrix.terms[t].factors);
  }
  fill(encoding.offset, matrix.offset);
  return matrix;
}

/// The packed bytes, bit by bit.
std::vector<uint8_t> mapped(const Place &place, const Matrix &matrix) {
  const Encoding &encoding = matrix.encoding;
  std::vector<uint8_t> bytes(place.bytes(), 0);
  auto store = [&](const Factor &factor, const FactorPlace &at, auto &values) {
    int64_t blocks = blockCount(factor, matrix.k);
    for (int64_t n = 0; n < matrix.n; ++n)
      for (int64_t block = 0; block < blocks; ++block)
        storeScale(factor.type, float(values[n * blocks + block]), &bytes[factorByte(place, at, n, block * at.span)]);
  };
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    auto set = [&](BitPosition at, bool value) {
      uint8_t mask = uint8_t(value << at.bit);
      EXPECT_FALSE(bytes[at.byte] & mask) << "two codes share a bit";
      bytes[at.byte] |= mask;
    };
    const TermValues &values = matrix.terms[t];
    const Codec &codec = encoding.terms[t].codec;
    for (int64_t n = 0; codec.kind == CodecKind::Vector && !codec.isAgain && n < matrix.n; n += codec.rows)
      for (int64_t k = 0; k < matrix.k; k += codec.columns)
        for (int32_t bit = 0; bit < codec.bits; ++bit) {
          BitPosition at = vectorBit(place, codec, t, n, k);
          set({at.byte, at.bit + bit}, values.codes[n * matrix.k + k] >> bit & 1);
        }
    bool isSparse = encoding.terms[t].codec.isSparse;
    if (codec.perByte)
      for (int64_t n = 0; n < matrix.n; ++n)
        for (int64_t k = 0; k < matrix.k; ++k) {
          DigitPosition at = codeDigit(place, t, n, k);
          EXPECT_LT(bytes[at.byte] + values.codes[n * matrix.k + k] * at.weight, 256);
          EXPECT_EQ(bytes[at.byte] / at.weight, 0) << "two codes share a digit";
          bytes[at.byte] += uint8_t(values.codes[n * matrix.k + k] * at.weight);
        }
    for (int64_t n = 0; codec.kind != CodecKind::Vector && !codec.perByte && n < matrix.n; ++n)
      for (int64_t k = 0, before = 0; k < (isSparse ? (matrix.k + 3) / 4 * 4 : matrix.k); ++k) {
        before = k % 4 ? before : 0; // codes of the same four
        bool keeps = values.keeps(n, matrix.k, k);
        if (isSparse)
          set({keptBit(place, t, n, k / 4 * 4).byte, keptBit(place, t, n, k / 4 * 4).bit + int32_t(k % 4)}, keeps);
        for (int32_t bit = 0; keeps && k < matrix.k && bit < encoding.terms[t].codec.bits; ++bit)
          set(codeBit(place, t, n, isSparse ? k / 4 * 4 + before : k, bit), values.codes[n * matrix.k + k] >> bit & 1);
        before += keeps;
      }
    const Term &term = encoding.terms[t];
    for (size_t f = 0; f < term.scale.size(); ++f)
      store(term.scale[f], place.terms[t].factors[f], matrix.terms[t].factors[f]);
    if (place.terms[t].choice)
      store({ScaleType::U8, term.scale.front().block}, *place.terms[t].choice, matrix.terms[t].choices);
  }
  for (size_t f = 0; f < encoding.offset.size(); ++f)
    store(encoding.offset[f], place.offset[f], matrix.offset[f]);
  return bytes;
}

TEST(Place, PackingIsTheBitMapAndUnpackingItsInverse) {
  for (const std::string &formula : formulas()) {
    std::string why;
    std::optional<Encoding> encoding = parseEncoding(formula, &why);
    ASSERT_TRUE(encoding) << formula << ": " << why;
    for (auto [n, k] : {std::pair<int64_t, int64_t>(17, 75), {1, 64}, {3, 5}}) {
      Matrix matrix = randomMatrix(*encoding, n, k);
      Place place = solvePlace(*encoding, n, k);
      std::vector<uint8_t> packed(place.bytes());
      packPanels(place, matrix, packed.data());
      ASSERT_EQ(packed, mapped(place, matrix)) << formula << ", " << n << " x " << k;
      Matrix back = unpackPanels(*encoding, place, n, packed.data());
      for (size_t t = 0; t < matrix.terms.size(); ++t) {
        EXPECT_EQ(back.terms[t].codes, matrix.terms[t].codes) << formula;
        EXPECT_EQ(back.terms[t].factors, matrix.terms[t].factors) << formula;
        EXPECT_EQ(back.terms[t].choices, matrix.terms[t].choices) << formula;
        EXPECT_EQ(back.terms[t].kept, matrix.terms[t].kept) << formula;
      }
      EXPECT_EQ(back.offset, matrix.offset) << formula;
    }
  }
}

/// What is read of a code in planes are its upper bits, from the same bytes, and fewer of them.
TEST(Place, PlanesAreReadFromTheSameBytes) {
  Encoding whole = *parseEncoding("nested8_g32", nullptr);
  Matrix matrix = randomMatrix(whole, 21, 75);
  Place place = solvePlace(whole, 21, 75);
  std::vector<uint8_t> packed(place.bytes());
  packPanels(place, matrix, packed.data());
  for (int32_t width : {2, 4, 8}) {
    Encoding encoding = *parseEncoding("(nested<8:" + std::to_string(width) + "> - 128) * f16/32", nullptr);
    EXPECT_EQ(solvePlace(encoding, 21, 75), place);
    Matrix same = matrix;
    same.encoding = encoding;
    std::vector<uint8_t> again(place.bytes());
    packPanels(place, same, again.data());
    EXPECT_EQ(again, packed);

    Place part = readPart(encoding, place);
    ASSERT_EQ(part.terms[0].unit.lines, width / 2);
    std::set<int64_t> read; // lines
    for (int64_t n = 0; n < 21; ++n)
      for (int64_t k = 0; k < 75; ++k) {
        uint32_t code = 0;
        for (int32_t bit = 0; bit < width; ++bit) {
          BitPosition at = codeBit(part, 0, n, k, bit);
          read.insert(at.byte / 4 * 4);
          code |= uint32_t(packed[at.byte] >> at.bit & 1) << bit;
        }
        ASSERT_EQ(code, matrix.codes()[n * 75 + k] >> (8 - width)) << width << " bits";
      }
    EXPECT_EQ(read.size(), size_t(21 * 5 * width / 2)) << "words of the lines of five units of 16";
  }
}

} // namespace
