// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every value is checked here, before a model is read: a typing error costs no minute of compiling.

#include "Driver/Options.h"

#include "Emit/Artifact.h"
#include "Emit/ExportFiles.h"
#include "Encode/FormatRules.h"
#include "Pipeline.h"

#include "runtime/encoding/CacheBlock.h"
#include "whit/Encoding.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <CLI/CLI.hpp>

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kHelp = R"(whit-compile: compiles a model to a shared object and its packed weights

  whit-compile MODEL -o OUT.so [options]        MODEL is an .onnx file, StableHLO as .mlir, or .mlir from --dump-stages

  -o FILE                  what to write; OUT.safetensors stands beside OUT.so
  --target=T               host (default), x86-64-v3, znver4 ..., then +feature or -feature; repeat it for several
                           GPUs: sm_80, sm_90a, gfx942 ..., then :product, for example sm_90a:h200
  --weights=FORMAT[+lowrankR]   quantize float weights, for example to int4_g32; R: rank of a correction in bf16
  --format-map=GLOB=FORMAT,...   formats of single weights, by their name or their node's
  --keep=GLOB              weights that stay as they are
  --quantizer=Q            how scales are found: least-squares (default) or nearest
  --activations=TYPE       auto (default), f32, bf16, int8, int4; int8_token, int4_token, fp8_token: one scale for each row
  --kv=FORMAT[,FORMAT]     format of keys and values, or of keys and of values; f32 by default: f16, int8, uint4_min ...
  --context=N              tokens that the caches hold, 2048 by default
  --dim NAME=N|LO..HI      fixes or bounds a dimension of the model
  --params=FILE            .safetensors or .npz whose tensors are arguments of a StableHLO program
                           .gguf beside an .onnx model: its tensors take the place of the model's weights
  --param-names=FILE       JSON list: the tensor that each argument is, in order
  --embed-weights          one file: weights inside OUT.so
  --explain[=FILE]         why each choice was made, as text
  --report=FILE            what each weight cost and lost, stages, times and choices: .html, .txt or .json
  --quiet                  no progress lines; more flags: --help-all, --version

  whit-compile model.onnx -o model.so && whit-run model.so --inspect
)";

constexpr StringLiteral kHelpAll = R"(
More about formats:
  --formats-file=FILE      formats with names of your own, NAME = "FORMULA" in each line
  --kv-hadamard            spread each key over all its features before it is quantized
  --choose-tokens          the most probable next token is an output too, so that no logits leave a device
  --requantize             --weights and --format-map also for tensors that their .gguf file has quantized
  --param-names=FILE       for .gguf: a JSON object from weights of the model to tensors of the file

Kernels for other programs:
  --export-kernels=GLOB    write the regions of these names to the folder -o FOLDER: kernels.so with a C function and a
                           packer of weights each, kernels.h, kernels.json
  --export-as=KIND,...     c (always; numpy too), tvm-ffi, torch, jax, ort

Looking inside:
  --stop-after=STAGE       print the module after a stage: imported raised encoded fused laid-out tiled lowered
  --start-from=STAGE       MODEL is an .mlir file that has passed this stage (default imported)
  --dump-stages=DIR        write DIR/01-imported.mlir, DIR/02-raised.mlir, ...
  --emit=so|mlir|llvm|asm  shared object (default), or text of the last stage, of LLVM IR or of assembly
  --emit=ptx|cubin|hsaco   the kernels of a GPU as its driver loads them; llvm and asm show them too
  --simulation             GPU kernels also as LLVM bitcode, which whit-run --device=sim:TARGET runs
  --large-m=WAY            matmuls of many rows on sm_90a: auto (default), wgmma where sums are exact (int8 activations); wgmma, for
                           all, though a row's bits may then differ from those it has alone; mma, for none
  --most-registers=N       vector registers of each thread of a GPU; schedules that need more are replaced
  --facts=FILE             GPU kernels under all schedules that were tried, one JSON object a line, to learn cost models from
  --diagnostics=json       errors and warnings as one JSON object a line
`-o -` is standard output, which is also the default for text.

Exit codes: 0 done, 1 invalid input, 2 wrong command line, 3 valid but unsupported, 4 cannot read or write,
  5 limit or memory, 70 a bug in Whit (a reproducer is written and its path printed).
)";

