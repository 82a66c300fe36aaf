// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-opt: runs any pass of Whit, or any pipeline of them, on a text file. `--list-passes` and `--list-formats` print what
// there is to choose from.

#include "Register.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

static llvm::cl::opt<bool> listFormats("list-formats", llvm::cl::desc("Print the number formats and exit"));

static void printRow(llvm::StringRef name, llvm::StringRef suffix, llvm::StringRef meaning, llvm::StringRef alias) {
  std::string spelled = (name + suffix).str();
  llvm::outs() << llvm::left_justify(spelled, 20) << llvm::left_justify(meaning, alias.empty() ? 0 : 34) << alias
               << "\n";
}

static llvm::StringRef meaningOf(llvm::StringRef zeroKind) {
  return zeroKind == "Constant"  ? "scale * (code - half the range)"
         : zeroKind == "Integer" ? "scale * (code - integer zero)"
         : zeroKind == "Float"   ? "scale * (code - float zero)"
                                 : "scale * code + minimum";
}

static void printFormats() {
  printRow("NAME", "", "VALUE", "ALIAS WITH GROUPS OF 32");
#define WHIT_PLAIN_FORMAT(stem, scaleType) printRow(stem, "", "the stored number", "");
#define WHIT_INT_FORMAT(stem, suffix, bits, zeroKind, alias) printRow(stem "_gN", suffix, meaningOf(#zeroKind), alias);
#include "whit/Formats.def"
  llvm::outs()
      << "\nN: elements along K that share a scale; `_channel` or `_tensor` instead of `_gN` for one scale per row or"
         " per matrix.\nScales are f16; a last `_f32` or `_bf16` changes their type. Codes have as many bits as the"
         " number in the name.\n";
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  whit::registerAll(registry);
  auto [input, output] = mlir::registerAndParseCLIOptions(argc, argv, "Whit optimizer driver\n", registry);
  if (listFormats) {
    printFormats();
    return 0;
  }
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, input, output, registry));
}
