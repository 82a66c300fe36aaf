// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM's -O3 pipeline and its NVPTX and AMDGPU code generators, called in this process. No library of CUDA or ROCm takes part: kernels
// bring their own math, and what LLVM would turn into a call of libm is refused by name before code generation would abort on it.

#include "Emit/Gpu.h"

#include "Emit/Amdgpu.h"
#include "Emit/Backend.h"
#include "Emit/Failure.h"
#include "Emit/Nvptx.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsAMDGPU.h"
#include "llvm/IR/Operator.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>
#include <set>

using namespace llvm;

extern "C" {
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
void LLVMInitializeAMDGPUTargetInfo();
void LLVMInitializeAMDGPUTarget();
void LLVMInitializeAMDGPUTargetMC();
void LLVMInitializeAMDGPUAsmPrinter();
void LLVMInitializeAMDGPUAsmParser();
void LLVMInitializeAMDGPUDisassembler();
}

namespace whit {
namespace {

Expected<std::unique_ptr<TargetMachine>> machineOf(const Target &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    LLVMInitializeAMDGPUAsmParser();
    LLVMInitializeAMDGPUDisassembler();
  });
  StringRef triple = target.kind == TargetKind::Nvptx ? "nvptx64-nvidia-cuda" : "amdgcn-amd-amdhsa";
  return createMachine(triple, target.cpu, target.gpu.codegen);
}

/// Errors of code generation, which LLVM hands to its context.
class Complaints : public DiagnosticHandler {
public:
  explicit Complaints(std::vector<std::string> &texts) : texts(texts) {}
  bool handleDiagnostics(const DiagnosticInfo &info) override {
    if (info.getSeverity() != DS_Error)
      return true;
    std::string text;
    raw_string_ostream stream(text);
    DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    texts.push_back(std::move(text));
    return true;
  }

private:
  std::vector<std::string> &texts;
};

Expected<SmallVector<char, 0>> generateChecked(llvm::Module &module, TargetMachine &machine, CodeGenFileType type) {
  std::vector<std::string> complaints;
  module.getContext().setDiagnosticHandler(std::make_unique<Complaints>(complaints));
  auto bytes = generate(module, machine, type);
  module.getContext().setDiagnosticHandler(nullptr);
  if (bytes && !complaints.empty())
    return fail(Exit::Bug, "LLVM refuses the kernels: " + join(complaints, "; "));
  return bytes;
}

bool isKernel(mlir::LLVM::LLVMFuncOp function) {
  return !function.isExternal() && any_of(ArrayRef<StringRef>{"gpu.kernel", "nvvm.kernel", "rocdl.kernel"},
                                          [&](StringRef name) { return function->hasAttr(name); });
}

std::optional<std::array<int32_t, 3>> blockOf(mlir::LLVM::LLVMFuncOp kernel) {
  for (StringRef name : {"nvvm.reqntid", "rocdl.reqd_work_group_size", "gpu.known_block_size"})
    if (auto sizes = kernel->getAttrOfType<mlir::DenseI32ArrayAttr>(name))
      if (sizes.size() >= 1 && sizes.size() <= 3) {
        std::array<int32_t, 3> block = {1, 1, 1};
        copy(sizes.asArrayRef(), block.begin());
        return block;
      }
  return std::nullopt;
}

