// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The signature comes as module attributes whose dictionaries are the manifest's JSON objects; they are turned into text and read by the
// reader that the runtime uses, so that what is written is what it accepts.

#include "Emit/Artifact.h"

#include "Emit/Failure.h"
#include "Emit/OutputFile.h"
#include "Emit/TargetNames.h"
#include "Emit/Weights.h"

#include "runtime/trust/Manifest.h"
#include "runtime/trust/Safetensors.h"
#include "runtime/trust/Seal.h"
#include "runtime/trust/StrictJson.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace whit {
namespace {

Json toJson(mlir::Attribute attribute) {
  return TypeSwitch<mlir::Attribute, Json>(attribute)
      .Case([](mlir::StringAttr text) { return Json(text.str()); })
      .Case([](mlir::BoolAttr value) { return Json(value.getValue()); })
      .Case([](mlir::IntegerAttr value) { return Json(value.getValue().getSExtValue()); })
      .Case([](mlir::FloatAttr value) { return Json(value.getValueAsDouble()); })
      .Case([](mlir::ArrayAttr list) {
        Json items = Json::array();
        for (mlir::Attribute item : list)
          items.push_back(toJson(item));
        return items;
      })
      .Case([](mlir::DenseI64ArrayAttr list) {
        Json items = Json::array();
        for (int64_t item : list.asArrayRef())
          items.push_back(item);
        return items;
      })
      .Case([](mlir::DictionaryAttr dictionary) {
        Json object = Json::object();
        for (mlir::NamedAttribute entry : dictionary)
          object[entry.getName().str()] = toJson(entry.getValue());
        return object;
      })
      .Case([](mlir::UnitAttr) { return Json(nullptr); })
      .Default([](mlir::Attribute other) { // a schedule, for example
        std::string text;
        raw_string_ostream(text) << other;
        return Json(text);
      });
}

Json attributeOf(mlir::ModuleOp module, StringRef name, Json otherwise) {
  mlir::Attribute attribute = module->getAttr(name);
  return attribute ? toJson(attribute) : otherwise;
}

Json jsonOf(const KernelFacts &kernel) {
  Json object{{"name", kernel.name}, {"block", kernel.block}};
  auto add = [&](const char *key, int64_t value) {
    if (value >= 0)
      object[key] = value;
  };
  add("registers", kernel.registers);
  add("accumulators", kernel.accumulators);
  add("scalars", kernel.scalars);
  add("spills", kernel.spills);
  add("stack", kernel.stack);
  add("shared", kernel.shared);
  add("code", kernel.code);
  if (kernel.occupancy >= 0)
    object["occupancy"] = kernel.occupancy;
  for (size_t kind = 0; kind < kInstructionKinds; ++kind)
    if (kernel.instructions[kind] > 0)
      object["instructions"][nameOf(InstructionKind(kind)).str()] = kernel.instructions[kind];
  return object;
}

std::string imageSection(size_t number) { return kImageSection + std::to_string(number); }

/// A variant's entry in the manifest. `images` counts the images of all variants.
Json jsonOf(const CpuCode &code, size_t &images) {
  Json object{{"target", code.target.name},
              {"features", requiredFeatures(code.target)},
              {"execute", code.execute},
              {"sizes", code.sizes}};
  if (!code.target.isGpu())
    return object;
  object["device"] = code.target.cpu;
  object["images"] = Json::array();
  for (const GpuImage &image : code.device.images)
    object["images"].push_back({{"kind", nameOf(image.kind).str()},
                                {"target", image.target},
                                {"section", imageSection(images++)},
                                {"bytes", image.bytes.size()}});
  object["kernels"] = Json::array();
  for (const KernelFacts &kernel : code.device.kernels)
    object["kernels"].push_back(jsonOf(kernel));
  return object;
}

/// The sections of all images, which they borrow.
std::vector<NewSection> imageSections(ArrayRef<CpuCode> variants) {
  std::vector<NewSection> sections;
  for (const CpuCode &code : variants)
    for (const GpuImage &image : code.device.images)
      sections.push_back({imageSection(sections.size()), image.bytes, 64});
  return sections;
}

/// The manifest but for what is known only after packing and linking.
Expected<Manifest> readSignature(mlir::ModuleOp module, ArrayRef<CpuCode> variants) {
  Json symbols = Json::array();
  for (const Json &symbol : attributeOf(module, "whit.symbols", Json::array()))
    symbols.push_back(symbol.is_string() ? Json::object({{"name", symbol}}) : symbol);
  Json listed = Json::array();
  size_t images = 0;
  for (const CpuCode &code : variants)
    listed.push_back(jsonOf(code, images));
  std::string none(64, '0');
  Json document = {
      {"whit", kManifestVersion},
      {"producer", producer()},
      {"model", attributeOf(module, "whit.model", "")},
      {"function", "main"},
      {"metadata", attributeOf(module, "whit.metadata", Json::object())},
      {"symbols", symbols},
      {"arguments", attributeOf(module, "whit.arguments", Json::array())},
      {"roles", attributeOf(module, "whit.roles", Json::object())},
      {"context", attributeOf(module, "whit.context", 0)},
      {"variants", listed},
      {"regions", attributeOf(module, "whit.regions", Json::array())},
      {"weights", {{"file", ""}, {"bytes", 0}, {"sha256", none}, {"chunk", kChunkBytes}, {"chunks", Json::array()}}},
      {"code_sha256", none}};
  Manifest manifest;
  std::string why;
  if (!parseManifest(printLine(document), manifest, &why))
    return fail(Exit::Bug, "the signature of the lowered module is wrong: " + why);
  return manifest;
}

class Writer {
public:
  Writer(mlir::ModuleOp module, const ArtifactRequest &request)
      : symbols(module), request(request),
        files(attributeOf(module, "whit.directory", ".").get<std::string>(), request.model) {}