Error usage(const Twine &message, const Twine &help = "whit-compile --help prints the options") {
  return fail(Exit::Usage, message, "", help);
}

Expected<DimBound> parseDim(StringRef text) {
  auto [name, value] = text.split('=');
  auto [low, high] = value.split("..");
  DimBound bound{name.str(), 0, 0};
  int64_t last = 0;
  bool isRange = value.contains("..");
  if (name.empty() || low.getAsInteger(10, bound.low) || (isRange && high.getAsInteger(10, last)))
    return usage("--dim: '" + text + "' is not NAME=N or NAME=LO..HI",
                 "for example --dim batch_size=1 or --dim sequence_length=1..512");
  bound.high = isRange ? last : bound.low;
  if (bound.low < 0 || bound.high < bound.low)
    return usage("--dim: '" + text + "' has bounds " + Twine(bound.low) + " and " + Twine(bound.high),
                 "bounds are not negative and in order");
  return bound;
}

Error checkFormat(StringRef flag, StringRef name) {
  auto format = mlir::whit::FormatRules::parseFormat(name);
  if (format)
    return Error::success();
  return usage(flag + ": " + toString(format.takeError()), "whit-opt --list-formats prints all");
}

/// Names that a user gave to formulas.
Error readFormats(const std::string &path) {
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return fail(Exit::Files, "--formats-file: " + path + ": " + buffer.getError().message(), "", "");
  std::string why;
  StringRef text = (*buffer)->getBuffer();
  if (addFormats({text.data(), text.size()}, &why))
    return Error::success();
  return usage("--formats-file: " + path + ": " + why, "docs/adding-a-format.md shows the file");
}

Error checkFormatMap(StringRef map) {
  auto entries = mlir::whit::FormatRules::split(map);
  if (!entries)
    return usage(toString(entries.takeError()));
  for (auto [glob, format] : *entries)
    if (Error error = checkFormat("--format-map", format))
      return error;
  return Error::success();
}

Error checkExport(const CompileOptions &options) {
  if (options.exportKernels.empty())
    return options.exportAs.empty() ? Error::success()
                                    : usage("--export-as says how kernels are called; --export-kernels is missing",
                                            "add for example --export-kernels='*'");
  for (const std::string &kind : options.exportAs)
    if (!is_contained(exportKinds(), kind))
      return usage("--export-as: there is no '" + kind + "'", "kernels are exported as " + join(exportKinds(), ", "));
  if (options.emit != EmitKind::SharedObject || options.stopAfter != "emitted")
    return usage("--export-kernels writes a folder; leave out --emit and --stop-after");
  if (options.targets.size() > 1)
    return usage("kernels are exported for one --target; found " + Twine(options.targets.size()));
  if (options.embedWeights)
    return usage("--embed-weights is for models; exported kernels take weights as arguments");
  return Error::success();
}

