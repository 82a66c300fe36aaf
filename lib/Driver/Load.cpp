// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kind of file is told by its extension, of .mlir files by what they hold. One that says nothing of its weights'
// folder has them beside it.

#include "Driver/Load.h"

#include "Import/ONNX/Reader.h"
#include "Import/StableHLO/Reader.h"

#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace llvm;

namespace whit {
namespace {

std::vector<std::string> symbolsOf(mlir::ModuleOp module) {
  std::vector<std::string> names;
  if (auto listed = module->getAttrOfType<mlir::ArrayAttr>("whit.symbols"))
    for (mlir::Attribute symbol : listed) {
      auto described = dyn_cast<mlir::DictionaryAttr>(symbol);
      if (auto text = described ? described.getAs<mlir::StringAttr>("name") : dyn_cast<mlir::StringAttr>(symbol))
        names.push_back(text.str());
    }
  return names;
}

mlir::OwningOpRef<mlir::ModuleOp> parseModule(const CompileOptions &options, mlir::MLIRContext &context,
                                              Console &console, Exit &exit) {
  auto buffer = MemoryBuffer::getFile(options.model, /*IsText=*/true);
  if (!buffer) {
    exit = console.print(fail(Exit::Files, "cannot read: " + buffer.getError().message(), options.model,
                              "check the name and its permissions"));
    return {};
  }
  // Only the checks here tell an operation that is not supported from a line that is wrong.
  Diagnostics diagnostics;
  diagnostics.setFile(options.model);
  if (!checkStableHloText((*buffer)->getBuffer(), context, diagnostics)) {
    console.print(diagnostics);
    exit = diagnostics.exit();
    return {};
  }
  SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), SMLoc());
  mlir::OwningOpRef<mlir::ModuleOp> module;
  {
    mlir::ScopedDiagnosticHandler handler(
        &context, [&](mlir::Diagnostic &diagnostic) { console.print(diagnostic, Exit::Invalid); });
    module = mlir::parseSourceFile<mlir::ModuleOp>(sources, mlir::ParserConfig(&context));
  }
  if (!module) {
    exit = Exit::Invalid;
    return {};
  }
  if (isStableHlo(*module)) {
    StableHloOptions choices{options.params, options.paramNames};
    mlir::OwningOpRef<mlir::ModuleOp> imported = importStableHlo(*module, options.model, choices, diagnostics);
    console.print(diagnostics);
    if (!imported)
      exit = diagnostics.hasErrors() ? diagnostics.exit() : Exit::Bug;
    return imported;
  }
  if (!options.params.empty()) {
    exit = console.print(
        fail(Exit::Usage, "--params binds the arguments of a StableHLO program, which this is not", options.model));
    return {};
  }
  if (!(*module)->hasAttr("whit.directory")) {
    SmallString<256> folder(sys::path::parent_path(options.model));
    sys::fs::make_absolute(folder);
    (*module)->setAttr("whit.directory", mlir::StringAttr::get(&context, folder));
  }
  if (!(*module)->hasAttr("whit.model"))
    (*module)->setAttr("whit.model", mlir::StringAttr::get(&context, sys::path::stem(options.model)));
  return module;
}

} // namespace

mlir::OwningOpRef<mlir::ModuleOp> loadModel(const CompileOptions &options, mlir::MLIRContext &context, Console &console,
                                            Exit &exit) {
  StringRef extension = sys::path::extension(options.model);
  if (extension == ".mlir")
    return parseModule(options, context, console, exit);
  if (extension != ".onnx") {
    exit = console.print(fail(Exit::Usage, "the model is neither .onnx nor .mlir", options.model,
                              "give an ONNX file, a StableHLO program as .mlir, or MLIR with --start-from"));
    return {};
  }
  ImportOptions choices;
  for (const DimBound &bound : options.dims)
    if (bound.isFixed())
      choices.dims.emplace_back(bound.name, bound.low);
  choices.params = options.params;
  choices.paramNames = options.paramNames;
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  {
    // What the importer's own checks let pass, the verifier of an operation may still refuse.
    mlir::ScopedDiagnosticHandler handler(
        &context, [&](mlir::Diagnostic &diagnostic) { console.print(diagnostic, Exit::Invalid); });
    module = importOnnx(options.model, context, choices, diagnostics);
  }
  console.print(diagnostics);
  if (!module) {
    exit = diagnostics.hasErrors() ? diagnostics.exit() : Exit::Bug;
    return {};
  }
  for (const DimBound &bound : options.dims)
    if (!bound.isFixed() && !is_contained(symbolsOf(*module), bound.name)) {
      exit = console.print(fail(Exit::Usage, "--dim: the model has no dimension '" + shown(bound.name) + "'",
                                options.model, "its dimensions: " + join(symbolsOf(*module), ", ")));
      return {};
    }
  return module;
}

} // namespace whit
