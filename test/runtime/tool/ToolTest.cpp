// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-run from its command line, in this process: modes, files, exit codes and messages.
#include "../core/TestArtifact.h"

#include "runtime/core/Elements.h"
#include "runtime/tool/RunCommand.h"

#include <nlohmann/json.hpp>
#include <zlib.h>

#include <random>

using namespace whit;
using namespace whit::testing;

namespace {

struct Result {
  int code;
  std::string out, err;
};

Result whitRun(std::vector<std::string> words) {
  words.insert(words.begin(), "whit-run");
  std::vector<char *> argv;
  for (std::string &word : words)
    argv.push_back(word.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  RunOptions options;
  Result result{0, "", ""};
  if (parseRunOptions(int(argv.size()), argv.data(), options, result.code))
    result.code = runCommand(options);
  std::fflush(stdout);
  result.out = ::testing::internal::GetCapturedStdout();
  result.err = ::testing::internal::GetCapturedStderr();
  return result;
}

template <typename T>
ArrayView view(const char *name, ElementType type, std::vector<int64_t> dims, const std::vector<T> &data) {
  return {name, type, std::move(dims), data.data()};
}

class ToolTest : public ::testing::Test {
protected:
  void SetUp() override {
    writeArtifact(folder);
    model = folder / "model.so";
    inputs = folder / "in.npz";
    ASSERT_EQ(writeNpz(inputs, {view("input_ids", ElementType::I64, {1, 3}, ids)}), WHIT_OK);
  }

  void expect(const Result &result, int code, const char *part) {
    EXPECT_EQ(result.code, code) << result.out << result.err;
    EXPECT_NE((result.out + result.err).find(part), std::string::npos)
        << result.out << result.err << "\n  expected: " << part;
  }

  TestFolder folder;
  std::string model, inputs;
  std::vector<int64_t> ids{4, 11, 6};
};

TEST_F(ToolTest, OutputsHaveTheModelsNames) {
  std::string outputs = folder / "out.npz";
  expect(whitRun({model, "--inputs", inputs, "--outputs", outputs}), 0, "");
  std::vector<Array> arrays;
  ASSERT_EQ(readNpz(outputs, arrays), WHIT_OK) << whit_message();
  ASSERT_EQ(arrays.size(), 3u);
  EXPECT_EQ(arrays[0].name, "logits");
  EXPECT_EQ(arrays[0].dims, (std::vector<int64_t>{1, 3, kVocabulary}));
  EXPECT_EQ(arrays[1].name, "present.0.key");
  EXPECT_EQ(arrays[1].dims, (std::vector<int64_t>{1, kHeads, 3, kDepth}));
  std::vector<float> expected = expectedLogits(ids, 2);
  EXPECT_EQ(std::memcmp(arrays[0].data.data() + 2 * kVocabulary * 4, expected.data(), kVocabulary * 4), 0);

  // Compared with themselves, with one element changed, and with another shape.
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs, "--rtol", "0", "--atol", "0"}), 0,
         "ok    logits: 72 elements");
  std::vector<float> logits(72);
  std::memcpy(logits.data(), arrays[0].data.data(), 288);
  logits[25] += 1;
  ASSERT_EQ(writeNpz(outputs, {view("logits", ElementType::F32, {1, 3, kVocabulary}, logits)}), WHIT_OK);
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs}), 8,
         "'logits' differs in 1 of 72 elements, worst at [0, 1, 1]");
  std::vector<float> bounds(72, 1e-3f);
  auto bounded = [&](float bound) {
    bounds[25] = bound;
    return writeNpz(outputs, {view("logits", ElementType::F32, {1, 3, kVocabulary}, logits),
                              view("logits.bound", ElementType::F32, {1, 3, kVocabulary}, bounds)});
  };
  ASSERT_EQ(bounded(1.01f), WHIT_OK); // each element has its own
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs, "--rtol", "0", "--atol", "0"}), 0, "72 elements");
  ASSERT_EQ(bounded(0.99f), WHIT_OK);
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs, "--rtol", "0", "--atol", "0"}), 8, "in 1 of 72");
  ASSERT_EQ(writeNpz(outputs, {view("logits", ElementType::F32, {3, kVocabulary}, logits)}), WHIT_OK);
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs}), 8, "has shape [1, 3, 24], the reference [3, 24]");
  logits[25] = NAN;
  ASSERT_EQ(writeNpz(outputs, {view("logits", ElementType::F32, {1, 3, kVocabulary}, logits)}), WHIT_OK);
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs}), 8, "the reference is nan");
  ASSERT_EQ(writeNpz(outputs, {view("other", ElementType::F32, {72}, logits)}), WHIT_OK);
  expect(whitRun({model, "--inputs", inputs, "--expect", outputs}), 1, "no output 'other'");
}

