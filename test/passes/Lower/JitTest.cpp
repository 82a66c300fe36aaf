// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pipeline of Jit.h: only upstream passes follow the ones under test.

#include "Jit.h"

#include "Passes.h"
#include "Whit/Whit.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace ::whit::test;

static const char *kUpstream =
    ",canonicalize,cse,func.func(convert-vector-to-scf),expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-"
    "math-to-llvm,"
    "convert-vector-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,convert-func-to-llvm,"
    "reconcile-unrealized-casts";

std::vector<Machine>(::whit::test::machinesOfHost)() {
  const std::string sse = "+sse,+sse2",
                    avx2 = sse + ",+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2";
  const std::string avx512 = avx2 + ",+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd";
  std::vector<Machine> all = {{"avx512bf16", avx512 + ",+avx512vnni,+avx512bf16"},
                              {"avx512vnni", avx512 + ",+avx512vnni"},
                              {"avxvnni", avx2 + ",+avxvnni"},
                              {"avx512bw", avx512},
                              {"avx2", avx2},
                              {"x86-64", sse}};
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  llvm::erase_if(all, [&](const Machine &machine) {
    return llvm::any_of(llvm::split(machine.features, ','),
                        [&](StringRef feature) { return feature != "+sse" && !host.lookup(feature.drop_front()); });
  });
  return all;
}

std::vector<Machine>(::whit::test::machinesWithoutByteDots)() {
  std::vector<Machine> all = machinesOfHost();
  llvm::erase_if(all, [](const Machine &machine) { return machine.name == "avxvnni" || machine.name == "avx512vnni"; });
  for (const char *name : {"sm_80", "gfx942"})
    all.push_back({name, ""});
  return all;
}

::whit::test::MemRef::MemRef(void *data, int64_t elementBytes, std::vector<int64_t> sizes, std::vector<int64_t> strides,
                             int64_t offset) {
  if (strides.empty()) {
    strides.assign(sizes.size(), 1);
    for (size_t i = sizes.size(); i-- > 1;)
      strides[i - 1] = strides[i] * sizes[i];
  }
  words = {int64_t(data), int64_t(data), offset};
  words.insert(words.end(), sizes.begin(), sizes.end());
  words.insert(words.end(), strides.begin(), strides.end());
  int64_t last = offset;
  bool isEmpty = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    last += (sizes[i] - 1) * strides[i];
    isEmpty |= sizes[i] == 0;
  }
  span = isEmpty ? 0 : last + 1;
  each = elementBytes;
}

::whit::test::MemRef(::whit::test::MemRef::of)(int64_t elementBytes) const {
  MemRef other = *this;
  other.each = elementBytes;
  return other;
}

::whit::test::MemRef(::whit::test::MemRef::at)(void *data) const {
  MemRef other = *this;
  other.words[0] = other.words[1] = int64_t(data);
  return other;
}

static void prepareOnce() {
  static bool done = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    registerConversionPasses();
    registerTransformsPasses();
    memref::registerMemRefPasses();
    mlir::whit::registerWhitPasses();
    return true;
  }();
  (void)done;
}

namespace {
/// Code of this machine, or of one that it can be.
class HostKernel : public Kernel {
public:
  HostKernel();
  void call(const std::string &function, std::vector<::whit::test::MemRef> arguments) override;

  MLIRContext context;
  std::unique_ptr<ExecutionEngine> engine;
};
} // namespace

HostKernel::HostKernel() {
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                  linalg::LinalgDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                  vector::VectorDialect, mlir::whit::WhitDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
}

std::unique_ptr<Kernel> Kernel::compile(const std::string &text, const std::string &passes, const Machine &machine) {
  if (machine.isGpu())
    return compileForDevice(text, passes, machine);
  prepareOnce();
  auto kernel = std::make_unique<HostKernel>();
  MLIRContext *context = &kernel->context;
  context->loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, context);
  if (!module)
    return nullptr;
  Builder b(context);
  (*module)->setAttr("whit.target",
                     b.getDictionaryAttr({b.getNamedAttr("cpu", b.getStringAttr("x86-64")),
                                          b.getNamedAttr("features", b.getStringAttr(machine.features))}));
  PassManager pm(context);
  if (failed(parsePassPipeline(passes + kUpstream, pm)) || failed(pm.run(*module)))
    return nullptr;

  llvm::orc::JITTargetMachineBuilder builder{llvm::Triple(llvm::sys::getDefaultTargetTriple())};
  builder.setCPU("x86-64").setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  builder.addFeatures(llvm::SubtargetFeatures(machine.features).getFeatures());
  auto host = builder.createTargetMachine();
  if (!host) {
    llvm::errs() << llvm::toString(host.takeError()) << "\n";
    return nullptr;
  }
  ExecutionEngineOptions options;
  std::unique_ptr<llvm::TargetMachine> optimizing = llvm::cantFail(builder.createTargetMachine());
  auto transform = makeOptimizingTransformer(2, 0, optimizing.get());
  options.transformer = transform;
  options.jitCodeGenOptLevel = llvm::CodeGenOptLevel::Default;
  auto engine = ExecutionEngine::create(*module, options, std::move(*host));
  if (!engine) {
    llvm::errs() << llvm::toString(engine.takeError()) << "\n";
    return nullptr;
  }
  kernel->engine = std::move(*engine);
  return kernel;
}

void HostKernel::call(const std::string &function, std::vector<::whit::test::MemRef> arguments) {
  std::vector<void *> descriptors, packed;
  for (::whit::test::MemRef &argument : arguments)
    descriptors.push_back(argument.descriptor());
  for (void *&descriptor : descriptors)
    packed.push_back(&descriptor);
  llvm::Error error = engine->invokePacked("_mlir_ciface_" + function, packed);
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
}
