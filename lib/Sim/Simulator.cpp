// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The simulator as a Device: images are LLVM bitcode, kernels are lowered when they are first looked for, launches run at once. Two
// functions are visible from outside: one opens a machine, one tells what it has counted.

#include "Sim/Lowering.h"
#include "Sim/Machine.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <algorithm>

#define WHIT_SIM_API __attribute__((visibility("default")))

namespace whit::sim {
namespace {

struct Image {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  std::map<std::string, std::unique_ptr<Program>> programs;
  std::map<const llvm::GlobalVariable *, uint64_t> addresses;
};

/// Calls are replaced by what they call, so that a program is one function.
void inlineCalls(llvm::Function &kernel) {
  for (unsigned count = 0;; ++count) {
    llvm::CallInst *found = nullptr;
    for (llvm::Instruction &inst : llvm::instructions(kernel))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&inst))
        if (llvm::Function *callee = call->getCalledFunction(); callee && !callee->isDeclaration()) {
          found = call;
          break;
        }
    if (!found)
      return;
    llvm::Function *callee = found->getCalledFunction();
    std::string name = callee->getName().str();
    llvm::InlineFunctionInfo info;
    if (count > 2000 || callee == &kernel)
      throw Refusal{"kernel " + kernel.getName().str() + ": calls " + name + " without end (recursion)"};
    if (llvm::InlineResult result = llvm::InlineFunction(*found, info); !result.isSuccess())
      throw Refusal{"kernel " + kernel.getName().str() + ": the call of " + name +
                    " cannot be inlined: " + result.getFailureReason()};
  }
}

void writeConstant(const llvm::Constant &constant, const llvm::DataLayout &layout, uint8_t *to) {
  llvm::Type *type = constant.getType();
  if (constant.isNullValue() || llvm::isa<llvm::UndefValue>(constant))
    return;
  if (auto *data = llvm::dyn_cast<llvm::ConstantDataSequential>(&constant)) {
    std::memcpy(to, data->getRawDataValues().data(), data->getRawDataValues().size());
    return;
  }
  llvm::APInt bits;
  if (auto *integer = llvm::dyn_cast<llvm::ConstantInt>(&constant))
    bits = integer->getValue();
  else if (auto *number = llvm::dyn_cast<llvm::ConstantFP>(&constant))
    bits = number->getValueAPF().bitcastToAPInt();
  else if (auto *record = llvm::dyn_cast<llvm::ConstantStruct>(&constant)) {
    for (unsigned i = 0; i < record->getNumOperands(); ++i)
      writeConstant(*record->getOperand(i), layout,
                    to + layout.getStructLayout(record->getType())->getElementOffset(i));
    return;
  } else if (auto *array = llvm::dyn_cast<llvm::ConstantArray>(&constant)) {
    for (unsigned i = 0; i < array->getNumOperands(); ++i)
      writeConstant(*array->getOperand(i), layout,
                    to + i * layout.getTypeAllocSize(array->getType()->getElementType()));
    return;
  } else
    throw Refusal{"a variable of the module holds addresses, which is not simulated"};
  for (unsigned i = 0, bytes = unsigned(layout.getTypeStoreSize(type)); i < bytes; ++i)
    to[i] = uint8_t(bits.extractBitsAsZExtValue(std::min(8u, bits.getBitWidth() - 8 * i), 8 * i));
}

class Simulator final : public Device {
public:
  explicit Simulator(const Architecture &architecture)
      : machine(architecture), product("simulated " + architecture.name) {}

  const std::string &message() const override { return text; }
  const std::string &name() const override { return product; }
  const std::string &architecture() const override { return machine.architecture.name; }
  bool runs(ImageKind kind, const std::string &target) const override {
    return kind == ImageKind::Bitcode && target == machine.architecture.name;
  }

