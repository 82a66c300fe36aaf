// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Replay of an artifact: the runtime lets us look at every region's buffers before and after it runs; the module of
// stage fused, made again from the model with the flags that the manifest keeps, says what should have happened in
// between.

#include "Modes.h"

#include "Driver/Compile.h"
#include "Driver/Options.h"
#include "Interpret/Regions.h"
#include "runtime/encoding/Half.h"
#include "runtime/trust/Manifest.h"
#include "whit/Runtime.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <memory>

namespace whit::check {

using interpret::NamedTensors;
using interpret::RegionRecord;
using interpret::RegionReport;
using interpret::Regions;
using interpret::Sizes;
using interpret::Tensor;

using ModuleHandle = std::unique_ptr<whit_module, decltype(&whit_module_destroy)>;
using SessionHandle = std::unique_ptr<whit_session, decltype(&whit_session_destroy)>;

static llvm::Error failed(whit_status status, const std::string &where) {
  return fail(Exit(status), whit_message(), where);
}

/// Compiles `model` to the stage at which regions exist, as text.
static llvm::Error compileToFused(const std::string &model, const Manifest &manifest, const std::string &output) {
  std::vector<std::string> arguments{model, "-o", output, "--stop-after=fused", "--quiet"};
  arguments.insert(arguments.end(), manifest.options.begin(), manifest.options.end());
  auto parsed = parseOptions(arguments);
  if (!parsed)
    return parsed.takeError();
  Exit exit = compile(parsed->options, {llvm::errs(), /*isTerminal=*/false, /*keepsReproducers=*/false});
  return exit == Exit::Done ? llvm::Error::success() : fail(exit, "cannot compile the model up to its regions", model);
}

namespace {
/// What the observer writes into.
struct Recorder {
  const Regions &regions;
  std::vector<RegionRecord> records;
  std::string problem;

  static void observe(void *user, int32_t region, int32_t when, void **arguments, int32_t count) {
    static_cast<Recorder *>(user)->record(region, when, arguments, count);
  }
  void record(int32_t region, int32_t when, void **arguments, int32_t count);
};
} // namespace

void Recorder::record(int32_t region, int32_t when, void **arguments, int32_t count) {
  if (region < 0 || region >= regions.count() || size_t(count) != regions.buffers(region).size()) {
    if (problem.empty())
      problem =
          "region " + std::to_string(region) + " of the artifact has " + std::to_string(count) +
          " buffers; the model's has " +
          (region >= 0 && region < regions.count() ? std::to_string(regions.buffers(region).size()) : "no such region");
    return;
  }
  RegionRecord &record = records[region];
  record.seen = true;
  std::vector<Tensor> &tensors = when == 0 ? record.before : record.after;
  tensors.clear();
  for (auto [shape, descriptor] : llvm::zip(regions.buffers(region), llvm::ArrayRef(arguments, count)))
    tensors.push_back(shape.isWeight || (when == 1 && !shape.isResult) ? Tensor() : readBuffer(shape, descriptor));
}

// ---------------------------------------------------------------------------------------------------- one run

/// Bytes of an input in the type that the artifact takes.
static std::vector<uint8_t> bytesOf(const Tensor &tensor, whit_dtype type) {
  int64_t size = whit_dtype_bytes(type);
  std::vector<uint8_t> bytes(tensor.count() * size);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    double number = tensor.isFloat() ? tensor.floats[i] : double(tensor.integers[i]);
    auto store = [&](auto value) { std::memcpy(bytes.data() + i * sizeof(value), &value, sizeof(value)); };
    switch (type) {
    case WHIT_F32:
      store(float(number));
      break;
    case WHIT_F64:
      store(number);
      break;
    case WHIT_F16:
      store(floatToHalf(float(number)));
      break;
    case WHIT_BF16:
      store(floatToBfloat(float(number)));
      break;
    default: { // integers and bools, by their lowest bytes
      int64_t integer = tensor.isFloat() ? int64_t(number) : tensor.integers[i];
      std::memcpy(bytes.data() + i * size, &integer, size);
    }
    }
  }
  return bytes;
}

static void learn(const whit_value &value, const int64_t *dims, Sizes &sizes) {
  for (int32_t i = 0; i < value.rank; ++i)
    if (value.symbols[i])
      sizes[value.symbols[i]] = dims[i];
}

