// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-tune: measures schedules of matmuls on this CPU and trains the model that chooses among them (docs/tuning.md).

#include "Commands.h"

#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

using whit::tune::Request;

int main(int argc, char **argv) {
  CLI::App app("Measures schedules of matmuls and trains the model that chooses among them.\n\n"
               "  whit-tune probe                                        what this machine can do\n"
               "  whit-tune gen --shapes 4096x1024 --formats F:int8      what to measure\n"
               "  whit-tune run TASKS --database ROWS                    measure it\n");
  Request request;
  llvm::Error (*command)(const Request &) = nullptr;
  auto add = [&](const char *name, const char *what, llvm::Error (*function)(const Request &)) {
    CLI::App *sub = app.add_subcommand(name, what);
    sub->add_option("--target", request.target, "host, or a CPU as whit-compile names it");
    sub->callback([&command, function] { command = function; });
    return sub;
  };
  app.require_subcommand(1);

  CLI::App *probe = add("probe", "measure multiply-adds and bytes a second", whit::tune::runProbe);
  probe->add_option("-o,--output", request.output, "a file instead of standard output");

  CLI::App *gen = add("gen", "write tasks", whit::tune::runGen);
  gen->add_option("--shapes", request.shapes, "NxK,...")->delimiter(',')->required();
  gen->add_option("--formats", request.formats, "FORMAT:int8 or bf16 or f32,...")->delimiter(',')->required();
  gen->add_option("--rows", request.rows, "numbers of rows (default 1,16,128)")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  gen->add_option("--samples", request.samples, "schedules of each matmul to train on (default 40)")
      ->check(CLI::Range(1, 100000));
  gen->add_option("--seed", request.seed, "of what is drawn (default 1)");
  gen->add_option("-o,--output", request.output, "tasks, a line each");
  gen->add_option("--manifest", request.manifest, "which matmuls serve for what");

  CLI::App *run = add("run", "measure tasks", whit::tune::runRun);
  run->add_option("TASKS", request.tasks, "what gen wrote")->required();
  run->add_option("--database", request.database, "rows; those that it has are not measured again")->required();
  run->add_option("--split", request.split, "only these")->check(CLI::IsMember({"train", "validation", "test"}));
  run->add_option("--limit", request.limit, "tasks at most")->check(CLI::Range(1, 1 << 30));
  run->add_option("--seconds", request.seconds, "no new task after so many");
  run->add_flag("--hot", request.hotOnly, "leave out weights that come from memory");
  run->add_flag("--quiet", request.quiet, "no progress");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    llvm::errs() << "error: " << llvm::StringRef(error.what()).rtrim(" .\n")
                 << "\n  help: whit-tune --help prints the commands, whit-tune COMMAND --help their options\n";
    return 2;
  }
  return whit::tune::report(command(request));
}
