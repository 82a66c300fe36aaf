// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// kernels.json is written last: a folder without it is not finished.

#include "Emit/ExportFiles.h"

#include "Emit/Artifact.h"
#include "Emit/Failure.h"
#include "Emit/OutputFile.h"
#include "Emit/TargetNames.h"

#include "runtime/encoding/Place.h"
#include "runtime/trust/StrictJson.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;

#define WHIT_EXPORTED_FILE(symbol, name)                                                                               \
  asm(".section .rodata.whit_exported,\"a\",@progbits\n"                                                               \
      ".hidden " #symbol "\n.globl " #symbol "\n" #symbol ":\n"                                                        \
      ".incbin \"" WHIT_EXPORTED_FILES "/" name "\"\n"                                                                 \
      ".hidden " #symbol "_end\n.globl " #symbol "_end\n" #symbol "_end:\n.byte 0\n.text\n");                          \
  extern "C" const char symbol[], symbol##_end[];

WHIT_EXPORTED_FILE(whit_exported_numpy, "kernels_numpy.py")
WHIT_EXPORTED_FILE(whit_exported_torch, "kernels_torch.py")
WHIT_EXPORTED_FILE(whit_exported_jax, "kernels_jax.py")

namespace whit {
namespace {

/// What a way to call kernels adds to the folder, if it is a file, and to the library.
struct Kind {
  StringRef name, file;
  const char *begin, *end;
  ExportedCalls calls;
};
const Kind kKinds[] = {{"c", "kernels_numpy.py", whit_exported_numpy, whit_exported_numpy_end, {}},
                       {"tvm-ffi", "", nullptr, nullptr, {.tvmFfi = true}},
                       {"torch", "kernels_torch.py", whit_exported_torch, whit_exported_torch_end, {}},
                       {"jax", "kernels_jax.py", whit_exported_jax, whit_exported_jax_end, {.xla = true}},
                       {"ort", "", nullptr, nullptr, {.ort = true}}};

Json toJson(mlir::AffineExpr value, const ExportedKernel &kernel) {
  if (auto constant = dyn_cast<mlir::AffineConstantExpr>(value))
    return constant.getValue();
  if (auto symbol = dyn_cast<mlir::AffineSymbolExpr>(value))
    return kernel.symbols[symbol.getPosition()].name;
  auto binary = cast<mlir::AffineBinaryOpExpr>(value);
  StringRef name = "ceildiv";
  if (value.getKind() == mlir::AffineExprKind::Add)
    name = "+";
  else if (value.getKind() == mlir::AffineExprKind::Mul)
    name = "*";
  else if (value.getKind() == mlir::AffineExprKind::Mod)
    name = "%";
  else if (value.getKind() == mlir::AffineExprKind::FloorDiv)
    name = "/";
  return {name.str(), toJson(binary.getLHS(), kernel), toJson(binary.getRHS(), kernel)};
}

/// Where everything lies in a packed weight, for those who read or write one without the functions of the library.
Json layoutOf(mlir::whit::PlaceAttr attribute) {
  Place place = attribute.solve();
  Encoding encoding = attribute.getFormat().getEncoding();
  Json lines = Json::array();
  for (const TermPlace &term : place.terms)
    for (const std::string &line : term.unit.lines ? picture(term.unit) : std::vector<std::string>{})
      lines.push_back(line);
  return {{"format", attribute.getFormat().getName().str()},
          {"formula", formulaOf(encoding)},
          {"rows", place.n},
          {"columns", place.k},
          {"bytes", place.bytes()},
          {"place", "panel16"},
          {"panel",
           {{"columns", kPanelColumns},
            {"count", place.panels},
            {"bytes", place.panelBytes},
            {"header", place.headerBytes},
            {"blocks", place.groups},
            {"block", place.blockBytes},
            {"elements", place.group}}},
          {"lines", lines},
          {"bits_per_weight", bitsPerWeight(encoding, place.n, place.k)}};
}

Json describe(const ExportedKernel &kernel, const ExportedArgument &argument) {
  static constexpr const char *kRoles[] = {"size", "input", "weight", "inout", "output"};
  Json shape = Json::array();
  for (const ExportedSize &size : argument.shape)
    shape.push_back(size.symbol ? Json(kernel.symbols[*size.symbol].name) : Json(size.size));
  Json result = {
      {"name", argument.name}, {"role", kRoles[size_t(argument.role)]}, {"dtype", argument.type}, {"shape", shape}};
  if (argument.place) {
    result["layout"] = layoutOf(argument.place);
    result["quantizer"] = std::string(nameOf(argument.quantizer));
    result["pack"] = kernel.name + "_" + packFunction(argument);
    if (std::string fromCodes = packCodesFunction(argument); !fromCodes.empty()) {
      Encoding encoding = mlir::whit::PlaceAttr(argument.place).getFormat().getEncoding();
      result["pack_codes"] = kernel.name + "_" + fromCodes;
      result["groups"] = groupCount(encoding, mlir::whit::PlaceAttr(argument.place).getK());
      result["zeros"] = !encoding.offset.empty();
    }
  }
  return result;
}

std::string imageFile(const ExportedKernel &kernel, const GpuImage &image) {
  return kernel.name + "." + nameOf(image.kind).str();
}

/// What `launch` of a context is asked for: functions of an image by their place in `functions`.
Json describe(const ExportedKernel &kernel, const GpuCode &device) {
  Json images = Json::array(), functions = Json::array();
  for (const GpuImage &image : device.images)
    images.push_back(
        {{"kind", nameOf(image.kind).str()}, {"architecture", image.target}, {"file", imageFile(kernel, image)}});
  for (const KernelFacts &facts : device.kernels) {
    Json described = {{"name", facts.name}, {"block", facts.block}};
    for (auto [key, value] : {std::pair<const char *, int64_t>{"registers", facts.registers},
                              {"spills", facts.spills},
                              {"shared", facts.shared}})
      if (value >= 0)
        described[key] = value;
    functions.push_back(described);
  }
  return {{"images", images}, {"functions", functions}};
}

Json describe(const ExportedKernel &kernel, int64_t workspace, const GpuCode *device) {
  Json symbols = Json::array(), arguments = Json::array(), regions = Json::array();
  for (const ExportedSymbol &symbol : kernel.symbols) {
    Json described = {{"name", symbol.name}};
    if (!symbol.meaning.empty() && symbol.meaning != symbol.name)
      described["meaning"] = symbol.meaning;
    if (symbol.value)
      described["value"] = toJson(symbol.value, kernel);
    if (symbol.isExplicit)
      described["explicit"] = true;
    symbols.push_back(described);
  }
  for (const ExportedArgument &argument : kernel.arguments)
    if (argument.role != KernelRole::Size)
      arguments.push_back(describe(kernel, argument));
  for (const ExportedRegion &region : kernel.regions) {
    Json reads = Json::object(), writes = Json::object();
    for (size_t i = 0; i < kernel.arguments.size(); ++i) {
      if (!region.sources[i].empty())
        reads[kernel.arguments[i].name] = region.sources[i];
      if (!region.results[i].empty())
        writes[kernel.arguments[i].name] = region.results[i];
    }
    regions.push_back(
        {{"id", region.id}, {"name", region.name}, {"nodes", region.nodes}, {"reads", reads}, {"writes", writes}});
  }
  Json space = {{"function", kernel.name + "_workspace"}, {"alignment", kKernelAlignment}};
  if (workspace >= 0)
    space["bytes"] = workspace;
  Json result = {{"name", kernel.name},         {"regions", regions}, {"computes", kernel.computes},
                 {"schedule", kernel.schedule}, {"symbols", symbols}, {"arguments", arguments},
                 {"workspace", space}};
  if (device)
    result["device"] = describe(kernel, *device);
  else
    result["threads"] = "a context's `parallel` gets the parts; without one the caller's thread does all";
  return result;
}

} // namespace

const std::vector<std::string> &exportKinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> names;
    for (const Kind &kind : kKinds)
      names.push_back(kind.name.str());
    return names;
  }();
  return kinds;
}

