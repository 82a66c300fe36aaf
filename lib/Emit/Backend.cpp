// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two settings keep results equal between machines: multiplications and additions are never contracted (a fused multiply-add is there only
// where the pipeline wrote one), and no vector math library is used.

#include "Emit/Backend.h"

#include "Emit/Failure.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/MergeFunctions.h"
#include "llvm/Transforms/Scalar/ScalarizeMaskedMemIntrin.h"

using namespace llvm;

namespace whit {

Expected<std::unique_ptr<TargetMachine>> createMachine(StringRef name, StringRef cpu, StringRef features) {
  Triple triple(name);
  std::string why;
  const llvm::Target *known = TargetRegistry::lookupTarget(triple, why);
  if (!known)
    return fail(Exit::Bug, "LLVM has no code generator for " + triple.getArchName() + ": " + why);
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  std::unique_ptr<TargetMachine> machine(known->createTargetMachine(triple, cpu, features, options, Reloc::PIC_,
                                                                    CodeModel::Small, CodeGenOptLevel::Aggressive));
  if (!machine)
    return fail(Exit::Bug, "LLVM refuses CPU '" + cpu + "'");
  return machine;
}

Error verifyIr(const llvm::Module &module) {
  std::string problems;
  raw_string_ostream stream(problems);
  if (verifyModule(module, &stream))
    return fail(Exit::Bug, "the LLVM IR of the lowered module is invalid: " + StringRef(problems).rtrim());
  return Error::success();
}

void optimize(llvm::Module &module, TargetMachine &machine) {
  PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = true;
  // Kernels of CPUs are laid out as they should be; more of them takes twice as long to compile and is no faster.
  tuning.LoopUnrolling = !machine.getTargetTriple().isX86();
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
  // Code generators of GPUs would do it too; but the simulator reads what is before them.
  if (!machine.getTargetTriple().isX86())
    pipeline.addPass(createModuleToFunctionPassAdaptor(ScalarizeMaskedMemIntrinPass()));
  pipeline.run(module, modules);
}

Expected<SmallVector<char, 0>> generate(llvm::Module &module, TargetMachine &machine, CodeGenFileType type) {
  SmallVector<char, 0> bytes;
  raw_svector_ostream out(bytes);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, out, nullptr, type))
    return fail(Exit::Bug, "LLVM cannot write this kind of file for " + machine.getTargetTriple().getArchName());
  passes.run(module);
  return std::move(bytes);
}

} // namespace whit
