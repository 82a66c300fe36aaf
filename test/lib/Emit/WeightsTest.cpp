// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Streamed packing against packing at once: whatever the layout of the source and the size of the chunks, the bytes are those that
// runtime/encoding packs from the whole matrix.

#include "Emit/Weights.h"

#include "Register.h"

#include "runtime/encoding/BlockSource.h"
#include "runtime/encoding/CodeSource.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/Pack.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace whit;

namespace {
class WeightsTest : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("whit-weights", folder));
    mlir::DialectRegistry registry;
    registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  /// Appends bytes to the file of weights; the attribute that names them.
  std::string blob(const std::vector<uint8_t> &bytes, llvm::StringRef type) {
    size_t offset = file.size();
    file.insert(file.end(), bytes.begin(), bytes.end());
    std::string hash = llvm::utohexstr(llvm::xxh3_64bits(llvm::ArrayRef<uint8_t>(bytes)), true, 16);
    return llvm::formatv("#whit.blob<\"w.bin\", {0} : {1} x {2}, \"{3}\">", offset, bytes.size(), type, hash);
  }

  /// What streaming gives for `whit.weight @w : TYPE = SOURCES`.
  std::vector<uint8_t> stream(const std::string &declaration) {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, "w.bin");
    std::error_code code;
    {
      llvm::raw_fd_ostream out(path, code);
      out.write(reinterpret_cast<const char *>(file.data()), file.size());
    }
    module = mlir::parseSourceString<mlir::ModuleOp>("whit.weight @w : " + declaration, mlir::ParserConfig(&context));
    EXPECT_TRUE(bool(module)) << declaration;
    if (!module)
      return {};
    auto weight = *module->getOps<mlir::whit::WeightOp>().begin();
    BlobFiles files(folder.str().str(), "");
    std::vector<uint8_t> result;
    losses.clear();
    auto sink = [&](llvm::ArrayRef<uint8_t> bytes) {
      result.insert(result.end(), bytes.begin(), bytes.end());
      return llvm::Error::success();
    };
    llvm::Error error = streamWeight(weight, files, sink, &losses);
    failure = llvm::toString(std::move(error));
    auto size = storedBytes(weight);
    EXPECT_TRUE(bool(size));
    if (failure.empty())
      EXPECT_EQ(int64_t(result.size()), *size);
    return result;
  }

  std::vector<float> randomValues(int64_t count) {
    std::vector<float> values(count);
    for (float &value : values)
      value = float(int(random() % 2001) - 1000) / 256;
    return values;
  }
  std::vector<uint8_t> randomBytes(int64_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t &byte : bytes)
      byte = random();
    return bytes;
  }
  static std::vector<uint8_t> bytesOf(const std::vector<float> &values) {
    std::vector<uint8_t> bytes(values.size() * 4);
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  static std::vector<uint8_t> packed(const Matrix &matrix) {
    Place place = solvePlace(matrix.encoding, matrix.n, matrix.k);
    std::vector<uint8_t> bytes(place.bytes());
    packPanels(place, matrix, bytes.data());
    return bytes;
  }
  std::string type(const Encoding &encoding, int64_t n, int64_t k) {
    Place place = solvePlace(encoding, n, k);
    return llvm::formatv("tensor<{0}x{1}xi8>", place.panels, place.panelBytes);
  }
  std::string at(const Encoding &encoding, int64_t n, int64_t k) {
    return llvm::formatv(" at #whit.place<<{0}>, {1} by {2}>", nameOf(encoding), n, k);
  }
  /// An encoding from its parts: no test spells a format's name.
  static Encoding inGroups(int bits, ZeroKind zero, ScaleType scale, int64_t group) {
    return intEncoding(bits, zero, scale, {1, group});
  }

  llvm::SmallString<128> folder;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<uint8_t> file;
  std::string failure;
  std::vector<WeightLoss> losses;
  std::mt19937 random{7};
};
} // namespace

TEST_F(WeightsTest, CopiesPlainRows) {
  std::vector<uint8_t> bytes = bytesOf(randomValues(33));
  EXPECT_EQ(stream("tensor<33xf32> = [#whit.source<\"rows\", 33, [" + blob(bytes, "f32") + "]>]"), bytes);
  EXPECT_EQ(failure, "");
}

TEST_F(WeightsTest, NarrowsPlainRows) {
  std::vector<float> values = randomValues(40);
  std::vector<uint8_t> expected(80);
  for (size_t i = 0; i < values.size(); ++i)
    storeScale(ScaleType::F16, values[i], expected.data() + 2 * i);
  EXPECT_EQ(stream("tensor<4x10xf16> = [#whit.source<\"rows\", 4, [" + blob(bytesOf(values), "f32") + "]>]"), expected);
}

