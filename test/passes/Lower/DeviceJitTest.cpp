// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels of a GPU as tests run them: the passes of the GPU's pipeline, LLVM for its host and for its kernels, and the simulator.

#include "Emit/Cpu.h"
#include "Emit/Gpu.h"
#include "Emit/TargetNames.h"
#include "Jit.h"
#include "Register.h"

#include "whit/Device.h"
#include "whit/Kernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Support/TargetSelect.h"

#include <gtest/gtest.h>

using namespace mlir;
using ::whit::test::Kernel;
using ::whit::test::Machine;

extern "C" ::whit::Device *whit_open_simulator(const char *target, char *why, size_t size);

static const char *kDevicePasses =
    ",whit-lower-launches,canonicalize,cse,whit-lower-lookup,convert-vector-to-scf,expand-strided-metadata,lower-"
    "affine,"
    "convert-scf-to-cf,canonicalize,cse,convert-vector-to-llvm,gpu.module(whit-convert-kernels),whit-convert-to-llvm,"
    "reconcile-unrealized-casts";

std::vector<Machine> whit::test::simulatedMachines() {
  return {{"sm_80", ""}, {"sm_90a", ""}, {"gfx942", ""}, {"gfx90a", ""}, {"gfx950", ""}, {"gfx1100", ""}};
}

namespace {
class SimulatedKernel : public Kernel {
public:
  void call(const std::string &function, std::vector<::whit::test::MemRef> arguments) override;

  MLIRContext context;
  std::unique_ptr<ExecutionEngine> host;
  std::unique_ptr<::whit::Device> device;
  std::vector<::whit::DeviceKernel> kernels;

private:
  static void launch(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *words, int32_t count) {
    auto &self = *static_cast<SimulatedKernel *>(context->runtime);
    ::whit::LaunchShape launched;
    for (int i = 0; i < 3; ++i) {
      launched.grid[i] = uint32_t(shape[i]);
      launched.block[i] = uint32_t(shape[3 + i]);
    }
    launched.sharedBytes = uint32_t(shape[6]);
    if (shape[0] * shape[1] * shape[2] == 0)
      return;
    ASSERT_LT(size_t(kernel), self.kernels.size());
    ASSERT_EQ(self.device->launch(self.kernels[kernel], launched, words, count), WHIT_OK) << self.device->message();
  }
};

void SimulatedKernel::call(const std::string &function, std::vector<::whit::test::MemRef> arguments) {
  std::vector<::whit::test::MemRef> copies;
  for (const ::whit::test::MemRef &argument : arguments) {
    void *memory = nullptr;
    size_t bytes = size_t(argument.bytes());
    ASSERT_EQ(device->allocate(std::max<size_t>(bytes, 1), &memory), WHIT_OK) << device->message();
    if (bytes)
      ASSERT_EQ(device->copyIn(memory, argument.data(), bytes), WHIT_OK) << device->message();
    copies.push_back(argument.at(memory));
  }
  WhitContext context{nullptr, nullptr, this, launch, nullptr};
  WhitContext *first = &context;
  std::vector<void *> descriptors, packed{&first};
  for (::whit::test::MemRef &copy : copies)
    descriptors.push_back(copy.descriptor());
  for (void *&descriptor : descriptors)
    packed.push_back(&descriptor);
  llvm::Error error = host->invokePacked("_mlir_ciface_" + function, packed);
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  EXPECT_EQ(device->synchronize(), WHIT_OK) << device->message();
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].bytes())
      EXPECT_EQ(device->copyOut(arguments[i].data(), copies[i].data(), size_t(arguments[i].bytes())), WHIT_OK);
    device->free(copies[i].data());
  }
}

/// Without the passes that come later for a GPU.
std::string functionPasses(std::string passes) {
  for (const char *late : {",whit-lower-lookup"})
    if (size_t at = passes.find(late); at != std::string::npos)
      passes.erase(at, std::string(late).size());
  return "whit-lower-blocks," + passes;
}
} // namespace

std::unique_ptr<Kernel> whit::test::compileForDevice(const std::string &text, const std::string &passes,
                                                     const Machine &machine) {
  static bool registered =
      (llvm::InitializeNativeTarget(), llvm::InitializeNativeTargetAsmPrinter(), registerPasses(), true);
  (void)registered;
  auto kernel = std::make_unique<SimulatedKernel>();
  DialectRegistry registry;
  registerDialects(registry);
  registerTranslations(registry);
  MLIRContext &context = kernel->context;
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  llvm::Expected<Target> target = resolveTarget(machine.name);
  if (!module || !target) {
    ADD_FAILURE() << (module ? llvm::toString(target.takeError()) : "the text is no module");
    return nullptr;
  }
  setTarget(*module, *target);
  module->walk(
      [&](func::FuncOp function) { function->setAttr("whit.observed", Builder(&context).getI64IntegerAttr(0)); });
  PassManager manager(&context);
  if (failed(parsePassPipeline(functionPasses(passes) + kDevicePasses, manager)) || failed(manager.run(*module)))
    return nullptr;

  llvm::LLVMContext llvmContext;
  llvm::Expected<DeviceModule> code = optimizedDeviceModule(*module, *target, llvmContext);
  if (!code) {
    ADD_FAILURE() << llvm::toString(code.takeError());
    return nullptr;
  }
  if (machine.change)
    machine.change(*code->module);
  // Without the symbol table for linkers, which asks for parts of the code generator that PTX does not have.
  llvm::SmallVector<char, 0> bitcode;
  llvm::BitcodeWriter writer(bitcode);
  writer.writeModule(*code->module);
  writer.writeStrtab();
  char why[512] = "";
  kernel->device.reset(whit_open_simulator(machine.name.c_str(), why, sizeof why));
  DeviceImage image;
  if (!kernel->device || kernel->device->load(ImageKind::Bitcode, bitcode.data(), bitcode.size(), &image) != WHIT_OK) {
    ADD_FAILURE() << (kernel->device ? kernel->device->message() : why);
    return nullptr;
  }
  for (const KernelFacts &facts : code->kernels) {
    kernel->kernels.push_back(nullptr);
    if (kernel->device->find(image, facts.name.c_str(), &kernel->kernels.back()) != WHIT_OK) {
      ADD_FAILURE() << kernel->device->message();
      return nullptr;
    }
  }

  for (gpu::GPUModuleOp device : llvm::make_early_inc_range(module->getOps<gpu::GPUModuleOp>()))
    device.erase();
  module->walk([](LLVM::LLVMFuncOp function) {
    if (!function.isExternal())
      function.setLinkage(LLVM::Linkage::External);
  });
  auto host = ExecutionEngine::create(*module);
  if (!host) {
    ADD_FAILURE() << llvm::toString(host.takeError());
    return nullptr;
  }
  kernel->host = std::move(*host);
  return kernel;
}
