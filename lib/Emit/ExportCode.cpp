// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All arguments of exported functions are pointers and 64-bit integers, which pass in the same registers in C and in LLVM IR.

#include "Emit/ExportCode.h"

#include "Emit/Cpu.h"
#include "Emit/Failure.h"
#include "Emit/Link.h"
#include "Emit/TargetNames.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Operator.h"
#include "llvm/IR/Verifier.h"

using namespace llvm;

// cmake/Kernels.cmake links runtime/kernels/ and the codecs to this object.
asm(R"(
  .section .rodata.whit_kernels_object,"a",@progbits
  .balign 16
  .hidden whit_kernels_object
  .globl whit_kernels_object
whit_kernels_object:
  .incbin ")" WHIT_KERNELS_OBJECT R"("
  .hidden whit_kernels_object_end
  .globl whit_kernels_object_end
whit_kernels_object_end:
  .byte 0
  .text
)");
extern "C" const uint8_t whit_kernels_object[], whit_kernels_object_end[];

namespace whit {
namespace {

int32_t numberOf(StringRef type) {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors)                                           \
  if (type == name)                                                                                                    \
    return number;
#include "whit/ElementTypes.def"
  return 0;
}

/// Writes the tables and the exported functions into a module.
class TableWriter {
public:
  TableWriter(LLVMContext &context, ArrayRef<ExportedKernel> kernels, ExportedCalls calls, bool isDevice)
      : module(std::make_unique<llvm::Module>("kernels", context)), builder(context), kernels(kernels), calls(calls),
        isDevice(isDevice), pointer(PointerType::getUnqual(context)), i32(builder.getInt32Ty()),
        i64(builder.getInt64Ty()) {}

  std::unique_ptr<llvm::Module> run();
  /// Names of what the library exports.
  std::vector<std::string> exported;

private:
  Constant *text(StringRef value);
  Constant *numbers(ArrayRef<int64_t> values);
  Constant *records(ArrayRef<Constant *> values, StructType *type, const Twine &name);
  void addSteps(mlir::AffineExpr value, std::vector<int64_t> &steps);
  Constant *symbolsOf(const ExportedKernel &kernel);
  GlobalVariable *argumentsOf(const ExportedKernel &kernel);
  Function *declare(StringRef name, llvm::Type *result, ArrayRef<llvm::Type *> arguments);
  Function *define(const std::string &name, llvm::Type *result, ArrayRef<llvm::Type *> arguments);
  Value *stored(ArrayRef<Value *> values, llvm::Type *type);
  void addCall(const ExportedKernel &kernel, Constant *table);
  void addForeignCalls(const ExportedKernel &kernel, Constant *table);
  void addTvmFfi(const std::string &name, StringRef to, Constant *what);
  void addPackers(const ExportedKernel &kernel, GlobalVariable *arguments);

