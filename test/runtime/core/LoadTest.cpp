// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading: what is whole and trusted loads; every damage, every lie of a manifest and every stranger is refused, with
// the right status.
#include "TestArtifact.h"

#include "runtime/core/Code.h"
#include "runtime/core/CpuFeatures.h"
#include "runtime/trust/Elf.h"
#include "runtime/trust/Manifest.h"
#include "whit/Runtime.h"

#include <functional>
#include <sys/stat.h>

using namespace whit;
using namespace whit::testing;

namespace {

whit_status load(const TestFolder &folder, bool given = false, bool full = false) {
  whit_load_options options{sizeof options, given ? WHIT_TRUST_GIVEN : WHIT_TRUST_STORE,
                            full ? WHIT_VERIFY_FULL : WHIT_VERIFY_LAZY, nullptr, nullptr};
  whit_module *module = nullptr;
  whit_status status = whit_module_load((folder / "model.so").c_str(), &options, &module);
  EXPECT_EQ(status == WHIT_OK, module != nullptr);
  whit_module_destroy(module);
  return status;
}

/// Loads and runs a token.
whit_status loadAndRun(const TestFolder &folder) {
  whit_module *module;
  whit_session *session;
  if (whit_status status = whit_module_load((folder / "model.so").c_str(), nullptr, &module))
    return status;
  whit_session_options options{sizeof options, 1};
  EXPECT_EQ(whit_session_create(module, &options, &session), WHIT_OK);
  const float *logits;
  int64_t token = 5, size;
  whit_status status = whit_session_append(session, &token, 1, &logits, &size);
  if (status == WHIT_OK) {
    EXPECT_EQ(std::vector<float>(logits, logits + size), expectedLogits({5}, 0));
  }
  whit_session_destroy(session);
  whit_module_destroy(module);
  return status;
}

void expectMessage(const char *part) {
  EXPECT_NE(std::string(whit_message()).find(part), std::string::npos) << whit_message() << "\n  expected: " << part;
}

std::span<const uint8_t> bytesOf(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

Manifest gpuManifest() {
  Manifest manifest = testManifest();
  manifest.variants = {{"sm_80", {}, "main__v0", "main_sizes__v0", "sm_80", {}, {}}};
  manifest.variants[0].images = {{ImageKind::Cubin, "sm_80", ".whit.gpu.0", 7},
                                 {ImageKind::Ptx, "sm_80", ".whit.gpu.1", 11}};
  return manifest;
}

TEST(Load, ImagesOfKernels) {
  std::string cubin = "a cubin", ptx = "// some PTX";
  std::vector<NewSection> images{{".whit.gpu.0", bytesOf(cubin), 64}, {".whit.gpu.1", bytesOf(ptx), 64}};
  for (bool embedded : {false, true}) {
    TestFolder folder;
    writeArtifact(folder, embedded, true, gpuManifest(), testWeights(), images);
    CodeImage image;
    ASSERT_EQ(readCode((folder / "model.so").string(), image), WHIT_OK) << whit_message();
    ASSERT_EQ(image.images.size(), 2u);
    std::span<const uint8_t> found = image.images[".whit.gpu.1"];
    EXPECT_EQ(std::string(found.begin(), found.end()), ptx);
    EXPECT_EQ(image.images[".whit.gpu.0"].size(), 7u);

    // They are code: a byte that changes is another artifact, and is found.
    std::vector<uint8_t> bytes = readBytes(folder / "model.so");
    auto at = std::search(bytes.begin(), bytes.end(), ptx.begin(), ptx.end());
    ASSERT_NE(at, bytes.end());
    *at = '#';
    writeBytes(folder / "model.so", bytes);
    CodeImage damaged;
    EXPECT_EQ(readCode((folder / "model.so").string(), damaged), WHIT_REFUSED);
    expectMessage("do not have the hash that its manifest states");
  }
}

TEST(Load, ImagesOfOtherBytesThanTheManifestSays) {
  std::string cubin = "a cubin", ptx = "// some PTX";
  auto refused = [&](const std::vector<NewSection> &images, const char *part) {
    TestFolder folder;
    writeArtifact(folder, false, true, gpuManifest(), testWeights(), images);
    CodeImage image;
    EXPECT_EQ(readCode((folder / "model.so").string(), image), WHIT_REFUSED);
    expectMessage(part);
  };
  refused({{".whit.gpu.0", bytesOf(cubin), 64}},
          "speaks of 11 bytes of kernels in section .whit.gpu.1, which it does not have");
  refused({{".whit.gpu.0", bytesOf(cubin), 64}, {".whit.gpu.1", bytesOf(cubin), 64}},
          "speaks of 11 bytes of kernels in section .whit.gpu.1, which is another section");
}

TEST(Load, SeparateAndEmbeddedWeights) {
  for (bool embedded : {false, true}) {
    TestFolder folder;
    writeArtifact(folder, embedded);
    EXPECT_EQ(load(folder, false, true), WHIT_OK) << whit_message();
    EXPECT_EQ(loadAndRun(folder), WHIT_OK) << whit_message();
    EXPECT_EQ(loadAndRun(folder), WHIT_OK) << whit_message(); // the second library gets a descriptor of the same number
  }
}

TEST(Load, OnlyTrustedCodeIsMapped) {
  TestFolder folder;
  writeArtifact(folder, false, false);
  EXPECT_EQ(load(folder), WHIT_REFUSED);
  expectMessage("pass --trust once");
  EXPECT_EQ(load(folder, true), WHIT_OK);
  EXPECT_EQ(load(folder), WHIT_REFUSED) << "vouching for one load must not last";
  char *json = nullptr;
  ASSERT_EQ(whit_inspect((folder / "model.so").c_str(), &json), WHIT_OK);
  EXPECT_EQ(std::string(json).substr(0, 9), "{\"whit\":1");
  whit_free(json);
  ASSERT_EQ(whit_trust_file((folder / "model.so").c_str()), WHIT_OK);
  EXPECT_EQ(load(folder), WHIT_OK);
  // Others may not write the store.
  std::string store = trustStorePath();
  ASSERT_EQ(chmod(store.c_str(), 0666), 0);
  EXPECT_EQ(load(folder), WHIT_REFUSED);
  expectMessage("chmod go-w");
}

TEST(Load, FilesThatAreNotThere) {
  TestFolder folder;
  EXPECT_EQ(load(folder), WHIT_IO);
  writeArtifact(folder);
  std::filesystem::remove(folder / "model.safetensors");
  EXPECT_EQ(load(folder), WHIT_IO);
  expectMessage("model.safetensors");
  std::filesystem::remove(folder / "model.so");
  std::filesystem::create_directory(folder / "model.so");
  EXPECT_EQ(load(folder), WHIT_IO);
  expectMessage("not a regular file");
}

/// Damage is found by the self-check alone: the caller vouches for the file, so the trust store does not help.
TEST(Load, EveryTruncationOfTheCodeIsRefused) {
  for (bool embedded : {false, true}) {
    TestFolder folder;
    writeArtifact(folder, embedded);
    std::vector<uint8_t> whole = readBytes(folder / "model.so");
    for (size_t size = 0; size < whole.size(); ++size) {
      writeBytes(folder / "model.so", {whole.begin(), whole.begin() + std::ptrdiff_t(size)});
      CodeImage image;
      ASSERT_EQ(readCode(folder / "model.so", image), WHIT_REFUSED) << size;
    }
    whole.push_back(0);
    writeBytes(folder / "model.so", whole);
    EXPECT_EQ(load(folder, true), WHIT_REFUSED);
  }
}

TEST(Load, EveryChangedByteOfTheCodeIsRefused) {
  TestFolder folder;
  writeArtifact(folder);
  std::vector<uint8_t> whole = readBytes(folder / "model.so");
  std::string path = folder / "model.so";
  FILE *file = std::fopen(path.c_str(), "r+b");
  for (size_t at = 0; at < whole.size(); ++at) {
    std::fseek(file, long(at), SEEK_SET);
    std::fputc(whole[at] ^ (1 << (at % 8)), file);
    std::fflush(file);
    CodeImage image;
    ASSERT_EQ(readCode(path, image), WHIT_REFUSED) << "byte " << at;
    std::fseek(file, long(at), SEEK_SET);
    std::fputc(whole[at], file);
    std::fflush(file);
  }
  std::fclose(file);
  EXPECT_EQ(load(folder, true), WHIT_OK) << whit_message();
}

TEST(Load, EveryChangedByteAndTruncationOfTheWeightsIsRefused) {
  for (bool embedded : {false, true}) {
    TestFolder folder;
    writeArtifact(folder, embedded);
    std::filesystem::path path = folder / (embedded ? "model.so" : "model.safetensors");
    std::vector<uint8_t> whole = readBytes(path);
    size_t begin = embedded ? whole.size() - testWeights().size() : 0;
    for (size_t at = begin; at < whole.size(); ++at) {
      std::vector<uint8_t> changed = whole;
      changed[at] ^= uint8_t(1 << (at % 8));
      writeBytes(path, changed);
      ASSERT_EQ(load(folder, false, true), WHIT_REFUSED) << "byte " << at;
      ASSERT_EQ(loadAndRun(folder), WHIT_REFUSED) << "byte " << at;
    }
    expectMessage("between bytes 0 and");
    for (size_t size = begin; size < whole.size(); ++size) {
      writeBytes(path, {whole.begin(), whole.begin() + std::ptrdiff_t(size)});
      ASSERT_EQ(load(folder), WHIT_REFUSED) << size;
    }
  }
}

TEST(Load, WeightsThatDoNotFitTheManifestAreRefused) {
  TestFolder folder;
  auto refused = [&](const std::function<void(Manifest &)> &change, const char *part) {
    Manifest manifest = testManifest();
    change(manifest);
    writeArtifact(folder, false, true, manifest);
    EXPECT_EQ(load(folder), WHIT_REFUSED) << part;
    expectMessage(part);
  };
  refused([](Manifest &m) { m.arguments[4].name = "embedding"; }, "have no tensor 'embedding'");
  refused([](Manifest &m) { m.arguments[4].shape[0].size = 1000; }, "larger than all weights");
  refused(
      [](Manifest &m) {
        m.arguments[4].shape[0].size = 25;
        m.arguments[4].type = ElementType::F16;
      },
      "tensor 'embed'");
  refused([](Manifest &m) { m.arguments.erase(m.arguments.begin() + 4); }, "hold 2 tensors; its manifest names 1");
  refused([](Manifest &m) { m.variants.pop_back(); }, "future needs avx4096");
  refused([](Manifest &m) { m.variants[1].execute = "main__v7"; }, "does not export 'main__v7'");
  refused([](Manifest &m) { m.variants[1].sizes = "main_sizes__v7"; }, "does not export 'main_sizes__v7'");
  refused([](Manifest &m) { m.symbols[3].defaultSymbol = "total_sequence_length"; }, "must be two");
  whit_module *module = nullptr;
  whit_load_options options{sizeof options, WHIT_TRUST_GIVEN, WHIT_VERIFY_LAZY, "riscv", nullptr};
  writeArtifact(folder);
  EXPECT_EQ(whit_module_load((folder / "model.so").c_str(), &options, &module), WHIT_REFUSED);
  expectMessage("no code for target 'riscv'; it has code for future, x86-64");
}

/// Compiled code whose sizes disagree with its manifest is a bug of the compiler, found before anything is written.
TEST(Load, SizesThatDisagreeAreFound) {
  TestFolder folder;
  Manifest manifest = testManifest();
  manifest.arguments[6].shape[2].size = 32;
  writeArtifact(folder, false, true, manifest);
  EXPECT_EQ(loadAndRun(folder), WHIT_BUG);
  expectMessage("compiled code takes dimension 2 of 'logits' for 24; it is 32");
}

TEST(Load, CpuFeatures) {
  EXPECT_TRUE(cpuHas("sse2"));
  EXPECT_TRUE(cpuHas("+64bit"));
  EXPECT_FALSE(cpuHas("avx4096"));
  EXPECT_FALSE(cpuHas(""));
  EXPECT_EQ(cpuHas("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(cpuHas("avx512vnni"), bool(__builtin_cpu_supports("avx512vnni")));
  EXPECT_EQ(cpuHas("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(cpuHas("gfni"), bool(__builtin_cpu_supports("gfni")));
}

} // namespace
