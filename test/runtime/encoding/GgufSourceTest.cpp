// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Blocks of GGUF against the `gguf` package, as recorded in gguf_goldens.txt, and the order of rows and errors.
#include "runtime/encoding/GgufSource.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <sstream>

using namespace whit;

namespace {

uint32_t crcOf(const Matrix &rows) {
  std::vector<float> values(rows.n * rows.k);
  dequantize(rows, values.data());
  for (float &value : values)
    value += 0.0f; // zeros made positive
  return uint32_t(crc32(0, reinterpret_cast<const Bytef *>(values.data()), uInt(values.size() * 4)));
}

Matrix read(int32_t type, const std::vector<uint8_t> &bytes, int64_t n, int64_t k, int64_t headRows = 0) {
  Matrix rows = makeMatrix(*encodingOfGguf(type), n, k);
  std::string why;
  EXPECT_TRUE(readGguf({n, k, {type, headRows}, bytes}, 0, n, rows, 0, &why)) << why;
  return rows;
}

TEST(GgufSource, EveryTypeMeansWhatTheGgufPackageSays) {
  std::ifstream file(std::string(WHIT_TEST_DIR) + "/runtime/encoding/gguf_goldens.txt");
  std::vector<int32_t> seen{0, 1, 30}; // plain values
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#"))
      continue;
    std::istringstream words(line);
    int32_t type;
    std::string name, halves, crc;
    words >> type >> name >> halves >> crc;
    GgufBlock block = *blockOfGguf(type);
    constexpr int64_t rows = 16, perRow = 4;
    std::vector<uint8_t> bytes;
    uint64_t state = uint64_t(type);
    for (int64_t i = 0; i < rows * perRow * block.bytes; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bytes.push_back(uint8_t(state >> 56));
    }
    std::replace(halves.begin(), halves.end(), ',', ' ');
    std::istringstream offsets(halves);
    for (int64_t at; offsets >> at;)
      for (int64_t b = 0; b < rows * perRow; ++b)
        bytes[b * block.bytes + at + 1] &= 0xBF;
    if (halves == "-")
      for (int64_t b = 0; b < rows * perRow; ++b)
        bytes[b * block.bytes] &= 0xFE;
    EXPECT_EQ(crcOf(read(type, bytes, rows, perRow * block.elements)), std::stoul(crc, nullptr, 16)) << name;
    EXPECT_EQ(*encodingOfGguf(type), *parseEncoding(name, nullptr)) << name;
    seen.push_back(type);
  }
  std::vector<int32_t> types = ggufTypes();
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, types) << "a type without a golden, or the other way round";
}

TEST(GgufSource, PairsOfRowsInHeadsAreUndone) {
  // Two heads of 4 rows, f32, one element each: the converter stores (half, pair) as (pair, half).
  std::vector<float> stored{0, 2, 1, 3, 10, 12, 11, 13};
  std::vector<uint8_t> bytes(32);
  std::copy_n(reinterpret_cast<const uint8_t *>(stored.data()), 32, bytes.begin());
  EXPECT_EQ(read(0, bytes, 8, 1, 4).values, (std::vector<float>{0, 1, 2, 3, 10, 11, 12, 13}));
  EXPECT_EQ(read(0, bytes, 8, 1).values, stored);
}

TEST(GgufSource, RowsCanBeReadAlone) {
  std::vector<uint8_t> bytes(4 * 18);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = uint8_t(i * 37 & 0x3F);
  Matrix all = read(2, bytes, 4, 32), some = makeMatrix(all.encoding, 5, 32);
  ASSERT_TRUE(readGguf({4, 32, {2, 0}, bytes}, 1, 3, some, 2, nullptr));
  EXPECT_TRUE(std::equal(some.codes().begin() + 64, some.codes().begin() + 128, all.codes().begin() + 32));
  EXPECT_EQ(some.scales()[2], all.scales()[1]);
}

TEST(GgufSource, RefusesWhatDoesNotFit) {
  std::vector<uint8_t> bytes(36);
  auto refused = [&](GgufSource source, const char *text, int32_t type = 2) {
    Matrix out = makeMatrix(*encodingOfGguf(type), 2, 32);
    std::string why;
    EXPECT_FALSE(readGguf(source, 0, 2, out, 0, &why)) << text;
    EXPECT_NE(why.find(text), std::string::npos) << why;
  };
  refused({2, 32, {2, 0}, std::span(bytes).first(35)}, "has 35 bytes; 36 are required");
  refused({2, 33, {2, 0}, bytes}, "need a multiple of 32");
  refused({2, 32, {4, 0}, bytes}, "type 4 is not read");
  refused({2, 32, {2, 4}, bytes}, "no whole number of heads of 4");
  refused({int64_t(1) << 40, int64_t(1) << 40, {2, 0}, bytes}, "over 2^63");
  refused({-1, 32, {2, 0}, bytes}, "out of range");
  refused({2, 32, {2, 0}, bytes}, "cannot be read into", 3);
  bytes.assign(34, 255);
  refused({2, 32, {39, 0}, bytes}, "scale 255, which is no number", 39);
}

TEST(GgufSource, LayoutsHaveOneText) {
  for (const char *text : {"gguf:12", "gguf:2:64"})
    EXPECT_EQ(textOf(*parseGgufLayout(text, nullptr)), text);
  std::string why;
  for (const char *text : {"gguf:", "gguf:99", "gguf:2:", "gguf:2:3", "gguf:2:64x", "gguf:2,64", "rows"})
    EXPECT_FALSE(parseGgufLayout(text, &why)) << text;
}

} // namespace