  std::unique_ptr<llvm::Module> module;
  IRBuilder<> builder;
  ArrayRef<ExportedKernel> kernels;
  ExportedCalls calls;
  bool isDevice;
  PointerType *pointer;
  IntegerType *i32, *i64;
  StructType *argumentType = nullptr;
};

Constant *TableWriter::text(StringRef value) {
  Constant *bytes = ConstantDataArray::getString(module->getContext(), value);
  auto *global = new GlobalVariable(*module, bytes->getType(), true, GlobalValue::PrivateLinkage, bytes);
  global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
  return global;
}

Constant *TableWriter::numbers(ArrayRef<int64_t> values) {
  if (values.empty())
    return ConstantPointerNull::get(pointer);
  std::vector<uint64_t> bits(values.begin(), values.end());
  Constant *data = ConstantDataArray::get(module->getContext(), bits);
  return new GlobalVariable(*module, data->getType(), true, GlobalValue::PrivateLinkage, data);
}

Constant *TableWriter::records(ArrayRef<Constant *> values, StructType *type, const Twine &name) {
  auto *array = ArrayType::get(type, values.size());
  return new GlobalVariable(*module, array, true, GlobalValue::PrivateLinkage, ConstantArray::get(array, values), name);
}

/// In the order of a stack machine.
void TableWriter::addSteps(mlir::AffineExpr value, std::vector<int64_t> &steps) {
  auto add = [&](KernelStep kind, int64_t number) {
    steps.push_back(int64_t(kind));
    steps.push_back(number);
  };
  if (auto constant = dyn_cast<mlir::AffineConstantExpr>(value))
    return add(KernelStep::Number, constant.getValue());
  if (auto symbol = dyn_cast<mlir::AffineSymbolExpr>(value))
    return add(KernelStep::Symbol, symbol.getPosition());
  auto binary = cast<mlir::AffineBinaryOpExpr>(value);
  addSteps(binary.getLHS(), steps);
  addSteps(binary.getRHS(), steps);
  switch (value.getKind()) {
  case mlir::AffineExprKind::Add:
    return add(KernelStep::Add, 0);
  case mlir::AffineExprKind::Mul:
    return add(KernelStep::Multiply, 0);
  case mlir::AffineExprKind::FloorDiv:
    return add(KernelStep::FloorDivide, 0);
  case mlir::AffineExprKind::CeilDiv:
    return add(KernelStep::CeilDivide, 0);
  default:
    return add(KernelStep::Modulo, 0);
  }
}

Constant *TableWriter::symbolsOf(const ExportedKernel &kernel) {
  auto *type = StructType::get(pointer, pointer, i64);
  std::vector<Constant *> values;
  for (const ExportedSymbol &symbol : kernel.symbols) {
    std::vector<int64_t> steps;
    if (symbol.value)
      addSteps(symbol.value, steps);
    values.push_back(ConstantStruct::get(type, text(symbol.name), numbers(steps), builder.getInt64(steps.size() / 2)));
  }
  return records(values, type, "symbols");
}

GlobalVariable *TableWriter::argumentsOf(const ExportedKernel &kernel) {
  argumentType = StructType::get(pointer, i32, i32, i32, i32, pointer, pointer, i64, i64);
  std::vector<Constant *> values;
  for (const ExportedArgument &argument : kernel.arguments) {
    std::vector<int64_t> shape;
    for (const ExportedSize &size : argument.shape)
      shape.push_back(size.symbol ? ~int64_t(*size.symbol) : size.size);
    mlir::whit::PlaceAttr place = argument.place;
    values.push_back(ConstantStruct::get(argumentType, text(argument.name), builder.getInt32(uint32_t(argument.role)),
                                         builder.getInt32(numberOf(argument.type)), builder.getInt32(shape.size()),
                                         builder.getInt32(uint32_t(argument.quantizer)), numbers(shape),
                                         place ? text(place.getFormat().getName()) : ConstantPointerNull::get(pointer),
                                         builder.getInt64(place ? place.getN() : 0),
                                         builder.getInt64(place ? place.getK() : 0)));
  }
  return cast<GlobalVariable>(records(values, argumentType, "arguments"));
}

Function *TableWriter::declare(StringRef name, llvm::Type *result, ArrayRef<llvm::Type *> arguments) {
  auto callee = module->getOrInsertFunction(name, FunctionType::get(result, arguments, false));
  auto *function = cast<Function>(callee.getCallee());
  function->setVisibility(GlobalValue::HiddenVisibility);
  return function;
}

Function *TableWriter::define(const std::string &name, llvm::Type *result, ArrayRef<llvm::Type *> arguments) {
  exported.push_back(name);
  auto *function =
      Function::Create(FunctionType::get(result, arguments, false), GlobalValue::ExternalLinkage, name, *module);
  builder.SetInsertPoint(BasicBlock::Create(module->getContext(), "", function));
  return function;
}

/// Values in an array on the stack.
Value *TableWriter::stored(ArrayRef<Value *> values, llvm::Type *type) {
  auto *array = ArrayType::get(type, std::max<size_t>(values.size(), 1));
  Value *memory = builder.CreateAlloca(array);
  for (auto [i, value] : enumerate(values))
    builder.CreateStore(value, builder.CreateConstInBoundsGEP2_64(array, memory, 0, i));
  return memory;
}

void TableWriter::addCall(const ExportedKernel &kernel, Constant *table) {
  size_t sizes = kernel.parameterCount();
  size_t tensors = count_if(kernel.arguments, [](const ExportedArgument &a) { return a.role != KernelRole::Size; });
  std::vector<llvm::Type *> types(sizes, i64);
  Function *function = define(kernel.name + "_workspace", i64, types);
  auto arguments = [&](Function *of, size_t first, size_t count) {
    std::vector<Value *> values;
    for (size_t i = 0; i < count; ++i)
      values.push_back(of->getArg(first + i));
    return values;
  };
  builder.CreateRet(builder.CreateCall(declare("whit_kernels_workspace", i64, {pointer, pointer}),
                                       {table, stored(arguments(function, 0, sizes), i64)}));
  types.resize(sizes + tensors + 2, pointer);
  function = define(kernel.name, i32, types);
  builder.CreateRet(
      builder.CreateCall(declare("whit_kernels_call", i32, {pointer, pointer, pointer, pointer, pointer}),
                         {table, function->getArg(sizes + tensors + 1), stored(arguments(function, 0, sizes), i64),
                          stored(arguments(function, sizes, tensors), pointer), function->getArg(sizes + tensors)}));
}

/// Its first argument is the closure of a function, which these have not.
void TableWriter::addTvmFfi(const std::string &name, StringRef to, Constant *what) {
  Function *function = define("__tvm_ffi_" + name, i32, {pointer, pointer, i32, pointer});
  builder.CreateRet(builder.CreateCall(declare(to, i32, {pointer, pointer, i32, pointer}),
                                       {what, function->getArg(1), function->getArg(2), function->getArg(3)}));
}

void TableWriter::addForeignCalls(const ExportedKernel &kernel, Constant *table) {
  if (calls.tvmFfi)
    addTvmFfi(kernel.name, "whit_kernels_tvm_ffi", table);
  if (calls.xla) {
    Function *function = define(kernel.name + "_xla", pointer, {pointer});
    builder.CreateRet(
        builder.CreateCall(declare("whit_kernels_xla", pointer, {pointer, pointer}), {table, function->getArg(0)}));
  }
}

void TableWriter::addPackers(const ExportedKernel &kernel, GlobalVariable *arguments) {
  for (auto [i, argument] : enumerate(kernel.arguments)) {
    if (!argument.place)
      continue;
    Constant *described = ConstantExpr::getInBoundsGetElementPtr(
        arguments->getValueType(), arguments, ArrayRef<Constant *>{builder.getInt64(0), builder.getInt64(i)});
    auto forward = [&](const std::string &name, StringRef to, size_t pointers) {
      std::vector<llvm::Type *> types(pointers, pointer);
      types.push_back(i64);
      Function *function = define(kernel.name + "_" + name, i32, types);
      std::vector<Value *> values = {described};
      for (llvm::Argument &value : function->args())
        values.push_back(&value);
      types.insert(types.begin(), pointer);
      builder.CreateRet(builder.CreateCall(declare(to, i32, types), values));
    };
    forward(packFunction(argument), "whit_kernels_pack", 3);
    if (calls.tvmFfi)
      addTvmFfi(kernel.name + "_" + packFunction(argument), "whit_kernels_tvm_ffi_pack", described);
    if (std::string name = packCodesFunction(argument); !name.empty())
      forward(name, "whit_kernels_pack_codes", 5);
  }
}

std::unique_ptr<llvm::Module> TableWriter::run() {
  auto *type = StructType::get(pointer, pointer, pointer, pointer, pointer, i64, i64, i64, i64);
  std::vector<Constant *> tables;
  for (auto [i, kernel] : enumerate(kernels)) {
    GlobalVariable *arguments = argumentsOf(kernel);
    Constant *values[] = {text(kernel.name),
                          symbolsOf(kernel),
                          arguments,
                          declare(variantSymbol("main", i), i32, {pointer, pointer}),
                          declare(variantSymbol("main_sizes", i), builder.getVoidTy(), {pointer, pointer}),
                          builder.getInt64(kernel.parameterCount()),
                          builder.getInt64(kernel.symbols.size()),
                          builder.getInt64(kernel.arguments.size()),
                          builder.getInt64(isDevice)};
    auto *table = new GlobalVariable(*module, type, true, GlobalValue::PrivateLinkage,
                                     ConstantStruct::get(type, values), "kernel");
    addCall(kernel, table);
    addForeignCalls(kernel, table);
    addPackers(kernel, arguments);
    tables.push_back(table);
  }
  if (calls.ort) {
    auto *array = ArrayType::get(pointer, tables.size());
    auto *all =
        new GlobalVariable(*module, array, true, GlobalValue::PrivateLinkage, ConstantArray::get(array, tables));
    Function *function = define("RegisterCustomOps", pointer, {pointer, pointer});
    builder.CreateRet(
        builder.CreateCall(declare("whit_kernels_register", pointer, {pointer, i64, pointer, pointer}),
                           {all, builder.getInt64(tables.size()), function->getArg(0), function->getArg(1)}));
  }
  return std::move(module);
}

/// The workspace's size, if all calls need the same: the first number that the function stores.
int64_t constantWorkspace(const llvm::Module &module, StringRef name) {
  const Function *function = module.getFunction(name);
  if (!function || function->size() != 1)
    return -1;
  for (const Instruction &instruction : function->front())
    if (auto *store = dyn_cast<StoreInst>(&instruction))
      if (store->getPointerOperand() == function->getArg(1)) {
        auto *value = dyn_cast<ConstantInt>(store->getValueOperand());
        return value ? value->getSExtValue() : -1;
      }
  return -1;
}

} // namespace