TEST_F(ToolTest, InputsAreMadeUp) {
  expect(whitRun({model, "--input", "input_ids=random:7", "--dim", "sequence_length=5", "--dim", "batch_size=2"}), 0,
         "logits  f32 [2, 5, 24]");
  expect(whitRun({model, "--input", "input_ids=zeros", "--input", "attention_mask=ones", "--dim", "sequence_length=5",
                  "--dim", "whit.last_rows=1"}),
         0, "logits  f32 [1, 1, 24]");
  expect(whitRun({model, "--input", "input_ids=zeros", "--input", "past.0.key=random:1", "--input",
                  "past.0.value=random:2", "--dim", "past_sequence_length=9"}),
         0, "logits");
  expect(whitRun({model, "--input", "nothing=ones"}), 1, "no input 'nothing'");
  expect(whitRun({model, "--input", "input_ids=random:x"}), 2, "random:SEED");
  expect(whitRun({model, "--input", "input_ids=ones", "--dim", "seq=3"}), 1, "no dimension 'seq'");
  expect(
      whitRun({model, "--input", "input_ids=ones", "--dim", "batch_size=1000000000000", "--dim", "sequence_length=32"}),
      5, "over 2^40 bytes");
  expect(whitRun({model}), 1, "input 'input_ids' is missing");
  expect(whitRun({model, "--inputs", inputs, "--input", "past.0.key=ones", "--input", "past.0.value=ones", "--dim",
                  "past_sequence_length=38"}),
         5, "the context is 40");
}

TEST_F(ToolTest, GeneratesGreedily) {
  std::vector<int64_t> all{3, 9};
  for (int i = 0; i < 6; ++i) {
    std::vector<float> logits = expectedLogits(all, int64_t(all.size()) - 1);
    all.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::string expected = "[";
  for (size_t i = 2; i < all.size(); ++i)
    expected += (i > 2 ? "," : "") + std::to_string(all[i]);
  expect(whitRun({model, "--generate", "6", "--prompt-ids", "3,9", "--json"}), 0,
         ("\"tokens\":" + expected + "]").c_str());
  Result stopped = whitRun(
      {model, "--generate", "6", "--prompt-ids", "3,9", "--json", "--stop-ids", "99," + std::to_string(all[2])});
  nlohmann::json report = nlohmann::json::parse(stopped.out);
  EXPECT_EQ(report["tokens"].size(), 1u);
  EXPECT_GT(report["prefill_tps"].get<double>(), 0);
  EXPECT_EQ(report["isa"], "x86-64");
  EXPECT_GT(report["peak_rss_mb"].get<double>(), 0);
  expect(whitRun({model, "--generate", "40", "--prompt-ids", "3,9"}), 5,
         "2 prompt tokens and 39 more make 41; the context is 40");
  expect(whitRun({model, "--generate", "4", "--prompt-ids", "3,99"}), 1, "an index in 'input_ids'");
}

TEST_F(ToolTest, BenchmarksFromTheSameState) {
  Result result = whitRun({model, "--benchmark", "20", "--json", "--threads", "2", "--dim", "sequence_length=4"});
  EXPECT_EQ(result.code, 0) << result.err;
  nlohmann::json report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report["runs"], 20);
  EXPECT_EQ(report["threads"], 2);
  EXPECT_LE(report["ms_min"], report["ms_median"]);
  EXPECT_LE(report["ms_median"], report["ms_p90"]);
  expect(whitRun({model, "--benchmark", "50", "--input", "past.0.key=ones", "--input", "past.0.value=ones", "--dim",
                  "past_sequence_length=30", "--dim", "sequence_length=9"}),
         0, "50 runs");
}