TEST_F(WeightsTest, QuantizesRowsAndColumns) {
  // 50 rows: the last panel is not full; 70 columns: neither is the last group.
  int64_t n = 50, k = 70;
  for (Encoding encoding :
       {inGroups(4, ZeroKind::Constant, ScaleType::F16, 32), inGroups(3, ZeroKind::Minimum, ScaleType::BF16, 16),
        inGroups(8, ZeroKind::Integer, ScaleType::F32, 0), plainEncoding(ScaleType::BF16)}) {
    std::vector<float> values = randomValues(n * k), transposed(n * k);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < k; ++j)
        transposed[j * n + i] = values[i * k + j];
    Matrix matrix;
    std::string why;
    ASSERT_TRUE(quantize(encoding, values.data(), n, k, matrix, &why)) << why;
    std::string head = type(encoding, n, k) + " = [#whit.source<", tail = "]>]" + at(encoding, n, k);
    EXPECT_EQ(stream(head + "\"rows\", 50, [" + blob(bytesOf(values), "f32") + tail), packed(matrix))
        << nameOf(encoding) << failure;
    EXPECT_EQ(stream(head + "\"columns\", 50, [" + blob(bytesOf(transposed), "f32") + tail), packed(matrix))
        << nameOf(encoding) << failure;
  }
}

TEST_F(WeightsTest, UsesTheQuantizerAndMeasuresWhatIsLost) {
  // Enough rows for several chunks: what is measured must not depend on where they end.
  int64_t n = 600, k = 6000;
  for (Encoding encoding : {inGroups(3, ZeroKind::Constant, ScaleType::F16, 32),
                            intEncoding(4, ZeroKind::Integer, ScaleType::F32, {0, 0})}) {
    std::vector<float> values = randomValues(n * k), decoded(n * k);
    values[417 * k + 23] = 9;
    Matrix matrix;
    std::string why;
    ASSERT_TRUE(quantize(encoding, values.data(), n, k, matrix, &why, Quantizer::LeastSquares)) << why;
    dequantize(matrix, decoded.data());
    std::string part =
        "#whit.source<\"rows\", 200, [" + blob(bytesOf({values.begin(), values.begin() + 200 * k}), "f32") +
        "]>, #whit.source<\"rows\", 400, [" + blob(bytesOf({values.begin() + 200 * k, values.end()}), "f32") + "]>";
    EXPECT_EQ(stream(type(encoding, n, k) + " = [" + part + "] by \"least-squares\"" + at(encoding, n, k)),
              packed(matrix))
        << failure;
    ASSERT_EQ(losses.size(), 2u);
    for (int64_t i : {0, 1}) {
      const WeightLoss &loss = losses[i];
      double signal = 0, noise = 0, largest = 0;
      for (int64_t at = i ? 200 * k : 0; at < (i ? n : 200) * k; ++at) {
        double change = double(decoded[at]) - double(values[at]);
        signal += double(values[at]) * values[at];
        noise += change * change;
        largest = std::max(largest, std::fabs(change));
      }
      EXPECT_EQ(loss.shape, (std::vector<int64_t>{i ? 400 : 200, k}));
      EXPECT_TRUE(loss.isConverted && loss.isMatrix);
      EXPECT_EQ(loss.quantizer, "least-squares");
      EXPECT_NEAR(loss.signal / signal, 1, 1e-9); // sums in another order
      EXPECT_NEAR(loss.noise / noise, 1, 1e-9);
      EXPECT_EQ(loss.largest, largest);
      int64_t at = (loss.row + (i ? 200 : 0)) * k + loss.column;
      EXPECT_EQ(std::fabs(double(decoded[at]) - double(values[at])), largest);
      int64_t counted = 0;
      for (int64_t count : loss.histogram)
        counted += count;
      EXPECT_EQ(counted, loss.values());
      EXPECT_EQ(loss.bytesBefore, loss.values() * 4);
    }
    WeightLossTotal total = totalOf(losses);
    EXPECT_EQ(total.matrices, 2);
    EXPECT_EQ(total.values, n * k);
    EXPECT_EQ(total.worst->snr(), std::min(losses[0].snr(), losses[1].snr()));
  }
}

TEST_F(WeightsTest, LosesNothingOfWhatStaysAsItIs) {
  stream("tensor<33xf32> = [#whit.source<\"rows\", 33, [" + blob(bytesOf(randomValues(33)), "f32") + "]>]");
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_FALSE(losses[0].isConverted || losses[0].isMatrix);
  EXPECT_EQ(losses[0].bytesAfter, 33 * 4);
  EXPECT_EQ(totalOf(losses).converted, 0);
  EXPECT_EQ(totalOf(losses).worst, nullptr);
}