/// Runs the artifact once under observation, and learns the sizes of its dimensions from what goes in and comes out.
static llvm::Error runOnce(whit_module *module, whit_session *session, const NamedTensors &inputs, Recorder &recorder,
                           Sizes &sizes) {
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<whit_tensor> tensors;
  for (int32_t i = 0; i < whit_module_input_count(module); ++i) {
    whit_value value;
    if (whit_status status = whit_module_input(module, i, &value))
      return failed(status, "");
    auto found = inputs.find(value.name);
    if (found == inputs.end())
      continue;
    const Tensor &tensor = found->second;
    if (int64_t(tensor.shape.size()) == value.rank)
      learn(value, tensor.shape.data(), sizes);
    bytes.push_back(bytesOf(tensor, value.dtype));
    tensors.push_back(
        {value.name, value.dtype, int32_t(tensor.shape.size()), tensor.shape.data(), bytes.back().data()});
  }
  if (whit_status status = whit_session_observe(session, Recorder::observe, &recorder))
    return failed(status, "");
  if (whit_status status = whit_session_run(session, tensors.data(), tensors.size()))
    return failed(status, "");
  for (int32_t i = 0; i < whit_module_output_count(module); ++i) {
    whit_value value;
    whit_tensor tensor;
    if (whit_status status = whit_module_output(module, i, &value))
      return failed(status, "");
    if (whit_status status = whit_session_output(session, value.name, &tensor))
      return failed(status, "");
    learn(value, tensor.dims, sizes);
  }
  return recorder.problem.empty()
             ? llvm::Error::success()
             : fail(Exit::Invalid, recorder.problem, "", "compile the artifact from this model again");
}

// ---------------------------------------------------------------------------------------------------- reports

static void print(const RegionReport &report) {
  llvm::outs() << report.text() << "\n";
  constexpr size_t most = 4;
  for (size_t i = 0; i < std::min(report.nodes.size(), most); ++i)
    llvm::outs() << "    " << report.nodes[i] << "\n";
  if (report.nodes.size() > most)
    llvm::outs() << "    and " << report.nodes.size() - most << " more nodes\n";
}

static llvm::Error conclude(std::vector<RegionReport> reports, bool all) {
  int64_t wrong = llvm::count_if(reports, [](const RegionReport &report) { return report.wrong != 0; });
  auto worst =
      std::max_element(reports.begin(), reports.end(), [](const auto &a, const auto &b) { return a.used < b.used; });
  for (const RegionReport &report : reports)
    if (all || (report.wrong && &report != &*worst))
      print(report);
  if (!all)
    print(*worst);
  llvm::outs() << reports.size() - wrong << " of " << reports.size() << " regions within their bounds\n";
  if (wrong)
    return fail(Exit::Mismatch, llvm::Twine(wrong) + " regions exceed their bounds");
  return llvm::Error::success();
}

llvm::Error replay(const Request &request) {
  whit_module *rawModule = nullptr;
  if (whit_status status = whit_module_load(request.artifact.c_str(), nullptr, &rawModule))
    return failed(status, request.artifact);
  ModuleHandle module(rawModule, whit_module_destroy);
  Manifest manifest;
  std::string why;
  if (!parseManifest(whit_module_manifest(module.get()), manifest, &why))
    return fail(Exit::Refused, why, request.artifact);

  llvm::SmallString<128> text;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("whit-check", "mlir", text))
    return fail(Exit::Files, "cannot make a temporary file: " + error.message());
  auto removal = llvm::make_scope_exit([&] { llvm::sys::fs::remove(text); });
  if (llvm::Error error = compileToFused(request.model, manifest, text.str().str()))
    return error;
  Reading reading;
  auto loaded = interpret::readModule(text.str().str(), reading.context);
  if (!loaded)
    return loaded.takeError();
  auto inputs = readInputs(request.inputs, reading.context);
  if (!inputs)
    return inputs.takeError();

  interpret::StateShapes states;
  for (const Argument &argument : manifest.arguments) {
    if (argument.kind != ArgumentKind::State || argument.layout == StateLayout::BHTD)
      continue;
    std::optional<CacheBlock> &packed = states[argument.past];
    CacheOrder order = argument.layout == StateLayout::Panels ? CacheOrder::Panel : CacheOrder::Rows;
    if (!argument.format.empty())
      packed.emplace(*parseEncoding(argument.format, nullptr), order, argument.depth);
  }
  Regions regions(*loaded, states);
  if (regions.count() != int64_t(manifest.regions.size()))
    return fail(Exit::Invalid,
                "the artifact has " + llvm::Twine(manifest.regions.size()) + " regions; the model gives " +
                    llvm::Twine(regions.count()),
                request.artifact, "compile the artifact from this model again");
  Recorder recorder{regions, std::vector<RegionRecord>(regions.count()), ""};
  Sizes sizes;
  {
    whit_session_options options{sizeof(options), request.threads};
    whit_session *rawSession = nullptr;
    if (whit_status status = whit_session_create(module.get(), &options, &rawSession))
      return failed(status, request.artifact);
    SessionHandle session(rawSession, whit_session_destroy);
    if (llvm::Error error = runOnce(module.get(), session.get(), *inputs, recorder, sizes))
      return error;
  }
  auto reports = regions.replay(*inputs, sizes, recorder.records, request.threads);
  return reports ? conclude(std::move(*reports), request.all) : reports.takeError();
}

} // namespace whit::check
