// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code generator wants the two functions of a model; a kernel gets them around it, and everything else is internal.

#include "Tune/Kernel.h"

#include "Emit/Cpu.h"
#include "Emit/Failure.h"
#include "Emit/TargetNames.h"
#include "Register.h"
#include "runtime/trust/Sha256.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;

namespace whit::tune {

static constexpr const char *kPipeline =
    "func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup,canonicalize,cse,"
    "expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-math-to-llvm,convert-vector-to-llvm,"
    "finalize-memref-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,convert-func-to-llvm,reconcile-unrealized-casts";

Descriptor<2> matrixOf(void *data, int64_t rows, int64_t columns) {
  return {data, data, 0, {rows, columns}, {columns, 1}};
}

llvm::Expected<LoadedKernel> LoadedKernel::load(llvm::ArrayRef<uint8_t> sharedObject) {
  int file = memfd_create("kernel", MFD_CLOEXEC);
  size_t written = 0;
  while (file >= 0 && written < sharedObject.size()) {
    ssize_t count = write(file, sharedObject.data() + written, sharedObject.size() - written);
    if (count <= 0)
      break;
    written += count;
  }
  if (file < 0 || written < sharedObject.size()) {
    llvm::Error error = fail(Exit::Limit, "cannot hold a kernel in memory: " + llvm::Twine(std::strerror(errno)));
    if (file >= 0)
      close(file);
    return error;
  }
  std::string path = "/proc/self/fd/" + std::to_string(file);
  // The file stays open: its number would be that of the next one, and what is loaded is known by its path.
  LoadedKernel kernel(file, dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  void *function = kernel.handle ? dlsym(kernel.handle, variantSymbol("main", 0).c_str()) : nullptr;
  if (!function)
    return fail(Exit::Bug, "a kernel cannot be loaded: " + llvm::Twine(dlerror()));
  kernel.function = reinterpret_cast<int (*)(void *const *, void *)>(function);
  return std::move(kernel);
}

LoadedKernel::~LoadedKernel() {
  if (handle)
    dlclose(handle);
  if (file >= 0)
    close(file);
}

// One thread: a process that is forked has no others.
KernelCompiler::KernelCompiler(const Target &target) : target(target), context(MLIRContext::Threading::DISABLED) {
  static std::once_flag once;
  std::call_once(once, registerPasses);
  DialectRegistry registry;
  registerDialects(registry);
  registerTranslations(registry);
  context.appendDialectRegistry(registry);
}

/// `whit_main(arguments, nothing)` calls the kernel with as many pointers as it takes; `whit_main_sizes` does nothing.
static LogicalResult addEntries(ModuleOp module) {
  auto kernel = module.lookupSymbol<LLVM::LLVMFuncOp>("_mlir_ciface_kernel");
  if (!kernel)
    return module.emitError() << "defines no function @kernel with llvm.emit_c_interface";
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  auto add = [&](StringRef name, Type result) {
    auto function = LLVM::LLVMFuncOp::create(b, loc, name, LLVM::LLVMFunctionType::get(result, {pointer, pointer}));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(function.addEntryBlock(b));
    if (isa<LLVM::LLVMVoidType>(result)) {
      LLVM::ReturnOp::create(b, loc, ValueRange());
      return;
    }
    SmallVector<Value> arguments;
    for (unsigned i = 0; i < kernel.getNumArguments(); ++i) {
      Value at =
          LLVM::GEPOp::create(b, loc, pointer, pointer, function.getArgument(0), ArrayRef<LLVM::GEPArg>{int32_t(i)});
      arguments.push_back(LLVM::LoadOp::create(b, loc, pointer, at));
    }
    LLVM::CallOp::create(b, loc, kernel, arguments);
    Value zero = LLVM::ConstantOp::create(b, loc, result, b.getI32IntegerAttr(0));
    LLVM::ReturnOp::create(b, loc, ValueRange(zero));
  };
  add("whit_main", b.getI32Type());
  add("whit_main_sizes", LLVM::LLVMVoidType::get(module.getContext()));
  return success();
}

llvm::Expected<OwningOpRef<ModuleOp>> KernelCompiler::lower(const std::string &text) {
  std::string problems;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (problems.empty())
      problems = diagnostic.str();
    return success();
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return fail(Exit::Bug, "a kernel does not parse: " + problems);
  setTarget(*module, target);
  PassManager passes(&context, ModuleOp::getOperationName());
  if (failed(parsePassPipeline(kPipeline, passes)))
    return fail(Exit::Bug, "the pipeline of kernels does not parse: " + problems);
  if (failed(passes.run(*module)) || failed(addEntries(*module)))
    return fail(Exit::Bug, "a kernel does not compile: " + problems);
  return std::move(module);
}

llvm::Expected<std::vector<uint8_t>> KernelCompiler::compile(const std::string &text) {
  auto module = lower(text);
  if (!module)
    return module.takeError();
  std::vector<CpuCode> code(1);
  if (llvm::Error error = generateCode(**module, target, 0).moveInto(code[0]))
    return error;
  return linkCode(code);
}

llvm::Expected<LoadedKernel> KernelCompiler::load(const std::string &text) {
  auto object = compile(text);
  if (!object)
    return object.takeError();
  return LoadedKernel::load(*object);
}

llvm::Expected<std::string> KernelCompiler::fingerprint(const std::string &text) {
  auto module = lower(text);
  if (!module)
    return module.takeError();
  std::string lowered;
  llvm::raw_string_ostream out(lowered);
  (*module)->print(out);
  return toHex(sha256({reinterpret_cast<const uint8_t *>(lowered.data()), lowered.size()})).substr(0, 16);
}

} // namespace whit::tune