TEST_F(WeightsTest, RefusesWhatNoScaleCovers) {
  std::vector<float> values = randomValues(32 * 32);
  values[5 * 32 + 7] = NAN;
  Encoding encoding = inGroups(4, ZeroKind::Constant, ScaleType::F16, 32);
  stream(type(encoding, 32, 32) + " = [#whit.source<\"rows\", 32, [" + blob(bytesOf(values), "f32") + "]>]" +
         at(encoding, 32, 32));
  EXPECT_EQ(failure, "found NaN; weights to quantize must be finite at row 5, column 7");
}

TEST_F(WeightsTest, LooksAtAllPartsForOneScale) {
  int64_t n = 40, k = 32;
  Encoding encoding = intEncoding(8, ZeroKind::Constant, ScaleType::F32, {0, 0});
  std::vector<float> values = randomValues(n * k), first(values.begin(), values.begin() + 10 * k),
                     second(values.begin() + 10 * k, values.end());
  Matrix matrix;
  ASSERT_TRUE(quantize(encoding, values.data(), n, k, matrix, nullptr));
  EXPECT_EQ(stream(type(encoding, n, k) + " = [#whit.source<\"rows\", 10, [" + blob(bytesOf(first), "f32") +
                   "]>, #whit.source<\"rows\", 30, [" + blob(bytesOf(second), "f32") + "]>]" + at(encoding, n, k)),
            packed(matrix))
      << failure;
}

TEST_F(WeightsTest, KeepsCodesOfJoinedBlocks) {
  // Three parts as q, k and v: packed zeros, none, and values; one place that holds all. 6000 columns make several chunks of rows.
  int64_t k = 6000, groups = (k + 31) / 32, rows[3] = {300, 80, 90};
  Encoding encoding = inGroups(4, ZeroKind::Integer, ScaleType::F32, 32);
  Matrix expected = makeMatrix(encoding, 470, k);
  std::string parts;
  std::string why;
  int64_t begin = 0;
  for (int part = 0; part < 2; ++part) {
    std::vector<uint8_t> codes = randomBytes(rows[part] * groups * 16),
                         scales = bytesOf(randomValues(rows[part] * groups)),
                         zeros = randomBytes(rows[part] * ((groups + 1) / 2));
    BlockSource source{rows[part], k, 32, 4, codes, scales, ScaleType::F32};
    if (part == 0) {
      source.zero = SourceZero::Packed;
      source.zeros = zeros;
    }
    ASSERT_TRUE(readBlocks(source, 0, rows[part], expected, begin, &why)) << why;
    parts += llvm::formatv("#whit.source<\"blocks\", {0}, [{1}, {2}{3}]>, ", rows[part], blob(codes, "ui8"),
                           blob(scales, "f32"), part == 0 ? ", " + blob(zeros, "ui8") : "");
    begin += rows[part];
  }
  std::vector<float> values = randomValues(rows[2] * k);
  Matrix last;
  ASSERT_TRUE(quantize(encoding, values.data(), rows[2], k, last, &why)) << why;
  copyRows(last, 0, last.n, expected, begin);
  parts += llvm::formatv("#whit.source<\"rows\", 90, [{0}]>", blob(bytesOf(values), "f32"));
  EXPECT_EQ(stream(type(encoding, 470, k) + " = [" + parts + "]" + at(encoding, 470, k)), packed(expected)) << failure;
}

