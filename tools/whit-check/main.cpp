// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-check: what a model or a test ought to compute, by the f64 interpreter.

#include "Modes.h"

#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

int main(int argc, char **argv) {
  CLI::App app("Says what a model computes, in f64, and whether compiled code does.\n\n"
               "  whit-check FILE.mlir                                     run the checks of a file\n"
               "  whit-check MODEL --inputs IN.npz --outputs REF.npz       interpret a model\n"
               "  whit-check MODEL OUT.so --inputs IN.npz                  replay each region of a compiled run\n");
  whit::check::Request request;
  app.add_option("MODEL", request.model, "an .onnx or .mlir file")->required();
  app.add_option("ARTIFACT", request.artifact, "what whit-compile made of MODEL");
  app.add_option("--inputs", request.inputs, "arrays by the model's names, .npz");
  app.add_option("--outputs", request.outputs, "where to write what the interpreter found, .npz");
  app.add_flag("--bounds", request.bounds, "write NAME.bound beside each NAME: how far f32 code may be off");
  app.add_option("--threads", request.threads, "threads of the interpreter (default 2)")->check(CLI::Range(1, 256));
  std::vector<std::string> dims;
  app.add_option("--dim", dims, "NAME=N: fixes a dimension of an .onnx model, as it was for whit-compile")
      ->allow_extra_args(false)
      ->check([](const std::string &text) {
        int64_t size;
        auto [name, number] = llvm::StringRef(text).rsplit('=');
        return name.empty() || number.getAsInteger(10, size) || size < 0 ? "'" + text + "' is not NAME=N"
                                                                         : std::string();
      });
  app.add_flag("--all", request.all, "replay: print every region, not only the worst");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    llvm::errs() << "error: " << llvm::StringRef(error.what()).rtrim(" .\n")
                 << "\n  help: whit-check --help prints the options\n";
    return 2;
  }
  for (llvm::StringRef dim : dims) {
    auto [name, number] = dim.rsplit('=');
    request.dims.emplace_back(name.str(), 0);
    number.getAsInteger(10, request.dims.back().second);
  }
  return whit::check::report(whit::check::run(request), llvm::errs());
}
