// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM's -O3 pipeline (Backend.h) with its tables for the exact CPU.

#include "Emit/Cpu.h"

#include "Emit/Backend.h"
#include "Emit/Failure.h"
#include "Emit/TargetNames.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/ROCDL/ROCDLToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <mutex>

using namespace llvm;

extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86Target();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86AsmPrinter();
void LLVMInitializeX86AsmParser();
}

namespace whit {
namespace {

constexpr StringLiteral kMain = "whit_main", kSizes = "whit_main_sizes", kTriple = "x86_64-unknown-linux-gnu";

Expected<std::unique_ptr<TargetMachine>> machineOf(const Target &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
  return createMachine(kTriple, target.cpu, codegenFeatures(target));
}

/// The functions and globals of the CPU alone; weights have no meaning for LLVM, and kernels of a GPU are a module of their own.
mlir::OwningOpRef<mlir::ModuleOp> codeOf(mlir::ModuleOp lowered) {
  mlir::OwningOpRef<mlir::ModuleOp> code = mlir::ModuleOp::create(lowered.getLoc());
  for (mlir::Operation &op : *lowered.getBody())
    if (!isa<mlir::whit::WeightOp, mlir::gpu::GPUModuleOp>(op))
      code->push_back(op.clone());
  return code;
}

Error checkSignature(llvm::Module &module, StringRef name, bool returnsStatus) {
  Function *function = module.getFunction(name);
  if (!function || function->isDeclaration())
    return fail(Exit::Bug, "the lowered module does not define @" + name);
  FunctionType *type = function->getFunctionType();
  bool fits = type->getNumParams() == 2 && type->getParamType(0)->isPointerTy() &&
              type->getParamType(1)->isPointerTy() &&
              (returnsStatus ? type->getReturnType()->isIntegerTy(32) : type->getReturnType()->isVoidTy());
  if (!fits)
    return fail(Exit::Bug, "@" + name + " must be (ptr, ptr) -> " + (returnsStatus ? "i32" : "void"));
  return Error::success();
}

void setFunctionAttributes(llvm::Module &module, const Target &target, StringRef features) {
  std::string width = std::to_string(target.vectorBits);
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", features);
    // Some CPUs' tuning splits the 512-bit vectors that kernels ask for.
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr("frame-pointer", "none");
    function.addFnAttr(Attribute::NoUnwind);
    if (function.getName() != kMain && function.getName() != kSizes)
      function.setLinkage(GlobalValue::InternalLinkage);
  }
  for (GlobalVariable &global : module.globals())
    if (!global.isDeclaration() && !global.hasAppendingLinkage())
      global.setLinkage(GlobalValue::InternalLinkage);
}

} // namespace

void registerTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::registerGPUDialectTranslation(registry);
  mlir::registerNVVMDialectTranslation(registry);
  mlir::registerROCDLDialectTranslation(registry);
}

std::string variantSymbol(StringRef function, size_t index) { return (function + "__v" + Twine(index)).str(); }

Expected<std::unique_ptr<llvm::Module>> optimizedModule(mlir::ModuleOp lowered, const Target &target, size_t index,
                                                        LLVMContext &context) {
  mlir::OwningOpRef<mlir::ModuleOp> code = codeOf(lowered);
  std::unique_ptr<llvm::Module> module = mlir::translateModuleToLLVMIR(*code, context, "whit");
  if (!module)
    return fail(Exit::Bug, "the lowered module does not translate to LLVM IR");
  if (Error error = checkSignature(*module, kMain, true))
    return error;
  if (Error error = checkSignature(*module, kSizes, false))
    return error;
  auto machine = machineOf(target);
  if (!machine)
    return machine.takeError();
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  module->setPICLevel(PICLevel::BigPIC);
  setFunctionAttributes(*module, target, codegenFeatures(target));
  if (Error error = verifyIr(*module))
    return error;
  optimize(*module, **machine);
  module->getFunction(kMain)->setName(variantSymbol("main", index));
  module->getFunction(kSizes)->setName(variantSymbol("main_sizes", index));
  return module;
}

Expected<std::string> assemblyText(llvm::Module &module, const Target &target) {
  auto machine = machineOf(target);
  if (!machine)
    return machine.takeError();
  auto text = generate(module, **machine, CodeGenFileType::AssemblyFile);
  if (!text)
    return text.takeError();
  return std::string(text->begin(), text->end());
}

Expected<std::vector<uint8_t>> objectOf(llvm::Module &module, const Target &target) {
  auto machine = machineOf(target);
  if (!machine)
    return machine.takeError();
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  auto object = generate(module, **machine, CodeGenFileType::ObjectFile);
  if (!object)
    return object.takeError();
  return std::vector<uint8_t>(object->begin(), object->end());
}

Expected<CpuCode> generateCode(mlir::ModuleOp lowered, const Target &target, size_t index) {
  LLVMContext context;
  Target host = hostOf(target);
  auto module = optimizedModule(lowered, host, index, context);
  if (!module)
    return module.takeError();
  CpuCode code{target, variantSymbol("main", index), variantSymbol("main_sizes", index), {}, 0, {}};
  for (Function &function : **module)
    code.functions += !function.isDeclaration();
  auto object = objectOf(**module, host);
  if (!object)
    return object.takeError();
  code.object = std::move(*object);
  return code;
}

} // namespace whit
