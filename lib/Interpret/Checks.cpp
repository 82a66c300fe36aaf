// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files of checks, and models on named inputs.

#include "Interpret/Checks.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace whit::interpret {

llvm::Expected<LoadedModule> readModule(const std::string &path, MLIRContext &context) {
  if (!llvm::sys::fs::exists(path))
    return fail(Exit::Files, "cannot read '" + path + "': no such file");
  LoadedModule loaded;
  loaded.module = parseSourceFile<ModuleOp>(path, &context);
  if (!loaded.module)
    return fail(Exit::Invalid, "'" + path + "' is no valid module; see the messages above");
  loaded.directory = llvm::sys::path::parent_path(path).str();
  if (loaded.directory.empty())
    loaded.directory = ".";
  if (auto folder = (*loaded.module)->getAttrOfType<StringAttr>("whit.directory"))
    loaded.directory = folder.str();
  return loaded;
}

llvm::Error runChecks(LoadedModule &loaded, int64_t &passed) {
  Interpreter interpreter(*loaded.module, loaded.directory, {.bounds = true});
  if (failed(interpreter.verifySupported(*loaded.module)))
    return fail(Exit::Unsupported, "the file holds operations that the interpreter does not know; see the messages above");
  int64_t functions = 0, stopped = 0;
  for (auto function : loaded.module->getOps<func::FuncOp>()) {
    if (function.isExternal() || function.isPrivate() || function.getNumArguments() != 0)
      continue;
    ++functions;
    stopped += failed(interpreter.call(function, {}));
  }
  passed = interpreter.passedChecks;
  if (stopped)
    return fail(Exit::Invalid, llvm::Twine(stopped) + " of " + llvm::Twine(functions) + " functions could not be run to their end");
  if (interpreter.failedChecks)
    return fail(Exit::Mismatch, llvm::Twine(interpreter.failedChecks) + " of " +
                                    llvm::Twine(interpreter.failedChecks + passed) + " expectations failed");
  if (!passed)
    return fail(Exit::Invalid, "no function without arguments holds a check operation", "", "give --inputs to run a model");
  return llvm::Error::success();
}

// ---------------------------------------------------------------------------------------------------- models

/// A row of the function's signature by its name in the model.
static std::string nameOf(DictionaryAttr attributes, StringRef fallback, unsigned index) {
  auto name = attributes ? attributes.getAs<StringAttr>("whit.name") : StringAttr();
  return name ? name.str() : (fallback + llvm::Twine(index)).str();
}

static llvm::Error checkInput(StringRef name, RankedTensorType type, const Tensor &tensor) {
  bool fits = tensor.rank() == type.getRank();
  for (int64_t i = 0; fits && i < tensor.rank(); ++i)
    fits = type.isDynamicDim(i) || type.getDimSize(i) == tensor.shape[i];
  if (!fits)
    return fail(Exit::Invalid, "input '" + name + "' has shape " + textOf(tensor.shape) + "; the model needs " + textOf(type.getShape().vec()));
  if (isa<FloatType>(type.getElementType()) != tensor.isFloat())
    return fail(Exit::Invalid, "input '" + name + "' holds " + (tensor.isFloat() ? "floats" : "integers") + "; the model needs the other kind");
  return llvm::Error::success();
}

/// What dimension names of the model stand for, learnt from the inputs given.
using Symbols = llvm::StringMap<int64_t>;

static void learnSymbols(DictionaryAttr attributes, const Tensor &tensor, Symbols &symbols) {
  auto dims = attributes ? attributes.getAs<ArrayAttr>("whit.dims") : ArrayAttr();
  for (int64_t i = 0; dims && i < std::min<int64_t>(dims.size(), tensor.rank()); ++i)
    if (auto symbol = dyn_cast<StringAttr>(dims[i]))
      symbols[symbol.getValue()] = tensor.shape[i];
}

/// An input that was not given: a cache that holds no tokens.
static llvm::Expected<Tensor> emptyCache(StringRef name, DictionaryAttr attributes, RankedTensorType type, const Symbols &symbols) {
  auto dims = attributes ? attributes.getAs<ArrayAttr>("whit.dims") : ArrayAttr();
  std::vector<int64_t> shape = type.getShape().vec();
  for (size_t i = 0; i < shape.size(); ++i) {
    auto symbol = dims && i < dims.size() ? dyn_cast<StringAttr>(dims[i]) : StringAttr();
    if (ShapedType::isDynamic(shape[i]))
      shape[i] = symbol ? symbols.lookup(symbol.getValue()) : 0;
  }
  Tensor tensor(type.getElementType(), shape);
  if (!tensor.isFloat() || tensor.count() > 0)
    return fail(Exit::Invalid, "input '" + name + "' is missing", "", "only caches may be left out; they are empty then");
  return tensor;
}

llvm::Expected<NamedTensors> evaluateModel(LoadedModule &loaded, const NamedTensors &inputs, bool bounds, int threads) {
  auto function = loaded.module->lookupSymbol<func::FuncOp>("main");
  if (!function)
    return fail(Exit::Invalid, "the module has no function @main");
  Interpreter interpreter(*loaded.module, loaded.directory, {.bounds = bounds, .threads = threads});
  if (failed(interpreter.verifySupported(function)))
    return fail(Exit::Unsupported, "the model holds operations that the interpreter does not know; see the messages above");

  Symbols symbols;
  std::vector<std::string> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    names.push_back(nameOf(function.getArgAttrDict(i), "arg", i));
    if (auto found = inputs.find(names[i]); found != inputs.end())
      learnSymbols(function.getArgAttrDict(i), found->second, symbols);
  }
  for (const auto &[name, tensor] : inputs)
    if (!llvm::is_contained(names, name))
      return fail(Exit::Invalid, "the model has no input '" + name + "'; it has " + llvm::join(names, ", "));
  std::vector<Datum> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(function.getArgument(i).getType());
    if (!type)
      return fail(Exit::Unsupported, "argument '" + names[i] + "' is no tensor");
    auto found = inputs.find(names[i]);
    if (found != inputs.end()) {
      if (llvm::Error error = checkInput(names[i], type, found->second))
        return std::move(error);
      Tensor tensor = found->second;
      tensor.element = type.getElementType();
      arguments.push_back(makeDatum(std::move(tensor)));
      continue;
    }
    auto tensor = emptyCache(names[i], function.getArgAttrDict(i), type, symbols);
    if (!tensor)
      return tensor.takeError();
    arguments.push_back(makeDatum(std::move(*tensor)));
  }
  auto results = interpreter.call(function, std::move(arguments));
  if (failed(results))
    return fail(Exit::Invalid, "the model could not be run to its end; see the messages above");
  NamedTensors outputs;
  for (unsigned i = 0; i < results->size(); ++i)
    if ((*results)[i].tensor)
      outputs[nameOf(function.getResultAttrDict(i), "result", i)] = *(*results)[i].tensor;
  return outputs;
}

} // namespace whit::interpret