Error checkValues(CompileOptions &options, bool hasStart, bool hasStop) {
  if (options.model.empty())
    return usage("no model is given");
  if (!options.formatsFile.empty())
    if (Error error = readFormats(options.formatsFile))
      return error;
  if (!options.weights.empty())
    if (Error error = checkFormat("--weights", options.weights))
      return error;
  if (Error error = checkFormatMap(options.formatMap))
    return error;
  std::string why;
  std::optional<CacheFormats> kv = parseCacheFormats(options.kv, &why);
  if (!kv)
    return usage("--kv: " + why, "whit-opt --list-formats prints all");
  if (options.kvHadamard && kv->keys.isPlain())
    return usage("--kv-hadamard is for keys in a low-bit format; --kv is " + options.kv, "add for example --kv=int4");
  StringRef extension = sys::path::extension(options.model);
  if (!options.paramNames.empty() && options.params.empty())
    return usage("--param-names names the tensors of --params, which is missing");
  bool isGguf = sys::path::extension(options.params) == ".gguf";
  if (isGguf && extension != ".onnx")
    return usage("--params with a .gguf file takes the place of the weights of an .onnx model; '" + options.model +
                     "' is none",
                 extension == ".mlir" ? "arguments of a StableHLO program are floats: bind .safetensors or .npz, and "
                                        "quantize with --weights"
                                      : "whit-compile --help prints the options");
  if (options.requantize && (!isGguf || (options.weights.empty() && options.formatMap.empty())))
    return usage("--requantize is for --params=FILE.gguf together with --weights or --format-map",
                 "what other files have quantized stays as it is");
  if (!options.params.empty() && !isGguf && (extension != ".mlir" || hasStart))
    return usage("--params binds the arguments of a StableHLO program; '" + options.model + "' is none");
  if (hasStart && extension != ".mlir")
    return usage("--start-from needs a .mlir file; '" + options.model + "' is none");
  if (options.stopAfter != "emitted" && stageIndex(options.stopAfter) < stageIndex(options.startFrom))
    return usage("--stop-after=" + options.stopAfter + " comes before --start-from=" + options.startFrom);
  if (hasStop && options.stopAfter != "emitted") {
    if (options.emit != EmitKind::SharedObject && options.emit != EmitKind::Mlir)
      return usage("--stop-after=" + options.stopAfter +
                   " gives MLIR; LLVM IR, assembly and images come after all stages");
    options.emit = EmitKind::Mlir;
  }
  if (options.emit == EmitKind::Mlir && options.stopAfter == "emitted")
    options.stopAfter = "lowered";
  if (Error error = checkExport(options))
    return error;
  bool isImage = options.emit == EmitKind::Cubin || options.emit == EmitKind::Hsaco;
  if ((options.emit == EmitKind::SharedObject || isImage) && (options.output.empty() || options.output == "-"))
    return isImage ? usage("no output is given; machine code is not printed", "add -o FILE")
           : !options.exportKernels.empty()
               ? usage("no output is given; kernels go to a folder", "add -o FOLDER")
               : usage("no output is given; a shared object is not printed", "add -o OUT.so");
  if (options.emit != EmitKind::SharedObject) {
    if (options.output.empty())
      options.output = "-";
    if (options.targets.size() > 1 && stageIndex(options.stopAfter) >= stageIndex("tiled"))
      return usage(Twine(isImage ? "an image is made" : "text is printed") + " for one --target; found " +
                   Twine(options.targets.size()));
    if (options.embedWeights)
      return usage("--embed-weights is for shared objects");
    if (options.simulation)
      return usage("--simulation is for shared objects");
  }
  return Error::success();
}

} // namespace

std::vector<std::string> meaningOf(const CompileOptions &options) {
  std::vector<std::string> flags;
  for (const std::string &target : options.targets)
    flags.push_back("--target=" + target);
  auto add = [&](StringRef flag, const std::string &value) {
    if (!value.empty())
      flags.push_back((flag + "=" + value).str());
  };
  add("--formats-file", options.formatsFile);
  add("--weights", options.weights);
  add("--format-map", options.formatMap);
  add("--keep", options.keep);
  if (!options.weights.empty() || !options.formatMap.empty())
    add("--quantizer", options.quantizer);
  if (options.requantize)
    flags.push_back("--requantize");
  add("--activations", options.activations);
  if (options.largeM != "auto")
    add("--large-m", options.largeM);
  add("--kv", options.kv);
  if (options.kvHadamard)
    flags.push_back("--kv-hadamard");
  if (options.chooseTokens)
    flags.push_back("--choose-tokens");
  add("--context", std::to_string(options.context));
  for (const DimBound &bound : options.dims)
    add("--dim", bound.name + "=" + std::to_string(bound.low) + ".." + std::to_string(bound.high));
  if (options.startFrom != "imported")
    add("--start-from", options.startFrom);
  return flags;
}

const std::vector<std::string> &stageNames() {
  static const std::vector<std::string> names = {"imported", "raised", "encoded", "fused",
                                                 "laid-out", "tiled",  "lowered", "emitted"};
  return names;
}

size_t stageIndex(StringRef name) { return llvm::find(stageNames(), name.str()) - stageNames().begin(); }

