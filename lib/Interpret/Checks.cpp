// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading modules and running the checks in them.

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
    return fail(Exit::Unsupported,
                "the file holds operations that the interpreter does not know; see the messages above");
  int64_t functions = 0, stopped = 0;
  for (auto function : loaded.module->getOps<func::FuncOp>()) {
    if (function.isExternal() || function.isPrivate() || function.getNumArguments() != 0)
      continue;
    ++functions;
    stopped += failed(interpreter.call(function, {}));
  }
  passed = interpreter.passedChecks;
  if (stopped)
    return fail(Exit::Invalid,
                llvm::Twine(stopped) + " of " + llvm::Twine(functions) + " functions could not be run to their end");
  if (interpreter.failedChecks)
    return fail(Exit::Mismatch, llvm::Twine(interpreter.failedChecks) + " of " +
                                    llvm::Twine(interpreter.failedChecks + passed) + " expectations failed");
  if (!passed)
    return fail(Exit::Invalid, "no function without arguments holds a check operation", "",
                "give --inputs to run a model");
  return llvm::Error::success();
}

} // namespace whit::interpret
