// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes the artifact of model.c into a folder of its own, and says what the model must answer.
#ifndef WHIT_TEST_RUNTIME_CORE_TESTARTIFACT_H
#define WHIT_TEST_RUNTIME_CORE_TESTARTIFACT_H

#include "runtime/trust/Safetensors.h"
#include "runtime/trust/Seal.h"
#include "runtime/trust/TrustStore.h"
#include "whit/Encoding.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace whit::testing {

inline constexpr int64_t kVocabulary = 24, kHeads = 2, kDepth = 4, kContext = 40, kPanels = 2, kPanelBytes = 576;

inline std::vector<uint8_t> readBytes(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void writeBytes(const std::filesystem::path &path, const std::vector<uint8_t> &bytes) {
  std::filesystem::remove(path); // some file systems flush a file that is truncated and written again
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()), std::streamsize(bytes.size()));
}

/// A folder that is removed again; the trust store lies in it.
class TestFolder {
public:
  TestFolder() {
    std::string pattern = ::testing::TempDir() + "whit-XXXXXX";
    folder = mkdtemp(pattern.data());
    setenv("XDG_CONFIG_HOME", (folder / "config").c_str(), 1);
  }
  ~TestFolder() { std::filesystem::remove_all(folder); }
  std::filesystem::path operator/(const char *name) const { return folder / name; }

private:
  std::filesystem::path folder;
};

inline float embedding(int64_t id, int64_t d) { return float((id * 7 + d * 3) % 11) - 5; }

/// The bytes of the model's weights file.
inline std::vector<uint8_t> testWeights() {
  std::vector<StoredTensor> tensors{{"embed", 0, kVocabulary * kDepth * 4}, {"packed", 0, kPanels * kPanelBytes}};
  std::string header = writeSafetensorsHeader(tensors);
  std::vector<uint8_t> bytes(header.begin(), header.end());
  bytes.resize(tensors[1].offset + paddedBytes(tensors[1].size));
  for (int64_t i = 0; i < kVocabulary * kDepth; ++i) {
    float value = embedding(i / kDepth, i % kDepth);
    std::memcpy(&bytes[tensors[0].offset + size_t(i) * 4], &value, 4);
  }
  for (int64_t i = 0; i < kPanels * kPanelBytes; ++i)
    bytes[tensors[1].offset + size_t(i)] = uint8_t(3 + i * 5);
  return bytes;
}

inline Manifest testManifest() {
  Manifest manifest;
  manifest.producer = "test";
  manifest.model = "by hand";
  manifest.function = "main";
  manifest.symbols = {{"batch_size", 1, std::nullopt, ""},
                      {"sequence_length", 0, 32, ""},
                      {"total_sequence_length", 0, std::nullopt, ""},
                      {kLastRowsSymbol, 0, std::nullopt, "sequence_length"}};
  Dimension batch{0, "batch_size"}, sequence{0, "sequence_length"}, total{0, "total_sequence_length"},
      rows{0, kLastRowsSymbol};
  auto fixed = [](int64_t size) { return Dimension{size, ""}; };
  Argument ids{"input_ids", ArgumentKind::Input, ElementType::I64, {batch, sequence}};
  Argument mask{"attention_mask", ArgumentKind::Input, ElementType::I64, {batch, total}};
  Argument key{
      "cache.0.key", ArgumentKind::State, ElementType::F32, {batch, fixed(kHeads), fixed(3), fixed(kDepth), fixed(16)}};
  key.past = "past.0.key", key.present = "present.0.key", key.length = "total_sequence_length",
  key.layout = StateLayout::BHTD16;
  Argument value{
      "cache.0.value", ArgumentKind::State, ElementType::F32, {batch, fixed(kHeads), fixed(kContext), fixed(kDepth)}};
  value.past = "past.0.value", value.present = "present.0.value", value.length = "total_sequence_length",
  value.layout = StateLayout::BHTD;
  Argument embed{"embed", ArgumentKind::Constant, ElementType::F32, {fixed(kVocabulary), fixed(kDepth)}};
  embed.logical = {kVocabulary, kDepth};
  Encoding encoding = intEncoding(4, ZeroKind::Constant, ScaleType::F16, {1, 32});
  Argument packed{"packed", ArgumentKind::Constant, ElementType::I8, {fixed(kPanels), fixed(kPanelBytes)}};
  packed.format = nameOf(encoding), packed.logical = {20, 64}, packed.place = "panel16";
  Argument logits{"logits", ArgumentKind::Output, ElementType::F32, {batch, rows, fixed(kVocabulary)}};
  Argument workspace{"workspace", ArgumentKind::Workspace, ElementType::I8, {}};
  manifest.arguments = {ids, mask, key, value, embed, packed, logits, workspace};
  manifest.roles = {"input_ids", "attention_mask", "", "logits"};
  manifest.context = kContext;
  manifest.variants = {{"future", {"avx4096"}, "main__v9", "main_sizes__v9"},
                       {"x86-64", {"sse2"}, "main__v0", "main_sizes__v0"}};
  manifest.regions = {{0, "append", {"/model/embed/Gather", "/model/cache"}, ""}, {1, "head", {"/lm_head/MatMul"}, ""}};
  return manifest;
}

/// Writes model.so (and model.safetensors unless embedded) and records its hash unless told otherwise.
inline void writeArtifact(const TestFolder &folder, bool embedded = false, bool trusted = true,
                          Manifest manifest = testManifest(), std::vector<uint8_t> weights = testWeights(),
                          const std::vector<NewSection> &images = {}) {
  WeightsHasher hasher;
  hasher.update(weights);
  manifest.weights = hasher.finish(embedded ? "" : "model.safetensors");
  std::vector<uint8_t> so = readBytes(WHIT_TEST_MODEL);
  Digest identity;
  std::string why;
  ASSERT_TRUE(sealCode(so, manifest, identity, &why, images)) << why;
  if (embedded)
    so.insert(so.end(), weights.begin(), weights.end());
  else
    writeBytes(folder / "model.safetensors", weights);
  writeBytes(folder / "model.so", so);
  if (trusted) {
    ASSERT_TRUE(recordTrust(identity, "model.so", &why)) << why;
  }
}

/// The logits of position `position` (0-based) of a sequence of tokens.
inline std::vector<float> expectedLogits(const std::vector<int64_t> &tokens, int64_t position) {
  std::vector<float> result(kVocabulary, 3);
  for (int64_t v = 0; v < kVocabulary; ++v)
    for (int64_t t = 0; t <= position; ++t)
      for (int64_t h = 0; h < kHeads; ++h) {
        float key = embedding(tokens[size_t(t)], v % kDepth);
        result[size_t(v)] += key * float(v + 1) + (key + float(t));
      }
  return result;
}

} // namespace whit::testing

#endif // WHIT_TEST_RUNTIME_CORE_TESTARTIFACT_H