  whit_status load(ImageKind kind, const void *bytes, size_t size, DeviceImage *result) override;
  whit_status find(DeviceImage image, const char *name, DeviceKernel *kernel) override;
  whit_status allocate(size_t bytes, DevicePointer *pointer) override;
  void free(DevicePointer pointer) override;
  whit_status copyIn(DevicePointer to, const void *from, size_t bytes) override;
  whit_status copyOut(void *to, DevicePointer from, size_t bytes) override;
  whit_status launch(DeviceKernel kernel, const LaunchShape &shape, const uint64_t *arguments, int32_t count) override;
  whit_status synchronize() override { return WHIT_OK; }
  whit_status makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *graph) override;
  whit_status updateGraph(DeviceGraph graph, size_t index, const DeviceLaunch &launch) override;
  whit_status replay(DeviceGraph graph) override;
  void freeGraph(DeviceGraph graph) override { delete static_cast<Graph *>(graph); }
  /// What this machine takes of time says nothing about a card's.
  whit_status startTimer() override { return WHIT_OK; }
  whit_status stopTimer(double *microseconds) override {
    *microseconds = -1;
    return WHIT_OK;
  }

  std::string report() const { return machine.report(); }

private:
  struct Node {
    DeviceKernel kernel;
    LaunchShape shape;
    std::vector<uint64_t> arguments;
  };
  using Graph = std::vector<Node>;
  static Node nodeOf(const DeviceLaunch &launch) {
    return {launch.kernel, launch.shape, {launch.arguments, launch.arguments + launch.count}};
  }

  whit_status fail(whit_status status, std::string what) {
    text = std::move(what);
    return status;
  }
  uint64_t addressOf(Image &image, const llvm::GlobalVariable &variable);
  /// The region of a copy between host and device; null and a message if it does not fit.
  Region *regionFor(DevicePointer pointer, size_t bytes);

  Machine machine;
  std::string product, text;
  std::vector<std::unique_ptr<Image>> images;
};

whit_status Simulator::load(ImageKind kind, const void *bytes, size_t size, DeviceImage *result) {
  if (kind != ImageKind::Bitcode)
    return fail(WHIT_REFUSED, "the simulator runs LLVM bitcode only; compile with --simulation");
  auto image = std::make_unique<Image>();
  auto parsed = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(llvm::StringRef(static_cast<const char *>(bytes), size), "kernels"), image->context);
  if (!parsed)
    return fail(WHIT_REFUSED, "the image is not LLVM bitcode: " + llvm::toString(parsed.takeError()));
  image->module = std::move(*parsed);
  std::string problem;
  llvm::raw_string_ostream out(problem);
  if (llvm::verifyModule(*image->module, &out))
    return fail(WHIT_REFUSED, "the image does not hold valid LLVM bitcode: " + problem);
  const Architecture &architecture = machine.architecture;
  const llvm::Triple &triple = image->module->getTargetTriple();
  bool fits = architecture.nvidia ? triple.getArch() == llvm::Triple::nvptx64
                                  : triple.getArch() == llvm::Triple::amdgcn && triple.getOS() == llvm::Triple::AMDHSA;
  if (!fits)
    return fail(WHIT_REFUSED, "the image is for " + triple.str() + "; " + architecture.name + " needs " +
                                  (architecture.nvidia ? "nvptx64-nvidia-cuda" : "amdgcn-amd-amdhsa"));
  if (!architecture.nvidia && image->module->getDataLayout().getPointerSize(3) != 4)
    return fail(WHIT_REFUSED, "the image lacks the data layout of AMD GPUs, on which pointers to LDS have 32 bits");
  for (const llvm::Function &function : *image->module) {
    llvm::StringRef compiled = function.getFnAttribute("target-cpu").getValueAsString();
    if (!function.isDeclaration() && !compiled.empty() && compiled != architecture.name)
      return fail(WHIT_REFUSED, "the function " + function.getName().str() + " is compiled for " + compiled.str() +
                                    ", not for " + architecture.name);
  }
  images.push_back(std::move(image));
  *result = images.back().get();
  return WHIT_OK;
}