TEST_F(ToolTest, ProfilesAndInspects) {
  std::string trace = folder / "trace.json";
  expect(whitRun({model, "--inputs", inputs, "--profile=" + trace}), 0, "logits");
  std::vector<uint8_t> bytes = readBytes(trace);
  EXPECT_NE(std::string(bytes.begin(), bytes.end()).find("/lm_head/MatMul"), std::string::npos);
  expect(whitRun({model, "--inspect"}), 0, "caches     f32  2 tensors for 40 tokens");
  expect(whitRun({model, "--inspect"}), 0, "\nmatrices   ");
  EXPECT_EQ(nlohmann::json::parse(whitRun({model, "--inspect", "--json"}).out)["context"], kContext);
}

TEST_F(ToolTest, Devices) {
  expect(whitRun({model, "--inputs", inputs, "--device=cpu", "--json"}), 0, "\"device\":\"cpu\"");
  expect(whitRun({model, "--inputs", inputs, "--device=gpu"}), 2,
         "device is 'gpu'; it must be cpu, cuda:N, hip:N or sim:TARGET");
  // No machine has so many: there is no driver, or it says that there is no such device.
  expect(whitRun({model, "--inputs", inputs, "--device=cuda:99"}), 7, "error: ");
  expect(whitRun({model, "--inputs", inputs, "--device=hip:99"}), 7, "error: ");
}

TEST_F(ToolTest, InspectsKernels) {
  Manifest manifest = testManifest();
  VariantKernel kernel{"head_tiles", {64, 2, 1}};
  kernel.registers = 96, kernel.spills = 0, kernel.shared = 4096, kernel.occupancy = 0.5;
  kernel.instructions = {{"matrix", 12}};
  manifest.variants = {{"sm_90a:h200", {}, "main__gpu", "main_sizes__v0", "sm_90a", {}, {kernel}}};
  manifest.variants[0].images = {{ImageKind::Ptx, "sm_90a", ".whit.gpu.0", 3}};
  const uint8_t image[] = {'p', 't', 'x'};
  writeArtifact(folder, false, true, manifest, testWeights(), {{".whit.gpu.0", image, 64}});
  Result result = whitRun({model, "--inspect"});
  expect(result, 0, "code       sm_90a:h200, for NVIDIA GPUs of architecture sm_90a, ptx of 3 bytes");
  expect(result, 0,
         "kernels    head_tiles  128 threads, 96 registers, 0 bytes spilled, 4096 bytes shared, 50 % occupied, 12 "
         "matrix instructions");
  expect(whitRun({model, "--inspect", "--json"}), 0, "\"section\":\".whit.gpu.0\"");
  expect(whitRun({model, "--inputs", inputs}), 6, "has code for GPUs alone (sm_90a); run it with --device=cuda:0");
}

TEST_F(ToolTest, WrongCommandLines) {
  expect(whitRun({}), 2, "MODEL");
  expect(whitRun({model, "--frobnicate"}), 2, "--frobnicate");
  expect(whitRun({model, "--input", "input_ids"}), 2, "NAME=VALUE is required");
  expect(whitRun({model, "--dim", "batch_size=two"}), 2, "an integer is required");
  expect(whitRun({model, "--generate", "3"}), 2, "--prompt-ids");
  expect(whitRun({model, "--generate", "3", "--prompt-ids", "1,,2"}), 2, "an integer is required");
  expect(whitRun({model, "--benchmark", "3", "--outputs", "x.npz"}), 2, "--outputs");
  expect(whitRun({model, "--verify", "never"}), 2, "never");
  expect(whitRun({"--help"}), 0, "exit codes:");
  expect(whitRun({"--version"}), 0, "whit ");
}