/// Kernels in their order with what the IR says of them.
Expected<std::vector<KernelFacts>> kernelsOf(mlir::ModuleOp lowered, mlir::gpu::GPUModuleOp device,
                                             const Target &target) {
  std::vector<KernelFacts> kernels;
  for (auto function : device.getOps<mlir::LLVM::LLVMFuncOp>()) {
    if (!isKernel(function))
      continue;
    KernelFacts facts;
    facts.name = function.getName().str();
    auto block = blockOf(function);
    if (!block)
      return fail(Exit::Bug, "kernel @" + facts.name + " has no block size", "",
                  "set nvvm.reqntid, rocdl.reqd_work_group_size or gpu.known_block_size to array<i32: X, Y, Z>");
    facts.block = *block;
    if (facts.threads() < 1 || facts.threads() > target.gpu.maxBlockThreads)
      return fail(Exit::Bug, "kernel @" + facts.name + " has blocks of " + Twine(facts.threads()) + " threads; " +
                                 target.cpu + " allows 1 to " + Twine(target.gpu.maxBlockThreads));
    if (auto shared = function->getAttrOfType<mlir::IntegerAttr>("whit.shared_bytes"))
      facts.launchShared = shared.getInt();
    kernels.push_back(std::move(facts));
  }
  auto table = lowered->getAttrOfType<mlir::ArrayAttr>("whit.kernels");
  if (!table)
    return kernels;
  std::vector<KernelFacts> ordered;
  for (mlir::Attribute entry : table) {
    auto described = dyn_cast<mlir::DictionaryAttr>(entry);
    auto name = described ? described.getAs<mlir::StringAttr>("name") : nullptr;
    auto found = name ? find_if(kernels, [&](const KernelFacts &facts) { return facts.name == name.getValue(); })
                      : kernels.end();
    if (found == kernels.end())
      return fail(Exit::Bug, "whit.kernels names " + (name ? "@" + name.getValue() : "something").str() +
                                 ", which is no kernel of the gpu.module");
    ordered.push_back(*found);
  }
  return ordered;
}

void setAttributes(llvm::Module &module, ArrayRef<KernelFacts> kernels, const Target &target) {
  StringMap<const KernelFacts *> known;
  for (const KernelFacts &facts : kernels)
    known[facts.name] = &facts;
  bool isNvidia = target.kind == TargetKind::Nvptx;
  for (Function &function : module) {
    if (function.isIntrinsic())
      continue;
    // What one thread of a warp must not do alone may stand behind any call that LLVM cannot look into.
    function.addFnAttr(Attribute::Convergent);
    for (Instruction &instruction : instructions(function))
      if (auto *call = dyn_cast<CallInst>(&instruction); call && call->isInlineAsm())
        call->setConvergent();
    if (function.isDeclaration())
      continue;
    function.addFnAttr(Attribute::NoUnwind);
    function.addFnAttr("target-cpu", target.cpu);
    if (!target.gpu.codegen.empty())
      function.addFnAttr("target-features", target.gpu.codegen);
    auto found = known.find(function.getName());
    if (found == known.end()) {
      function.setLinkage(GlobalValue::InternalLinkage);
      if (!function.hasFnAttribute(Attribute::NoInline))
        function.addFnAttr(Attribute::AlwaysInline);
      continue;
    }
    const KernelFacts &facts = *found->second;
    const auto &[x, y, z] = facts.block;
    function.setLinkage(GlobalValue::ExternalLinkage);
    function.setCallingConv(isNvidia ? CallingConv::PTX_Kernel : CallingConv::AMDGPU_KERNEL);
    if (isNvidia) {
      function.removeFnAttr("nvvm.maxntid"); // PTX has one or the other
      function.addFnAttr("nvvm.reqntid", (Twine(x) + "," + Twine(y) + "," + Twine(z)).str());
      continue;
    }
    function.setVisibility(GlobalValue::ProtectedVisibility); // as compilers of HIP do
    std::string threads = std::to_string(facts.threads());
    function.addFnAttr("amdgpu-flat-work-group-size", threads + "," + threads);
    function.addFnAttr("uniform-work-group-size", "true");
    LLVMContext &context = module.getContext();
    Type *word = Type::getInt32Ty(context);
    SmallVector<Metadata *> sizes;
    for (int32_t size : facts.block)
      sizes.push_back(ConstantAsMetadata::get(ConstantInt::get(word, size)));
    function.setMetadata("reqd_work_group_size", MDNode::get(context, sizes));
  }
  for (GlobalVariable &global : module.globals())
    if (!global.isDeclaration() && !global.hasAppendingLinkage())
      global.setLinkage(GlobalValue::InternalLinkage);
}