  Error findWeights(const Manifest &manifest);
  Error packWeights(OutputFile &file);

  mlir::SymbolTable symbols;
  const ArtifactRequest &request;
  BlobFiles files;
  std::vector<mlir::whit::WeightOp> weights;
  std::vector<StoredTensor> tensors;
  std::vector<WeightLoss> losses;
  Corrections corrections;
  WeightsHasher hasher;
};

/// The weights that the function takes, in argument order, each as large as its argument says.
Error Writer::findWeights(const Manifest &manifest) {
  for (const Argument &argument : manifest.arguments) {
    if (argument.kind != ArgumentKind::Constant)
      continue;
    auto weight = symbols.lookup<mlir::whit::WeightOp>(argument.name);
    if (!weight)
      return fail(Exit::Bug,
                  "the function takes a constant '" + argument.name + "' that is no whit.weight of the module");
    auto bytes = storedBytes(weight);
    if (!bytes)
      return bytes.takeError();
    int64_t needed = elementBytes(argument.type);
    for (const Dimension &dimension : argument.shape)
      needed *= dimension.size;
    if (*bytes != needed)
      return fail(Exit::Bug, "takes " + Twine(*bytes) + " bytes; the argument of that name " + Twine(needed),
                  "weight '" + argument.name + "'");
    weights.push_back(weight);
    tensors.push_back({argument.name, 0, uint64_t(*bytes)});
  }
  return Error::success();
}

Error Writer::packWeights(OutputFile &file) {
  auto write = [&](ArrayRef<uint8_t> bytes) {
    hasher.update({bytes.data(), bytes.size()});
    return file.write(bytes);
  };
  std::string header = writeSafetensorsHeader(tensors);
  if (Error error = write(ArrayRef<uint8_t>(reinterpret_cast<const uint8_t *>(header.data()), header.size())))
    return error;
  int64_t total = header.size();
  for (const StoredTensor &tensor : tensors)
    total += paddedBytes(tensor.size);
  for (auto [weight, tensor] : zip_equal(weights, tensors)) {
    auto sink = [&](ArrayRef<uint8_t> bytes) {
      Error error = write(bytes);
      if (!error && request.progress)
        request.progress(file.size(), total);
      return error;
    };
    if (Error error = streamWeight(weight, files, sink, &losses, &corrections))
      return error;
    std::vector<uint8_t> padding(paddedBytes(tensor.size) - tensor.size);
    if (Error error = write(padding))
      return error;
  }
  return Error::success();
}

} // namespace

std::string producer() { return "whit 0.1"; }

Expected<ArtifactResult> writeArtifact(mlir::ModuleOp lowered, ArrayRef<CpuCode> variants, std::vector<uint8_t> linked,
                                       const ArtifactRequest &request) {
  auto manifest = readSignature(lowered, variants);
  if (!manifest)
    return manifest.takeError();
  manifest->options = request.options;
  for (const DimBound &bound : request.bounds)
    for (Symbol &symbol : manifest->symbols)
      if (symbol.name == bound.name)
        symbol.min = bound.low, symbol.max = std::min(bound.high, symbol.max.value_or(bound.high));
  Writer writer(lowered, request);
  if (Error error = writer.findWeights(*manifest))
    return error;

  ArtifactResult result;
  SmallString<256> weightsPath(request.output);
  sys::path::replace_extension(weightsPath, "safetensors");
  auto code = OutputFile::create(request.output);
  if (!code)
    return code.takeError();
  auto weights = OutputFile::create(weightsPath);
  if (!weights)
    return weights.takeError();
  bool hasWeights = !writer.weights.empty();
  if (hasWeights)
    if (Error error = writer.packWeights(*weights))
      return error;
  bool isBeside = hasWeights && !request.embedWeights;
  manifest->weights = writer.hasher.finish(isBeside ? sys::path::filename(weightsPath).str() : "");

  std::string why;
  if (!sealCode(linked, *manifest, result.identity, &why, imageSections(variants)))
    return fail(Exit::Bug, "the linked code cannot be sealed: " + why);
  if (Error error = code->write(linked))
    return error;
  if (hasWeights && request.embedWeights)
    if (Error error = code->append(*weights))
      return error;
  result.codeBytes = linked.size();
  result.weightBytes = weights->size();
  result.weightCount = writer.weights.size();
  joinFactors(writer.losses);
  result.losses = std::move(writer.losses);
  std::vector<std::reference_wrapper<OutputFile>> files = {*code};
  if (isBeside) {
    files.insert(files.begin(), *weights);
    result.weightsFile = weightsPath.str().str();
  }
  if (Error error = OutputFile::commitAll(files))
    return error;
  return result;
}

} // namespace whit
