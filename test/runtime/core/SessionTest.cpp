// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running: right answers through every way of calling, caches, wrong calls, threads, watching. Everything through the C
// ABI.
#include "TestArtifact.h"

#include "whit/Runtime.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>

using namespace whit;
using namespace whit::testing;

// Counts every allocation of this program while `counting` is set. The thread sanitizer brings allocation functions of its own;
// with it nothing is counted.
static std::atomic<bool> counting{false};
static std::atomic<int> allocations{0};

#if !__has_feature(thread_sanitizer)
void *operator new(size_t size) {
  allocations += counting;
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
void *operator new(size_t size, const std::nothrow_t &) noexcept {
  allocations += counting;
  return std::malloc(size ? size : 1);
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
#endif

namespace {

class SessionTest : public ::testing::Test {
protected:
  void SetUp() override { open(testManifest()); }
  /// The same artifact with another manifest, in place of the one that is open.
  void open(const Manifest &manifest) {
    TearDown();
    writeArtifact(folder, /*embedded=*/false, /*trusted=*/true, manifest);
    ASSERT_EQ(whit_module_load((folder / "model.so").c_str(), nullptr, &module), WHIT_OK) << whit_message();
    ASSERT_EQ(whit_session_create(module, nullptr, &session), WHIT_OK) << whit_message();
  }
  void TearDown() override {
    whit_session_destroy(std::exchange(session, nullptr));
    whit_module_destroy(std::exchange(module, nullptr));
  }

  whit_status run(const std::vector<int64_t> &tokens, int64_t batch = 1) {
    int64_t dims[2] = {batch, int64_t(tokens.size()) / batch};
    whit_tensor input{"input_ids", WHIT_I64, 2, dims, const_cast<int64_t *>(tokens.data())};
    return whit_session_run(session, &input, 1);
  }

  std::vector<float> floats(const char *name, std::vector<int64_t> *dims = nullptr) {
    whit_tensor tensor;
    EXPECT_EQ(whit_session_output(session, name, &tensor), WHIT_OK) << whit_message();
    int64_t count = 1;
    for (int32_t i = 0; i < tensor.rank; ++i)
      count *= tensor.dims[i];
    if (dims)
      dims->assign(tensor.dims, tensor.dims + tensor.rank);
    const float *data = static_cast<const float *>(tensor.data);
    return {data, data + count};
  }

  void expectMessage(const char *part) {
    EXPECT_NE(std::string(whit_message()).find(part), std::string::npos) << whit_message();
  }

  TestFolder folder;
  whit_module *module = nullptr;
  whit_session *session = nullptr;
};

TEST_F(SessionTest, SignatureIsTheModelsOwn) {
  ASSERT_EQ(whit_module_input_count(module), 4);
  ASSERT_EQ(whit_module_output_count(module), 3);
  whit_value value;
  ASSERT_EQ(whit_module_input(module, 2, &value), WHIT_OK);
  EXPECT_STREQ(value.name, "past.0.key");
  EXPECT_EQ(value.rank, 4);
  EXPECT_EQ(value.dims[1], kHeads);
  EXPECT_EQ(value.dims[3], kDepth);
  EXPECT_STREQ(value.symbols[2], "past_sequence_length");
  EXPECT_EQ(value.is_state, 1);
  ASSERT_EQ(whit_module_output(module, 0, &value), WHIT_OK);
  EXPECT_STREQ(value.symbols[1], "whit.last_rows");
  EXPECT_EQ(value.symbols[2], nullptr);
  EXPECT_EQ(whit_module_input(module, 4, &value), WHIT_USAGE);
  EXPECT_EQ(whit_module_context(module), kContext);
  EXPECT_STREQ(whit_module_target(module), "x86-64"); // the first variant needs what no processor has
}

TEST_F(SessionTest, AllRowsOfAPrompt) {
  std::vector<int64_t> tokens{3, 1, 4, 1, 5};
  ASSERT_EQ(run(tokens), WHIT_OK) << whit_message();
  std::vector<int64_t> dims;
  std::vector<float> logits = floats("logits", &dims);
  EXPECT_EQ(dims, (std::vector<int64_t>{1, 5, kVocabulary}));
  for (int64_t p = 0; p < 5; ++p)
    EXPECT_EQ(std::vector<float>(logits.begin() + p * kVocabulary, logits.begin() + (p + 1) * kVocabulary),
              expectedLogits(tokens, p))
        << p;
}

TEST_F(SessionTest, CachesCarryOnAcrossBlockBoundaries) {
  std::vector<int64_t> all;
  for (int64_t step = 0; step < 13; ++step) {
    std::vector<int64_t> more;
    for (int64_t i = 0; i <= step % 4; ++i)
      more.push_back((step * 5 + i * 3) % kVocabulary);
    all.insert(all.end(), more.begin(), more.end());
    const float *logits;
    int64_t size;
    ASSERT_EQ(whit_session_append(session, more.data(), int64_t(more.size()), &logits, &size), WHIT_OK)
        << whit_message();
    ASSERT_EQ(size, kVocabulary);
    EXPECT_EQ(std::vector<float>(logits, logits + size), expectedLogits(all, int64_t(all.size()) - 1));
    EXPECT_EQ(whit_session_length(session), int64_t(all.size()));
  }
  // Back to 10 tokens, then on with others.
  ASSERT_EQ(whit_session_truncate(session, 10), WHIT_OK);
  all.resize(10);
  all.push_back(23);
  const float *logits;
  int64_t size;
  ASSERT_EQ(whit_session_append(session, &all.back(), 1, &logits, &size), WHIT_OK);
  EXPECT_EQ(std::vector<float>(logits, logits + size), expectedLogits(all, 10));
  EXPECT_EQ(whit_session_truncate(session, 12), WHIT_USAGE);
}

TEST_F(SessionTest, PresentGoesOutAndComesBackAsPast) {
  std::vector<int64_t> first{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2, 3}, second{5, 6};
  ASSERT_EQ(run(first), WHIT_OK) << whit_message();
  std::vector<int64_t> pastDims;
  std::vector<float> key = floats("present.0.key", &pastDims), value = floats("present.0.value");
  EXPECT_EQ(pastDims, (std::vector<int64_t>{1, kHeads, 18, kDepth}));
  for (int64_t t = 0; t < 18; ++t)
    for (int64_t d = 0; d < kDepth; ++d) {
      EXPECT_EQ(key[size_t((18 + t) * kDepth + d)], embedding(first[size_t(t)], d)); // head 1
      EXPECT_EQ(value[size_t(t * kDepth + d)], embedding(first[size_t(t)], d) + float(t));
    }

  // Another session continues from those tensors, given as inputs or imported.
  for (bool import : {false, true}) {
    whit_session *other;
    ASSERT_EQ(whit_session_create(module, nullptr, &other), WHIT_OK);
    int64_t dims[2] = {1, 2}, maskDims[2] = {1, 20};
    std::vector<int64_t> mask(20, 1);
    whit_tensor inputs[] = {{"past.0.value", WHIT_F32, 4, pastDims.data(), value.data()},
                            {"past.0.key", WHIT_F32, 4, pastDims.data(), key.data()},
                            {"input_ids", WHIT_I64, 2, dims, second.data()},
                            {"attention_mask", WHIT_I64, 2, maskDims, mask.data()}};
    if (import) {
      ASSERT_EQ(whit_session_import(other, inputs, 2), WHIT_OK) << whit_message();
      EXPECT_EQ(whit_session_length(other), 18);
      ASSERT_EQ(whit_session_run(other, inputs + 2, 2), WHIT_OK) << whit_message();
    } else {
      ASSERT_EQ(whit_session_run(other, inputs, 4), WHIT_OK) << whit_message();
    }
    whit_tensor logits;
    ASSERT_EQ(whit_session_output(other, "logits", &logits), WHIT_OK);
    std::vector<int64_t> all = first;
    all.insert(all.end(), second.begin(), second.end());
    const float *last = static_cast<const float *>(logits.data) + kVocabulary;
    EXPECT_EQ(std::vector<float>(last, last + kVocabulary), expectedLogits(all, 19));
    EXPECT_EQ(whit_session_length(other), 20);
    whit_session_destroy(other);
  }
}

TEST_F(SessionTest, BatchesAndMasks) {
  std::vector<int64_t> tokens{1, 2, 3, 4, 5, 6};
  ASSERT_EQ(run(tokens, 2), WHIT_OK) << whit_message();
  std::vector<float> logits = floats("logits");
  EXPECT_EQ(std::vector<float>(logits.end() - kVocabulary, logits.end()), expectedLogits({4, 5, 6}, 2));
  EXPECT_EQ(run({1}, 1), WHIT_INVALID);
  expectMessage("batch 1; the caches hold 3 tokens of batch 2");
  ASSERT_EQ(whit_session_truncate(session, 0), WHIT_OK);
  ASSERT_EQ(run({1}, 1), WHIT_OK) << whit_message();
  EXPECT_EQ(floats("logits"), expectedLogits({1}, 0));
}

TEST_F(SessionTest, LastRowsCanBeSet) {
  ASSERT_EQ(whit_session_set_dim(session, "whit.last_rows", 2), WHIT_OK);
  std::vector<int64_t> dims;
  ASSERT_EQ(run({1, 2, 3, 4}), WHIT_OK);
  std::vector<float> logits = floats("logits", &dims);
  EXPECT_EQ(dims[1], 2);
  EXPECT_EQ(std::vector<float>(logits.begin(), logits.begin() + kVocabulary), expectedLogits({1, 2, 3, 4}, 2));
  ASSERT_EQ(run({5}), WHIT_OK) << whit_message(); // fewer tokens than rows: as many rows as tokens
  floats("logits", &dims);
  EXPECT_EQ(dims[1], 1);
  ASSERT_EQ(whit_session_set_dim(session, "whit.last_rows", -1), WHIT_OK);
  ASSERT_EQ(run({6, 7, 8}), WHIT_OK);
  floats("logits", &dims);
  EXPECT_EQ(dims[1], 3);
  EXPECT_EQ(whit_session_set_dim(session, "batch_size", 2), WHIT_INVALID);
}

TEST_F(SessionTest, EmptySequences) {
  std::vector<int64_t> dims;
  ASSERT_EQ(run({}), WHIT_OK) << whit_message();
  EXPECT_TRUE(floats("logits", &dims).empty());
  EXPECT_EQ(dims, (std::vector<int64_t>{1, 0, kVocabulary}));
}

TEST_F(SessionTest, ExecuteAsksForReserve) {
  int64_t dims[2] = {1, 3}, ids[3] = {1, 2, 3};
  whit_tensor input{"input_ids", WHIT_I64, 2, dims, ids};
  EXPECT_EQ(whit_session_execute(session, &input, 1), WHIT_NEEDS_RESERVE);
  whit_dim reserve[] = {{"sequence_length", 3}, {"total_sequence_length", 9}};
  ASSERT_EQ(whit_session_reserve(session, reserve, 2), WHIT_OK) << whit_message();
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(whit_session_execute(session, &input, 1), WHIT_OK) << whit_message();
  EXPECT_EQ(whit_session_length(session), 9);
  // A first session of a large batch needs more than was reserved.
  whit_session *other;
  ASSERT_EQ(whit_session_create(module, nullptr, &other), WHIT_OK);
  ASSERT_EQ(whit_session_reserve(other, reserve, 2), WHIT_OK);
  std::vector<int64_t> many(32 * 700, 1);
  int64_t manyDims[2] = {700, 32};
  whit_tensor large{"input_ids", WHIT_I64, 2, manyDims, many.data()};
  EXPECT_EQ(whit_session_execute(other, &large, 1), WHIT_NEEDS_RESERVE);
  EXPECT_EQ(whit_session_run(other, &large, 1), WHIT_OK) << whit_message();
  whit_session_destroy(other);
}

TEST_F(SessionTest, ExecuteAllocatesNothing) {
  int64_t dims[2] = {1, 3}, ids[3] = {1, 2, 3}, wrong[3] = {1, 2, 99};
  whit_tensor input{"input_ids", WHIT_I64, 2, dims, ids}, bad{"input_ids", WHIT_I64, 2, dims, wrong},
      strange{"ids", WHIT_I64, 2, dims, ids};
  whit_dim reserve[] = {{"sequence_length", 3}, {"total_sequence_length", 12}};
  ASSERT_EQ(whit_session_reserve(session, reserve, 2), WHIT_OK) << whit_message();
  counting = true;
  whit_status first = whit_session_execute(session, &input, 1), second = whit_session_execute(session, &input, 1),
              third = whit_session_execute(session, &bad, 1), fourth = whit_session_execute(session, &strange, 1),
              fifth = whit_session_execute(session, &input, 1);
  counting = false;
  EXPECT_EQ(allocations, 0);
  EXPECT_EQ(first, WHIT_OK);
  EXPECT_EQ(second, WHIT_OK);
  EXPECT_EQ(third, WHIT_INVALID);
  EXPECT_EQ(fourth, WHIT_INVALID);
  EXPECT_EQ(fifth, WHIT_OK);
}

TEST_F(SessionTest, WrongInputsAreNamed) {
  std::vector<int64_t> ids(64, 1), mask(64, 1);
  int64_t dims[3] = {1, 3, 1}, maskDims[2] = {1, 3};
  auto refused = [&](std::vector<whit_tensor> inputs, whit_status status, const char *part) {
    EXPECT_EQ(whit_session_run(session, inputs.data(), int32_t(inputs.size())), status);
    expectMessage(part);
    EXPECT_EQ(whit_session_length(session), 0);
  };
  whit_tensor good{"input_ids", WHIT_I64, 2, dims, ids.data()};
  refused({}, WHIT_INVALID, "input 'input_ids' is missing");
  refused({good, good}, WHIT_INVALID, "'input_ids' is given twice");
  refused({{"inputs", WHIT_I64, 2, dims, ids.data()}}, WHIT_INVALID,
          "no input 'inputs'; it has 4, the first is 'input_ids'");
  refused({{"input_ids", WHIT_I32, 2, dims, ids.data()}}, WHIT_INVALID, "'input_ids' is of type i32; i64 is required");
  refused({{"input_ids", whit_dtype(77), 2, dims, ids.data()}}, WHIT_INVALID, "an unknown type");
  refused({{"input_ids", WHIT_I64, 3, dims, ids.data()}}, WHIT_INVALID, "rank 3; 2 is required");
  refused({{"input_ids", WHIT_I64, -1, dims, ids.data()}}, WHIT_INVALID, "rank -1; 2 is required");
  refused({{"input_ids", WHIT_I64, 2, dims, nullptr}}, WHIT_USAGE, "no data");
  refused({{"input_ids", WHIT_I64, 2, nullptr, ids.data()}}, WHIT_USAGE, "no dimensions");
  refused({{"input_ids", WHIT_I64, 2, dims, reinterpret_cast<char *>(ids.data()) + 4}}, WHIT_USAGE, "not aligned");
  refused({{nullptr, WHIT_I64, 2, dims, ids.data()}}, WHIT_USAGE, "no name");
  int64_t negative[2] = {1, -3}, huge[2] = {int64_t(1) << 40, int64_t(1) << 40}, none[2] = {0, 3}, much[2] = {1, 33},
          wrongTotal[2] = {1, 4}, wrongBatch[2] = {2, 3};
  refused({{"input_ids", WHIT_I64, 2, negative, ids.data()}}, WHIT_INVALID, "dimension 1 of input 'input_ids' is -3");
  refused({{"input_ids", WHIT_I64, 2, huge, ids.data()}}, WHIT_INVALID, "more than 2^63 bytes");
  refused({{"input_ids", WHIT_I64, 2, none, ids.data()}}, WHIT_INVALID,
          "dimension 0 (batch_size) of input 'input_ids' is 0; it must be from 1");
  refused({{"input_ids", WHIT_I64, 2, much, ids.data()}}, WHIT_INVALID,
          "(sequence_length) of input 'input_ids' is 33; it must be from 0 to 32");
  refused({good, {"attention_mask", WHIT_I64, 2, wrongTotal, mask.data()}}, WHIT_INVALID,
          "dimension 1 (total_sequence_length) of input 'attention_mask' is 4; 0 past and 3 new tokens make 3");
  refused({good, {"attention_mask", WHIT_I64, 2, wrongBatch, mask.data()}}, WHIT_INVALID,
          "dimension 0 (batch_size) of input 'attention_mask' is 2; dimension 0 of input 'input_ids' says it is 1");
  std::vector<float> past(1000);
  int64_t pastDims[4] = {1, kHeads, 5, kDepth}, longer[4] = {1, kHeads, 6, kDepth}, heads[4] = {1, 3, 5, kDepth},
          full[4] = {1, kHeads, kContext - 2, kDepth};
  whit_tensor key{"past.0.key", WHIT_F32, 4, pastDims, past.data()};
  refused({good, key}, WHIT_INVALID,
          "'past.0.value' is missing; 'past.0.key' is given, and past tensors are given all or none");
  refused({good, key, {"past.0.value", WHIT_F32, 4, longer, past.data()}}, WHIT_INVALID,
          "(past_sequence_length) of input 'past.0.value' is 6; dimension 2 of input 'past.0.key' says it is 5");
  refused({good, key, {"past.0.value", WHIT_F32, 4, heads, past.data()}}, WHIT_INVALID,
          "dimension 1 of input 'past.0.value' is 3; 2 is required");
  refused({good, {"past.0.key", WHIT_F32, 4, full, past.data()}, {"past.0.value", WHIT_F32, 4, full, past.data()}},
          WHIT_LIMIT, "38 past and 3 new tokens make 41; the context is 40");
  (void)maskDims;
  ids[1] = kVocabulary;
  refused({good}, WHIT_INVALID, "an index in 'input_ids'");
  ids[1] = 1;
  EXPECT_EQ(whit_session_run(session, &good, 1), WHIT_OK) << whit_message();
  whit_tensor out;
  EXPECT_EQ(whit_session_output(session, "nothing", &out), WHIT_INVALID);
}

/// A size that follows from others: the inputs must agree, before anything runs.
TEST_F(SessionTest, SizesThatFollowAreChecked) {
  Manifest manifest = testManifest();
  // total_sequence_length = 4 + (sequence_length * 6 / 2) % 9.
  manifest.symbols[2].value = {{SizeStep::Number, 4}, {SizeStep::Symbol, 1}, {SizeStep::Number, 6},
                               {SizeStep::Multiply},  {SizeStep::Number, 2}, {SizeStep::Divide},
                               {SizeStep::Number, 9}, {SizeStep::Remainder}, {SizeStep::Add}};
  ASSERT_NO_FATAL_FAILURE(open(manifest));
  std::vector<int64_t> ids(8, 1), mask(16, 1);
  auto run = [&](int64_t tokens, int64_t total) {
    int64_t dims[2] = {1, tokens}, maskDims[2] = {1, total};
    whit_tensor inputs[] = {{"input_ids", WHIT_I64, 2, dims, ids.data()},
                            {"attention_mask", WHIT_I64, 2, maskDims, mask.data()}};
    return whit_session_run(session, inputs, total ? 2 : 1);
  };
  EXPECT_EQ(run(1, 1), WHIT_INVALID);
  EXPECT_STREQ(whit_message(), "dimension 1 (total_sequence_length) of input 'attention_mask' is 1; the other inputs "
                               "make it 7: dimension 1 of input 'input_ids' is 1");
  EXPECT_EQ(run(1, 0), WHIT_INVALID);
  EXPECT_STREQ(whit_message(), "dimension 'total_sequence_length' is 1; the others make it 7");
  EXPECT_EQ(run(7, 7), WHIT_OK) << whit_message(); // 4 + 21 % 9
  EXPECT_EQ(whit_session_length(session), 7);
}

/// The symbol that no argument has is the length of the pasts, whatever the model calls it.
TEST_F(SessionTest, PastsMayHaveAnyName) {
  Manifest manifest = testManifest();
  manifest.symbols.push_back({"past_tokens", 0, std::nullopt, ""});
  manifest.symbols.push_back(
      {"past_tokens + 1", 0, 4, "", {{SizeStep::Symbol, 4}, {SizeStep::Number, 1}, {SizeStep::Add}}});
  ASSERT_NO_FATAL_FAILURE(open(manifest));
  EXPECT_EQ(run({1, 1, 1}), WHIT_OK) << whit_message();
  EXPECT_EQ(run({1, 1, 1}), WHIT_OK) << whit_message();
  EXPECT_EQ(run({1, 1, 1}), WHIT_INVALID);
  EXPECT_STREQ(whit_message(), "dimension 'past_tokens + 1' is 7; it must be from 0 to 4");
}

/// 2^32 + 1 is not token 1.
TEST_F(SessionTest, TokensThatAreNoI32AreRefused) {
  Manifest manifest = testManifest();
  manifest.arguments[0].type = ElementType::I32;
  ASSERT_NO_FATAL_FAILURE(open(manifest));
  const float *logits;
  int64_t size, tokens[] = {1, (int64_t(1) << 32) + 1};
  EXPECT_EQ(whit_session_append(session, tokens, 2, &logits, &size), WHIT_INVALID);
  EXPECT_STREQ(whit_message(), "token 4294967297, at 1, is no i32, which input 'input_ids' takes");
}

/// Expressions that leave the range of a size are refused, whatever they are.
TEST_F(SessionTest, SizesThatCannotBeAreRefused) {
  using Steps = std::vector<SizeStep>;
  for (const Steps &value :
       {Steps{{SizeStep::Number, 1}, {SizeStep::Number, 0}, {SizeStep::Divide}},
        Steps{{SizeStep::Number, kMaxDimension}, {SizeStep::Number, kMaxDimension}, {SizeStep::Multiply}},
        Steps{{SizeStep::Number, -4}, {SizeStep::Symbol, 1}, {SizeStep::Add}},
        Steps{{SizeStep::Number, -3}, {SizeStep::Symbol, 1}, {SizeStep::Minimum}},
        Steps{{SizeStep::Number, kMaxDimension},
              {SizeStep::Number, 3},
              {SizeStep::Multiply},
              {SizeStep::Symbol, 1},
              {SizeStep::Maximum}}}) {
    Manifest manifest = testManifest();
    manifest.symbols.push_back({"computed", 0, std::nullopt, "", value});
    ASSERT_NO_FATAL_FAILURE(open(manifest));
    EXPECT_EQ(run({1, 1, 1}), WHIT_INVALID);
    EXPECT_NE(std::string(whit_message()).find("dimension 'computed' would be "), std::string::npos) << whit_message();
  }
}

TEST_F(SessionTest, NullsAreRefused) {
  whit_tensor tensor;
  EXPECT_EQ(whit_module_load(nullptr, nullptr, &module), WHIT_USAGE);
  EXPECT_EQ(whit_session_create(nullptr, nullptr, &session), WHIT_USAGE);
  EXPECT_EQ(whit_session_run(nullptr, nullptr, 0), WHIT_USAGE);
  EXPECT_EQ(whit_session_run(session, nullptr, 1), WHIT_USAGE);
  EXPECT_EQ(whit_session_output(session, nullptr, &tensor), WHIT_USAGE);
  EXPECT_EQ(whit_session_output(session, "logits", &tensor), WHIT_USAGE);
  expectMessage("has not run yet");
  whit_session_options odd{1, 1};
  whit_session *other = nullptr;
  EXPECT_EQ(whit_session_create(module, &odd, &other), WHIT_USAGE);
  whit_session_options many{sizeof many, 5000};
  EXPECT_EQ(whit_session_create(module, &many, &other), WHIT_USAGE);
  whit_session_destroy(nullptr);
  whit_module_destroy(nullptr);
}

TEST_F(SessionTest, SameBitsForEveryThreadCount) {
  std::vector<int64_t> tokens{1, 9, 2, 8, 3, 7, 4, 6, 5};
  ASSERT_EQ(run(tokens), WHIT_OK);
  std::vector<float> expected = floats("logits");
  for (int threads : {1, 2, 3, 8}) {
    whit_session_options options{sizeof options, threads};
    whit_session_destroy(session);
    ASSERT_EQ(whit_session_create(module, &options, &session), WHIT_OK);
    for (int repeat = 0; repeat < 50; ++repeat) {
      ASSERT_EQ(whit_session_truncate(session, 0), WHIT_OK);
      ASSERT_EQ(run(tokens), WHIT_OK);
      ASSERT_EQ(floats("logits"), expected);
    }
  }
}

TEST_F(SessionTest, SessionsOfOneModuleRunAtOnce) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int64_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] {
      whit_session *own;
      whit_session_options options{sizeof options, 2};
      if (whit_session_create(module, &options, &own) != WHIT_OK) {
        ++wrong;
        return;
      }
      for (int repeat = 0; repeat < 20; ++repeat) {
        std::vector<int64_t> tokens{seed, seed + 1, (seed * 3) % kVocabulary};
        const float *logits;
        int64_t size;
        whit_session_truncate(own, 0);
        if (whit_session_append(own, tokens.data(), 3, &logits, &size) != WHIT_OK ||
            std::vector<float>(logits, logits + size) != expectedLogits(tokens, 2))
          ++wrong;
      }
      whit_session_destroy(own);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

struct Watch {
  whit_session *session;
  std::vector<std::pair<int32_t, int32_t>> seen;
  int64_t ids = 0;
  whit_status inside = WHIT_OK;
};

TEST_F(SessionTest, ObserverSeesRegionsAndTheirOperands) {
  Watch watch{session, {}};
  auto observer = [](void *user, int32_t region, int32_t when, void **arguments, int32_t count) {
    Watch &watch = *static_cast<Watch *>(user);
    watch.seen.push_back({region, when});
    if (region == 0 && when == 0 && count == 2)
      watch.ids = static_cast<int64_t *>(static_cast<void **>(arguments[0])[1])[1];
    std::thread([&] { watch.inside = whit_session_truncate(watch.session, 0); }).join();
  };
  ASSERT_EQ(whit_session_observe(session, observer, &watch), WHIT_OK);
  ASSERT_EQ(run({4, 17, 2}), WHIT_OK);
  EXPECT_EQ(watch.seen, (std::vector<std::pair<int32_t, int32_t>>{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
  EXPECT_EQ(watch.ids, 17);
  EXPECT_EQ(watch.inside, WHIT_USAGE); // another thread, while this one runs
  ASSERT_EQ(whit_session_observe(session, nullptr, nullptr), WHIT_OK);
  ASSERT_EQ(run({4}), WHIT_OK);
  EXPECT_EQ(watch.seen.size(), 4u);
}

TEST_F(SessionTest, ProfileNamesTheModelsNodes) {
  std::string path = folder / "trace.json";
  EXPECT_EQ(whit_session_profile_stop(session, path.c_str()), WHIT_USAGE);
  ASSERT_EQ(whit_session_profile_start(session), WHIT_OK);
  ASSERT_EQ(run({1, 2}), WHIT_OK);
  ASSERT_EQ(run({3}), WHIT_OK);
  ASSERT_EQ(whit_session_profile_stop(session, path.c_str()), WHIT_OK) << whit_message();
  nlohmann::json trace = nlohmann::json::parse(std::ifstream(path));
  int heads = 0, runs = 0;
  for (const auto &event : trace["traceEvents"]) {
    heads += event["name"] == "head" && event["args"]["nodes"][0] == "/lm_head/MatMul";
    runs += event["name"] == "run" && event["ph"] == "X";
  }
  EXPECT_EQ(heads, 2);
  EXPECT_EQ(runs, 2);
  ASSERT_EQ(whit_session_profile_start(session), WHIT_OK);
  EXPECT_EQ(whit_session_profile_stop(session, (folder / "no/such/trace.json").c_str()), WHIT_IO);
}

} // namespace
