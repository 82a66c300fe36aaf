// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Text of Whit's own dialects: what parses and verifies prints as text that parses again and prints the same. Upstream dialects
// are left out: their parsers are not hardened, and fuzzing finds that within seconds (`linalg.transpose` without its
// permutation, for one).

#include "CHLO/CHLO.h"
#include "Check/Check.h"
#include "StableHLO/StableHLO.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <cstdlib>

using namespace mlir;

static std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, OpPrintingFlags().enableDebugInfo(false));
  return text;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static DialectRegistry *registry = [] {
    auto *made = new DialectRegistry;
    made->insert<mlir::whit::WhitDialect, check::CheckDialect, stablehlo::StableHLODialect, chlo::CHLODialect,
                 func::FuncDialect>();
    return made;
  }();
  static std::unique_ptr<MLIRContext> context;
  static unsigned uses = 0;
  if (uses++ % 10000 == 0) {
    context = std::make_unique<MLIRContext>(*registry, MLIRContext::Threading::DISABLED);
    context->getDiagEngine().registerHandler([](Diagnostic &) { return success(); });
  }
  // Upstream's lexer looks at the byte behind the text, which is a zero in every file that is read.
  std::string text(reinterpret_cast<const char *>(data), size);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, ParserConfig(context.get()));
  if (!module)
    return 0;
  std::string printed = print(*module);
  OwningOpRef<ModuleOp> again = parseSourceString<ModuleOp>(printed, ParserConfig(context.get()));
  if (!again || print(*again) != printed)
    std::abort();
  return 0;
}
