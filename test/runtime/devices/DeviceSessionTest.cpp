// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running on a device: the model of model.c, whose kernels are the functions below. The device's addresses are of no use on the host, and it
// checks every range, so that nothing passes that would not pass on a card.
#include "../core/TestArtifact.h"

#include "runtime/core/Session.h"
#include "whit/Kernel.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

using namespace whit;
using namespace whit::testing;

namespace {

/// What a test sets and sees of its device, which the module owns.
struct DeviceLog {
  std::string architecture = "sm_80", refusedSection, failing;
  int64_t memory = 1 << 20, live = 0;
  int allocations = 0, copiesIn = 0, copiesOut = 0, waits = 0, launches = 0;
  int graphs = 0, graphsMade = 0, updates = 0, replays = 0, timers = 0;
  bool hasGraphs = true;
  std::set<uint64_t> weights; ///< addresses of the embedding in all launches
  std::vector<std::string> loaded;
};

class HostDevice : public Device {
public:
  explicit HostDevice(DeviceLog &log) : log(log) {}
  ~HostDevice() override {
    EXPECT_EQ(log.live, 0) << "memory was not freed";
    EXPECT_EQ(log.graphs, 0) << "graphs were not freed";
  }

  const std::string &message() const override { return text; }
  const std::string &name() const override { return product; }
  const std::string &architecture() const override { return log.architecture; }
  bool runs(ImageKind kind, const std::string &target) const override {
    return kind != ImageKind::Bitcode && target == log.architecture;
  }
  whit_status load(ImageKind kind, const void *bytes, size_t size, DeviceImage *image) override {
    std::string held(static_cast<const char *>(bytes), size);
    if (held == log.refusedSection)
      return failed(WHIT_REFUSED, "the image is of a newer toolkit");
    log.loaded.push_back(held);
    *image = this;
    return WHIT_OK;
  }
  whit_status find(DeviceImage image, const char *name, DeviceKernel *kernel) override {
    EXPECT_EQ(image, this);
    static std::string known[] = {"append_tiles", "head_tiles"};
    for (std::string &each : known)
      if (each == name) {
        *kernel = &each;
        return WHIT_OK;
      }
    return failed(WHIT_DEVICE, "there is no such kernel");
  }
  whit_status allocate(size_t bytes, DevicePointer *pointer) override {
    Turn turn(*this);
    if (log.live + int64_t(bytes) > log.memory)
      return failed(WHIT_LIMIT, "the card is full");
    ++log.allocations;
    log.live += int64_t(bytes);
    next += (uint64_t(bytes) + 511) / 256 * 256;
    uint64_t address = next - (uint64_t(bytes) + 511) / 256 * 256;
    blocks[address].assign(bytes, 0xff);
    *pointer = reinterpret_cast<DevicePointer>(address);
    return WHIT_OK;
  }
  void free(DevicePointer pointer) override {
    Turn turn(*this);
    if (!pointer)
      return;
    auto found = blocks.find(reinterpret_cast<uint64_t>(pointer));
    ASSERT_NE(found, blocks.end());
    log.live -= int64_t(found->second.size());
    blocks.erase(found);
  }
  whit_status copyIn(DevicePointer to, const void *from, size_t bytes) override {
    Turn turn(*this);
    ++log.copiesIn;
    std::memcpy(host(reinterpret_cast<uint64_t>(to), bytes), from, bytes);
    return WHIT_OK;
  }
  whit_status copyOut(void *to, DevicePointer from, size_t bytes) override {
    Turn turn(*this);
    ++log.copiesOut;
    if (log.failing == "copyOut")
      return failed(WHIT_DEVICE, "an illegal memory access was encountered");
    std::memcpy(to, host(reinterpret_cast<uint64_t>(from), bytes), bytes);
    return WHIT_OK;
  }
  whit_status synchronize() override {
    Turn turn(*this);
    ++log.waits;
    return WHIT_OK;
  }
  whit_status launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments, int32_t count) override {
    Turn turn(*this);
    return launchHeld(kernel, shape, arguments, count);
  }
  whit_status makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *graph) override {
    Turn turn(*this);
    if (!log.hasGraphs)
      return failed(WHIT_UNSUPPORTED, "this driver has no graphs");
    auto made = std::make_unique<std::vector<Node>>();
    for (const DeviceLaunch &each : launches)
      made->push_back(nodeOf(each));
    ++log.graphs;
    ++log.graphsMade;
    *graph = made.release();
    return WHIT_OK;
  }
  whit_status updateGraph(DeviceGraph graph, size_t index, const DeviceLaunch &launch) override {
    Turn turn(*this);
    Node &node = static_cast<std::vector<Node> *>(graph)->at(index);
    EXPECT_EQ(node.kernel, launch.kernel);
    EXPECT_EQ(node.words.size(), size_t(launch.count));
    if (log.failing == "updateGraph")
      return failed(WHIT_DEVICE, "the graph cannot be changed");
    node = nodeOf(launch);
    ++log.updates;
    return WHIT_OK;
  }
  whit_status replay(DeviceGraph graph) override {
    Turn turn(*this);
    if (log.failing == "replay")
      return failed(WHIT_DEVICE, "the graph cannot be launched");
    for (const Node &node : *static_cast<std::vector<Node> *>(graph))
      if (whit_status status = launchHeld(node.kernel, node.shape, node.words.data(), int32_t(node.words.size())))
        return status;
    ++log.replays;
    return WHIT_OK;
  }
  void freeGraph(DeviceGraph graph) override {
    Turn turn(*this);
    log.graphs -= graph != nullptr;
    delete static_cast<std::vector<Node> *>(graph);
  }
  whit_status startTimer() override {
    Turn turn(*this);
    timerStart = log.launches;
    return WHIT_OK;
  }
  whit_status stopTimer(double *microseconds) override {
    Turn turn(*this);
    ++log.timers;
    *microseconds = 10.0 * (log.launches - timerStart); // each kernel takes 10 us
    return WHIT_OK;
  }