ExportedCalls callsOf(ArrayRef<std::string> kinds) {
  ExportedCalls calls;
  for (const Kind &kind : kKinds)
    if (is_contained(kinds, kind.name)) {
      calls.tvmFfi |= kind.calls.tvmFfi;
      calls.xla |= kind.calls.xla;
      calls.ort |= kind.calls.ort;
    }
  return calls;
}

std::string describeKernels(ArrayRef<ExportedKernel> kernels, const ExportedCode &code, const Target &target,
                            StringRef model) {
  Json list = Json::array();
  for (auto [i, kernel] : enumerate(kernels))
    list.push_back(describe(kernel, code.workspaces[i], code.devices.empty() ? nullptr : &code.devices[i]));
  Json document = {
      {"whit_kernels", 1},
      {"producer", producer()},
      {"model", model.str()},
      {"library", "kernels.so"},
      {"object", "kernels.o"},
      {"target",
       {{"name", target.name}, {"features", target.isGpu() ? std::vector<std::string>{} : requiredFeatures(target)}}},
      {"kernels", list}};
  return document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Error writeKernels(ArrayRef<ExportedKernel> kernels, const ExportedCode &code, const Target &target,
                   const ExportRequest &request) {
  if (std::error_code problem = sys::fs::create_directories(request.folder))
    return fail(Exit::Files, "cannot make the folder: " + problem.message(), request.folder,
                "-o names the folder that the kernels' files go to");
  auto pathOf = [&](StringRef name) {
    SmallString<256> path(request.folder);
    sys::path::append(path, name);
    return path.str().str();
  };
  std::vector<OutputFile> files;
  auto add = [&](StringRef name, ArrayRef<uint8_t> bytes) -> Error {
    auto file = OutputFile::create(pathOf(name));
    if (!file)
      return file.takeError();
    files.push_back(std::move(*file));
    return files.back().write(bytes);
  };
  auto addText = [&](StringRef name, StringRef text) {
    return add(name, ArrayRef<uint8_t>(text.bytes_begin(), text.size()));
  };
  if (Error error = add("kernels.so", code.shared))
    return error;
  if (Error error = add("kernels.o", code.object))
    return error;
  if (Error error = addText("kernels.h", headerOf(kernels, code)))
    return error;
  for (auto [kernel, device] : zip(kernels, code.devices))
    for (const GpuImage &image : device.images)
      if (Error error = add(imageFile(kernel, image), image.bytes))
        return error;
  for (const Kind &kind : kKinds)
    if (!kind.file.empty() && (kind.name == "c" || is_contained(request.kinds, kind.name)))
      if (Error error = addText(kind.file, StringRef(kind.begin, kind.end - kind.begin)))
        return error;
  if (Error error = addText("kernels.json", describeKernels(kernels, code, target, sys::path::filename(request.model))))
    return error;
  std::vector<std::reference_wrapper<OutputFile>> all(files.begin(), files.end());
  return OutputFile::commitAll(all);
}

} // namespace whit