/// Whether LLVM would make a library call of this intrinsic, of which a GPU has none. Some have a form for `afn` (approximate) alone.
bool needsLibrary(const IntrinsicInst &call, bool isNvidia) {
  bool isSmall = call.getType()->getScalarSizeInBits() <= 32;
  bool isApproximate = isa<FPMathOperator>(call) && call.hasApproxFunc();
  switch (call.getIntrinsicID()) {
  case Intrinsic::exp:
  case Intrinsic::exp10:
  case Intrinsic::log:
  case Intrinsic::log10:
    return isNvidia || !isSmall;
  case Intrinsic::log2:
    return !isSmall || (isNvidia && !isApproximate);
  case Intrinsic::exp2:
    return !isSmall;
  case Intrinsic::sin:
  case Intrinsic::cos:
    return !isSmall || (isNvidia && !isApproximate);
  case Intrinsic::tanh:
    return !isSmall || !isNvidia || !isApproximate;
  case Intrinsic::pow:
  case Intrinsic::powi:
  case Intrinsic::sincos:
  case Intrinsic::tan:
  case Intrinsic::asin:
  case Intrinsic::acos:
  case Intrinsic::atan:
  case Intrinsic::atan2:
  case Intrinsic::sinh:
  case Intrinsic::cosh:
    return true;
  default:
    return false;
  }
}

/// What the driver of an AMD GPU would have to prepare beside the arguments.
bool readsPacket(const IntrinsicInst &call) {
  return is_contained({Intrinsic::amdgcn_dispatch_ptr, Intrinsic::amdgcn_queue_ptr, Intrinsic::amdgcn_dispatch_id,
                       Intrinsic::amdgcn_implicitarg_ptr},
                      call.getIntrinsicID());
}

Error checkCalls(llvm::Module &module, bool isNvidia) {
  std::set<std::string> foreign;
  for (Function &function : module)
    for (Instruction &instruction : instructions(function)) {
      auto *call = dyn_cast<CallBase>(&instruction);
      if (!call || call->isInlineAsm())
        continue;
      if (auto *intrinsic = dyn_cast<IntrinsicInst>(call)) {
        if (readsPacket(*intrinsic))
          return fail(Exit::Bug,
                      "kernel @" + function.getName() + " reads '" + intrinsic->getCalledFunction()->getName() +
                          "', which launches do not prepare",
                      "", "sizes of blocks and grids must be constants in the code or arguments");
        if (needsLibrary(*intrinsic, isNvidia))
          foreign.insert("'" + intrinsic->getCalledFunction()->getName().str() + "'");
      } else if (Function *callee = call->getCalledFunction(); !callee || callee->isDeclaration()) {
        foreign.insert(callee ? "'" + callee->getName().str() + "'" : "a pointer to a function");
      }
    }
  if (foreign.empty())
    return Error::success();
  return fail(Exit::Bug, "kernels call " + join(foreign, ", ") + ", which a GPU has no instruction for", "",
              "the pipeline must write it out; no device library is linked");
}

std::vector<uint8_t> bytesOf(StringRef text) { return {text.bytes_begin(), text.bytes_end()}; }

/// Bytes of shared memory that instructions of a kernel name.
int64_t sharedBytesOf(const Function &kernel, const DataLayout &layout) {
  SetVector<const Value *> reached;
  for (const Instruction &instruction : instructions(kernel))
    for (const Use &operand : instruction.operands())
      if (isa<Constant>(operand))
        reached.insert(operand);
  int64_t bytes = 0;
  for (size_t at = 0; at < reached.size(); ++at) {
    if (auto *global = dyn_cast<GlobalVariable>(reached[at])) {
      if (global->getAddressSpace() == 3)
        bytes = alignTo(bytes, global->getAlign().valueOrOne()) + layout.getTypeAllocSize(global->getValueType());
    } else if (auto *expression = dyn_cast<ConstantExpr>(reached[at])) {
      reached.insert_range(expression->operand_values());
    }
  }
  return bytes;
}

