// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The commands of whit-tune and their options.

#include "Commands.h"

#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

namespace whit::tune {

namespace {
constexpr const char *kHelp =
    "Measures schedules of matmuls and trains the model that chooses among them.\n\n"
    "  whit-tune probe                                     what this machine can do\n"
    "  whit-tune gen --shapes NxK --formats F:int8         what to measure\n"
    "  whit-tune run TASKS --database ROWS                 measure it\n"
    "  whit-tune train ROWS... -o MODEL                    learn from it\n"
    "  whit-tune eval ROWS... --model MODEL                how good its choices are\n"
    "  whit-tune explain --shapes NxK --formats F:int8     what is chosen, and why\n"
    "  whit-tune search --shapes NxK --formats F:int8      try schedules until a budget is spent\n"
    "  whit-tune pack ROWS...                              rows in few bytes\n";

using Command = llvm::Error (*)(const Request &);

/// The options that several commands have.
class Options {
public:
  Options(CLI::App &app, Request &request, Command &chosen) : app(app), request(request), chosen(chosen) {}

  CLI::App *add(const char *name, const char *what, Command command) {
    CLI::App *sub = app.add_subcommand(name, what);
    sub->add_option("--target", request.target, "host, or a CPU as whit-compile names it");
    sub->callback([this, command] { chosen = command; });
    return sub;
  }
  void output(CLI::App *sub) { sub->add_option("-o,--output", request.output, "a file instead of standard output"); }
  void seed(CLI::App *sub) { sub->add_option("--seed", request.seed, "of what is drawn (default 1)"); }
  void split(CLI::App *sub) {
    sub->add_option("--split", request.split, "only these")->check(CLI::IsMember({"train", "validation", "test"}));
  }
  void databases(CLI::App *sub) { sub->add_option("ROWS", request.databases, "what run or pack wrote")->required(); }
  void matmuls(CLI::App *sub, bool isRequired) {
    sub->add_option("--shapes", request.shapes, "NxK,...")->delimiter(',')->required(isRequired);
    sub->add_option("--formats", request.formats, "FORMAT:int8 or bf16 or f32,...")
        ->delimiter(',')
        ->required(isRequired);
    sub->add_option("--rows", request.rows, "numbers of rows (default 1,16,128)")
        ->delimiter(',')
        ->check(CLI::Range(1, 4096));
  }

private:
  CLI::App &app;
  Request &request;
  Command &chosen;
};
} // namespace

int runCommandLine(int argc, char **argv) {
  CLI::App app(kHelp);
  Request request;
  Command command = nullptr;
  Options options(app, request, command);
  app.require_subcommand(1);

  CLI::App *probe = options.add("probe", "measure multiply-adds and bytes a second", runProbe);
  options.output(probe);

  CLI::App *gen = options.add("gen", "write tasks", runGen);
  options.matmuls(gen, true);
  options.seed(gen);
  options.output(gen);
  gen->add_option("--samples", request.samples, "schedules of each matmul to train on (default 40)")
      ->check(CLI::Range(1, 100000));
  gen->add_option("--model", request.model,
                  "what train wrote; it says what to train on next, instead of the analytic model");
  gen->add_option("--manifest", request.manifest, "which matmuls serve for what");

  CLI::App *run = options.add("run", "measure tasks", runRun);
  run->add_option("TASKS", request.tasks, "what gen wrote")->required();
  run->add_option("--database", request.database, "rows; those that it has are not measured again")->required();
  options.split(run);
  run->add_option("--limit", request.limit, "tasks at most")->check(CLI::Range(1, 1 << 30));
  run->add_option("--seconds", request.seconds, "no new task after so many");
  run->add_flag("--hot", request.hotOnly, "leave out weights that come from memory");
  run->add_flag("--quiet", request.quiet, "no progress");

  CLI::App *pack = options.add("pack", "write rows in few bytes", runPack);
  options.databases(pack);
  options.output(pack);

  CLI::App *train = options.add("train", "write a model", runTrain);
  options.databases(train);
  options.output(train);

  CLI::App *eval = options.add("eval", "judge choices by exhaustive measurements", runEval);
  options.databases(eval);
  options.split(eval);
  options.output(eval);
  eval->add_option("--model", request.model, "what train wrote");
  eval->add_flag("--json", request.json, "for programs");

  CLI::App *explain = options.add("explain", "say what is chosen, and why", runExplain);
  options.matmuls(explain, true);
  explain->add_option("--model", request.model, "what train wrote; without it, the analytic model answers");

  CLI::App *search = options.add("search", "try schedules until a budget is spent", runSearch);
  options.matmuls(search, false);
  options.seed(search);
  options.split(search);
  search->add_option("--agent", request.agents, "exhaustive, random, climb, genetic or forest (default), or several")
      ->delimiter(',');
  search->add_option("--budget", request.budget, "tries (default 32)")->check(CLI::Range(1, 100000));
  search->add_option("--replay", request.databases, "look times up in these rows instead of measuring");
  search->add_option("--seeds", request.seeds, "with --replay: how many, from --seed on (default 1)")
      ->check(CLI::Range(1, 1000));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    llvm::errs() << "error: " << llvm::StringRef(error.what()).rtrim(" .\n")
                 << "\n  help: whit-tune --help prints the commands, whit-tune COMMAND --help their options\n";
    return 2;
  }
  return report(command(request));
}

} // namespace whit::tune