Expected<ParsedOptions> parseOptions(std::vector<std::string> arguments) {
  ParsedOptions parsed;
  CompileOptions &options = parsed.options;
  // The only flag whose value is optional: its value must be joined with '='.
  for (std::string &argument : arguments)
    if (argument == "--explain")
      argument = "--explain=-";

  CLI::App app;
  app.set_help_flag();
  bool help = false, helpAll = false, version = false;
  std::string emit = "so", diagnostics = "text", explain;
  std::vector<std::string> dims, keep, formatMap;
  std::vector<std::string> starts(stageNames().begin(), stageNames().end() - 1);
  app.add_flag("-h,--help", help);
  app.add_flag("--help-all", helpAll);
  app.add_flag("--version", version);
  app.add_option("MODEL", options.model);
  app.add_option("-o", options.output);
  app.add_option("--target", options.targets)->allow_extra_args(false);
  app.add_option("--formats-file", options.formatsFile);
  app.add_option("--weights", options.weights);
  app.add_option("--format-map", formatMap)->allow_extra_args(false);
  app.add_option("--keep", keep)->allow_extra_args(false);
  app.add_option("--quantizer", options.quantizer)->check(CLI::IsMember({"nearest", "least-squares"}));
  app.add_flag("--requantize", options.requantize);
  app.add_option("--activations", options.activations)
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8", "int8_token", "int4", "int4_token", "fp8_token"}));
  app.add_option("--large-m", options.largeM)->check(CLI::IsMember({"auto", "wgmma", "mma"}));
  app.add_option("--kv", options.kv);
  app.add_flag("--kv-hadamard", options.kvHadamard);
  app.add_flag("--choose-tokens", options.chooseTokens);
  app.add_option("--context", options.context)->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  app.add_option("--dim", dims)->allow_extra_args(false);
  app.add_option("--params", options.params);
  app.add_option("--param-names", options.paramNames);
  app.add_flag("--embed-weights", options.embedWeights);
  app.add_flag("--simulation", options.simulation);
  auto *stop = app.add_option("--stop-after", options.stopAfter)->check(CLI::IsMember(stageNames()));
  auto *start = app.add_option("--start-from", options.startFrom)->check(CLI::IsMember(starts));
  app.add_option("--dump-stages", options.dumpStages);
  app.add_option("--export-kernels", options.exportKernels);
  app.add_option("--export-as", options.exportAs)->delimiter(',')->allow_extra_args(false);
  app.add_option("--emit", emit)->check(CLI::IsMember({"so", "mlir", "llvm", "asm", "ptx", "cubin", "hsaco"}));
  auto *explained = app.add_option("--explain", explain);
  app.add_option("--report", options.report);
  app.add_option("--facts", options.facts);
  app.add_option("--most-registers", options.mostRegisters)->check(CLI::Range(int64_t(16), int64_t(512)));
  app.add_option("--diagnostics", diagnostics)->check(CLI::IsMember({"text", "json"}));
  app.add_flag("-q,--quiet", options.quiet);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError &error) {
    std::string message = StringRef(error.what()).rtrim(" .\n").str();
    if (!message.empty() && message.size() > 1 && isUpper(message[0]) && isLower(message[1]))
      message[0] = toLower(message[0]);
    return usage(message);
  }
  options.keep = join(keep, ",");
  options.formatMap = join(formatMap, ",");
  options.jsonDiagnostics = diagnostics == "json";
  options.emit = emit == "mlir"    ? EmitKind::Mlir
                 : emit == "llvm"  ? EmitKind::Llvm
                 : emit == "asm"   ? EmitKind::Assembly
                 : emit == "ptx"   ? EmitKind::Ptx
                 : emit == "cubin" ? EmitKind::Cubin
                 : emit == "hsaco" ? EmitKind::Hsaco
                                   : EmitKind::SharedObject;
  if (explained->count())
    options.explain = explain;
  if (version)
    parsed.text = producer() + " (LLVM " LLVM_VERSION_STRING ")\n";
  else if (help || helpAll)
    parsed.text = (kHelp + (helpAll ? StringRef(kHelpAll) : "")).str();
  if (!parsed.text.empty())
    return parsed;
  for (const std::string &dim : dims) {
    auto bound = parseDim(dim);
    if (!bound)
      return bound.takeError();
    options.dims.push_back(*bound);
  }
  if (Error error = checkValues(options, start->count(), stop->count()))
    return error;
  return parsed;
}

} // namespace whit
