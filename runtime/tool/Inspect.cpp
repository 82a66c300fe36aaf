// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-run --inspect: the manifest with the sizes that follow from it, as JSON or for people. The artifact's code is not mapped.
#include "runtime/tool/RunCommand.h"

#include "runtime/core/CpuFeatures.h"
#include "runtime/trust/Manifest.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

namespace whit {
namespace {

std::string shapeText(const std::vector<Dimension> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i].symbol.empty() ? std::to_string(shape[i].size) : shape[i].symbol);
  return text + "]";
}

void printArguments(const Manifest &manifest, ArgumentKind kind, const char *title) {
  bool first = true;
  for (const Argument &argument : manifest.arguments) {
    if (argument.kind != kind)
      continue;
    std::string alias = argument.alias.empty() ? "" : " (" + argument.alias + ")";
    std::printf("%-10s %s%s  %s %s\n", first ? title : "", argument.name.c_str(), alias.c_str(),
                std::string(elementName(argument.type)).c_str(), shapeText(argument.shape).c_str());
    first = false;
  }
}

/// How many caches in which format, and what a token takes in all of them.
void printCaches(const Manifest &manifest) {
  struct Sum {
    int64_t tensors = 0, values = 0, bytes = 0;
  };
  std::map<std::string, Sum> formats;
  for (const Argument &argument : manifest.arguments) {
    if (argument.kind != ArgumentKind::State)
      continue;
    bool packed = !argument.format.empty(), blocked = argument.layout != StateLayout::BHTD;
    Sum &sum = formats[(packed ? argument.format : std::string(elementName(argument.type))) +
                       (argument.hadamard ? " after a Hadamard matrix" : "")];
    int64_t bytes = elementBytes(argument.type);
    for (size_t i = 1; i < argument.shape.size(); ++i)
      bytes *= argument.shape[i].size;
    int64_t tokens = argument.shape[2].size * (blocked ? 16 : 1);
    sum.tensors += 1;
    sum.values += argument.shape[1].size * (packed ? argument.depth : argument.shape[3].size);
    sum.bytes += tokens ? bytes / tokens : 0;
  }
  bool first = true;
  for (const auto &[name, sum] : formats) {
    std::printf("%-10s %s  %lld tensors for %lld tokens, %lld values and %lld bytes a token, %.2f bits a value\n",
                first ? "caches" : "", name.c_str(), (long long)sum.tensors, (long long)manifest.context,
                (long long)sum.values, (long long)sum.bytes,
                sum.values ? 8.0 * double(sum.bytes) / double(sum.values) : 0.0);
    first = false;
  }
}

/// What a constant stores, and in how many bytes.
struct Stored {
  std::string format;
  int64_t values = 1, bytes;

  explicit Stored(const Argument &constant)
      : format(constant.format.empty() ? std::string(elementName(constant.type)) : constant.format),
        bytes(elementBytes(constant.type)) {
    for (int64_t size : constant.logical)
      values *= size;
    for (const Dimension &dim : constant.shape)
      bytes *= dim.size;
  }
  double bits() const { return values ? 8.0 * double(bytes) / double(values) : 0.0; }
};

/// One line per format: how many constants, elements and bytes.
void printConstants(const Manifest &manifest) {
  struct Sum {
    int64_t tensors = 0, elements = 0, bytes = 0;
  };
  std::map<std::string, Sum> formats;
  for (const Argument &argument : manifest.arguments) {
    if (argument.kind != ArgumentKind::Constant)
      continue;
    Stored stored(argument);
    Sum &sum = formats[stored.format];
    sum.tensors += 1;
    sum.elements += stored.values;
    sum.bytes += stored.bytes;
  }
  bool first = true;
  for (const auto &[name, sum] : formats) {
    std::printf("%-10s %s  %lld tensors, %lld values, %.2f MiB, %.2f bits a value\n", first ? "weights" : "",
                name.c_str(), (long long)sum.tensors, (long long)sum.elements, double(sum.bytes) / (1 << 20),
                sum.elements ? 8.0 * double(sum.bytes) / double(sum.elements) : 0.0);
    first = false;
  }
}

/// One line per packed matrix. Formats come last: a formula may be long.
void printMatrices(const Manifest &manifest) {
  size_t width = 0;
  for (const Argument &argument : manifest.arguments)
    if (!argument.place.empty())
      width = std::max(width, argument.name.size());
  bool first = true;
  for (const Argument &argument : manifest.arguments) {
    if (argument.place.empty())
      continue;
    std::string logical, physical;
    for (int64_t size : argument.logical)
      logical += (logical.empty() ? "" : " x ") + std::to_string(size);
    for (const Dimension &dim : argument.shape)
      physical += (physical.empty() ? "" : " x ") + std::to_string(dim.size);
    Stored stored(argument);
    std::printf("%-10s %-*s  %-14s %6.2f bits  %s %s %s  %s\n", first ? "matrices" : "", int(width),
                argument.name.c_str(), logical.c_str(), stored.bits(), argument.place.c_str(), physical.c_str(),
                std::string(elementName(argument.type)).c_str(), stored.format.c_str());
    first = false;
  }
}

