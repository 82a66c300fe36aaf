// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Our codecs against those of numpy, ml_dtypes, gguf and ONNX Runtime, as recorded in goldens.txt by goldens.py.
#include "runtime/encoding/BlockSource.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Quantize.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

using namespace whit;

namespace {

struct Golden {
  std::map<std::string, std::string> fields;

  const std::string &text(const std::string &key) const { return fields.at(key); }
  int64_t number(const std::string &key) const { return std::stoll(fields.at(key)); }

  std::vector<uint8_t> bytes(const std::string &key) const {
    const std::string &hex = fields.at(key);
    std::vector<uint8_t> result;
    for (size_t i = 0; i < hex.size(); i += 2)
      result.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return result;
  }

  std::vector<float> floats(const std::string &key) const {
    std::vector<uint8_t> raw = bytes(key);
    std::vector<float> result(raw.size() / 4);
    std::memcpy(result.data(), raw.data(), result.size() * 4);
    return result;
  }
};

std::vector<Golden> goldens(const std::string &kind) {
  std::ifstream file(std::string(WHIT_TEST_DIR) + "/runtime/encoding/goldens.txt");
  std::vector<Golden> result;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word != kind)
      continue;
    Golden golden;
    while (words >> word)
      golden.fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    result.push_back(std::move(golden));
  }
  return result;
}

template <typename T> std::string crcOf(const std::vector<T> &values) {
  char text[9];
  snprintf(text, sizeof text, "%08lx",
           crc32(0, reinterpret_cast<const Bytef *>(values.data()), uInt(values.size() * sizeof(T))));
  return text;
}

/// The values that goldens.py converts: see `conversion` there.
std::vector<uint32_t> encodeInputs(const std::vector<float> &wide, int shift) {
  std::vector<uint32_t> finite, bits;
  for (float value : wide)
    if (std::isfinite(value))
      finite.push_back(std::bit_cast<uint32_t>(value));
  for (uint32_t base : {0u, 1u << (shift - 1)})
    for (uint32_t delta : {~0u, 0u, 1u})
      for (uint32_t value : finite)
        bits.push_back(value + base + delta);
  for (uint64_t i = 0; i < 1 << 20; ++i)
    bits.push_back(uint32_t(i * 65537));
  std::erase_if(bits, [](uint32_t value) { return std::isnan(std::bit_cast<float>(value)); });
  return bits;
}