uint64_t Simulator::addressOf(Image &image, const llvm::GlobalVariable &variable) {
  auto [entry, isNew] = image.addresses.try_emplace(&variable, 0);
  if (!isNew)
    return entry->second;
  const llvm::DataLayout &layout = image.module->getDataLayout();
  if (!variable.hasInitializer())
    throw Refusal{"the variable " + variable.getName().str() + " is not defined in the image"};
  uint64_t size = layout.getTypeAllocSize(variable.getValueType());
  Region *region = machine.global.allocate(size);
  if (!region)
    throw Refusal{"no memory for the variable " + variable.getName().str()};
  writeConstant(*variable.getInitializer(), layout, region->data.get());
  region->markWritten(0, size);
  region->readOnly = variable.isConstant();
  return entry->second = region->base;
}

whit_status Simulator::find(DeviceImage handle, const char *name, DeviceKernel *kernel) {
  auto &image = *static_cast<Image *>(handle);
  if (auto found = image.programs.find(name); found != image.programs.end()) {
    *kernel = found->second.get();
    return WHIT_OK;
  }
  llvm::Function *function = image.module->getFunction(name);
  auto isKernel = [](const llvm::Function &f) {
    return f.getCallingConv() == llvm::CallingConv::PTX_Kernel ||
           f.getCallingConv() == llvm::CallingConv::AMDGPU_KERNEL;
  };
  if (!function || function->isDeclaration() || !isKernel(*function))
    return fail(WHIT_REFUSED, std::string("the image has no kernel ") + name);
  try {
    inlineCalls(*function);
    Lowering lowering(*function, machine.architecture,
                      [&](const llvm::GlobalVariable &variable) { return addressOf(image, variable); });
    auto program = std::make_unique<Program>(lowering.lower());
    *kernel = program.get();
    image.programs[name] = std::move(program);
  } catch (const Refusal &refusal) {
    return fail(WHIT_UNSUPPORTED, refusal.what);
  }
  return WHIT_OK;
}

whit_status Simulator::allocate(size_t bytes, DevicePointer *pointer) {
  Region *region = machine.global.allocate(bytes);
  if (!region)
    return fail(WHIT_LIMIT, "no memory for " + std::to_string(bytes) + " bytes in the simulator");
  *pointer = reinterpret_cast<DevicePointer>(region->base);
  return WHIT_OK;
}

void Simulator::free(DevicePointer pointer) {
  machine.lastRegion = nullptr;
  if (pointer)
    machine.global.free(reinterpret_cast<uint64_t>(pointer));
}

Region *Simulator::regionFor(DevicePointer pointer, size_t bytes) {
  uint64_t address = reinterpret_cast<uint64_t>(pointer);
  Region *region = machine.global.find(address);
  if (region && address - region->base + bytes <= region->size)
    return region;
  text = "a copy of " + std::to_string(bytes) + " bytes leaves its allocation: " + machine.global.describe(address);
  return nullptr;
}

whit_status Simulator::copyIn(DevicePointer to, const void *from, size_t bytes) {
  if (!bytes)
    return WHIT_OK;
  Region *region = regionFor(to, bytes);
  if (!region)
    return WHIT_DEVICE;
  uint64_t offset = reinterpret_cast<uint64_t>(to) - region->base;
  std::memcpy(&region->data[offset], from, bytes);
  region->markWritten(offset, bytes);
  return WHIT_OK;
}

whit_status Simulator::copyOut(void *to, DevicePointer from, size_t bytes) {
  if (!bytes)
    return WHIT_OK;
  Region *region = regionFor(from, bytes);
  if (!region)
    return WHIT_DEVICE;
  uint64_t offset = reinterpret_cast<uint64_t>(from) - region->base;
  for (uint64_t i = offset; region->unwritten && i < offset + bytes; ++i)
    if (region->written[i] != IsWritten)
      return fail(WHIT_DEVICE, "uninitialised read: byte " + std::to_string(i) + " of an allocation of " +
                                   std::to_string(region->size) +
                                   " bytes is copied to the host, but was never written");
  std::memcpy(to, &region->data[offset], bytes);
  return WHIT_OK;
}

