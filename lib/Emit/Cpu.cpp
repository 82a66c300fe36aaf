// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM's -O3 pipeline with its tables for the exact CPU. Two settings keep results equal between machines: multiplications and additions
// are never contracted (a fused multiply-add is there only where the pipeline wrote one), and no vector math library is used.

#include "Emit/Cpu.h"

#include "Emit/Failure.h"
#include "Emit/TargetNames.h"
#include "Whit/Whit.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/MergeFunctions.h"

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
  Triple triple(kTriple);
  std::string why;
  const llvm::Target *known = TargetRegistry::lookupTarget(triple, why);
  if (!known)
    return fail(Exit::Bug, "LLVM has no x86 code generator: " + why);
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  std::unique_ptr<TargetMachine> machine(known->createTargetMachine(triple, target.cpu, codegenFeatures(target),
                                                                    options, Reloc::PIC_, CodeModel::Small,
                                                                    CodeGenOptLevel::Aggressive));
  if (!machine)
    return fail(Exit::Bug, "LLVM refuses CPU '" + target.cpu + "'");
  return machine;
}

/// The functions and globals alone; weights have no meaning for LLVM.
mlir::OwningOpRef<mlir::ModuleOp> codeOf(mlir::ModuleOp lowered) {
  mlir::OwningOpRef<mlir::ModuleOp> code = mlir::ModuleOp::create(lowered.getLoc());
  for (mlir::Operation &op : *lowered.getBody())
    if (!isa<mlir::whit::WeightOp>(op))
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

void optimize(llvm::Module &module, TargetMachine &machine) {
  PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = true;
  // Layers of one model are often the same function over other arguments.
  tuning.MergeFunctions = true;
  PassBuilder builder(&machine, tuning);
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  ModulePassManager pipeline;
  pipeline.addPass(MergeFunctionsPass());
  pipeline.addPass(builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3));
  pipeline.run(module, modules);
}

Expected<SmallVector<char, 0>> generate(llvm::Module &module, TargetMachine &machine, CodeGenFileType type) {
  SmallVector<char, 0> bytes;
  raw_svector_ostream out(bytes);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, out, nullptr, type))
    return fail(Exit::Bug, "LLVM cannot write this kind of file for x86");
  passes.run(module);
  return std::move(bytes);
}

} // namespace

void registerTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
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
  std::string problems;
  raw_string_ostream stream(problems);
  if (verifyModule(*module, &stream))
    return fail(Exit::Bug, "the LLVM IR of the lowered module is invalid: " + StringRef(problems).rtrim());
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
  auto module = optimizedModule(lowered, target, index, context);
  if (!module)
    return module.takeError();
  CpuCode code{target, variantSymbol("main", index), variantSymbol("main_sizes", index), {}, 0};
  for (Function &function : **module)
    code.functions += !function.isDeclaration();
  auto object = objectOf(**module, target);
  if (!object)
    return object.takeError();
  code.object = std::move(*object);
  return code;
}

} // namespace whit