private:
  struct Node {
    DeviceKernel kernel;
    LaunchShape shape;
    std::vector<uint64_t> words;
  };
  static Node nodeOf(const DeviceLaunch &launch) {
    return {launch.kernel, launch.shape, {launch.arguments, launch.arguments + launch.count}};
  }
  whit_status launchHeld(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments, int32_t count) {
    const std::string &name = *static_cast<std::string *>(kernel);
    if (log.failing == name)
      return failed(WHIT_DEVICE, "too many resources requested for launch");
    ++log.launches;
    if (name == "append_tiles") {
      EXPECT_EQ(count, 6);
      EXPECT_EQ(shape.block, (std::array<uint32_t, 3>{32, 2, 1}));
      log.weights.insert(arguments[1]);
      append(shape.grid[0], shape.grid[1], arguments);
    } else {
      EXPECT_EQ(count, 7);
      EXPECT_EQ(shape.sharedBytes, 128u);
      head(shape.grid[0], shape.grid[1], arguments);
    }
    return WHIT_OK;
  }

  /// One thread at a time.
  struct Turn {
    explicit Turn(HostDevice &device) : device(device) {
      EXPECT_FALSE(device.busy.test_and_set()) << "two threads use the device";
    }
    ~Turn() { device.busy.clear(); }
    HostDevice &device;
  };

  whit_status failed(whit_status status, const char *why) {
    text = why;
    return status;
  }
  uint8_t *host(uint64_t address, size_t bytes) {
    auto block = std::prev(blocks.upper_bound(address));
    uint64_t offset = address - block->first;
    EXPECT_LE(offset + bytes, block->second.size()) << "out of bounds";
    return block->second.data() + offset;
  }
  template <typename T> T &at(uint64_t base, int64_t index) {
    return *reinterpret_cast<T *>(host(base + uint64_t(index) * sizeof(T), sizeof(T)));
  }
  static int64_t keyIndex(int64_t b, int64_t h, int64_t t, int64_t d) {
    return (((b * kHeads + h) * 3 + t / 16) * kDepth + d) * 16 + t % 16;
  }
  static int64_t valueIndex(int64_t b, int64_t h, int64_t t, int64_t d) {
    return ((b * kHeads + h) * kContext + t) * kDepth + d;
  }

  void append(int64_t sequence, int64_t batch, const uint64_t *a) {
    int64_t past = int64_t(a[5]);
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t t = 0; t < sequence; ++t) {
        int64_t id = at<int64_t>(a[0], b * sequence + t);
        if (id < 0 || id >= kVocabulary) {
          at<int32_t>(a[4], 0) = WHIT_CHECK_INDEX;
          continue;
        }
        for (int64_t h = 0; h < kHeads; ++h)
          for (int64_t d = 0; d < kDepth; ++d) {
            float number = at<float>(a[1], id * kDepth + d);
            at<float>(a[2], keyIndex(b, h, past + t, d)) = number;
            at<float>(a[3], valueIndex(b, h, past + t, d)) = number + float(past + t);
          }
      }
  }
  void head(int64_t rows, int64_t batch, const uint64_t *a) {
    int64_t total = int64_t(a[6]);
    at<uint8_t>(a[5], 0) = 1; // the workspace
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t v = 0; v < kVocabulary; ++v) {
          float sum = at<uint8_t>(a[3], 0);
          for (int64_t t = 0; t <= total - rows + r; ++t)
            for (int64_t h = 0; h < kHeads; ++h)
              if (at<int64_t>(a[0], b * total + t))
                sum += at<float>(a[1], keyIndex(b, h, t, v % kDepth)) * float(v + 1) +
                       at<float>(a[2], valueIndex(b, h, t, v % kDepth));
          at<float>(a[4], (b * rows + r) * kVocabulary + v) = sum;
        }
  }

  DeviceLog &log;
  std::string text, product = "Host GPU";
  std::map<uint64_t, std::vector<uint8_t>> blocks;
  uint64_t next = uint64_t(1) << 60; // where no host has memory
  int timerStart = 0;
  std::atomic_flag busy;
};

