// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-opt: runs any pass of Whit, or any pipeline of them, on a text file. `--list-passes` and `--list-formats` print what
// there is to choose from, `--print-place` where the bits of a format lie.

#include "Layout/PlacePicture.h"
#include "Register.h"

#include "whit/Encoding.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

static llvm::cl::opt<bool> listFormats("list-formats", llvm::cl::desc("Print the number formats and exit"));

static llvm::cl::opt<std::string>
    printPlace("print-place", llvm::cl::value_desc("format[,NxK]"),
               llvm::cl::desc("Print where each bit of a packed matrix lies and how it is taken out, and exit"));

static llvm::cl::opt<std::string> formatsFile("formats-file", llvm::cl::desc("Formats with names of your own (TOML)"));

static void printRow(llvm::StringRef name, llvm::StringRef formula, llvm::StringRef aliases, llvm::StringRef source) {
  llvm::outs() << llvm::left_justify(name, 22) << llvm::left_justify(formula, 54) << llvm::left_justify(aliases, 14)
               << source << "\n";
}

static void printFormats() {
  printRow("NAME", "VALUE", "ALIASES", "DEFINED BY");
  for (const whit::FormatRow &row : whit::formatRows()) {
    std::string name(row.stem);
    if (row.isFamily)
      name += "_gN" + std::string(row.suffix);
    std::string formula(row.formula);
    for (auto [mark, text] : {std::pair<llvm::StringRef, llvm::StringRef>("$T", "f16"), {"$S", "N"}})
      for (size_t at; (at = formula.find(mark)) != formula.npos;)
        formula.replace(at, 2, text);
    printRow(name, formula, row.aliases, row.source);
  }
  for (const whit::AddedFormat &format : whit::addedFormats())
    printRow(format.name, format.formula, "", format.source);
  llvm::outs()
      << "\nN: elements along K that share a scale; `_channel` or `_tensor` instead of `_gN` for one scale per row or"
         " per matrix.\nScales of such families are f16; a last `_f32` or `_bf16` changes their type. Aliases of a "
         "family have"
         " groups of 32.\nA formula is a format too: #whit.format<\"int<4> * f16/32 + f16/32\">.\n";
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  whit::registerAll(registry);
  auto [input, output] = mlir::registerAndParseCLIOptions(argc, argv, "Whit optimizer driver\n", registry);
  if (!formatsFile.empty()) {
    auto buffer = llvm::MemoryBuffer::getFile(formatsFile);
    std::string why = buffer ? "" : buffer.getError().message();
    if (!buffer || !whit::addFormats({(*buffer)->getBufferStart(), (*buffer)->getBufferSize()}, &why)) {
      llvm::errs() << "error: --formats-file: " << formatsFile << ": " << why << "\n";
      return 1;
    }
  }
  if (listFormats) {
    printFormats();
    return 0;
  }
  if (printPlace.getNumOccurrences()) {
    std::string error;
    if (mlir::whit::printPlaceOf(printPlace, llvm::outs(), error))
      return 0;
    llvm::errs() << "whit-opt: --print-place: " << error << "\n";
    return 1;
  }
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, input, output, registry));
}