/// Fills in the shared memory and compares it with what there is. NVIDIA's assembler takes 48 KiB of static memory, whatever a block may have.
Error checkShared(const llvm::Module &module, MutableArrayRef<KernelFacts> kernels, const Target &target) {
  constexpr int64_t kStaticLimit = 48 << 10;
  for (KernelFacts &facts : kernels) {
    int64_t declared = sharedBytesOf(*module.getFunction(facts.name), module.getDataLayout());
    facts.shared = declared + facts.launchShared;
    if (facts.shared > target.gpu.blockShared)
      return fail(Exit::Bug, "kernel @" + facts.name + " needs " + Twine(facts.shared) + " bytes of shared memory; " +
                                 target.cpu + " has " + Twine(target.gpu.blockShared) + " for a block");
    if (target.kind == TargetKind::Nvptx && declared > kStaticLimit)
      return fail(Exit::Bug,
                  "kernel @" + facts.name + " declares " + Twine(declared) + " bytes of shared memory; PTX allows " +
                      Twine(kStaticLimit),
                  "", "let the launch add it: an external array of size 0, and whit.shared_bytes");
  }
  return Error::success();
}

/// Takes over what an assembler said of a kernel.
void mergeFacts(KernelFacts &facts, const KernelFacts &found) {
  facts.registers = found.registers;
  facts.accumulators = found.accumulators;
  facts.scalars = found.scalars;
  facts.spills = found.spills;
  facts.stack = found.stack;
  facts.shared = std::max<int64_t>(found.shared, 0) + facts.launchShared;
  facts.code = found.code;
  facts.loop = found.loop;
  facts.copies = found.copies;
}

/// Without the symbol table for linkers, which asks for parts of the code generator that PTX does not have.
std::vector<uint8_t> bitcodeOf(const llvm::Module &module) {
  SmallVector<char, 0> bytes;
  BitcodeWriter writer(bytes);
  writer.writeModule(module);
  writer.writeStrtab();
  return {bytes.begin(), bytes.end()};
}

} // namespace

StringRef nameOf(ImageKind kind) {
  switch (kind) {
  case ImageKind::Ptx:
    return "ptx";
  case ImageKind::Cubin:
    return "cubin";
  case ImageKind::Hsaco:
    return "hsaco";
  case ImageKind::Bitcode:
    return "bitcode";
  }
  llvm_unreachable("all kinds are named");
}

Expected<DeviceModule> optimizedDeviceModule(mlir::ModuleOp lowered, const Target &target, LLVMContext &context) {
  auto modules = lowered.getOps<mlir::gpu::GPUModuleOp>();
  if (!hasSingleElement(modules))
    return fail(Exit::Bug,
                "a lowered module for " + target.cpu + " needs one gpu.module; found " + Twine(range_size(modules)));
  mlir::gpu::GPUModuleOp device = *modules.begin();
  auto kernels = kernelsOf(lowered, device, target);
  if (!kernels)
    return kernels.takeError();
  std::unique_ptr<llvm::Module> module = mlir::translateModuleToLLVMIR(device, context, "whit");
  if (!module)
    return fail(Exit::Bug, "the gpu.module does not translate to LLVM IR");
  auto machine = machineOf(target);
  if (!machine)
    return machine.takeError();
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  bool isNvidia = target.kind == TargetKind::Nvptx;
  if (!isNvidia)
    module->addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version", 500);
  setAttributes(*module, *kernels, target);
  if (Error error = verifyIr(*module))
    return error;
  optimize(*module, **machine);
  if (Error error = checkCalls(*module, isNvidia))
    return error;
  if (Error error = checkShared(*module, *kernels, target))
    return error;
  return DeviceModule{std::move(module), std::move(*kernels)};
}

void limitRegisters(mlir::ModuleOp lowered, const Target &target, int64_t registers) {
  mlir::Builder b(lowered.getContext());
  mlir::Attribute limit = b.getStrArrayAttr(
      {target.kind == TargetKind::Nvptx ? "nvvm.maxnreg" : "amdgpu-num-vgpr", std::to_string(registers)});
  for (auto device : lowered.getOps<mlir::gpu::GPUModuleOp>())
    for (auto function : device.getOps<mlir::LLVM::LLVMFuncOp>())
      if (isKernel(function)) {
        SmallVector<mlir::Attribute> attributes;
        if (mlir::ArrayAttr known = function.getPassthroughAttr())
          attributes.append(known.begin(), known.end());
        attributes.push_back(limit);
        function.setPassthroughAttr(b.getArrayAttr(attributes));
      }
}