std::span<const uint8_t> bytesOf(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

class DeviceSessionTest : public ::testing::Test {
protected:
  Manifest manifestFor(std::vector<std::string> kernels = {"append_tiles", "head_tiles"}) {
    Manifest manifest = testManifest();
    Variant variant{"sm_80", {}, "main__gpu", "main_sizes__v0", "sm_80", {}, {}};
    variant.images = {{ImageKind::Cubin, "sm_80", ".whit.gpu.0", int64_t(cubin.size())},
                      {ImageKind::Ptx, "sm_80", ".whit.gpu.1", int64_t(ptx.size())}};
    for (const std::string &name : kernels)
      variant.kernels.push_back({name});
    manifest.variants = {variant};
    return manifest;
  }
  void write(const Manifest &manifest, std::vector<uint8_t> weights = testWeights()) {
    writeArtifact(folder, false, true, manifest, std::move(weights),
                  {{".whit.gpu.0", bytesOf(cubin), 64}, {".whit.gpu.1", bytesOf(ptx), 64}});
  }
  whit_status load(const char *device = "cuda:0", const char *target = nullptr) {
    whit_load_options options{sizeof options, WHIT_TRUST_STORE, WHIT_VERIFY_LAZY, target, device};
    return Module::load((folder / "model.so").string(), options, module, std::make_unique<HostDevice>(log));
  }
  void open() {
    write(manifestFor());
    ASSERT_EQ(load(), WHIT_OK) << message();
    session = std::make_unique<Session>(*module, 1);
  }
  whit_status run(Session &in, const std::vector<int64_t> &tokens, int64_t batch = 1, bool mayGrow = true) {
    int64_t dims[2] = {batch, int64_t(tokens.size()) / batch};
    whit_tensor input{"input_ids", WHIT_I64, 2, dims, const_cast<int64_t *>(tokens.data())};
    return mayGrow ? in.run(&input, 1) : in.execute(&input, 1);
  }
  std::vector<float> floats(Session &in, const char *name) {
    whit_tensor tensor{};
    EXPECT_EQ(in.output(name, &tensor), WHIT_OK) << message();
    int64_t count = 1;
    for (int32_t i = 0; i < tensor.rank; ++i)
      count *= tensor.dims[i];
    const float *data = static_cast<const float *>(tensor.data);
    return data ? std::vector<float>(data, data + count) : std::vector<float>();
  }
  static void expectMessage(const char *part) {
    EXPECT_NE(std::string(message()).find(part), std::string::npos) << message() << "\n  expected: " << part;
  }

  std::string cubin = "the cubin", ptx = "the PTX";
  DeviceLog log;
  TestFolder folder;
  std::unique_ptr<Module> module;
  std::unique_ptr<Session> session;
};

TEST_F(DeviceSessionTest, PromptAndTokens) {
  open();
  EXPECT_EQ(log.loaded, std::vector<std::string>{cubin});
  std::vector<int64_t> tokens{3, 1, 4, 1, 5};
  ASSERT_EQ(run(*session, tokens), WHIT_OK) << message();
  std::vector<float> logits = floats(*session, "logits");
  ASSERT_EQ(logits.size(), size_t(5 * kVocabulary));
  for (int64_t p = 0; p < 5; ++p)
    EXPECT_EQ(std::vector<float>(logits.begin() + p * kVocabulary, logits.begin() + (p + 1) * kVocabulary),
              expectedLogits(tokens, p));
  for (int64_t next = 0; next < 20; ++next) { // across blocks of the cache
    int64_t token = (next * 7) % kVocabulary, size;
    tokens.push_back(token);
    const float *row;
    ASSERT_EQ(session->append(&token, 1, &row, &size), WHIT_OK) << message();
    EXPECT_EQ(std::vector<float>(row, row + size), expectedLogits(tokens, int64_t(tokens.size()) - 1));
  }
  EXPECT_EQ(session->length(), 25);
}

TEST_F(DeviceSessionTest, PastsGoInAndOut) {
  open();
  std::vector<int64_t> tokens{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3};
  ASSERT_EQ(run(*session, tokens), WHIT_OK) << message();
  std::vector<float> keys = floats(*session, "present.0.key"), values = floats(*session, "present.0.value");
  ASSERT_EQ(values.size(), size_t(kHeads * 18 * kDepth));
  for (int64_t t = 0; t < 18; ++t)
    EXPECT_EQ(values[size_t((18 + t) * kDepth + 2)], embedding(tokens[size_t(t)], 2) + float(t));

  Session other(*module, 1);
  int64_t dims[4] = {1, kHeads, 18, kDepth};
  whit_tensor pasts[] = {{"past.0.key", WHIT_F32, 4, dims, keys.data()},
                         {"past.0.value", WHIT_F32, 4, dims, values.data()}};
  ASSERT_EQ(other.importPasts(pasts, 2), WHIT_OK) << message();
  EXPECT_EQ(floats(other, "present.0.key"), keys);
  tokens.push_back(7);
  const float *row;
  int64_t token = 7, size;
  ASSERT_EQ(other.append(&token, 1, &row, &size), WHIT_OK) << message();
  EXPECT_EQ(std::vector<float>(row, row + size), expectedLogits(tokens, 18));
}

TEST_F(DeviceSessionTest, ReservedSessionsTakeNoMore) {
  open();
  whit_dim dims[] = {{"sequence_length", 8}, {"total_sequence_length", 40}};
  ASSERT_EQ(session->reserve(dims, 2), WHIT_OK) << message();
  int allocations = log.allocations, copies = log.copiesIn;
  ASSERT_EQ(run(*session, {1, 2, 3, 4, 5, 6, 7, 8}, 1, false), WHIT_OK) << message();
  EXPECT_EQ(log.allocations, allocations);
  EXPECT_EQ(log.copiesIn, copies + 3) << "ids, mask, status: constants were there before";
  EXPECT_EQ(log.copiesOut, 1) << "the status alone: outputs are copied when somebody asks for them";
  floats(*session, "logits");
  floats(*session, "logits");
  EXPECT_EQ(log.copiesOut, 2);
  ASSERT_EQ(run(*session, {1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, false), WHIT_NEEDS_RESERVE);
  EXPECT_EQ(log.launches, 2);
  whit_dim more[] = {{"sequence_length", 32}};
  std::vector<float> before = floats(*session, "logits");
  ASSERT_EQ(run(*session, {1, 2}, 1), WHIT_OK);
  ASSERT_EQ(session->reserve(more, 1), WHIT_OK) << message(); // the result is not lost with its buffer
  EXPECT_EQ(floats(*session, "logits").size(), size_t(2 * kVocabulary));
  std::vector<int64_t> tokens{1, 2, 3, 4, 5, 6, 7, 8, 1, 2};
  std::vector<float> last = floats(*session, "logits");
  EXPECT_EQ(std::vector<float>(last.begin() + kVocabulary, last.end()), expectedLogits(tokens, 9));
}

TEST_F(DeviceSessionTest, ConstantsAreSharedAndVerifiedFirst) {
  open();
  ASSERT_EQ(run(*session, {1, 2, 3}), WHIT_OK);
  int allocations = log.allocations;
  Session second(*module, 1);
  ASSERT_EQ(run(second, {1, 2, 3}), WHIT_OK);
  EXPECT_EQ(log.allocations, allocations * 2 - 2) << "a second session has all but the two constants";
  EXPECT_EQ(floats(second, "logits"), floats(*session, "logits"));
}

TEST_F(DeviceSessionTest, DamagedWeightsStayHere) {
  write(manifestFor());
  std::vector<uint8_t> weights = readBytes(folder / "model.safetensors");
  weights.back() ^= 1;
  writeBytes(folder / "model.safetensors", weights);
  EXPECT_EQ(load(), WHIT_REFUSED);
  expectMessage("are damaged between bytes");
  EXPECT_EQ(log.copiesIn, 0);
}

TEST_F(DeviceSessionTest, FailuresAreKept) {
  log.hasGraphs = false; // so that they have the names of kernels
  open();
  ASSERT_EQ(run(*session, {1, 2, 3}), WHIT_OK);
  log.failing = "append_tiles";
  int launches = log.launches;
  EXPECT_EQ(run(*session, {4}), WHIT_DEVICE);
  expectMessage("device 'cuda:0': kernel 'append_tiles': too many resources requested for launch");
  EXPECT_EQ(log.launches, launches) << "what follows a failure is dropped";
  log.failing = "copyOut";
  EXPECT_EQ(run(*session, {4}), WHIT_DEVICE);
  expectMessage("device 'cuda:0': an illegal memory access was encountered");
  EXPECT_EQ(session->length(), 3);
  log.failing.clear();
  EXPECT_EQ(run(*session, {1, 99}), WHIT_INVALID);
  expectMessage("an index in 'input_ids'");
  EXPECT_EQ(session->length(), 3);
  ASSERT_EQ(run(*session, {4}), WHIT_OK) << message(); // the word of the failed run is gone
  EXPECT_EQ(floats(*session, "logits"), expectedLogits({1, 2, 3, 4}, 3));
}

TEST_F(DeviceSessionTest, MemoryRunsOut) {
  log.memory = 1000;
  open();
  EXPECT_EQ(run(*session, {1, 2, 3}), WHIT_LIMIT);
  expectMessage("device 'cuda:0': no memory for ");
  expectMessage(" bytes: the card is full");
  log.memory = 4000; // room for buffers, not for constants
  EXPECT_EQ(run(*session, {1, 2, 3}), WHIT_LIMIT);
  expectMessage("no memory for a constant of ");
  log.memory = 1 << 20;
  ASSERT_EQ(run(*session, {1, 2, 3}), WHIT_OK) << message();
  std::vector<float> logits = floats(*session, "logits");
  EXPECT_EQ(std::vector<float>(logits.end() - kVocabulary, logits.end()), expectedLogits({1, 2, 3}, 2));
}

TEST_F(DeviceSessionTest, DecodeStepsAreGraphs) {
  open();
  std::vector<int64_t> tokens{3, 1, 4, 1, 5};
  ASSERT_EQ(run(*session, tokens), WHIT_OK) << message();
  EXPECT_EQ(log.graphsMade, 0) << "what runs once is not worth one";
  whit_device_run seen{};
  seen.struct_size = sizeof seen;
  for (int64_t next = 0; next < 30; ++next) { // buffers grow in between
    int64_t token = (next * 7) % kVocabulary, size;
    tokens.push_back(token);
    const float *row;
    ASSERT_EQ(session->append(&token, 1, &row, &size), WHIT_OK) << message();
    EXPECT_EQ(std::vector<float>(row, row + size), expectedLogits(tokens, int64_t(tokens.size()) - 1));
    ASSERT_EQ(session->deviceRun(seen), WHIT_OK);
    EXPECT_EQ(seen.kernels, 2);
    EXPECT_EQ(seen.is_graph, 1);
    EXPECT_STREQ(seen.note, "");
    EXPECT_LT(seen.microseconds, 0) << "nobody asked for it";
  }
  EXPECT_EQ(log.graphsMade, 1) << "a longer past changes arguments, not the graph";
  EXPECT_EQ(log.replays, 30);
  EXPECT_LE(log.updates, 2 * 29);
  EXPECT_GE(log.updates, 29);
  EXPECT_STREQ(seen.product, "Host GPU");
}

TEST_F(DeviceSessionTest, DriversWithoutGraphs) {
  log.hasGraphs = false;
  open();
  std::vector<int64_t> tokens;
  for (int64_t next = 0; next < 4; ++next) {
    tokens.push_back(next);
    ASSERT_EQ(run(*session, {next}), WHIT_OK) << message();
    EXPECT_EQ(floats(*session, "logits"), expectedLogits(tokens, next));
  }
  whit_device_run seen{};
  seen.struct_size = sizeof seen;
  ASSERT_EQ(session->deviceRun(seen), WHIT_OK);
  EXPECT_EQ(seen.is_graph, 0);
  EXPECT_STREQ(seen.note, "device 'cuda:0': kernels are launched one by one: this driver has no graphs");
}

TEST_F(DeviceSessionTest, GraphsThatCannotBeChanged) {
  open();
  std::vector<int64_t> tokens;
  for (int64_t next = 0; next < 6; ++next) {
    if (next == 3)
      log.failing = "updateGraph";
    tokens.push_back(next);
    ASSERT_EQ(run(*session, {next}), WHIT_OK) << message();
    EXPECT_EQ(floats(*session, "logits"), expectedLogits(tokens, next));
  }
  EXPECT_EQ(log.replays, 2);
  whit_device_run seen{};
  seen.struct_size = sizeof seen;
  ASSERT_EQ(session->deviceRun(seen), WHIT_OK);
  EXPECT_EQ(seen.is_graph, 0);
  EXPECT_NE(std::string(seen.note).find("the graph cannot be changed"), std::string::npos) << seen.note;
  log.failing.clear();

  Session other(*module, 1);
  ASSERT_EQ(run(other, {1}), WHIT_OK);
  log.failing = "replay";
  EXPECT_EQ(run(other, {2}), WHIT_DEVICE);
  expectMessage("device 'cuda:0': a graph of 2 kernels: the graph cannot be launched");
  EXPECT_EQ(other.length(), 1);
}

TEST_F(DeviceSessionTest, TimesWithRotatedWeights) {
  open();
  ASSERT_EQ(run(*session, {1, 2, 3}), WHIT_OK);
  std::vector<float> first = floats(*session, "logits");
  int64_t weights = kVocabulary * kDepth * 4 + kPanels * kPanelBytes;
  ASSERT_EQ(session->timeDevice(4, 3 * weights), WHIT_OK) << message();
  log.weights.clear();
  log.launches = 0;
  session->truncate(0);
  ASSERT_EQ(run(*session, {1, 2, 3}), WHIT_OK) << message();
  EXPECT_EQ(floats(*session, "logits"), first) << "all copies hold the same";
  whit_device_run seen{};
  seen.struct_size = sizeof seen;
  ASSERT_EQ(session->deviceRun(seen), WHIT_OK);
  EXPECT_EQ(seen.copies, 3);
  EXPECT_EQ(seen.repeat, 6) << "each copy has two turns";
  EXPECT_EQ(seen.kernels, 2);
  EXPECT_EQ(seen.is_graph, 1);
  EXPECT_EQ(log.launches, 12);
  EXPECT_EQ(log.weights.size(), 3u) << "repetitions take turns with the copies";
  EXPECT_EQ(seen.microseconds, 20) << "of one repetition";
  ASSERT_EQ(session->timeDevice(0, 0), WHIT_OK);
  ASSERT_EQ(run(*session, {4}), WHIT_OK);
  EXPECT_EQ(log.timers, 1);
  EXPECT_EQ(session->timeDevice(-1, 0), WHIT_USAGE);
  writeArtifact(folder); // one for the CPU
  session.reset();
  module.reset();
  ASSERT_EQ(load("cpu"), WHIT_OK) << message();
  session = std::make_unique<Session>(*module, 1);
  EXPECT_EQ(session->timeDevice(1, 0), WHIT_USAGE);
  expectMessage("the model runs on the CPU");
}

TEST_F(DeviceSessionTest, ImagesAreTriedInOrder) {
  write(manifestFor());
  log.refusedSection = cubin;
  ASSERT_EQ(load(), WHIT_OK) << message();
  EXPECT_EQ(log.loaded, std::vector<std::string>{ptx});
  EXPECT_EQ(module->variant->target, "sm_80");
  module.reset();

  log.architecture = "sm_90";
  EXPECT_EQ(load(), WHIT_DEVICE);
  expectMessage("device 'cuda:0' (Host GPU) is of architecture sm_90, which takes none of the images of artifact");
  expectMessage("cubin for sm_80, ptx for sm_80; compile it with --target=sm_90");
  EXPECT_EQ(load("cuda:0", "sm_70"), WHIT_DEVICE);
  expectMessage("has no kernels for target sm_70; it is compiled for sm_80");

  log.architecture = "sm_80";
  write(manifestFor({"append_tiles", "no_such_kernel"}));
  EXPECT_EQ(load(), WHIT_REFUSED);
  expectMessage("kernel 'no_such_kernel' of its image cannot be used: there is no such kernel");
}

TEST_F(DeviceSessionTest, GpusAndTheCpuAreNotMixedUp) {
  write(manifestFor());
  for (const char *device : {static_cast<const char *>(nullptr), "cpu"}) {
    EXPECT_EQ(load(device), WHIT_REFUSED);
    expectMessage("has code for GPUs alone (sm_80); run it with --device=cuda:0");
  }
  writeArtifact(folder);
  EXPECT_EQ(load(), WHIT_DEVICE);
  expectMessage("has no kernels for devices like cuda:0; it is compiled for future, x86-64");
}

TEST_F(DeviceSessionTest, LaunchesThatTheArtifactDoesNotHave) {
  write(manifestFor({"append_tiles"}));
  ASSERT_EQ(load(), WHIT_OK);
  session = std::make_unique<Session>(*module, 1);
  EXPECT_EQ(run(*session, {1}), WHIT_BUG);
  expectMessage("compiled code launches kernel 1; the artifact has 1");
}

TEST_F(DeviceSessionTest, Watching) {
  open();
  EXPECT_EQ(session->observe([](void *, int32_t, int32_t, void **, int32_t) {}, nullptr), WHIT_UNSUPPORTED);
  expectMessage("tensors on device 'cuda:0' cannot be watched");
  EXPECT_EQ(session->observe(nullptr, nullptr), WHIT_OK);
  ASSERT_EQ(run(*session, {1}), WHIT_OK);
  EXPECT_EQ(log.waits, 0);
  ASSERT_EQ(session->startProfile(), WHIT_OK);
  ASSERT_EQ(run(*session, {1}), WHIT_OK);
  EXPECT_EQ(log.waits, 2) << "a region's time is that of its kernels";
  EXPECT_EQ(session->stopProfile((folder / "trace.json").c_str()), WHIT_OK);
}

TEST_F(DeviceSessionTest, SessionsTakeTurns) {
  open();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int64_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] {
      Session own(*module, 1);
      std::vector<int64_t> tokens{seed, seed + 1, seed * 3};
      for (int repeat = 0; repeat < 20; ++repeat) {
        const float *row;
        int64_t size;
        own.truncate(0);
        if (own.append(tokens.data(), 3, &row, &size) != WHIT_OK ||
            std::vector<float>(row, row + size) != expectedLogits(tokens, 2))
          ++wrong;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

} // namespace
