// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bytes of artifacts: hashes, manifests, sections and weights files, read back and refused.
#include "../core/TestArtifact.h"

#include "runtime/trust/Elf.h"
#include "runtime/trust/Manifest.h"

#include <functional>
#include <random>

using namespace whit;
using namespace whit::testing;

namespace {

std::span<const uint8_t> bytesOf(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

TEST(Sha256, PublishedAndLongMessages) {
  // FIPS 180-4 examples, and RFC 6234's million letters.
  for (bool portable : {false, true}) {
    auto hash = [&](const std::string &text) {
      Sha256 sha(portable);
      sha.update(bytesOf(text));
      return toHex(sha.finish());
    };
    EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(hash(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST(Sha256, PiecesOfAnySizeGiveTheSameHash) {
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += char(random());
  for (size_t length = 0; length < 300; ++length) {
    Sha256 fast, portable(true);
    std::span<const uint8_t> rest = bytesOf(text).first(length);
    portable.update(rest);
    while (!rest.empty()) {
      size_t take = std::min<size_t>(rest.size(), random() % 100);
      fast.update(rest.first(take));
      rest = rest.subspan(take);
    }
    EXPECT_EQ(fast.finish(), portable.finish()) << length;
  }
  Digest digest = sha256(bytesOf(text)), back;
  EXPECT_TRUE(fromHex(toHex(digest), back));
  EXPECT_EQ(digest, back);
  EXPECT_FALSE(fromHex(toHex(digest).substr(1), back));
  EXPECT_FALSE(fromHex(std::string(64, 'A'), back));
}

Manifest wholeManifest() {
  Manifest manifest = testManifest();
  manifest.options = {"--activations=f32", "--dim=batch_size=1..1"};
  manifest.metadata = {{"names", "{0: 'caf\xc3\xa9'}"}, {"none", ""}};
  manifest.weights = {
      "model.safetensors", 5000000, std::string(64, 'a'), kChunkBytes, {std::string(64, 'b'), std::string(64, 'c')}};
  manifest.codeSha256 = std::string(64, 'd');
  return manifest;
}

TEST(Manifest, PrintsAndParsesToTheSame) {
  Manifest manifest = wholeManifest(), back;
  manifest.regions[0].nodes.push_back("quote \" backslash \\ newline \n caf\xc3\xa9");
  std::string why, text = printManifest(manifest);
  ASSERT_TRUE(parseManifest(text, back, &why)) << why;
  EXPECT_EQ(printManifest(back), text);
  EXPECT_EQ(back.regions[0].nodes, manifest.regions[0].nodes);
  EXPECT_EQ(back.metadata, manifest.metadata);
  EXPECT_EQ(back.arguments[2].layout, StateLayout::BHTD16);
  // An alias is written only where there is one.
  EXPECT_EQ(text.find("alias"), text.npos);
  manifest.arguments[0].alias = "batch['caf\xc3\xa9']";
  std::string aliased = printManifest(manifest);
  ASSERT_TRUE(parseManifest(aliased, back, &why)) << why;
  EXPECT_EQ(printManifest(back), aliased);
  EXPECT_EQ(back.arguments[0].alias, manifest.arguments[0].alias);
  manifest.arguments[0].alias.clear();
  // Expressions may have many operands; they are computed from the left.
  std::string sum = text;
  size_t at = sum.find("\"max\":32");
  ASSERT_NE(at, sum.npos);
  sum.insert(at, "\"value\":[\"+\",1,[\"*\",2,\"batch_size\",\"batch_size\"]],");
  ASSERT_TRUE(parseManifest(sum, back, &why)) << why;
  std::vector<SizeStep> steps{{SizeStep::Number, 1}, {SizeStep::Number, 2}, {SizeStep::Symbol, 0}, {SizeStep::Multiply},
                              {SizeStep::Symbol, 0}, {SizeStep::Multiply},  {SizeStep::Add}};
  EXPECT_EQ(back.symbols[1].value, steps);
  text = printManifest(back);
  ASSERT_TRUE(parseManifest(text, back, &why)) << why;
  EXPECT_EQ(back.symbols[1].value, steps);
  // Bytes that are no UTF-8 do not stop the compiler from writing.
  manifest.regions[0].nodes = {"bad \xff byte"};
  EXPECT_TRUE(parseManifest(printManifest(manifest), back, &why)) << why;
}

TEST(Manifest, EveryRuleIsKept) {
  auto refused = [](const std::function<void(Manifest &)> &change, const char *part) {
    Manifest manifest = wholeManifest(), back;
    change(manifest);
    std::string why;
    EXPECT_FALSE(parseManifest(printManifest(manifest), back, &why)) << part;
    EXPECT_NE(why.find(part), why.npos) << why << "\n  expected: " << part;
  };
  refused([](Manifest &m) { m.version = 2; }, "whit is version 2; this runtime reads version 1");
  refused([](Manifest &m) { m.function = ""; }, "function has 0 bytes");
  refused([](Manifest &m) { m.symbols[1].name = "batch_size"; }, "symbols[1] repeats the name 'batch_size'");
  refused([](Manifest &m) { m.symbols[0].min = -1; }, "symbols[0].min is -1");
  refused([](Manifest &m) { m.symbols[1].max = -5; }, "symbols[1].max is -5");
  refused([](Manifest &m) { m.symbols[3].defaultSymbol = "whit.last_rows"; }, "symbols[3].default names the dimension");
  refused([](Manifest &m) { m.symbols[3].value = {{SizeStep::Number, 1}}; },
          "symbols[3] has both a default and a value");
  refused([](Manifest &m) { m.symbols[1].value = {{SizeStep::Symbol, 2}}; }, "symbols[1].value names the dimension");
  refused([](Manifest &m) { m.symbols[1].value = {{SizeStep::Number, INT64_MAX}}; }, "symbols[1].value is 9223372036");
  refused(
      [](Manifest &m) {
        m.symbols[1].value = {{SizeStep::Number, 1}};
        for (int i = 0; i < 200; ++i)
          for (SizeStep step : {SizeStep{SizeStep::Number, 1}, {SizeStep::Add}})
            m.symbols[1].value.push_back(step);
      },
      "is too long; at most 256 steps and 32 levels");
  refused([](Manifest &m) { m.arguments[0].shape[1].symbol = "seq"; },
          "arguments[0].shape[1] names the dimension \"seq\", which symbols does not list");
  refused([](Manifest &m) { m.arguments[4].shape[0].size = -1; }, "arguments[4].shape[0] is -1");
  refused([](Manifest &m) { m.arguments[4].shape.assign(13, {1, ""}); },
          "arguments[4].shape has 13 entries; at most 12");
  refused([](Manifest &m) { m.arguments[0].name = std::string(2000, 'x'); }, "arguments[0].name has 2000 bytes");
  refused([](Manifest &m) { std::swap(m.arguments[0], m.arguments[4]); },
          "the order is input, state, constant, output, workspace");
  refused([](Manifest &m) { m.arguments.pop_back(); }, "must end in a workspace");
  refused([](Manifest &m) { m.arguments.push_back(m.arguments.back()); }, "two workspaces");
  refused([](Manifest &m) { m.arguments[1].name = "past.0.key"; }, "repeats the name 'past.0.key'");
  refused([](Manifest &m) { m.arguments[0].alias = "past.0.key"; }, "repeats the name 'past.0.key' as an alias");
  refused([](Manifest &m) { m.arguments[0].alias = m.roles.logits; }, "repeats the name 'logits' as an alias");
  refused([](Manifest &m) { m.arguments[0].alias = m.arguments[1].alias = "x"; }, "repeats the name 'x' as an alias");
  refused([](Manifest &m) { m.arguments[0].alias = std::string(1025, 'x'); }, "arguments[0].alias has 1025 bytes");
  refused([](Manifest &m) { m.arguments[2].alias = "x"; }, "arguments[2] has the unknown key 'alias'");
  refused([](Manifest &m) { m.arguments.back().alias = "x"; }, "has the unknown key 'alias'");
  refused([](Manifest &m) { m.arguments[2].shape.pop_back(); }, "rank 4; layout BHTD16 has 5");
  refused([](Manifest &m) { m.arguments[2].shape[4].size = 8; }, "layout BHTD16 ends in 16");
  refused([](Manifest &m) { m.arguments[3].shape[2].size = 39; }, "holds 39 tokens; the context is 40");
  refused([](Manifest &m) { m.context = 0; }, "context is 0; a model with states has at least 1");
  refused([](Manifest &m) { m.arguments[3].shape[1] = {0, "batch_size"}; }, "only the batch of a cache may be dynamic");
  refused([](Manifest &m) { m.arguments[5].format = "int9_g1"; }, "arguments[5].format is unusable");
  refused([](Manifest &m) { m.arguments[5].place = "tile32"; }, "must be panel16");
  refused([](Manifest &m) { m.arguments[5].logical = {33, 64}; }, "[3, 576] of i8 is required");
  refused([](Manifest &m) { m.arguments[4].shape[0] = {0, "batch_size"}; }, "constants have fixed shapes");
  refused([](Manifest &m) { m.roles.logits = "input_ids"; }, "roles.logits names \"input_ids\", which is no output");
  refused([](Manifest &m) { m.variants.clear(); }, "variants is empty");
  refused([](Manifest &m) { m.regions[1].id = 7; }, "regions are listed by id from 0");
  refused([](Manifest &m) { m.weights.file = "../../etc/passwd"; }, "a name without a folder");
  refused([](Manifest &m) { m.weights.file = ".."; }, "a name without a folder");
  refused([](Manifest &m) { m.weights.bytes = 1; }, "has 2 hashes; 1 are required");
  refused([](Manifest &m) { m.weights.chunk = 1; }, "weights.chunk is 1");
  refused([](Manifest &m) { m.weights.sha256 = "no"; }, "64 lower-case hexadecimal digits");
  refused([](Manifest &m) { m.codeSha256 += "0"; }, "64 lower-case hexadecimal digits");
}

/// A cache of bytes: what its format and its depth say must be what its shape says.
TEST(Manifest, PackedStatesAreChecked) {
  auto packed = [] {
    Manifest manifest = wholeManifest();
    Argument &value = manifest.arguments[3];
    value.type = ElementType::I8;
    value.layout = StateLayout::Rows;
    value.format = "uint4_channel_min";
    value.depth = 64;
    value.hadamard = true;
    value.shape[2].size = 3;
    value.shape[3].size = 16 * 32 + 32 + 32;
    return manifest;
  };
  Manifest back;
  std::string why, text = printManifest(packed());
  ASSERT_TRUE(parseManifest(text, back, &why)) << why;
  EXPECT_EQ(printManifest(back), text);
  EXPECT_EQ(back.arguments[3].depth, 64);
  EXPECT_TRUE(back.arguments[3].hadamard);
  auto refused = [&](const std::function<void(Argument &)> &change, const char *part) {
    Manifest manifest = packed();
    change(manifest.arguments[3]);
    EXPECT_FALSE(parseManifest(printManifest(manifest), back, &why)) << part;
    EXPECT_NE(why.find(part), why.npos) << why << "\n  expected: " << part;
  };
  refused([](Argument &a) { a.format = "int4_g32"; }, "cannot store keys and values");
  refused([](Argument &a) { a.format = "f16"; }, "panels and rows are for codes");
  refused([](Argument &a) { a.format = "int9"; }, "arguments[3].format is unusable");
  refused([](Argument &a) { a.format = ""; }, "format");
  refused([](Argument &a) { a.depth = 48; }, "a Hadamard matrix needs a power of two");
  refused([](Argument &a) { a.depth = 128; }, "a block of 16 tokens has 1088 of i8");
  refused([](Argument &a) { a.type = ElementType::F16; }, "ends in 576 f16");
  refused([](Argument &a) { a.shape[2].size = 2; }, "holds 32 tokens; the context is 40");
  refused([](Argument &a) { a.layout = StateLayout::BHTD; }, "these are for the layouts panels and rows");
}

/// Two variants for NVIDIA's GPUs.
Manifest gpuManifest() {
  Manifest manifest = wholeManifest();
  VariantKernel known{"head_tiles", {128, 2, 1}};
  known.registers = 96, known.spills = 0, known.shared = 49152, known.occupancy = 0.375;
  known.instructions = {{"matrix", 16}, {"load", 0}};
  manifest.variants = {
      {"sm_90a:h200",
       {},
       "main__v0",
       "main_sizes__v0",
       "sm_90a",
       {{ImageKind::Cubin, "sm_90a", ".whit.gpu.0", 5000}, {ImageKind::Ptx, "sm_90a", ".whit.gpu.1", 9000}},
       {known, {"append"}}},
      {"sm_80",
       {"sse2"},
       "main__v1",
       "main_sizes__v1",
       "sm_80",
       {{ImageKind::Bitcode, "sm_80", ".whit.gpu.27", 1}},
       {}}};
  return manifest;
}

TEST(Manifest, VariantsForGpus) {
  Manifest back;
  std::string why, text = printManifest(gpuManifest());
  ASSERT_TRUE(parseManifest(text, back, &why)) << why;
  EXPECT_EQ(printManifest(back), text);
  const Variant &variant = back.variants[0];
  EXPECT_EQ(variant.device, "sm_90a");
  ASSERT_EQ(variant.images.size(), 2u);
  EXPECT_EQ(variant.images[1].kind, ImageKind::Ptx);
  EXPECT_EQ(variant.images[1].section, ".whit.gpu.1");
  EXPECT_EQ(variant.images[1].bytes, 9000);
  ASSERT_EQ(variant.kernels.size(), 2u);
  const VariantKernel &kernel = variant.kernels[0];
  EXPECT_EQ(kernel.block, (std::array<int32_t, 3>{128, 2, 1}));
  EXPECT_EQ(kernel.registers, 96);
  EXPECT_EQ(kernel.spills, 0);
  EXPECT_EQ(kernel.stack, -1); // nobody knows, which is not 0
  EXPECT_EQ(kernel.occupancy, 0.375);
  EXPECT_EQ(kernel.instructions.at("matrix"), 16);
  EXPECT_EQ(printManifest(wholeManifest()).find("device"), text.npos); // nothing new for the CPU
}

TEST(Manifest, EveryRuleOfGpusIsKept) {
  auto refused = [](const std::function<void(Variant &)> &change, const char *part) {
    Manifest manifest = gpuManifest(), back;
    change(manifest.variants[0]);
    std::string why;
    EXPECT_FALSE(parseManifest(printManifest(manifest), back, &why)) << part;
    EXPECT_NE(why.find(part), why.npos) << why << "\n  expected: " << part;
  };
  for (const char *device :
       {"sm_", "sm_x", "sm_90b", "sm_90aa", "gfx", "gfx9z", "cuda", "sm_9000000000000000000000000000000"})
    refused([&](Variant &v) { v.device = device; }, "variants[0].device is ");
  refused([](Variant &v) { v.device = "gfx942"; },
          "variants[0].images[0].target is \"sm_90a\", which is not of the family");
  refused([](Variant &v) { v.images[0].target = "gfx942"; }, "variants[0].images[0].target is \"gfx942\"");
  refused([](Variant &v) { v.images[0].kind = ImageKind::Hsaco; }, "variants[0].images[0].kind is \"hsaco\"");
  refused([](Variant &v) { v.images.clear(); }, "variants[0].images is empty");
  refused([](Variant &v) { v.images.resize(17, v.images[0]); }, "images has 17 entries; at most 16");
  refused([](Variant &v) { v.images[1].bytes = 0; }, "images[1].bytes is 0");
  refused([](Variant &v) { v.images[1].bytes = kMaxImageBytes + 1; }, "images[1].bytes is 1073741825");
  for (const char *section :
       {".text", ".whit.gpu.", ".whit.gpu.x", ".whit.gpu.-1", ".whit.gpu.1234567", ".whit.weights"})
    refused([&](Variant &v) { v.images[1].section = section; }, "it must be .whit.gpu. and a number");
  refused([](Variant &v) { v.images[1].section = ".whit.gpu.0"; }, "which another image has");
  refused([](Variant &v) { v.images[1].section = ".whit.gpu.27"; }, "variants[1].images[0].section is");
  refused([](Variant &v) { v.kernels[1].name = ""; }, "kernels[1].name has 0 bytes");
  refused([](Variant &v) { v.kernels[1].name = v.kernels[0].name; }, "repeats the name 'head_tiles'");
  refused([](Variant &v) { v.kernels[0].block = {0, 1, 1}; }, "kernels[0].block[0] is 0");
  refused([](Variant &v) { v.kernels[0].block = {1024, 2, 1}; }, "together at most 1024 threads");
  refused([](Variant &v) { v.kernels[0].occupancy = 1.5; }, "kernels[0].occupancy is 1.5");
  refused([](Variant &v) { v.kernels[0].code = INT64_MAX; }, "kernels[0].code is 9223372036854775807");
  refused([](Variant &v) { v.kernels[0].instructions["magic"] = 1; },
          "kernels[0].instructions has the unknown key 'magic'");
  refused([](Variant &v) { v.kernels[0].instructions["load"] = -1; }, "kernels[0].instructions.load is -1");
  refused(
      [](Variant &v) {
        v.device = "gfx942";
        v.images = {v.images[0]};
        v.images[0].kind = ImageKind::Hsaco, v.images[0].target = "gfx942";
      },
      "variants[1] is for NVIDIA behind one for AMD");
  Manifest mixed = gpuManifest(), back; // beside a CPU
  mixed.variants.push_back({"x86-64-v3", {"avx2"}, "main__v2", "main_sizes__v2"});
  std::string why;
  EXPECT_TRUE(parseManifest(printManifest(mixed), back, &why)) << why;

  std::string whole = printManifest(gpuManifest());
  auto replaced = [&](const std::string &from, const std::string &to, const char *part) {
    std::string text = whole, why;
    ASSERT_NE(text.find(from), text.npos) << from;
    text.replace(text.find(from), from.size(), to);
    Manifest back;
    EXPECT_FALSE(parseManifest(text, back, &why)) << text;
    EXPECT_NE(why.find(part), why.npos) << why << "\n  expected: " << part;
  };
  replaced("\"device\":\"sm_90a\",", "", "variants[0] has images or kernels without a device");
  replaced("\"device\":\"sm_90a\"", "\"device\":null", "variants[0].device is null");
  replaced("\"cubin\"", "\"fatbin\"", "must be one of ptx, cubin, hsaco, bitcode");
  replaced("[128,2,1]", "[128,2]", "it must be three numbers");
  replaced("[128,2,1]", "128", "kernels[0].block is 128; it must be an array");
  replaced("\"spills\":0", "\"spills\":-1", "kernels[0].spills is -1");
  replaced("\"occupancy\":0.375", "\"occupancy\":\"half\"", "it must be a number from 0 to 1");
  replaced("\"registers\":96", "\"regs\":96", "unknown key 'regs'");
}

TEST(Manifest, StrangeTextIsRefused) {
  std::string whole = printManifest(wholeManifest()), why;
  Manifest back;
  for (size_t size = 0; size + 2 < whole.size(); ++size)
    ASSERT_FALSE(parseManifest(std::string_view(whole).substr(0, size), back, &why)) << size;
  auto refused = [&](const std::string &from, const std::string &to, const char *part) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    EXPECT_FALSE(parseManifest(text, back, &why)) << text;
    EXPECT_NE(why.find(part), why.npos) << why;
  };
  refused("\"whit\":1", "\"whit\":1,\"whit\":1", "the key 'whit' appears twice");
  refused("\"whit\":1", "\"whit\":1,\"new\":1", "unknown key 'new'");
  refused("\"whit\":1", "\"whit\":1.5", "must be an integer");
  refused("\"whit\":1", "\"whit\":18446744073709551615", "must be an integer");
  refused("\"producer\":\"test\"", "\"producer\":{}", "must be a string");
  refused("\"symbols\":[", "\"symbols\":7,\"other\":[", "unknown key");
  refused("\"i64\"", "\"i128\"", "is not an element type");
  refused("\"input\"", "\"argument\"", "must be one of input, state, constant, output, workspace");
  EXPECT_FALSE(parseManifest(std::string(100000, '['), back, &why));
  EXPECT_NE(why.find("nested deeper than 16"), why.npos) << why;
  EXPECT_FALSE(parseManifest("[]", back, &why));
  EXPECT_FALSE(parseManifest("null", back, nullptr));
}

TEST(Elf, SectionsAreAddedBehindAWorkingLibrary) {
  std::vector<uint8_t> file = readBytes(WHIT_TEST_MODEL), before = file;
  std::string why, data = "some data", weights(100, 'w');
  std::vector<NewSection> added{{".one", bytesOf(data), 1}, {".two", bytesOf(weights), 64}};
  ASSERT_TRUE(addSections(file, added, &why)) << why;
  std::vector<ElfSection> sections;
  ASSERT_TRUE(readSections(file, file.size(), sections, &why)) << why;
  ASSERT_GE(sections.size(), 2u);
  EXPECT_EQ(sections.back().name, ".two");
  EXPECT_EQ(sections.back().offset % 64, 0u);
  EXPECT_EQ(sections.back().offset + sections.back().size, file.size());
  EXPECT_FALSE(sections.back().loaded);
  const ElfSection &one = sections[sections.size() - 2];
  EXPECT_EQ(
      std::string(file.begin() + std::ptrdiff_t(one.offset), file.begin() + std::ptrdiff_t(one.offset + one.size)),
      data);
  EXPECT_TRUE(std::equal(before.begin() + 64, before.end(), file.begin() + 64)); // all but the header stays
  EXPECT_FALSE(addSections(file, added, &why));
  EXPECT_NE(why.find("already has a section '.one'"), why.npos);
}

TEST(Elf, RandomDamageNeverCrashes) {
  std::vector<uint8_t> whole = readBytes(WHIT_TEST_MODEL);
  std::mt19937 random(5);
  size_t table = *reinterpret_cast<uint64_t *>(&whole[40]);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> file = whole;
    for (int i = 0; i < 4; ++i) {
      size_t at = i % 2 ? random() % 64 : table + random() % (file.size() - table);
      file[at] = random() % 3 ? uint8_t(random()) : 0xff;
    }
    if (random() % 4 == 0)
      file.resize(random() % file.size());
    std::vector<ElfSection> sections;
    std::string why;
    if (readSections(file, file.size(), sections, &why)) {
      for (const ElfSection &section : sections)
        ASSERT_TRUE(section.offset <= file.size() && section.size <= file.size() - section.offset);
    } else {
      ASSERT_FALSE(why.empty());
    }
  }
}

TEST(Safetensors, HeaderRoundTripsAndAligns) {
  std::vector<StoredTensor> tensors{{"a", 0, 1}, {"b \"quoted\"", 0, 64}, {"empty", 0, 0}, {"c", 0, 130}}, back;
  std::string header = writeSafetensorsHeader(tensors), why;
  uint64_t total = tensors.back().offset + paddedBytes(tensors.back().size);
  ASSERT_TRUE(readSafetensorsHeader(bytesOf(header), total, back, &why)) << why;
  ASSERT_EQ(back.size(), 4u);
  for (const StoredTensor &tensor : tensors) {
    EXPECT_EQ(tensor.offset % 64, 0u);
    auto found =
        std::find_if(back.begin(), back.end(), [&](const StoredTensor &other) { return other.name == tensor.name; });
    ASSERT_NE(found, back.end());
    EXPECT_EQ(found->offset, tensor.offset);
    EXPECT_EQ(found->size, paddedBytes(tensor.size));
  }
  EXPECT_FALSE(readSafetensorsHeader(bytesOf(header), total + 64, back, &why));
  EXPECT_FALSE(readSafetensorsHeader(bytesOf(header), total - 64, back, &why));
}

TEST(Safetensors, LiesAreRefused) {
  auto read = [](std::string json, uint64_t dataBytes, std::string &why) {
    json.resize((json.size() + 8 + 63) / 64 * 64 - 8, ' ');
    uint64_t length = json.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    file += json;
    std::vector<StoredTensor> tensors;
    return readSafetensorsHeader(bytesOf(file), file.size() + dataBytes, tensors, &why);
  };
  std::string why;
  EXPECT_TRUE(read(R"({"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}})", 64, why)) << why;
  EXPECT_TRUE(read("{}", 0, why)) << why;
  for (
      auto [json, part] : std::initializer_list<std::pair<const char *, const char *>>{
          {R"({"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]},"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}})",
           "appears twice"},
          {R"({"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]},"b":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}})",
           "leave no holes and do not overlap"},
          {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", "64 bytes of data for tensors of 0"},
          {R"({"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}})", "U8 is required"},
          {R"({"a":{"dtype":"U8","shape":[63],"data_offsets":[0,64]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[128],"data_offsets":[0,128]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[64],"data_offsets":[64,128]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[64],"data_offsets":[64,0]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[-64],"data_offsets":[0,64]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[64.0],"data_offsets":[0,64]}})", "must agree"},
          {R"({"a":{"dtype":"U8","shape":[8,8],"data_offsets":[0,64]}})", "rank 1"},
          {R"({"a":{"dtype":"U8","shape":[64]}})", "must have dtype, shape and data_offsets"},
          {R"({"":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}})", "name of 0 bytes"},
          {R"({"a":7})", "must have"},
          {"[]", "must be an object"},
          {"{", "not JSON"},
      }) {
    EXPECT_FALSE(read(json, 64, why)) << json;
    EXPECT_NE(why.find(part), why.npos) << json << ": " << why;
  }
  std::vector<StoredTensor> tensors;
  std::string huge(16, '\xff');
  EXPECT_FALSE(readSafetensorsHeader(bytesOf(huge), 16, tensors, &why));
  EXPECT_FALSE(readSafetensorsHeader(bytesOf(huge).first(3), 3, tensors, &why));
}

TEST(TrustStore, RemembersOnce) {
  TestFolder folder;
  std::string text = "x", why;
  Digest one = sha256(bytesOf(text)), two = sha256(bytesOf(why));
  EXPECT_EQ(askTrust(one, &why), TrustAnswer::Unknown);
  ASSERT_TRUE(recordTrust(one, "first\nline", &why)) << why;
  ASSERT_TRUE(recordTrust(one, "again", &why)) << why;
  EXPECT_EQ(askTrust(one, &why), TrustAnswer::Trusted);
  EXPECT_EQ(askTrust(two, &why), TrustAnswer::Unknown);
  std::vector<uint8_t> bytes = readBytes(trustStorePath());
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), '\n'), 1);
  // A line that was cut short is not believed.
  bytes.pop_back();
  writeBytes(trustStorePath(), bytes);
  EXPECT_EQ(askTrust(one, &why), TrustAnswer::Unknown);
}

} // namespace