TEST_F(ToolTest, FilesThatCannotBeUsed) {
  expect(whitRun({folder / "none.so", "--inspect"}), 4, "cannot open");
  expect(whitRun({model, "--inputs", folder / "none.npz"}), 4, "cannot open");
  expect(whitRun({model, "--input", "input_ids=/dev/null"}), 4, "not a regular file");
  expect(whitRun({model, "--inputs", model}), 1, "not an .npz archive");
  expect(whitRun({model, "--inputs", inputs, "--outputs", folder / "no/out.npz"}), 4, "cannot write");
  writeBytes(model, {1, 2, 3});
  expect(whitRun({model, "--inputs", inputs}), 6, "damaged or not an artifact");
  writeArtifact(folder, true, false);
  std::filesystem::remove_all(folder / "config");
  expect(whitRun({model, "--inputs", inputs}), 6, "pass --trust once");
  expect(whitRun({model, "--inputs", inputs, "--trust"}), 0, "logits");
  expect(whitRun({model, "--inputs", inputs, "--verify=full"}), 0, "logits");
  expect(whitRun({model, "--inputs", inputs, "--target", "future"}), 6, "needs avx4096");
}

TEST_F(ToolTest, ReadsWhatNumpyWrites) {
  // numpy.savez_compressed(a=arange(6, dtype=f2).reshape(2,3).T, b=True) in miniature: a deflated, column-major entry.
  std::string header = "{'descr': '<f2', 'fortran_order': True, 'shape': (3, 2), }", npy("\x93NUMPY\x01\x00", 8);
  header.resize(117, ' ');
  header += '\n';
  uint16_t length = uint16_t(header.size());
  npy.append(reinterpret_cast<char *>(&length), 2);
  npy += header;
  for (uint16_t half : {0x0000, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500})
    npy.append(reinterpret_cast<char *>(&half), 2);
  std::string path = folder / "a.npy";
  writeBytes(path, {npy.begin(), npy.end()});
  Array array;
  ASSERT_EQ(readNpy(path, array), WHIT_OK) << whit_message();
  EXPECT_EQ(array.dims, (std::vector<int64_t>{3, 2}));
  std::vector<double> values;
  for (int64_t i = 0; i < 6; ++i)
    values.push_back(elementAt(array.type, array.data.data(), i));
  EXPECT_EQ(values, (std::vector<double>{0, 3, 1, 4, 2, 5}));
}

TEST_F(ToolTest, DamagedArchivesAreRefused) {
  std::vector<uint8_t> whole = readBytes(inputs);
  std::string path = folder / "bad.npz";
  std::mt19937 random(11);
  int accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::vector<uint8_t> file = whole;
    if (round < int(whole.size()))
      file.resize(size_t(round));
    else
      for (int i = 0; i < 3; ++i)
        file[random() % file.size()] = uint8_t(random());
    writeBytes(path, file);
    std::vector<Array> arrays;
    whit_status status = readNpz(path, arrays);
    ASSERT_TRUE(status == WHIT_OK || status == WHIT_INVALID) << status;
    // What changes neither sizes nor checksum nor content (dates, versions) may pass; the data may not differ.
    for (const Array &array : arrays)
      if (status == WHIT_OK && array.dims == std::vector<int64_t>{1, 3} && array.type == ElementType::I64) {
        ASSERT_EQ(std::memcmp(array.data.data(), ids.data(), 24), 0);
        ++accepted;
      }
  }
  EXPECT_GT(accepted, 0);
}

} // namespace