std::string factsText(const VariantKernel &kernel) {
  std::string text;
  auto add = [&](int64_t number, const char *what) {
    if (number >= 0)
      text += (text.empty() ? "" : ", ") + std::to_string(number) + what;
  };
  add(int64_t(kernel.block[0]) * kernel.block[1] * kernel.block[2], " threads");
  add(kernel.registers, " registers");
  add(kernel.accumulators, " of them accumulators");
  add(kernel.spills, " bytes spilled");
  add(kernel.shared, " bytes shared");
  if (kernel.occupancy >= 0)
    add(int64_t(kernel.occupancy * 100 + 0.5), " % occupied");
  if (auto found = kernel.instructions.find("matrix"); found != kernel.instructions.end())
    add(found->second, " matrix instructions");
  return text;
}

/// What a variant runs on; of GPUs the images and what is known of each kernel.
void printVariants(const Manifest &manifest) {
  for (size_t i = 0; i < manifest.variants.size(); ++i) {
    const Variant &variant = manifest.variants[i];
    const char *title = i ? "" : "code";
    if (variant.device.empty()) {
      std::string missing = firstMissing(variant);
      std::printf("%-10s %s%s\n", title, variant.target.c_str(),
                  missing.empty() ? ", runs here" : (", this processor has no " + missing).c_str());
      continue;
    }
    std::string images;
    for (const VariantImage &image : variant.images)
      images += ", " + std::string(imageKindName(image.kind)) + " of " + std::to_string(image.bytes) + " bytes";
    std::printf("%-10s %s, for %s GPUs of architecture %s%s\n", title, variant.target.c_str(),
                std::string(deviceFamily(variant.device)).c_str(), variant.device.c_str(), images.c_str());
    for (size_t k = 0; k < variant.kernels.size(); ++k)
      std::printf("%-10s %s  %s\n", k ? "" : "kernels", variant.kernels[k].name.c_str(),
                  factsText(variant.kernels[k]).c_str());
  }
}

/// The manifest, and beside what each constant stores, in how many bytes.
std::string jsonOf(const std::string &text, const Manifest &manifest) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(text);
  for (size_t i = 0; i < manifest.arguments.size(); ++i)
    if (const Argument &argument = manifest.arguments[i]; argument.kind == ArgumentKind::Constant) {
      Stored stored(argument);
      json["arguments"][i]["bytes"] = stored.bytes;
      json["arguments"][i]["bits_per_weight"] = stored.bits();
    }
  // An argument, a region a line, as the manifest itself.
  std::string result;
  for (const auto &[key, value] : json.items()) {
    result += (result.empty() ? "{" : ",\n ") + nlohmann::json(key).dump() + ":";
    if (!value.is_array() || value.empty() || !value.front().is_object()) {
      result += value.dump();
      continue;
    }
    for (size_t i = 0; i < value.size(); ++i)
      result += (i ? ",\n  " : "[\n  ") + value[i].dump();
    result += "]";
  }
  return result + "}\n";
}

} // namespace

whit_status inspect(const RunOptions &options) {
  char *json;
  if (whit_status status = whit_inspect(options.model.c_str(), &json))
    return status;
  Manifest manifest;
  std::string text(json), why;
  whit_free(json);
  if (!parseManifest(text, manifest, &why))
    return fail(WHIT_REFUSED, "%s", why.c_str());
  if (options.json) {
    std::fputs(jsonOf(text, manifest).c_str(), stdout);
    return WHIT_OK;
  }
  std::printf("%-10s %s, by %s, function %s\n", "model", manifest.model.c_str(), manifest.producer.c_str(),
              manifest.function.c_str());
  printArguments(manifest, ArgumentKind::Input, "inputs");
  printArguments(manifest, ArgumentKind::Output, "outputs");
  printCaches(manifest);
  printConstants(manifest);
  std::printf("%-10s %s, %lld bytes, sha256 %s\n", "file",
              manifest.weights.file.empty() ? "embedded" : manifest.weights.file.c_str(),
              (long long)manifest.weights.bytes, manifest.weights.sha256.c_str());
  printVariants(manifest);
  std::printf("%-10s %zu\n", "regions", manifest.regions.size());
  printMatrices(manifest);
  return WHIT_OK;
}

} // namespace whit