TEST_F(WeightsTest, KeepsCodesThatLieElementByElement) {
  // 50 rows of 70 codes: the last panel, group and byte are not full. 6000 columns make several chunks.
  for (auto [n, k] : {std::pair<int64_t, int64_t>{50, 70}, {469, 6000}})
    for (bool columns : {false, true})
      for (BlockShape block : {BlockShape{0, 0}, BlockShape{1, 0}, BlockShape{1, 32}})
        for (CodeZero zero : {CodeZero::Middle, CodeZero::Lowest, CodeZero::Stored}) {
          bool isSigned = zero == CodeZero::Middle;
          int64_t groups = block.columns ? (k + 31) / 32 : 1, scaleCount = block.isTensor() ? 1 : n * groups;
          std::vector<int> codes(n * k), zeros(scaleCount);
          for (int &code : codes)
            code = random() % 16;
          for (int &code : zeros)
            code = isSigned ? 8 : zero == CodeZero::Lowest ? 0 : random() % 16;
          std::vector<float> scales = randomValues(scaleCount), storedScales(scaleCount);
          // What the file holds: signed codes without their offset of 8, turned if by columns.
          auto pack = [&](const std::vector<int> &values, int64_t width) {
            std::vector<uint8_t> bytes((values.size() + 1) / 2);
            int64_t height = values.size() / width;
            for (int64_t i = 0; i < height; ++i)
              for (int64_t j = 0; j < width; ++j) {
                int64_t at = columns ? j * height + i : i * width + j;
                bytes[at / 2] |= uint8_t((values[i * width + j] ^ (isSigned ? 8 : 0)) << (at % 2 * 4));
              }
            return bytes;
          };
          for (int64_t i = 0; i < scaleCount; ++i)
            storedScales[columns ? i % groups * (scaleCount / groups) + i / groups : i] = scales[i];
          Encoding encoding = intEncoding(4, isSigned ? ZeroKind::Constant : ZeroKind::Integer, ScaleType::F32, block);
          Matrix expected = makeMatrix(encoding, n, k);
          for (int64_t i = 0; i < n; ++i) {
            std::copy_n(codes.begin() + i * k, k, expected.codes().begin() + i * k);
            for (int64_t g = 0; g < groups; ++g) {
              int64_t at = block.isTensor() ? 0 : i * groups + g;
              expected.scales()[i * groups + g] = scales[at];
              if (!isSigned)
                expected.zeros()[i * groups + g] = zeros[at];
            }
          }
          llvm::StringRef element = isSigned ? "i4" : "ui4";
          std::string source =
              llvm::formatv("[#whit.source<\"{0}\", {1}, [{2}, {3}{4}]>]", columns ? "coded_columns" : "coded_rows", n,
                            blob(pack(codes, k), element), blob(bytesOf(storedScales), "f32"),
                            zero == CodeZero::Stored ? ", " + blob(pack(zeros, groups), element) : "");
          EXPECT_EQ(stream(type(encoding, n, k) + " = " + source + at(encoding, n, k)), packed(expected))
              << nameOf(encoding) << failure;
          ASSERT_EQ(losses.size(), 1u);
          EXPECT_FALSE(losses[0].isConverted);
          EXPECT_EQ(losses[0].before, nameOf(encoding));
        }
}

TEST_F(WeightsTest, RefusesCodesThatAreNotOfTheFormat) {
  Encoding encoding = inGroups(4, ZeroKind::Constant, ScaleType::F32, 32);
  std::string codes = blob(randomBytes(16 * 16), "i4"), few = blob(bytesOf(randomValues(15)), "f32"),
              halves = blob(randomBytes(32), "f16");
  auto declare = [&](const std::string &scales) {
    return type(encoding, 16, 32) + " = [#whit.source<\"coded_rows\", 16, [" + codes + ", " + scales + "]>]" +
           at(encoding, 16, 32);
  };
  stream(declare(few));
  EXPECT_EQ(failure, "the codes of 16 rows of 32 cannot be read: the scale tensor has 60 bytes; 64 are required");
  stream(declare(halves));
  EXPECT_NE(failure.find("a source of format"), std::string::npos) << failure;
}

TEST_F(WeightsTest, QuantizesBlocksOfAnotherFormat) {
  int64_t n = 17, k = 64;
  std::vector<uint8_t> codes = randomBytes(n * 2 * 32), scales = bytesOf(randomValues(n * 2));
  BlockSource source{n, k, 32, 8, codes, scales, ScaleType::F32};
  Matrix read = makeMatrix(encodingOf(source), n, k), expected;
  ASSERT_TRUE(readBlocks(source, 0, n, read, 0, nullptr));
  std::vector<float> values(n * k);
  dequantize(read, values.data());
  Encoding encoding = inGroups(5, ZeroKind::Minimum, ScaleType::F16, 64);
  ASSERT_TRUE(quantize(encoding, values.data(), n, k, expected, nullptr));
  EXPECT_EQ(stream(type(encoding, n, k) + " = [#whit.source<\"blocks\", 17, [" + blob(codes, "ui8") + ", " +
                   blob(scales, "f32") + "]>]" + at(encoding, n, k)),
            packed(expected))
      << failure;
}

TEST_F(WeightsTest, SaysWhatDoesNotFit) {
  std::string short_ = blob(bytesOf(randomValues(10)), "f32");
  stream("tensor<4x4xf16> = [#whit.source<\"rows\", 4, [" + short_ + "]>]");
  EXPECT_EQ(failure, "a blob has 40 bytes; 4 rows of 4 need 64");
  stream("tensor<33xf32> = [#whit.source<\"rows\", 33, [#whit.blob<\"w.bin\", 1000000 : 132 x f32, "
         "\"0000000000000000\">]>]");
  EXPECT_NE(failure.find("a weight needs 132 from byte 1000000"), std::string::npos) << failure;
  stream(
      "tensor<33xf32> = [#whit.source<\"rows\", 33, [#whit.blob<\"../w.bin\", 0 : 132 x f32, \"0000000000000000\">]>]");
  EXPECT_NE(failure.find("leaves the model's folder"), std::string::npos) << failure;
}