Expected<StringSet<>> namesInUse() {
  auto undefined = undefinedSymbols({ArrayRef<uint8_t>(whit_kernels_object, whit_kernels_object_end)});
  if (!undefined)
    return undefined.takeError();
  StringSet<> names;
  names.insert(undefined->begin(), undefined->end());
  return names;
}

std::string packFunction(const ExportedArgument &argument) { return "pack_" + argument.name; }

std::string packCodesFunction(const ExportedArgument &argument) {
  Encoding encoding = mlir::whit::PlaceAttr(argument.place).getFormat().getEncoding();
  return encoding.isSimple() && !encoding.isPlain() ? "pack_" + argument.name + "_codes" : "";
}

Expected<ExportedCode> compileKernels(MutableArrayRef<ExportedKernel> kernels, const Target &target,
                                      ExportedCalls calls, bool simulation, function_ref<Error(mlir::ModuleOp)> lower) {
  ExportedCode result;
  Target host = hostOf(target);
  std::vector<std::vector<uint8_t>> objects;
  for (auto [i, kernel] : enumerate(kernels)) {
    if (Error error = lower(*kernel.module))
      return error;
    LLVMContext context;
    auto module = optimizedModule(*kernel.module, host, i, context);
    if (!module)
      return module.takeError();
    for (StringRef function : {"main", "main_sizes"})
      (*module)->getFunction(variantSymbol(function, i))->setVisibility(GlobalValue::HiddenVisibility);
    result.workspaces.push_back(constantWorkspace(**module, variantSymbol("main_sizes", i)));
    auto object = objectOf(**module, host);
    if (!object)
      return object.takeError();
    objects.push_back(std::move(*object));
    if (!target.isGpu())
      continue;
    auto device = generateDeviceCode(*kernel.module, target, simulation);
    if (!device)
      return device.takeError();
    result.devices.push_back(std::move(*device));
  }
  LLVMContext context;
  TableWriter writer(context, kernels, calls, target.isGpu());
  std::unique_ptr<llvm::Module> tables = writer.run();
  std::string problems;
  raw_string_ostream stream(problems);
  if (verifyModule(*tables, &stream))
    return fail(Exit::Bug, "the tables of exported kernels are invalid: " + StringRef(problems).rtrim());
  auto object = objectOf(*tables, host);
  if (!object)
    return object.takeError();
  objects.push_back(std::move(*object));
  objects.emplace_back(whit_kernels_object, whit_kernels_object_end);
  std::vector<ArrayRef<uint8_t>> parts(objects.begin(), objects.end());
  auto linked = linkKernels(parts, writer.exported);
  if (!linked)
    return linked.takeError();
  result.shared = std::move(*linked);
  auto joined = joinKernels(parts, writer.exported);
  if (!joined)
    return joined.takeError();
  result.object = std::move(*joined);
  return result;
}

} // namespace whit