TEST(Goldens, ConversionsEqualNumpyAndMlDtypes) {
  std::vector<Golden> all = goldens("conversion");
  ASSERT_EQ(all.size(), 4u);
  for (const Golden &golden : all) {
    bool half = golden.text("name") == "f16";
    std::vector<float> wide(65536);
    for (uint32_t code = 0; code < 65536; ++code) {
      wide[code] = half ? halfToFloat(uint16_t(code)) : bfloatToFloat(uint16_t(code));
      if (std::isnan(wide[code]))
        wide[code] = std::bit_cast<float>(0x7fc00000u);
    }
    if (golden.text("direction") == "decode") {
      EXPECT_EQ(crcOf(wide), golden.text("crc")) << golden.text("name");
      continue;
    }
    std::vector<uint32_t> inputs = encodeInputs(wide, half ? 13 : 16);
    ASSERT_EQ(int64_t(inputs.size()), golden.number("count"));
    std::vector<uint16_t> narrow;
    for (uint32_t input : inputs)
      narrow.push_back(half ? floatToHalf(std::bit_cast<float>(input)) : floatToBfloat(std::bit_cast<float>(input)));
    EXPECT_EQ(crcOf(narrow), golden.text("crc")) << golden.text("name");
  }
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(NAN))));
  EXPECT_TRUE(std::isnan(bfloatToFloat(floatToBfloat(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Goldens, BlocksDecodeAsInOnnxRuntime) {
  std::vector<Golden> all = goldens("blocks");
  ASSERT_EQ(all.size(), 7u);
  for (const Golden &golden : all) {
    std::vector<uint8_t> codes = golden.bytes("codes"), scales = golden.bytes("scales"), zeros;
    BlockSource source{
        golden.number("n"), golden.number("k"), golden.number("block"), int32_t(golden.number("bits")), codes, scales,
        ScaleType::F32};
    if (golden.text("zero") != "absent") {
      zeros = golden.bytes("zeros");
      source.zeros = zeros;
      source.zero = golden.text("zero") == "packed" ? SourceZero::Packed : SourceZero::Float;
    }
    Matrix rows = makeMatrix(encodingOf(source), source.n, source.k);
    std::string why;
    ASSERT_TRUE(readBlocks(source, 0, source.n, rows, 0, &why)) << why;
    std::vector<float> values(source.n * source.k), expected = golden.floats("values");
    dequantize(rows, values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      // With a float zero point ONNX Runtime multiplies the zero point by the scale first: one more rounding.
      float slack = source.zero == SourceZero::Float
                        ? 0x1p-23f * 16 * std::fabs(rows.scales()[i / source.k * rows.groups() + i % source.k / 32])
                        : 0;
      ASSERT_NEAR(values[i], expected[i], slack) << nameOf(rows.encoding) << " element " << i;
    }

    // A row range read into the middle of a wider matrix, in every encoding that holds the source.
    for (ZeroKind zero : {ZeroKind::Constant, ZeroKind::Integer, ZeroKind::Float, ZeroKind::Minimum}) {
      Encoding wider = intEncoding(rows.encoding.bits(), zero, rows.encoding.scaleType(), {1, source.blockSize});
      Matrix part = makeMatrix(wider, 4, source.k);
      bool fits = zero != ZeroKind::Minimum && zero >= rows.encoding.zero;
      ASSERT_EQ(readBlocks(source, 1, 3, part, 2, &why), fits) << nameOf(wider) << ": " << why;
      if (!fits)
        continue;
      std::vector<float> some(4 * source.k);
      dequantize(part, some.data());
      for (int64_t i = 0; i < 2 * source.k; ++i)
        ASSERT_EQ(some[2 * source.k + i], values[source.k + i]) << nameOf(wider);
    }
  }
}

TEST(Goldens, ShortOrMisfitSourcesAreRefused) {
  std::vector<uint8_t> codes(5 * 3 * 16), scales(5 * 3 * 4), zeros(5 * 2), indices(69 * 4);
  BlockSource good{5, 70, 32, 4, codes, scales, ScaleType::F32, SourceZero::Packed, zeros};
  Matrix rows = makeMatrix(encodingOf(good), 5, 70);
  std::string why;
  EXPECT_TRUE(readBlocks(good, 0, 5, rows, 0, &why)) << why;
  auto refused = [&](auto change, const char *word) {
    BlockSource bad = good;
    change(bad);
    why.clear();
    EXPECT_FALSE(readBlocks(bad, 0, bad.n, rows, 0, &why)) << word;
    EXPECT_NE(why.find(word), why.npos) << why;
  };
  refused([](BlockSource &s) { s.codes = s.codes.first(s.codes.size() - 1); }, "code tensor has 239 bytes; 240");
  refused([](BlockSource &s) { s.scales = s.scales.first(59); }, "scale tensor has 59 bytes; 60");
  refused([](BlockSource &s) { s.zeros = s.zeros.first(9); }, "zero point tensor has 9 bytes; 10");
  refused([&](BlockSource &s) { s.indices = indices; }, "group indices have 276 bytes; 280");
  refused([](BlockSource &s) { s.bits = 9; }, "bits is 9");
  refused([](BlockSource &s) { s.blockSize = 0; }, "block size is 0");
  refused([](BlockSource &s) { s.n = int64_t(1) << 40, s.k = int64_t(1) << 40; }, "over 2^63");
  refused([](BlockSource &s) { s.n = -1; }, "out of range");
  refused([](BlockSource &s) { s.k = 71; }, "do not fit");
}

TEST(Goldens, GgufBlocksMeanWhatTheirAliasesSay) {
  std::vector<Golden> all = goldens("gguf");
  ASSERT_EQ(all.size(), 5u);
  for (const Golden &golden : all) {
    std::optional<Encoding> encoding = parseEncoding(golden.text("name"), nullptr);
    ASSERT_TRUE(encoding) << golden.text("name");
    std::vector<uint8_t> bytes = golden.bytes("bytes");
    int64_t size = int64_t(bytes.size()) / 3;
    Matrix rows = makeMatrix(*encoding, 3, 32);
    for (int64_t row = 0; row < 3; ++row) {
      const uint8_t *block = bytes.data() + row * size;
      rows.scales()[row] = loadScale(ScaleType::F16, block);
      const uint8_t *body = block + 2;
      if (encoding->zero == ZeroKind::Minimum) {
        rows.zeros()[row] = loadScale(ScaleType::F16, body);
        body += 2;
      }
      for (int64_t i = 0; i < 32; ++i) {
        uint8_t &code = rows.codes()[row * 32 + i];
        if (encoding->bits() == 8) {
          code = uint8_t(body[i] + 128); // two's complement to our unsigned codes
          continue;
        }
        const uint8_t *nibbles = encoding->bits() == 5 ? body + 4 : body;
        code = (nibbles[i % 16] >> (4 * (i / 16))) & 15;
        if (encoding->bits() == 5)
          code |= uint8_t(((body[i / 8] >> (i % 8)) & 1) << 4);
      }
    }
    std::vector<float> values(96), expected = golden.floats("values");
    dequantize(rows, values.data());
    EXPECT_EQ(values, expected) << golden.text("name");
  }
}

/// The stored number of a code; codes of signed integers start at the most negative number.
float storedNumber(ScaleType type, int64_t code) {
  int32_t bits = scaleBits(type);
  code &= (int64_t(1) << bits) - 1;
  if (type >= ScaleType::I2)
    code -= int64_t(1) << (bits - 1);
  uint16_t word = uint16_t(code);
  return loadScale(type, reinterpret_cast<const uint8_t *>(&word));
}

/// All codes under all codes of the smallest scale; goldens.py says what everything else is.
std::vector<uint32_t> exhaustiveValues(const Encoding &encoding, int64_t n, int64_t step, int64_t k) {
  Matrix matrix = makeMatrix(encoding, n, k);
  auto fill = [&](FactorValues &values, auto &&number) {
    int64_t each = int64_t(values.size()) / n;
    for (int64_t i = 0; i < int64_t(values.size()); ++i)
      values[i] = number(i / each * step);
  };
  auto outer = [](ScaleType type, int64_t half) { return type == ScaleType::F32 ? 0.0123f : storedNumber(type, half); };
  int shift = 0;
  for (size_t t = 0; t < encoding.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    TermValues &values = matrix.terms[t];
    for (int64_t i = 0, fours = (k + 3) / 4; i < int64_t(values.kept.size()); ++i)
      values.kept[i] = kKeptPairs[(i % fours + i / fours) % 6];
    for (int64_t i = 0; i < n * k; ++i)
      if (values.keeps(i / k, k, i % k))
        values.codes[i] = uint8_t(((term.codec.isSparse ? i % k / 4 : i % k) >> shift) & ((1 << term.codec.bits) - 1));
    shift += term.codec.bits;
    fill(matrix.terms[t].factors[0],
         [&](int64_t row) { return storedNumber(term.scale[0].type, row * int64_t(2 * t + 1) + 1000 * int64_t(t)); });
    for (size_t f = 1; f < term.scale.size(); ++f)
      fill(matrix.terms[t].factors[f], [&](int64_t) { return outer(term.scale[f].type, 0x2E66); });
    for (int64_t i = 0, count = int64_t(matrix.terms[t].choices.size()); i < count; ++i)
      matrix.terms[t].choices[i] = uint8_t(i / (count / n) % 4);
  }
  for (size_t f = 0; f < encoding.offset.size(); ++f) {
    ScaleType type = encoding.offset[f].type;
    fill(matrix.offset[f], [&](int64_t row) {
      return f ? outer(type, 0x2A66) : storedNumber(type, type == ScaleType::F16 ? 7 * row + 11 : 3 * row + 1);
    });
  }
  std::vector<float> values(n * k);
  dequantize(matrix, values.data());
  std::vector<uint32_t> bits;
  for (float value : values)
    bits.push_back(std::isnan(value) ? 0x7fc00000u : std::bit_cast<uint32_t>(value + 0.0f));
  return bits;
}

TEST(Goldens, EveryCodeOfEveryRowEqualsOthersUnderEveryScale) {
  std::map<std::string, Golden> all;
  for (Golden &golden : goldens("exhaustive"))
    all[golden.text("name")] = golden;
  for (const FormatRow &row : formatRows()) {
    std::string name = std::string(row.stem) + (row.isFamily ? "_g32" : "") + std::string(row.suffix);
    Encoding encoding = parseEncoding(name, nullptr).value();
    if (encoding.isPlain())
      continue; // ConversionsEqualNumpyAndMlDtypes
    if (encoding.codec().kind == CodecKind::Vector)
      continue; // ComplexNumbersEqualNumpys
    ASSERT_TRUE(all.count(name)) << name << " has no golden; add it to goldens.py from a source that is not Whit";
    const Golden &golden = all[name];
    EXPECT_EQ(crcOf(exhaustiveValues(encoding, golden.number("scales"), golden.number("step"), golden.number("codes"))),
              golden.text("crc"))
        << name;
  }
}

TEST(Goldens, BlocksOfGgmlMeanWhatTheirRowsSay) {
  std::vector<Golden> all = goldens("ggml");
  ASSERT_EQ(all.size(), 6u);
  for (const Golden &golden : all) {
    Encoding encoding = parseEncoding(golden.text("name"), nullptr).value();
    Matrix matrix = makeMatrix(encoding, 2, golden.number("k"));
    matrix.codes() = golden.bytes("codes");
    for (size_t f = 0; f < encoding.terms[0].scale.size(); ++f)
      matrix.terms[0].factors[f] = golden.floats("scale" + std::to_string(f));
    for (size_t f = 0; f < encoding.offset.size(); ++f)
      matrix.offset[f] = golden.floats("offset" + std::to_string(f));
    std::vector<float> values(matrix.codes().size());
    dequantize(matrix, values.data());
    EXPECT_EQ(values, golden.floats("values")) << golden.text("name");
  }
}

TEST(Goldens, NearestCodesEqualNumpys) {
  std::vector<Golden> all = goldens("quantized");
  ASSERT_EQ(all.size(), 32u);
  for (const Golden &golden : all) {
    Matrix matrix;
    std::string why;
    std::vector<float> w = golden.floats("w");
    ASSERT_TRUE(quantize(*parseEncoding(golden.text("name"), nullptr), w.data(), golden.number("n"), golden.number("k"),
                         matrix, &why))
        << why;
    EXPECT_EQ(matrix.codes(), golden.bytes("codes")) << golden.text("name");
    EXPECT_EQ(matrix.scales(), golden.floats("scales")) << golden.text("name");
    if (!matrix.offset.empty()) {
      EXPECT_EQ(matrix.zeros(), golden.floats("zeros")) << golden.text("name");
    }
  }
}

TEST(Goldens, ComplexNumbersEqualNumpys) {
  std::vector<Golden> all = goldens("fairy2");
  ASSERT_EQ(all.size(), 2u);
  for (const Golden &golden : all) {
    Matrix matrix;
    std::string why;
    std::vector<float> w = golden.floats("w"), scales = golden.floats("scales");
    int64_t n = golden.number("n"), k = golden.number("k");
    ASSERT_TRUE(quantize(*parseEncoding("fairy2", nullptr), w.data(), n, k, matrix, &why)) << why;
    ASSERT_EQ(matrix.terms.size(), 4u);
    for (size_t t = 0; t < 4; ++t) {
      std::vector<uint8_t> codes = golden.bytes(t < 2 ? "u" : "v");
      for (int64_t i = 0; i < n * k; ++i)
        ASSERT_EQ(matrix.terms[t].codes[i] & 3, codes[i / k / 2 * ((k + 1) / 2) + i % k / 2]) << t << " " << i;
      for (float scale : matrix.terms[t].factors[0])
        EXPECT_EQ(scale, scales[t]);
    }
    std::vector<float> values(n * k);
    dequantize(matrix, values.data());
    EXPECT_EQ(values, golden.floats("values"));
  }
}

TEST(Goldens, KeptPairsEqualPyTorchs) {
  std::vector<Golden> all = goldens("sparse");
  ASSERT_EQ(all.size(), 1u);
  for (const char *name : {"sp24_int8_channel_f32", "sp24_uint2_g8", "sp24_nf4_g32"})
    for (const Golden &golden : all) {
      Matrix matrix;
      std::string why;
      std::vector<float> w = golden.floats("w");
      ASSERT_TRUE(
          quantize(*parseEncoding(name, nullptr), w.data(), golden.number("n"), golden.number("k"), matrix, &why))
          << why;
      EXPECT_EQ(matrix.terms[0].kept, golden.bytes("kept")) << name;
    }
}

TEST(Goldens, NearestEqualsOnnxRuntimesQuantizer) {
  std::vector<Golden> all = goldens("quantizer");
  ASSERT_EQ(all.size(), 6u);
  for (const Golden &golden : all) {
    std::vector<uint8_t> codes = golden.bytes("codes"), scales = golden.bytes("scales"), zeros;
    BlockSource source{
        golden.number("n"), golden.number("k"), golden.number("block"), int32_t(golden.number("bits")), codes, scales,
        ScaleType::F32};
    if (golden.fields.count("zeros")) {
      zeros = golden.bytes("zeros");
      source.zero = SourceZero::Packed;
      source.zeros = zeros;
    }
    Encoding encoding = encodingOf(source);
    Matrix theirs = makeMatrix(encoding, source.n, source.k), ours;
    std::string why;
    ASSERT_TRUE(readBlocks(source, 0, source.n, theirs, 0, &why)) << why;
    ASSERT_TRUE(quantize(encoding, golden.floats("w").data(), source.n, source.k, ours, &why)) << why;
    EXPECT_EQ(ours.codes(), theirs.codes()) << nameOf(encoding);
    EXPECT_EQ(ours.scales(), theirs.scales()) << nameOf(encoding);
    EXPECT_EQ(ours.offset, theirs.offset) << nameOf(encoding);
  }
}

} // namespace