whit_status Simulator::launch(DeviceKernel handle, const LaunchShape &shape, const uint64_t *arguments, int32_t count) {
  const auto &program = *static_cast<const Program *>(handle);
  const Architecture &architecture = machine.architecture;
  std::string prefix = "kernel " + program.name + ": ";
  if (size_t(count) != program.arguments.size())
    return fail(WHIT_DEVICE, prefix + "launched with " + std::to_string(count) + " arguments, it has " +
                                 std::to_string(program.arguments.size()));
  uint64_t threads = 1;
  for (int axis = 0; axis < 3; ++axis) {
    if (!shape.grid[axis] || !shape.block[axis])
      return fail(WHIT_DEVICE, prefix + "launched with an empty grid or block");
    if (program.requiredBlock[axis] && program.requiredBlock[axis] != shape.block[axis])
      return fail(WHIT_DEVICE, prefix + "compiled for blocks of " + std::to_string(program.requiredBlock[axis]) +
                                   " threads on axis " + std::to_string(axis) + ", launched with " +
                                   std::to_string(shape.block[axis]));
    threads *= shape.block[axis];
  }
  uint64_t limit = program.maxThreads ? std::min(program.maxThreads, architecture.maxThreads) : architecture.maxThreads;
  if (threads > limit)
    return fail(WHIT_DEVICE, prefix + "launched with blocks of " + std::to_string(threads) + " threads, at most " +
                                 std::to_string(limit));
  uint64_t shared = uint64_t(program.sharedBytes) + shape.sharedBytes;
  if (shared > architecture.maxShared)
    return fail(WHIT_DEVICE, prefix + "needs " + std::to_string(shared) + " bytes of shared memory, " +
                                 architecture.name + " has " + std::to_string(architecture.maxShared) + " for a block");
  std::string fault = machine.run(program, shape, arguments);
  return fault.empty() ? WHIT_OK : fail(WHIT_DEVICE, std::move(fault));
}

whit_status Simulator::makeGraph(std::span<const DeviceLaunch> launches, DeviceGraph *result) {
  auto graph = std::make_unique<Graph>();
  for (const DeviceLaunch &launch : launches)
    graph->push_back(nodeOf(launch));
  *result = graph.release();
  return WHIT_OK;
}

whit_status Simulator::updateGraph(DeviceGraph graph, size_t index, const DeviceLaunch &launch) {
  Node &node = (*static_cast<Graph *>(graph))[index];
  if (node.kernel != launch.kernel || node.arguments.size() != size_t(launch.count))
    return fail(WHIT_DEVICE, "a graph cannot be given another kernel at " + std::to_string(index));
  node = nodeOf(launch);
  return WHIT_OK;
}

whit_status Simulator::replay(DeviceGraph graph) {
  for (const Node &node : *static_cast<const Graph *>(graph))
    if (whit_status status = launch(node.kernel, node.shape, node.arguments.data(), int32_t(node.arguments.size())))
      return status;
  return WHIT_OK;
}

} // namespace
} // namespace whit::sim

static void writeText(const std::string &text, char *to, size_t size) {
  if (!size)
    return;
  size_t length = std::min(size - 1, text.size());
  std::memcpy(to, text.data(), length);
  to[length] = 0;
}

/// Opens a machine; the caller deletes it. Null: `why` says which targets there are.
extern "C" WHIT_SIM_API whit::Device *whit_open_simulator(const char *target, char *why, size_t size) {
  std::string known;
  const whit::sim::Architecture *architecture = whit::sim::findArchitecture(target, known);
  if (architecture)
    return new whit::sim::Simulator(*architecture);
  writeText(std::string("no simulator of ") + target + "; simulated are " + known, why, size);
  return nullptr;
}

/// What a machine that `whit_open_simulator` returned has counted, as text; the whole length, even if `size` is less.
extern "C" WHIT_SIM_API size_t whit_simulator_report(const whit::Device *device, char *to, size_t size) {
  std::string text = static_cast<const whit::sim::Simulator *>(device)->report();
  writeText(text, to, size);
  return text.size();
}
