// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels as text of LLVM's IR, assembled, loaded and launched through the functions that whit-run uses.
#ifndef TEST_SIM_HARNESS_H
#define TEST_SIM_HARNESS_H

#include "whit/Device.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>

extern "C" whit::Device *whit_open_simulator(const char *target, char *why, size_t size);
extern "C" size_t whit_simulator_report(const whit::Device *device, char *text, size_t size);

namespace whit::sim::test {

inline std::string bitcodeOf(const std::string &text) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic problem;
  auto module = llvm::parseAssemblyString(text, problem, context);
  if (!module) {
    ADD_FAILURE() << problem.getMessage().str() << " in line " << problem.getLineNo() << ": "
                  << problem.getLineContents().str();
    return "";
  }
  std::string bytes;
  llvm::raw_string_ostream out(bytes);
  llvm::WriteBitcodeToFile(*module, out);
  return bytes;
}

/// The head of a module for a target, with the data layout that LLVM gives it.
inline std::string headOf(const std::string &target) {
  if (target.starts_with("sm_"))
    return "target datalayout = \"e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64\"\n"
           "target triple = \"nvptx64-nvidia-cuda\"\n"
           "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()\ndeclare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()\n"
           "declare i32 @llvm.nvvm.read.ptx.sreg.laneid()\n"
           "declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)\n";
  return "target datalayout = "
         "\"e-m:e-p:64:64-p1:64:64-p2:32:32-p3:32:32-p4:64:64-p5:32:32-p6:32:32-p7:160:256:256:32-p8:128:128:128:48-p9:"
         "192:256:256:32-i64:"
         "64-v16:16-v24:32-v32:32-v48:64-v96:128-v192:256-v256:256-v512:512-v1024:1024-v2048:2048-n32:64-S32-A5-G1-ni:"
         "7:8:9\"\n"
         "target triple = \"amdgcn-amd-amdhsa\"\n"
         "declare i32 @llvm.amdgcn.workitem.id.x()\ndeclare i32 @llvm.amdgcn.workgroup.id.x()\n"
         "declare void @llvm.amdgcn.s.barrier()\n";
}

/// A machine with one module; everything fails the test unless asked for.
class Machine {
public:
  explicit Machine(const std::string &target) : target(target) {
    char why[256] = "";
    device.reset(whit_open_simulator(target.c_str(), why, sizeof(why)));
    EXPECT_TRUE(device) << why;
  }
  ~Machine() {
    for (DevicePointer pointer : allocations)
      device->free(pointer);
  }

  /// `body`: functions; attributes #0 name the target.
  whit_status tryLoad(const std::string &body) {
    std::string bytes = bitcodeOf(headOf(target) + body + "\nattributes #0 = { \"target-cpu\"=\"" + target + "\" }\n");
    return device->load(ImageKind::Bitcode, bytes.data(), bytes.size(), &image);
  }
  whit_status tryFind(const std::string &body, const char *name = "k") {
    kernel = nullptr;
    whit_status status = tryLoad(body);
    return status == WHIT_OK ? device->find(image, name, &kernel) : status;
  }
  void load(const std::string &body, const char *name = "k") {
    ASSERT_EQ(tryFind(body, name), WHIT_OK) << device->message();
  }

  uint64_t allocate(size_t bytes) {
    DevicePointer pointer = nullptr;
    EXPECT_EQ(device->allocate(bytes, &pointer), WHIT_OK);
    allocations.push_back(pointer);
    return reinterpret_cast<uint64_t>(pointer);
  }
  template <class T> uint64_t put(const std::vector<T> &values) {
    uint64_t at = allocate(values.size() * sizeof(T));
    EXPECT_EQ(device->copyIn(reinterpret_cast<DevicePointer>(at), values.data(), values.size() * sizeof(T)), WHIT_OK);
    return at;
  }
  template <class T> std::vector<T> get(uint64_t at, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(device->copyOut(values.data(), reinterpret_cast<DevicePointer>(at), count * sizeof(T)), WHIT_OK)
        << device->message();
    return values;
  }
  whit_status tryRun(uint32_t grid, uint32_t block, const std::vector<uint64_t> &arguments, uint32_t shared = 0) {
    if (!kernel)
      return WHIT_BUG; // loading has failed the test already
    LaunchShape shape;
    shape.grid[0] = grid;
    shape.block[0] = block;
    shape.sharedBytes = shared;
    whit_status status = device->launch(kernel, shape, arguments.data(), int32_t(arguments.size()));
    return status == WHIT_OK ? device->synchronize() : status;
  }
  void run(uint32_t grid, uint32_t block, const std::vector<uint64_t> &arguments, uint32_t shared = 0) {
    ASSERT_EQ(tryRun(grid, block, arguments, shared), WHIT_OK) << device->message();
  }
  /// Runs and expects a fault whose message holds all of `words`.
  void fault(uint32_t grid, uint32_t block, const std::vector<uint64_t> &arguments,
             std::initializer_list<const char *> words) {
    EXPECT_EQ(tryRun(grid, block, arguments), WHIT_DEVICE);
    for (const char *word : words)
      EXPECT_NE(device->message().find(word), std::string::npos) << "no `" << word << "` in: " << device->message();
  }
  std::string report() const {
    std::string text(whit_simulator_report(device.get(), nullptr, 0), ' ');
    whit_simulator_report(device.get(), text.data(), text.size() + 1);
    return text;
  }

  std::string target;
  std::unique_ptr<Device> device;
  DeviceImage image = nullptr;
  DeviceKernel kernel = nullptr;

private:
  std::vector<DevicePointer> allocations;
};

} // namespace whit::sim::test

#endif // TEST_SIM_HARNESS_H