Expected<std::string> deviceAssembly(const llvm::Module &module, const Target &target) {
  auto machine = machineOf(target);
  if (!machine)
    return machine.takeError();
  // Code generation changes the module.
  std::unique_ptr<llvm::Module> copy = CloneModule(module);
  auto text = generateChecked(*copy, **machine, CodeGenFileType::AssemblyFile);
  if (!text)
    return text.takeError();
  return std::string(text->begin(), text->end());
}

Expected<GpuImage> deviceImage(mlir::ModuleOp lowered, const Target &target, ImageKind kind) {
  LLVMContext context;
  auto device = optimizedDeviceModule(lowered, target, context);
  if (!device)
    return device.takeError();
  GpuImage image{kind, target.cpu, {}};
  if (kind == ImageKind::Bitcode) {
    image.bytes = bitcodeOf(*device->module);
    return image;
  }
  auto text = deviceAssembly(*device->module, target);
  if (!text)
    return text.takeError();
  if (kind == ImageKind::Hsaco) {
    auto object = assembleAmdgpu(*text, target.cpu);
    if (!object)
      return object.takeError();
    auto linked = linkHsaco(*object);
    if (!linked)
      return linked.takeError();
    image.bytes = std::move(*linked);
    return image;
  }
  if (kind == ImageKind::Ptx) {
    image.bytes = bytesOf(*text);
    return image;
  }
  auto ptxas = findPtxas();
  if (!ptxas)
    return fail(Exit::Files, "a cubin needs NVIDIA's ptxas, which is not in PATH", "",
                "install the CUDA toolkit, or take --emit=ptx, which drivers compile themselves");
  auto cubin = assemblePtx(*ptxas, *text, target.cpu);
  if (!cubin)
    return cubin.takeError();
  image.bytes = std::move(cubin->bytes);
  return image;
}

Expected<GpuCode> generateDeviceCode(mlir::ModuleOp lowered, const Target &target, bool simulation) {
  LLVMContext context;
  auto device = optimizedDeviceModule(lowered, target, context);
  if (!device)
    return device.takeError();
  GpuCode code;
  code.kernels = std::move(device->kernels);
  auto text = deviceAssembly(*device->module, target);
  if (!text)
    return text.takeError();
  StringMap<InstructionMix> mixes = countInstructions(target.kind, *text);
  StringMap<KernelFacts> found;
  if (target.kind == TargetKind::Nvptx) {
    if (auto ptxas = findPtxas()) {
      auto cubin = assemblePtx(*ptxas, *text, target.cpu);
      if (!cubin)
        return cubin.takeError();
      found = std::move(cubin->facts);
      if (!cubin->losses.empty())
        code.note = "kernels are slower than they could be: " + join(cubin->losses, "; ");
      *text = std::move(cubin->ptx);
      code.images.push_back({ImageKind::Cubin, target.cpu, std::move(cubin->bytes)});
    } else {
      code.note = "no ptxas is installed: the artifact holds PTX alone, which the driver compiles when it is loaded";
    }
    code.images.push_back({ImageKind::Ptx, target.cpu, bytesOf(*text)});
  } else {
    auto object = assembleAmdgpu(*text, target.cpu);
    if (!object)
      return object.takeError();
    auto facts = readCodeObject(*object, target.cpu);
    if (!facts)
      return facts.takeError();
    found = std::move(*facts);
    auto linked = linkHsaco(*object);
    if (!linked)
      return linked.takeError();
    code.images.push_back({ImageKind::Hsaco, target.cpu, std::move(*linked)});
  }
  if (simulation)
    code.images.push_back({ImageKind::Bitcode, target.cpu, bitcodeOf(*device->module)});
  for (KernelFacts &kernel : code.kernels) {
    kernel.instructions = mixes.lookup(kernel.name);
    if (auto entry = found.find(kernel.name); entry != found.end())
      mergeFacts(kernel, entry->second);
    computeOccupancy(kernel, target.gpu);
  }
  return code;
}

} // namespace whit
