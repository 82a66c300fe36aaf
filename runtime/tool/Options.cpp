// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Flags by CLI11; what it cannot check is checked behind it, with the same exit code 2.
#include "runtime/tool/Options.h"

#include <CLI/CLI.hpp>

#include <cctype>
#include <charconv>
#include <iostream>
#include <string_view>

namespace whit {
namespace {

/// "NAME=VALUE"; throws CLI's error otherwise.
std::pair<std::string, std::string> splitPair(const std::string &flag, const std::string &text) {
  size_t cut = text.find('=');
  if (cut == text.npos || cut == 0 || cut + 1 == text.size())
    throw CLI::ValidationError(flag, "found '" + text + "'; NAME=VALUE is required");
  return {text.substr(0, cut), text.substr(cut + 1)};
}

int64_t parseInteger(const std::string &flag, const std::string &text) {
  int64_t value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw CLI::ValidationError(flag, "found '" + text + "'; an integer is required");
  return value;
}

std::vector<int64_t> parseList(const std::string &flag, const std::string &text) {
  std::vector<int64_t> values;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    values.push_back(parseInteger(flag, text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return values;
}

/// What CLI11 has to say, in the form of every other message.
std::string usageMessage(const CLI::App *, const CLI::Error &error) {
  std::string message = error.what();
  while (!message.empty() && std::string_view(" .\n").find(message.back()) != std::string_view::npos)
    message.pop_back();
  if (message.size() > 1 && std::isupper(message[0]) && std::islower(message[1]))
    message[0] = char(std::tolower(message[0]));
  return "error: " + message + "\n  help: whit-run --help prints the options\n";
}

} // namespace

bool parseRunOptions(int argc, char **argv, RunOptions &options, int &exitCode) {
  CLI::App app{"whit-run: run a compiled model\n"
               "exit codes: 0 done, 1 invalid input, 2 wrong command line, 3 unsupported, 4 cannot read or write, 5 "
               "limit or memory,\n"
               "            6 artifact refused, 7 device, 8 --expect failed, 70 a bug in Whit"};
  app.set_version_flag("--version", whit_version());
  app.failure_message(usageMessage);
  std::vector<std::string> input, dims;
  std::string promptIds, stopIds, verify = "lazy";
  app.add_option("MODEL", options.model, "the compiled model, OUT.so of whit-compile")->required();
  app.add_option("--inputs", options.inputs, "arrays by the model's input names, past tensors included")
      ->type_name("FILE.npz");
  app.add_option("--outputs", options.outputs, "write all outputs, present tensors included")->type_name("FILE.npz");
  app.add_option("--input", input, "one input: a file, or made up: ones, zeros, random:SEED; repeatable")
      ->type_name("NAME=FILE.npy|ones|zeros|random:SEED");
  app.add_option("--dim", dims,
                 "value of a symbolic dimension: for inputs that are made up, and whit.last_rows; repeatable")
      ->type_name("NAME=N");
  app.add_option("--expect", options.expect,
                 "compare outputs with these arrays; exit code 8 if |out - ref| > atol + rtol * |ref| anywhere, plus "
                 "NAME.bound "
                 "of whit-check --bounds if it is in the file")
      ->type_name("FILE.npz");
  app.add_option("--rtol", options.rtol, "relative tolerance of --expect")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--atol", options.atol, "absolute tolerance of --expect")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads, the caller included; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--benchmark", options.benchmark, "time N runs after a warm-up; inputs not given are made up")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N");
  app.add_option("--repeat", options.repeat,
                 "with --benchmark on a device: kernels of a run are queued so often in one graph, whose time its own "
                 "clock takes")
      ->check(CLI::Range(1, 4096))
      ->type_name("N")
      ->capture_default_str();
  app.add_option(
         "--rotate", options.rotate,
         "with --benchmark on a device: repetitions take turns with copies of the weights, so many that they take "
         "this; more than the device's caches hold")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 20))
      ->type_name("MIB")
      ->capture_default_str();
  app.add_option("--generate", options.generate, "generate N tokens, greedily, from --prompt-ids")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
      ->type_name("N");
  app.add_option("--prompt-ids", promptIds, "token ids of the prompt")->type_name("1,2,3");
  app.add_option("--stop-ids", stopIds, "stop behind one of these tokens")->type_name("1,2,3");
  app.add_option("--profile", options.profile,
                 "write times of all regions, with the names of the model's nodes, for ui.perfetto.dev")
      ->type_name("FILE.json");
  app.add_flag("--inspect", options.inspect, "print what the artifact says about itself; maps no code");
  app.add_flag("--json", options.json, "print one JSON object instead of text");
  app.add_option("--target", options.target, "use the code for this target instead of the best for this processor")
      ->type_name("NAME");
  app.add_option(
         "--device", options.device,
         "run on a GPU, cuda:N or hip:N, or in the simulator of one, sim:ARCHITECTURE (sim:sm_80); cpu: without")
      ->type_name("NAME");
  app.add_flag("--trust", options.trust, "trust this artifact's code, now and later, as you would trust a program");
  app.add_option("--verify", verify,
                 "when weights are compared with their hashes: lazy (before first use) or full (at load)")
      ->check(CLI::IsMember({"lazy", "full"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    for (const std::string &each : input)
      options.input.push_back(splitPair("--input", each));
    for (const std::string &each : dims) {
      auto [name, value] = splitPair("--dim", each);
      options.dims.emplace_back(name, parseInteger("--dim", value));
    }
    if (!promptIds.empty())
      options.promptIds = parseList("--prompt-ids", promptIds);
    if (!stopIds.empty())
      options.stopIds = parseList("--stop-ids", stopIds);
    if ((options.generate > 0) != !options.promptIds.empty())
      throw CLI::ValidationError("--generate", "--generate and --prompt-ids go together");
    if (options.generate && (options.benchmark || !options.inputs.empty() || !options.input.empty() ||
                             !options.outputs.empty() || !options.expect.empty()))
      throw CLI::ValidationError("--generate", "takes its input from --prompt-ids alone and has no arrays as output");
    if (options.benchmark && (!options.outputs.empty() || !options.expect.empty()))
      throw CLI::ValidationError("--benchmark", "does not keep outputs; leave out --outputs and --expect");
  } catch (const CLI::ParseError &error) {
    exitCode = app.exit(error, std::cout, std::cerr) == 0 ? 0 : WHIT_USAGE;
    return false;
  }
  options.verifyFull = verify == "full";
  return true;
}

} // namespace whit
