// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks of caches: names, bytes and what is lost, without any compiled code.
#include "runtime/encoding/CacheBlock.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

using namespace whit;

namespace {

std::vector<Encoding> cacheEncodings() {
  std::vector<Encoding> all;
  for (int bits = 2; bits <= 8; ++bits)
    for (ZeroKind zero : {ZeroKind::Constant, ZeroKind::Integer, ZeroKind::Float, ZeroKind::Minimum})
      for (ScaleType scale : {ScaleType::F16, ScaleType::F32, ScaleType::BF16})
        all.push_back(intEncoding(bits, zero, scale, {1, 0}));
  return all;
}

std::vector<float> randomRows(int64_t count) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

TEST(CacheBlock, NamesMayLeaveTheGroupingOut) {
  auto name = [](const char *given) { return nameOf(*parseCacheFormat(given, nullptr)); };
  EXPECT_EQ(name("int8"), "int8_channel");
  EXPECT_EQ(name("uint4_min"), "uint4_channel_min");
  EXPECT_EQ(name("uint3_float_bf16"), "uint3_channel_float_bf16");
  EXPECT_EQ(name("int4_channel_f32"), "int4_channel_f32");
  EXPECT_EQ(name("f16"), "f16");
  EXPECT_EQ(name("nf4"), "nf4_channel"); // alone, it is the weights' nf4 in groups of 64
  EXPECT_EQ(name("fp8_e4m3"), "fp8_e4m3_channel");
  EXPECT_EQ(name("fp8_e5m2_f32"), "fp8_e5m2_channel_f32");
  EXPECT_EQ(name("(int<4> - 7) * f16/channel"), "(int<4> - 7) * f16/channel");
  for (const char *refused : {"int8_g32", "int8_tensor", "int1", "int9", "", "q4_0", "uint4_max", "mxfp4", "ternary",
                              "ptqtp2", "trit5", "nested8", "radix<-2 -1 0 1 2> * f16/channel"}) {
    std::string why;
    EXPECT_FALSE(parseCacheFormat(refused, &why)) << refused;
    EXPECT_FALSE(why.empty()) << refused;
  }
}

TEST(CacheBlock, KeysAndValuesMayDiffer) {
  std::string why;
  std::optional<CacheFormats> formats = parseCacheFormats("int8,nf4", &why);
  ASSERT_TRUE(formats) << why;
  EXPECT_EQ(nameOf(formats->keys), "int8_channel");
  EXPECT_EQ(nameOf(formats->values), "nf4_channel");
  formats = parseCacheFormats("f16", &why);
  EXPECT_TRUE(formats && formats->keys == formats->values && formats->keys.isPlain());
  for (const char *refused : {"int8,", ",int8", "int8,int4,int4", "int8,int4_g32"})
    EXPECT_FALSE(parseCacheFormats(refused, &why)) << refused;
}

/// Rows of 64 codes of 6 bits: 4 low bits of each in 32 bytes, then 2 high bits in 16, and all scales behind the 16 rows.
TEST(CacheBlock, RowsLieAsTheyAreDescribed) {
  CacheBlock block(*parseCacheFormat("int6", nullptr), CacheOrder::Rows, 64);
  EXPECT_EQ(block.rowBytes, 48);
  EXPECT_EQ(block.scaleOffset, 16 * 48);
  EXPECT_EQ(block.bytes, 16 * 48 + 32);
  std::vector<float> row(64, 0.0f); // zero is code 32
  row[0] = -32, row[5] = 23;        // codes 0 and 55 = 0b11'0111
  std::vector<uint8_t> bytes(block.bytes, 0xff);
  ASSERT_TRUE(encodeTokens(block, false, row.data(), 1, bytes.data(), nullptr));
  EXPECT_EQ(bytes[0], 0x00);
  EXPECT_EQ(bytes[2], 0x70);           // features 4 and 5, low first
  EXPECT_EQ(bytes[32], 0xa8);          // the high bits of features 0 .. 3: 0, 2, 2, 2
  EXPECT_EQ(bytes[33], 0xae);          // 2, 3, 2, 2
  EXPECT_EQ(bytes[48], 0);             // nothing of the next token
  EXPECT_EQ(bytes[16 * 48 + 1], 0x3c); // 1.0 as a half
}

TEST(CacheBlock, DecodesWhatItEncodes) {
  for (int64_t depth : {1, 20, 64})
    for (const Encoding &encoding : cacheEncodings())
      for (CacheOrder order : {CacheOrder::Panel, CacheOrder::Rows}) {
        CacheBlock block(encoding, order, depth);
        int64_t tokens = 21, blocks = 2;
        std::vector<float> values = randomRows(tokens * depth), found(values.size());
        std::vector<uint8_t> bytes(blocks * block.bytes + 1, 0xa5);
        ASSERT_TRUE(encodeTokens(block, false, values.data(), tokens, bytes.data(), nullptr));
        ASSERT_EQ(bytes.back(), 0xa5) << "writes past its end";
        decodeTokens(block, false, bytes.data(), tokens, found.data());
        // Both orders hold the same numbers, those of the canonical form.
        Matrix matrix = unpackTokens(block, tokens, bytes.data());
        std::vector<float> canonical(values.size());
        dequantize(matrix, canonical.data());
        EXPECT_EQ(found, canonical);
        double steps = double((1 << encoding.bits()) - 1);
        for (int64_t t = 0; t < tokens; ++t) {
          float low = 0, high = 0;
          for (int64_t d = 0; d < depth; ++d) {
            low = std::min(low, values[t * depth + d]);
            high = std::max(high, values[t * depth + d]);
          }
          // Half a step, or a whole one at the end that a signed format lacks; stored numbers are rounded.
          double range = encoding.zero == ZeroKind::Constant ? 2 * std::max(-low, high) : high - low;
          for (int64_t d = 0; d < depth; ++d)
            ASSERT_LE(std::fabs(found[t * depth + d] - values[t * depth + d]), range / steps * 1.05 + range * 0.008)
                << nameOf(encoding) << " token " << t;
        }
      }
}

TEST(CacheBlock, TheLastBlockIsFilledWithZeros) {
  CacheBlock block(*parseCacheFormat("uint3_min", nullptr), CacheOrder::Panel, 64);
  std::vector<float> values = randomRows(3 * 64);
  std::vector<uint8_t> bytes(block.bytes, 0xff);
  ASSERT_TRUE(encodeTokens(block, false, values.data(), 3, bytes.data(), nullptr));
  Matrix matrix = unpackTokens(block, 16, bytes.data());
  for (int64_t t = 3; t < 16; ++t)
    EXPECT_EQ(matrix.scales()[t], 0);
}

TEST(CacheBlock, RefusesWhatIsNoNumber) {
  CacheBlock block(*parseCacheFormat("int8", nullptr), CacheOrder::Rows, 16);
  std::vector<float> values(32, 1.0f);
  values[17] = INFINITY;
  std::vector<uint8_t> bytes(block.bytes);
  std::string why;
  EXPECT_FALSE(encodeTokens(block, false, values.data(), 2, bytes.data(), &why));
  EXPECT_NE(why.find("at row 1, column 1"), why.npos) << why;
}

TEST(Hadamard, IsItsDefinitionAndItsOwnInverse) {
  for (int64_t size : {1, 2, 8, 64}) {
    std::vector<float> x = randomRows(size), y = x;
    multiplyByHadamard(y.data(), size);
    for (int64_t i = 0; i < size; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < size; ++j)
        sum += (std::popcount(uint64_t(i & j)) % 2 ? -1.0 : 1.0) * x[j];
      EXPECT_NEAR(y[i], sum / std::sqrt(double(size)), 1e-6 * double(size));
    }
    multiplyByHadamard(y.data(), size);
    for (int64_t i = 0; i < size; ++i)
      EXPECT_NEAR(y[i], x[i], 1e-6 * double(size));
  }
}

} // namespace
