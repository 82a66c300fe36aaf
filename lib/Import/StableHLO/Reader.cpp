// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a parsed program and the file of its weights to a module. The file is named by the user, so it may lie anywhere;
// blobs of the module refer to it by the folder that it lies in.

#include "Import/StableHLO/Reader.h"

#include "CHLO/CHLO.h"
#include "Import/StableHLO/Program.h"
#include "Import/VerifyImported.h"
#include "StableHLO/StableHLO.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace whit {

static constexpr unsigned kMaxNesting = 256;

bool isStableHlo(ModuleOp module) {
  for (NamedAttribute attribute : module->getAttrs())
    if (attribute.getName().getValue().starts_with("mhlo.") || attribute.getName().getValue().starts_with("jax."))
      return true;
  WalkResult found = module->walk([](Operation *op) {
    return isa<stablehlo::StableHLODialect, chlo::CHLODialect>(op->getDialect()) ? WalkResult::interrupt()
                                                                                 : WalkResult::advance();
  });
  return found.wasInterrupted();
}

namespace {
struct Refusal {
  StringLiteral name, why, help;
};
} // namespace

/// Two of the three parts may be one macro: it is expanded before they are taken apart.
#define REFUSAL_ROW(name, why, help) {name, why, help},
#define REFUSED(...) REFUSAL_ROW(__VA_ARGS__)
static constexpr Refusal kRefusals[] = {
#include "Import/StableHLO/Refusals.def"
};
#undef REFUSAL_ROW

bool checkStableHloText(StringRef text, MLIRContext &context, Diagnostics &diagnostics) {
  auto refuse = [&](DiagnosticCode code, const Twine &message, StringRef help) {
    diagnostics.add({code, Severity::Error, "", {}, "", message.str(), help.str()});
    return false;
  };
  if (text.starts_with("ML\xefR"))
    return refuse(code::NoFeature, "is MLIR bytecode, which only the version of MLIR that wrote it reads",
                  "write the text instead: jax.jit(f).lower(x).as_text(); of a portable artifact, "
                  "jaxlib.mlir.dialects.stablehlo.deserialize_portable_artifact gives it");
  // Words outside of strings and comments, and how deep brackets are nested.
  std::vector<Diagnostic> problems;
  llvm::StringMap<size_t> placeOf;
  unsigned depth = 0;
  size_t line = 1;
  auto isWord = [](char c) { return llvm::isAlnum(c) || c == '_' || c == '.' || c == '$'; };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\n')
      ++line;
    if (c == '/' && text.substr(i).starts_with("//")) {
      i = std::min(text.find('\n', i), text.size()) - 1;
      continue;
    }
    if ((c == '(' || c == '[' || c == '{' || c == '<') && ++depth > kMaxNesting)
      return refuse(code::Limit, "nests brackets more than " + Twine(kMaxNesting) + " deep at line " + Twine(line), "");
    if ((c == ')' || c == ']' || c == '}' || (c == '>' && i && text[i - 1] != '-')) && depth)
      --depth;
    StringRef name;
    char before = i ? text[i - 1] : '\n';
    if (c == '"') {
      size_t end = i + 1;
      while (end < text.size() && text[end] != '"' && text[end] != '\n')
        end += text[end] == '\\' ? 2 : 1;
      name = text.slice(i + 1, std::min(end, text.size()));
      // In the generic form an operation is a string before its operands.
      if (!text.substr(std::min(end + 1, text.size())).starts_with("("))
        name = "";
      i = end;
    } else if (isWord(c)) {
      size_t end = i;
      while (end < text.size() && isWord(text[end]))
        ++end;
      // Neither a symbol nor the name of an attribute.
      if (!StringRef("#!@%^").contains(before) && !text.substr(end).ltrim(" ").starts_with("="))
        name = text.slice(i, end);
      i = end - 1;
    }
    bool isOurs = name.starts_with("stablehlo.") || name.starts_with("chlo.") || name.starts_with("vhlo.");
    if (!isOurs || RegisteredOperationName::lookup(name, &context))
      continue;
    const Refusal *refusal = llvm::find_if(kRefusals, [&](const Refusal &row) { return row.name == name; });
    bool isListed = refusal != std::end(kRefusals);
    std::string message = "operation '" + shown(name) + "' is not supported";
    if (isListed)
      message += (": " + refusal->why).str();
    auto [place, isNew] = placeOf.try_emplace(message, problems.size());
    if (isNew)
      problems.push_back({code::NoOperator,
                          Severity::Error,
                          "",
                          {},
                          name.str(),
                          message,
                          isListed ? refusal->help.str() : std::string(),
                          0});
    problems[place->second].nodes.push_back("line " + std::to_string(line));
    ++problems[place->second].count;
  }
  for (Diagnostic &problem : problems)
    diagnostics.add(std::move(problem));
  return problems.empty();
}

OwningOpRef<ModuleOp> importStableHlo(ModuleOp source, StringRef path, const StableHloOptions &options,
                                      Diagnostics &diagnostics) {
  diagnostics.setFile(path);
  MLIRContext *context = source.getContext();
  context->loadDialect<mlir::whit::WhitDialect, func::FuncDialect, linalg::LinalgDialect, tensor::TensorDialect,
                       arith::ArithDialect, math::MathDialect>();
  auto refuse = [&](llvm::Error error) -> OwningOpRef<ModuleOp> {
    llvm::handleAllErrors(std::move(error), [&](const Failure &failure) {
      DiagnosticCode code = failure.exit == Exit::Files         ? code::Unreadable
                            : failure.exit == Exit::Unsupported ? code::NoFeature
                                                                : code::Tensor;
      diagnostics.add({code, Severity::Error, failure.where, {}, "", failure.message, failure.help});
    });
    return {};
  };
  llvm::SmallString<256> file(options.params.empty() ? path : StringRef(options.params)), real;
  // A link is followed here: it is the user who named it.
  if (std::error_code error = llvm::sys::fs::real_path(file, real))
    return refuse(fail(Exit::Files, "cannot read: " + error.message(), file, "check the name and its permissions"));
  DataFiles files(llvm::sys::path::parent_path(real).str());
  Parameters parameters;
  if (!options.params.empty()) {
    std::string name = llvm::sys::path::filename(real).str();
    llvm::Expected<ArrayRef<uint8_t>> bytes = files.open(name);
    if (!bytes)
      return refuse(bytes.takeError());
    if (llvm::Error error = parameters.read(name, *bytes, *context))
      return refuse(std::move(error));
  }
  if (!options.paramNames.empty())
    if (llvm::Error error = parameters.readNames(options.paramNames))
      return refuse(std::move(error));
  Program program(source, files, parameters, diagnostics);
  OwningOpRef<ModuleOp> module = program.build(llvm::sys::path::stem(llvm::sys::path::stem(path)));
  if (!module)
    return {};
  if (verifyImported(*module, "the program", diagnostics))
    return module;
  return {};
}

} // namespace whit
