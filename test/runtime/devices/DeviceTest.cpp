// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Devices by name: drivers that are there, old, empty, out of memory, or failing. The drivers are libraries of ours (cuda.c, hip.c) with the
// entries of the real ones.
#include "fake.h"

#include "runtime/core/Status.h"
#include "runtime/devices/OpenDevice.h"

#include <gtest/gtest.h>

#include <cstring>
#include <dlfcn.h>
#include <numeric>

using namespace whit;

namespace {

struct Driver {
  const char *name, *file;
  int version, oldVersion;
  const char *tooOld, *copyOut, *launch, *loading;
  ImageKind kind;
  const char *image, *outOfMemory, *setNode;
};

const Driver kDrivers[] = {{"cuda", WHIT_FAKE_CUDA, 12040, 11080, "is for CUDA 11.8; one for 12.0 or newer is required",
                            "cuMemcpyDtoH_v2", "cuLaunchKernel", "cuModuleLoadDataEx", ImageKind::Ptx, "sm_80",
                            "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory", "cuGraphExecKernelNodeSetParams_v2"},
                           {"hip", WHIT_FAKE_HIP, 60240000, 50700000, "is of ROCm 5.7; 6.0 or newer is required",
                            "hipMemcpyDtoH", "hipModuleLaunchKernel", "hipModuleLoadData", ImageKind::Hsaco, "gfx942",
                            "hipErrorOutOfMemory (2): out of memory", "hipGraphExecKernelNodeSetParams"}};

class DeviceTest : public ::testing::TestWithParam<Driver> {
protected:
  void SetUp() override {
    library = dlopen(GetParam().file, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    fake = static_cast<FakeDriver *>(dlsym(library, "fake"));
    ASSERT_TRUE(fake);
    *fake = {};
    fake->devices = 2;
    fake->version = GetParam().version;
    fake->major = 8;
    fake->minor = 9;
    fake->memory = 1 << 20;
    fake->product = "Test GPU";
    fake->architecture = "gfx942:sramecc+:xnack-";
  }
  void TearDown() override {
    device.reset();
    dlclose(library);
  }
  whit_status open(int number) {
    const std::string file = GetParam().file;
    return openDevice(std::string(GetParam().name) + ":" + std::to_string(number), device, {&file, 1});
  }
  void fails(const char *function, int error) {
    fake->failing = function;
    fake->error = error;
  }

  static void expectPart(const std::string &text, const char *part) {
    EXPECT_NE(text.find(part), text.npos) << text << "\n  expected: " << part;
  }

  void *library = nullptr;
  FakeDriver *fake = nullptr;
  std::unique_ptr<Device> device;
};

INSTANTIATE_TEST_SUITE_P(Drivers, DeviceTest, ::testing::ValuesIn(kDrivers),
                         [](const auto &info) { return std::string(info.param.name); });

TEST_P(DeviceTest, RunsKernels) {
  ASSERT_EQ(open(1), WHIT_OK) << message();
  EXPECT_EQ(device->name(), "Test GPU 1");
  EXPECT_EQ(device->architecture(), GetParam().kind == ImageKind::Ptx ? "sm_89" : "gfx942");
  DeviceImage image;
  DeviceKernel kernel;
  std::string text = "kernelsXXX"; // only 7 bytes are the image's, and no NUL follows them
  ASSERT_EQ(device->load(GetParam().kind, text.data(), GetParam().kind == ImageKind::Ptx ? 7 : 11, &image), WHIT_OK);
  EXPECT_STREQ(fake->image, GetParam().kind == ImageKind::Ptx ? "kernels" : "kernelsXXX");
  ASSERT_EQ(device->find(image, "add", &kernel), WHIT_OK);
  std::vector<int64_t> numbers(100), result(100);
  std::iota(numbers.begin(), numbers.end(), 0);
  DevicePointer in, out;
  ASSERT_EQ(device->allocate(800, &in), WHIT_OK);
  ASSERT_EQ(device->allocate(800, &out), WHIT_OK);
  ASSERT_EQ(device->copyIn(in, numbers.data(), 800), WHIT_OK);
  uint64_t arguments[] = {reinterpret_cast<uint64_t>(in), reinterpret_cast<uint64_t>(out), 100};
  LaunchShape shape{{4, 3, 2}, {32, 2, 1}, 1000};
  for (int round = 0; round < 2; ++round)
    ASSERT_EQ(device->launch(kernel, shape, arguments, 3), WHIT_OK) << device->message();
  ASSERT_EQ(device->synchronize(), WHIT_OK);
  ASSERT_EQ(device->copyOut(result.data(), out, 800), WHIT_OK);
  for (int64_t i = 0; i < 100; ++i)
    ASSERT_EQ(result[size_t(i)], i + 100);
  unsigned seen[7] = {4, 3, 2, 32, 2, 1, 1000};
  EXPECT_EQ(std::memcmp(fake->shape, seen, sizeof seen), 0);
  EXPECT_EQ(fake->launches, 2);
  EXPECT_EQ(fake->sharedAllowed, 0);
  shape.sharedBytes = 100000; // more than a launch may add without being allowed to
  ASSERT_EQ(device->launch(kernel, shape, arguments, 3), WHIT_OK);
  EXPECT_EQ(fake->sharedAllowed, GetParam().kind == ImageKind::Ptx ? 100000 : 0);
  device->free(in);
  device->free(out);
  device->free(nullptr);
  device.reset();
  EXPECT_EQ(fake->unloaded, 1);
  EXPECT_EQ(fake->contexts, 0);
}

TEST_P(DeviceTest, ReplaysGraphs) {
  ASSERT_EQ(open(0), WHIT_OK) << message();
  DeviceImage image;
  DeviceKernel kernel;
  ASSERT_EQ(device->load(GetParam().kind, "kernels", 8, &image), WHIT_OK);
  ASSERT_EQ(device->find(image, "add", &kernel), WHIT_OK);
  DevicePointer places[3];
  for (DevicePointer &place : places)
    ASSERT_EQ(device->allocate(80, &place), WHIT_OK);
  auto word = [&](int place) { return reinterpret_cast<uint64_t>(places[place]); };
  // out = (in + n) + n: wrong if the second does not run behind the first.
  uint64_t words[2][3] = {{word(0), word(1), 10}, {word(1), word(2), 10}};
  LaunchShape shape{{4, 3, 2}, {32, 2, 1}, 100000};
  auto runs = [&](DeviceGraph graph, int64_t n) {
    std::vector<int64_t> numbers(10), result(10);
    std::iota(numbers.begin(), numbers.end(), 0);
    EXPECT_EQ(device->copyIn(places[0], numbers.data(), 80), WHIT_OK);
    EXPECT_EQ(device->replay(graph), WHIT_OK) << device->message();
    EXPECT_EQ(device->copyOut(result.data(), places[2], 80), WHIT_OK);
    for (int64_t i = 0; i < n; ++i)
      EXPECT_EQ(result[size_t(i)], i + 2 * n);
  };
  DeviceLaunch launches[] = {{kernel, shape, words[0], 3}, {kernel, shape, words[1], 3}};
  DeviceGraph graph;
  ASSERT_EQ(device->makeGraph(launches, &graph), WHIT_OK) << device->message();
  EXPECT_EQ(fake->launches, 0);
  EXPECT_EQ(fake->sharedAllowed, GetParam().kind == ImageKind::Ptx ? 100000 : 0);
  words[0][2] = words[1][2] = 0; // the graph has its own
  runs(graph, 10);
  words[0][2] = words[1][2] = 7;
  launches[1].shape.grid[0] = 9;
  ASSERT_EQ(device->updateGraph(graph, 0, launches[0]), WHIT_OK);
  ASSERT_EQ(device->updateGraph(graph, 1, launches[1]), WHIT_OK);
  runs(graph, 7);
  EXPECT_EQ(fake->launches, 0);
  EXPECT_EQ(fake->replays, 2);
  unsigned seen[7] = {9, 3, 2, 32, 2, 1, 100000};
  EXPECT_EQ(std::memcmp(fake->shape, seen, sizeof seen), 0);

  double microseconds = 0;
  ASSERT_EQ(device->startTimer(), WHIT_OK);
  ASSERT_EQ(device->replay(graph), WHIT_OK);
  ASSERT_EQ(device->stopTimer(&microseconds), WHIT_OK);
  EXPECT_EQ(microseconds, 3000) << "two kernels and an event, each a millisecond of the false clock";

  fails(GetParam().setNode, 801);
  EXPECT_EQ(device->updateGraph(graph, 0, launches[0]), WHIT_DEVICE);
  expectPart(device->message(), "changing a graph on Test GPU 0 fails: ");
  device->freeGraph(graph);
  device->freeGraph(nullptr);
  EXPECT_EQ(fake->graphs, 0);
  EXPECT_EQ(fake->executables, 0);
  for (DevicePointer place : places)
    device->free(place);
  device.reset();
  EXPECT_EQ(fake->events, 0);
}

TEST_P(DeviceTest, GraphsThatCannotBeMade) {
  ASSERT_EQ(open(0), WHIT_OK) << message();
  DeviceImage image;
  DeviceKernel kernel;
  ASSERT_EQ(device->load(GetParam().kind, "kernels", 8, &image), WHIT_OK);
  ASSERT_EQ(device->find(image, "add", &kernel), WHIT_OK);
  uint64_t words[3] = {};
  DeviceLaunch launch{kernel, {}, words, 3};
  DeviceGraph graph = nullptr;
  bool isCuda = GetParam().kind == ImageKind::Ptx;
  for (const char *function :
       {isCuda ? "cuGraphCreate" : "hipGraphCreate", isCuda ? "cuGraphAddKernelNode_v2" : "hipGraphAddKernelNode",
        isCuda ? "cuGraphInstantiateWithFlags" : "hipGraphInstantiateWithFlags"}) {
    fails(function, 801);
    EXPECT_EQ(device->makeGraph({&launch, 1}, &graph), WHIT_DEVICE) << function;
    expectPart(device->message(), " a graph");
    expectPart(device->message(), " on Test GPU 0 fails: ");
    expectPart(device->message(), "(801)");
    EXPECT_EQ(fake->graphs, 0) << "nothing is left of one";
  }
}

TEST(OldDriver, HasNoGraphs) {
  void *library = dlopen(WHIT_FAKE_OLD, RTLD_NOW | RTLD_LOCAL);
  ASSERT_TRUE(library) << dlerror();
  FakeDriver &fake = *static_cast<FakeDriver *>(dlsym(library, "fake"));
  fake = {};
  fake.devices = 1;
  fake.version = 60000000;
  fake.product = "Old GPU";
  fake.architecture = "gfx90a";
  const std::string file = WHIT_FAKE_OLD;
  std::unique_ptr<Device> device;
  ASSERT_EQ(openDevice("hip", device, {&file, 1}), WHIT_OK) << message();
  DeviceGraph graph = nullptr;
  EXPECT_EQ(device->makeGraph({}, &graph), WHIT_UNSUPPORTED);
  EXPECT_EQ(device->message(), "the driver of Old GPU 0 has no graphs; install a newer one");
  device.reset();
  dlclose(library);
}

TEST_P(DeviceTest, SaysWhichImagesRun) {
  ASSERT_EQ(open(0), WHIT_OK) << message();
  if (GetParam().kind == ImageKind::Hsaco) {
    EXPECT_TRUE(device->runs(ImageKind::Hsaco, "gfx942"));
    EXPECT_FALSE(device->runs(ImageKind::Hsaco, "gfx90a"));
    EXPECT_FALSE(device->runs(ImageKind::Bitcode, "gfx942"));
    return;
  }
  for (auto [kind, target, runs] :
       std::initializer_list<std::tuple<ImageKind, const char *, bool>>{{ImageKind::Ptx, "sm_80", true},
                                                                        {ImageKind::Ptx, "sm_89", true},
                                                                        {ImageKind::Ptx, "sm_90", false},
                                                                        {ImageKind::Ptx, "sm_75", true},
                                                                        {ImageKind::Cubin, "sm_80", true},
                                                                        {ImageKind::Cubin, "sm_89", true},
                                                                        {ImageKind::Cubin, "sm_75", false},
                                                                        {ImageKind::Cubin, "sm_90", false},
                                                                        {ImageKind::Ptx, "sm_80a", false},
                                                                        {ImageKind::Ptx, "sm_89a", true},
                                                                        {ImageKind::Ptx, "sm_80f", true},
                                                                        {ImageKind::Ptx, "sm_75f", false},
                                                                        {ImageKind::Bitcode, "sm_89", false},
                                                                        {ImageKind::Hsaco, "sm_89", false},
                                                                        {ImageKind::Ptx, "gfx942", false},
                                                                        {ImageKind::Ptx, "sm_", false},
                                                                        {ImageKind::Ptx, "sm_80x", false}})
    EXPECT_EQ(device->runs(kind, target), runs) << int(kind) << " " << target;
}

TEST_P(DeviceTest, NoDriver) {
  const std::string missing[] = {"/nowhere/libone.so", "/nowhere/libtwo.so"};
  EXPECT_EQ(openDevice(GetParam().name, device, missing), WHIT_DEVICE);
  expectPart(message(), "cannot open /nowhere/libone.so, /nowhere/libtwo.so (/nowhere/libtwo.so: cannot open shared");
  expectPart(message(), "install ");
  const std::string other = WHIT_TEST_MODEL; // a library, but of no driver
  EXPECT_EQ(openDevice(GetParam().name, device, {&other, 1}), WHIT_DEVICE);
  expectPart(message(), GetParam().kind == ImageKind::Ptx ? "has no cuInit, cuDriverGetVersion"
                                                          : "has no hipRuntimeGetVersion, hipInit");
  EXPECT_EQ(device, nullptr);
}

TEST_P(DeviceTest, DriversThatCannotBeUsed) {
  fake->version = GetParam().oldVersion;
  EXPECT_EQ(open(0), WHIT_DEVICE);
  expectPart(message(), GetParam().tooOld);
  fake->version = GetParam().version;
  EXPECT_EQ(open(2), WHIT_DEVICE);
  expectPart(message(), "there is no device");
  expectPart(message(), "finds 2");
  fails(GetParam().kind == ImageKind::Ptx ? "cuInit" : "hipInit", 100);
  EXPECT_EQ(open(0), WHIT_DEVICE);
  expectPart(message(), "does not start: ");
  expectPart(message(), "(100)");
}

TEST_P(DeviceTest, FailuresOfCalls) {
  ASSERT_EQ(open(0), WHIT_OK) << message();
  DevicePointer memory = nullptr;
  EXPECT_EQ(device->allocate(5 << 20, &memory), WHIT_LIMIT);
  expectPart(device->message(), "allocating 5242880 bytes on Test GPU 0 fails: ");
  expectPart(device->message(), GetParam().outOfMemory);

  DeviceImage image;
  fake->log = "ptxas fatal: line 7: unknown instruction 'mna'";
  fails(GetParam().loading, 218);
  EXPECT_EQ(device->load(GetParam().kind, "x", 2, &image), WHIT_REFUSED);
  expectPart(device->message(), "loading the kernels on Test GPU 0 fails");
  if (GetParam().kind == ImageKind::Ptx)
    expectPart(device->message(), "CUDA_ERROR_INVALID_PTX (218): unknown; it says: ptxas fatal: line 7");
  fake->failing = nullptr;
  ASSERT_EQ(device->load(GetParam().kind, "x", 2, &image), WHIT_OK);

  DeviceKernel kernel;
  EXPECT_EQ(device->find(image, "subtract", &kernel), WHIT_DEVICE);
  expectPart(device->message(), "finding kernel subtract");
  ASSERT_EQ(device->find(image, "add", &kernel), WHIT_OK);
  fails(GetParam().launch, 1);
  EXPECT_EQ(device->launch(kernel, {}, nullptr, 0), WHIT_DEVICE);
  expectPart(device->message(), "launching a kernel");

  // A fault of a kernel is found by what waits for it.
  fails(GetParam().copyOut, 700);
  ASSERT_EQ(device->allocate(8, &memory), WHIT_OK);
  int64_t result;
  EXPECT_EQ(device->copyOut(&result, memory, 8), WHIT_DEVICE);
  expectPart(device->message(), "copying 8 bytes from the device on Test GPU 0 fails");
  expectPart(device->message(), "(700)");
  fake->failing = nullptr;
  device->free(memory);
}

TEST(OpenDevice, NamesOfNoDevice) {
  std::unique_ptr<Device> device;
  for (const char *name :
       {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:0x1", "hip:1 ", "sim", "sim:", "cudas:0", "CUDA:0"}) {
    EXPECT_EQ(openDevice(name, device), WHIT_USAGE) << name;
    EXPECT_NE(std::string(message()).find("it must be cpu, cuda:N, hip:N or sim:TARGET"), std::string::npos)
        << message();
  }
}

TEST(OpenDevice, NoSimulator) {
  std::unique_ptr<Device> device;
  const std::string missing = "/nowhere/libWhitSim.so", other = WHIT_TEST_MODEL;
  EXPECT_EQ(openDevice("sim:sm_80", device, {&missing, 1}), WHIT_DEVICE);
  EXPECT_NE(std::string(message()).find("the simulator is part of the compiler"), std::string::npos) << message();
  EXPECT_EQ(openDevice("sim:sm_80", device, {&other, 1}), WHIT_DEVICE);
  EXPECT_NE(std::string(message()).find("does not define whit_open_simulator"), std::string::npos) << message();
}

} // namespace
