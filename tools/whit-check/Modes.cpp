// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks in a file, and a model on its inputs.

#include "Modes.h"

#include "Import/ONNX/Reader.h"
#include "Register.h"
#include "runtime/core/Elements.h"
#include "runtime/tool/Npz.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

namespace whit::check {

using interpret::LoadedModule;
using interpret::NamedTensors;
using interpret::Tensor;

static mlir::DialectRegistry allDialects() {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  return registry;
}

Reading::Reading() : context(allDialects()), printer(sources, &context) {
  context.loadAllAvailableDialects();
  context.printOpOnDiagnostic(false);
}

static mlir::Type typeOf(ElementType type, mlir::MLIRContext &context) {
  mlir::Builder b(&context);
  switch (type) {
  case ElementType::F32:
    return b.getF32Type();
  case ElementType::F16:
    return b.getF16Type();
  case ElementType::BF16:
    return b.getBF16Type();
  case ElementType::F64:
    return b.getF64Type();
  case ElementType::I64:
  case ElementType::U64:
    return b.getI64Type();
  case ElementType::I32:
  case ElementType::U32:
    return b.getI32Type();
  case ElementType::I16:
  case ElementType::U16:
    return b.getIntegerType(16);
  case ElementType::I8:
  case ElementType::U8:
    return b.getI8Type();
  case ElementType::Bool:
    return b.getI1Type();
  }
  return {};
}

llvm::Expected<NamedTensors> readInputs(const std::string &path, mlir::MLIRContext &context) {
  std::vector<Array> arrays;
  if (whit_status status = readNpz(path, arrays))
    return fail(Exit(status), whit_message(), path);
  NamedTensors tensors;
  for (const Array &array : arrays) {
    Tensor tensor(typeOf(array.type, context), array.dims);
    for (int64_t i = 0; i < array.count(); ++i) {
      if (tensor.isFloat())
        tensor.floats[i] = elementAt(array.type, array.data.data(), i);
      else if (array.type == ElementType::I64 || array.type == ElementType::U64) // not every one of them is a double
        std::memcpy(&tensor.integers[i], array.data.data() + i * sizeof(int64_t), sizeof(int64_t));
      else
        tensor.integers[i] = int64_t(elementAt(array.type, array.data.data(), i));
    }
    tensors[array.name] = std::move(tensor);
  }
  return tensors;
}

/// Floats as f64, with their bounds as NAME.bound if there are any; integers as i64.
static llvm::Error writeOutputs(const std::string &path, const NamedTensors &tensors, bool bounds) {
  std::vector<ArrayView> views;
  std::vector<std::vector<double>> exact; // bounds of exact tensors
  exact.reserve(tensors.size());
  for (const auto &[name, tensor] : tensors) {
    const void *data = tensor.isFloat() ? static_cast<const void *>(tensor.floats.data()) : tensor.integers.data();
    views.push_back({name, tensor.isFloat() ? ElementType::F64 : ElementType::I64, tensor.shape, data});
    if (!bounds)
      continue;
    const double *values = tensor.bounds.empty() ? exact.emplace_back(tensor.count()).data() : tensor.bounds.data();
    views.push_back({name + ".bound", ElementType::F64, tensor.shape, values});
  }
  if (whit_status status = writeNpz(path, views))
    return fail(Exit(status), whit_message(), path);
  return llvm::Error::success();
}

static llvm::Expected<LoadedModule> load(const Request &request, mlir::MLIRContext &context) {
  const std::string &path = request.model;
  if (llvm::sys::path::extension(path) != ".onnx")
    return interpret::readModule(path, context);
  Diagnostics diagnostics;
  ImportOptions options;
  options.dims = request.dims;
  LoadedModule loaded{importOnnx(path, context, options, diagnostics), llvm::sys::path::parent_path(path).str()};
  diagnostics.printText(llvm::errs());
  if (!loaded.module)
    return fail(diagnostics.exit(), "the model could not be imported; see the messages above", path);
  if (loaded.directory.empty())
    loaded.directory = ".";
  return loaded;
}

llvm::Error run(const Request &request) {
  if (request.inputs.empty() && (!request.artifact.empty() || !request.outputs.empty()))
    return fail(Exit::Usage, "no inputs are given", "", "add --inputs IN.npz");
  if (!request.artifact.empty())
    return replay(request);
  Reading reading;
  auto loaded = load(request, reading.context);
  if (!loaded)
    return loaded.takeError();
  if (request.inputs.empty()) {
    int64_t passed = 0;
    if (llvm::Error error = interpret::runChecks(*loaded, passed))
      return error;
    llvm::outs() << passed << " expectations hold\n";
    return llvm::Error::success();
  }
  auto inputs = readInputs(request.inputs, reading.context);
  if (!inputs)
    return inputs.takeError();
  auto outputs = interpret::evaluateModel(*loaded, *inputs, request.bounds, request.threads);
  if (!outputs)
    return outputs.takeError();
  return request.outputs.empty() ? llvm::Error::success() : writeOutputs(request.outputs, *outputs, request.bounds);
}

int report(llvm::Error error, llvm::raw_ostream &out) {
  int exit = 0;
  llvm::handleAllErrors(std::move(error), [&](const Failure &failure) {
    out << "whit-check: error: " << (failure.where.empty() ? "" : failure.where + ": ") << failure.message << "\n";
    if (!failure.help.empty())
      out << "  help: " << failure.help << "\n";
    exit = int(failure.exit);
  });
  return exit;
}

} // namespace whit::check
