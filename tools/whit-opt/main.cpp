// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-opt: runs any pass of Whit, or any pipeline of them, on a text file. `--list-passes` and `--list-formats` print what
// there is to choose from, `--print-place` where the bits of a format lie.

#include "Layout/PlacePicture.h"
#include "Register.h"

#include "runtime/encoding/FormatLists.h"

#include "whit/Encoding.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

static llvm::cl::opt<bool> listFormats("list-formats", llvm::cl::desc("Print the number formats and exit"));
static llvm::cl::opt<bool> formatsDoc("formats-doc", llvm::cl::desc("Print docs/formats.md and exit"));
static llvm::cl::opt<std::string> formatsFile("formats-file", llvm::cl::desc("Formats with names of your own (TOML)"));

static llvm::cl::opt<std::string>
    printPlace("print-place", llvm::cl::value_desc("format[,NxK]"),
               llvm::cl::desc("Print where each bit of a packed matrix lies and how it is taken out, and exit"));

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
  if (listFormats || formatsDoc) {
    llvm::outs() << (listFormats ? whit::formatList() : whit::formatsDoc());
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
