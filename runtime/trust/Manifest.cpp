// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writing is a list of fields; reading is the same list with limits. A Field knows its path ("arguments[3].shape[1]")
// so that each refusal names the place, what was found there and what is allowed.
#include "runtime/trust/Manifest.h"

#include "runtime/encoding/CacheBlock.h"
#include "runtime/trust/Sha256.h"
#include "runtime/trust/StrictJson.h"
#include "whit/Encoding.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

namespace whit {
namespace {

struct ElementRow {
  std::string_view name;
  ElementType type;
  int64_t bytes;
};

constexpr ElementRow kElements[] = {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors) {name, ElementType::Name, bytes},
#include "whit/ElementTypes.def"
};

constexpr std::string_view kKinds[] = {"input", "state", "constant", "output", "workspace"};
constexpr std::string_view kRotations[] = {"hadamard"};
constexpr std::string_view kImageKinds[] = {"ptx", "cubin", "hsaco", "bitcode"}; // as ImageKind has them
constexpr std::string_view kLayouts[] = {"BHTD", "BHTD16", "panels", "rows"};

// ---- Writing ----

Json toJson(const std::vector<Dimension> &shape) {
  Json list = Json::array();
  for (const Dimension &dimension : shape)
    list.push_back(dimension.symbol.empty() ? Json(dimension.size) : Json(dimension.symbol));
  return list;
}

/// As the operators of SizeStep are written, from Add on.
constexpr std::string_view kSizeOperators[] = {"+", "*", "/", "%", "min", "max"};

/// An expression as it is written; `symbols` are those of the manifest.
Json toJson(const std::vector<SizeStep> &value, const std::vector<Symbol> &symbols) {
  std::vector<Json> stack;
  for (const SizeStep &step : value) {
    if (step.kind == SizeStep::Number) {
      stack.push_back(step.value);
    } else if (step.kind == SizeStep::Symbol) {
      stack.push_back(symbols[size_t(step.value)].name);
    } else {
      Json right = std::move(stack.back());
      stack.pop_back();
      Json &left = stack.back();
      std::string_view name = kSizeOperators[step.kind - SizeStep::Add];
      if (left.is_array() && left[0] == name) // from the left: (a + b) + c
        left.push_back(std::move(right));
      else
        left = Json::array({name, Json(left), std::move(right)});
    }
  }
  return stack.back();
}

Json toJson(const Symbol &symbol, const std::vector<Symbol> &symbols) {
  Json object{{"name", symbol.name}, {"min", symbol.min}, {"max", symbol.max ? Json(*symbol.max) : Json(nullptr)}};
  if (!symbol.defaultSymbol.empty())
    object["default"] = symbol.defaultSymbol;
  if (!symbol.value.empty())
    object["value"] = toJson(symbol.value, symbols);
  return object;
}

Json toJson(const Argument &argument) {
  Json object{{"name", argument.name},
              {"kind", kKinds[size_t(argument.kind)]},
              {"dtype", elementName(argument.type)},
              {"shape", toJson(argument.shape)}};
  if (!argument.alias.empty())
    object["alias"] = argument.alias;
  if (argument.kind == ArgumentKind::State) {
    object["past"] = argument.past;
    object["present"] = argument.present;
    object["length"] = argument.length;
    object["layout"] = kLayouts[size_t(argument.layout)];
    if (!argument.format.empty()) {
      object["format"] = argument.format;
      object["depth"] = argument.depth;
      if (argument.hadamard)
        object["rotation"] = kRotations[0];
    }
  }
  if (argument.kind == ArgumentKind::Constant) {
    object["format"] = argument.format;
    object["logical"] = argument.logical;
    object["place"] = argument.place;
  }
  return object;
}

/// Facts of a kernel that are whole numbers, by their keys.
struct FactRow {
  const char *key;
  int64_t VariantKernel::*value;
};

constexpr FactRow kFacts[] = {{"registers", &VariantKernel::registers},
                              {"accumulators", &VariantKernel::accumulators},
                              {"scalars", &VariantKernel::scalars},
                              {"spills", &VariantKernel::spills},
                              {"stack", &VariantKernel::stack},
                              {"shared", &VariantKernel::shared},
                              {"code", &VariantKernel::code}};

Json toJson(const VariantKernel &kernel) {
  Json object{{"name", kernel.name}, {"block", kernel.block}};
  for (const FactRow &row : kFacts)
    if (kernel.*row.value >= 0)
      object[row.key] = kernel.*row.value;
  if (kernel.occupancy >= 0)
    object["occupancy"] = kernel.occupancy;
  if (!kernel.instructions.empty())
    object["instructions"] = kernel.instructions;
  return object;
}

Json toJson(const Variant &variant) {
  Json object{{"target", variant.target},
              {"features", variant.features},
              {"execute", variant.execute},
              {"sizes", variant.sizes}};
  if (variant.device.empty())
    return object;
  object["device"] = variant.device;
  object["images"] = Json::array();
  for (const VariantImage &image : variant.images)
    object["images"].push_back({{"kind", imageKindName(image.kind)},
                                {"target", image.target},
                                {"section", image.section},
                                {"bytes", image.bytes}});
  object["kernels"] = Json::array();
  for (const VariantKernel &kernel : variant.kernels)
    object["kernels"].push_back(toJson(kernel));
  return object;
}

Json toJson(const Region &region) {
  return {{"id", region.id}, {"name", region.name}, {"nodes", region.nodes}, {"schedule", region.schedule}};
}

Json nameOrNull(const std::string &name) { return name.empty() ? Json(nullptr) : Json(name); }

void appendList(std::string &text, const char *key, const std::vector<std::string> &lines) {
  text += std::string(",\n \"") + key + "\":[";
  for (size_t i = 0; i < lines.size(); ++i)
    text += (i ? ",\n  " : "\n  ") + lines[i];
  text += "]";
}

template <typename Item> std::vector<std::string> linesOf(const std::vector<Item> &items) {
  std::vector<std::string> lines;
  for (const Item &item : items)
    lines.push_back(printLine(toJson(item)));
  return lines;
}

// ---- Reading ----

struct Refusal {
  std::string text;
};

/// A value in the document and where it is.
struct Field {
  const Json *value;
  std::string path;

  [[noreturn]] void refuse(const std::string &text) const {
    throw Refusal{"manifest: " + (path.empty() ? "it" : path) + " " + text};
  }

  std::string shown() const {
    std::string text = value->dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() > 80 ? text.substr(0, 77) + "..." : text;
  }

  Field at(const char *key) const {
    if (!value->is_object())
      refuse("is " + shown() + "; it must be an object");
    auto found = value->find(key);
    if (found == value->end())
      refuse("has no '" + std::string(key) + "'");
    return {&*found, path.empty() ? key : path + "." + key};
  }

  std::optional<Field> maybe(const char *key) const {
    return value->is_object() && value->contains(key) ? std::optional(at(key)) : std::nullopt;
  }

  /// Refuses keys other than `allowed`.
  void only(std::initializer_list<std::string_view> allowed) const {
    if (!value->is_object())
      refuse("is " + shown() + "; it must be an object");
    for (const auto &[key, item] : value->items())
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end())
        refuse("has the unknown key '" + key.substr(0, 120) + "'; a newer compiler may have written it");
  }

  std::vector<Field> list(int64_t limit) const {
    if (!value->is_array())
      refuse("is " + shown() + "; it must be an array");
    if (int64_t(value->size()) > limit)
      refuse("has " + std::to_string(value->size()) + " entries; at most " + std::to_string(limit) + " are allowed");
    std::vector<Field> fields;
    for (size_t i = 0; i < value->size(); ++i)
      fields.push_back({&(*value)[i], path + "[" + std::to_string(i) + "]"});
    return fields;
  }

  int64_t integer(int64_t low, int64_t high) const {
    bool fits = value->is_number_unsigned()
                    ? value->get<uint64_t>() <= uint64_t(high) && int64_t(value->get<uint64_t>()) >= low
                    : value->is_number_integer() && value->get<int64_t>() >= low && value->get<int64_t>() <= high;
    if (!fits)
      refuse("is " + shown() + "; it must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return value->get<int64_t>();
  }

  double share() const {
    if (!value->is_number() || !(value->get<double>() >= 0 && value->get<double>() <= 1))
      refuse("is " + shown() + "; it must be a number from 0 to 1");
    return value->get<double>();
  }

  std::string text(bool mayBeEmpty = false, int64_t limit = kMaxNameBytes) const {
    if (!value->is_string())
      refuse("is " + shown() + "; it must be a string");
    std::string result = value->get<std::string>();
    if (int64_t(result.size()) > limit || (result.empty() && !mayBeEmpty) || result.find('\0') != std::string::npos)
      refuse("has " + std::to_string(result.size()) + " bytes; from " + (mayBeEmpty ? "0" : "1") + " to " +
             std::to_string(limit) + " without NUL are allowed");
    return result;
  }

  std::string textOrNull() const { return value->is_null() ? std::string() : text(); }

  std::string hash() const {
    std::string result = text();
    Digest digest;
    if (!fromHex(result, digest))
      refuse("is " + shown() + "; it must be 64 lower-case hexadecimal digits");
    return result;
  }

  size_t word(std::span<const std::string_view> words) const {
    std::string found = text();
    for (size_t i = 0; i < words.size(); ++i)
      if (found == words[i])
        return i;
    std::string known;
    for (std::string_view each : words)
      known += (known.empty() ? "" : ", ") + std::string(each);
    refuse("is " + shown() + "; it must be one of " + known);
  }
};

struct Parser {
  Manifest &manifest;
  std::set<std::string> symbols;
  std::set<std::string> sections = {}; ///< of images

  void requireSymbol(const Field &field, const std::string &name) const {
    if (!symbols.count(name))
      field.refuse("names the dimension " + field.shown() + ", which symbols does not list");
  }

  /// Operands before their operator; inside of `depth` others, no more than that wait on the stack.
  void readValue(const Field &field, std::vector<SizeStep> &steps, int64_t depth) {
    if (depth >= kMaxSizeDepth || int64_t(steps.size()) >= kMaxSizeSteps)
      field.refuse("is too long; at most " + std::to_string(kMaxSizeSteps) + " steps and " +
                   std::to_string(kMaxSizeDepth) + " levels are allowed");
    if (field.value->is_string()) {
      std::string name = field.text();
      requireSymbol(field, name); // an earlier one: no cycles
      auto found = std::find_if(manifest.symbols.begin(), manifest.symbols.end(),
                                [&](const Symbol &symbol) { return symbol.name == name; });
      steps.push_back({SizeStep::Symbol, found - manifest.symbols.begin()});
    } else if (!field.value->is_array()) {
      steps.push_back({SizeStep::Number, field.integer(-kMaxDimension, kMaxDimension)});
    } else {
      std::vector<Field> parts = field.list(kMaxSizeSteps);
      if (parts.size() < 3)
        field.refuse("is " + field.shown() + "; it must be an operator and at least two operands");
      auto kind = SizeStep::Kind(SizeStep::Add + parts[0].word(kSizeOperators));
      for (size_t i = 1; i < parts.size(); ++i) {
        readValue(parts[i], steps, depth + 1);
        if (i > 1)
          steps.push_back({kind});
      }
    }
  }

  void readSymbol(const Field &field) {
    field.only({"name", "min", "max", "default", "value"});
    Symbol symbol;
    symbol.name = field.at("name").text();
    if (auto min = field.maybe("min"))
      symbol.min = min->integer(0, kMaxDimension);
    if (auto max = field.maybe("max"); max && !max->value->is_null())
      symbol.max = max->integer(symbol.min, kMaxDimension);
    if (auto other = field.maybe("default")) {
      symbol.defaultSymbol = other->text();
      requireSymbol(*other, symbol.defaultSymbol); // of an earlier symbol: no cycles
    }
    if (auto value = field.maybe("value")) {
      if (!symbol.defaultSymbol.empty())
        field.refuse("has both a default and a value; one is required");
      readValue(*value, symbol.value, 0);
    }
    if (!symbols.insert(symbol.name).second)
      field.refuse("repeats the name '" + symbol.name + "'");
    manifest.symbols.push_back(std::move(symbol));
  }

  std::vector<Dimension> readShape(const Field &field) {
    std::vector<Dimension> shape;
    for (const Field &each : field.list(kMaxRank)) {
      Dimension dimension;
      if (each.value->is_string()) {
        dimension.symbol = each.text();
        requireSymbol(each, dimension.symbol);
      } else {
        dimension.size = each.integer(0, kMaxDimension);
      }
      shape.push_back(std::move(dimension));
    }
    return shape;
  }

  void readState(const Field &field, Argument &argument) {
    argument.past = field.at("past").text();
    argument.present = field.at("present").text();
    argument.length = field.at("length").text();
    requireSymbol(field.at("length"), argument.length);
    argument.layout = StateLayout(field.at("layout").word(kLayouts));
    bool packed = argument.layout == StateLayout::Panels || argument.layout == StateLayout::Rows;
    size_t rank = argument.layout == StateLayout::BHTD16 ? 5 : 4;
    if (argument.shape.size() != rank)
      field.at("shape").refuse("has rank " + std::to_string(argument.shape.size()) + "; layout " +
                               std::string(kLayouts[size_t(argument.layout)]) + " has " + std::to_string(rank));
    for (size_t i = 1; i < rank; ++i)
      if (!argument.shape[i].symbol.empty())
        field.at("shape").refuse("has a dynamic dimension " + std::to_string(i) +
                                 "; only the batch of a cache may be dynamic");
    if (rank == 5 && argument.shape[4].size != 16)
      field.at("shape").refuse("ends in " + std::to_string(argument.shape[4].size) + "; layout BHTD16 ends in 16");
    if (packed)
      readPacked(field, argument);
    else if (field.maybe("format") || field.maybe("depth") || field.maybe("rotation"))
      field.refuse("has a format, a depth or a rotation; these are for the layouts panels and rows");
    int64_t capacity = argument.shape[2].size * (packed || rank == 5 ? 16 : 1);
    if (manifest.context < 1)
      throw Refusal{"manifest: context is " + std::to_string(manifest.context) +
                    "; a model with states has at least 1"};
    if (capacity < manifest.context)
      field.at("shape").refuse("holds " + std::to_string(capacity) + " tokens; the context is " +
                               std::to_string(manifest.context));
  }

  /// A state of packed bytes: its format, and sizes that follow from it.
  void readPacked(const Field &field, Argument &argument) {
    argument.format = field.at("format").text();
    argument.depth = field.at("depth").integer(1, kMaxDimension);
    if (auto rotation = field.maybe("rotation"))
      argument.hadamard = rotation->word(kRotations) == 0;
    std::string why;
    std::optional<Encoding> encoding = parseEncoding(argument.format, &why);
    if (!encoding || !checkCacheFormat(*encoding, &why) || encoding->isPlain())
      field.at("format").refuse("is unusable: " + (why.empty() ? "panels and rows are for codes" : why));
    if (argument.hadamard && (argument.depth & (argument.depth - 1)))
      field.at("depth").refuse("is " + std::to_string(argument.depth) + "; a Hadamard matrix needs a power of two");
    CacheOrder order = argument.layout == StateLayout::Panels ? CacheOrder::Panel : CacheOrder::Rows;
    int64_t bytes = CacheBlock(*encoding, order, argument.depth).bytes;
    if (argument.type != ElementType::I8 || argument.shape[3].size != bytes)
      field.at("shape").refuse("ends in " + std::to_string(argument.shape[3].size) + " " +
                               std::string(elementName(argument.type)) + "; a block of 16 tokens has " +
                               std::to_string(bytes) + " of i8");
  }

  void readConstant(const Field &field, Argument &argument) {
    argument.format = field.at("format").text(true);
    argument.place = field.at("place").text(true);
    for (const Field &each : field.at("logical").list(kMaxRank))
      argument.logical.push_back(each.integer(0, kMaxDimension));
    for (const Dimension &dimension : argument.shape)
      if (!dimension.symbol.empty())
        field.at("shape").refuse("is dynamic; constants have fixed shapes");
    if (argument.place.empty())
      return;
    std::string why;
    std::optional<Encoding> encoding = parseEncoding(argument.format, &why);
    if (!encoding)
      field.at("format").refuse("is unusable: " + why);
    if (argument.place != "panel16" || argument.logical.size() != 2)
      field.at("place").refuse("is " + field.at("place").shown() + " with logical rank " +
                               std::to_string(argument.logical.size()) + "; it must be panel16 with rank 2");
    Place place = solvePlace(*encoding, argument.logical[0], argument.logical[1]);
    if (argument.shape.size() != 2 || argument.type != ElementType::I8 || argument.shape[0].size != place.panels ||
        argument.shape[1].size != place.panelBytes)
      field.at("shape").refuse("is not the panel stream of its logical shape; [" + std::to_string(place.panels) + ", " +
                               std::to_string(place.panelBytes) + "] of i8 is required");
  }

  void readArgument(const Field &field) {
    Argument argument;
    argument.kind = ArgumentKind(field.at("kind").word(kKinds));
    if (argument.kind == ArgumentKind::State)
      field.only(
          {"name", "kind", "dtype", "shape", "past", "present", "length", "layout", "format", "depth", "rotation"});
    else if (argument.kind == ArgumentKind::Constant)
      field.only({"name", "kind", "dtype", "shape", "format", "logical", "place"});
    else if (argument.kind == ArgumentKind::Workspace)
      field.only({"name", "kind", "dtype", "shape"});
    else
      field.only({"name", "kind", "dtype", "shape", "alias"});
    argument.name = field.at("name").text();
    if (auto alias = field.maybe("alias"))
      argument.alias = alias->text();
    std::string type = field.at("dtype").text();
    if (auto parsed = parseElementType(type))
      argument.type = *parsed;
    else
      field.at("dtype").refuse("is " + field.at("dtype").shown() + ", which is not an element type");
    argument.shape = readShape(field.at("shape"));
    if (argument.kind == ArgumentKind::State)
      readState(field, argument);
    if (argument.kind == ArgumentKind::Constant)
      readConstant(field, argument);
    if (!manifest.arguments.empty() && argument.kind < manifest.arguments.back().kind)
      field.refuse("is of kind " + field.at("kind").shown() + " behind one of kind " +
                   std::string(kKinds[size_t(manifest.arguments.back().kind)]) +
                   "; the order is input, state, constant, output, workspace");
    manifest.arguments.push_back(std::move(argument));
  }

  void checkArguments(const Field &field) {
    if (manifest.arguments.empty() || manifest.arguments.back().kind != ArgumentKind::Workspace)
      field.refuse("must end in a workspace");
    const Argument &workspace = manifest.arguments.back();
    if (workspace.type != ElementType::I8 || workspace.shape.size() > 1)
      field.refuse("must end in a workspace of i8 and rank 1");
    if (manifest.arguments.size() > 1 &&
        manifest.arguments[manifest.arguments.size() - 2].kind == ArgumentKind::Workspace)
      field.refuse("has two workspaces; one is allowed");
    std::map<std::string, int> inputs, outputs, constants;
    for (const Argument &argument : manifest.arguments) {
      auto unique = [&](std::map<std::string, int> &names, const std::string &name) {
        if (names[name]++)
          field.refuse("repeats the name '" + name + "'");
      };
      switch (argument.kind) {
      case ArgumentKind::Input:
        unique(inputs, argument.name);
        break;
      case ArgumentKind::State:
        unique(inputs, argument.past), unique(outputs, argument.present);
        break;
      case ArgumentKind::Constant:
        unique(constants, argument.name);
        break;
      case ArgumentKind::Output:
        unique(outputs, argument.name);
        break;
      case ArgumentKind::Workspace:
        break;
      }
    }
    // An alias says which one is meant among inputs and outputs together.
    for (const Argument &argument : manifest.arguments)
      if (!argument.alias.empty() && (inputs.count(argument.alias) || outputs[argument.alias]++))
        field.refuse("repeats the name '" + argument.alias + "' as an alias");
  }

  void readRoles(const Field &field) {
    field.only({"tokens", "mask", "positions", "logits"});
    auto role = [&](const char *key, ArgumentKind kind) {
      auto entry = field.maybe(key);
      if (!entry)
        return std::string();
      std::string name = entry->textOrNull();
      bool found = name.empty();
      for (const Argument &argument : manifest.arguments)
        found |= argument.kind == kind && argument.name == name;
      if (!found)
        entry->refuse("names " + entry->shown() + ", which is no " + std::string(kKinds[size_t(kind)]));
      return name;
    };
    manifest.roles.tokens = role("tokens", ArgumentKind::Input);
    manifest.roles.mask = role("mask", ArgumentKind::Input);
    manifest.roles.positions = role("positions", ArgumentKind::Input);
    manifest.roles.logits = role("logits", ArgumentKind::Output);
  }

  void readImage(const Field &field, Variant &variant) {
    field.only({"kind", "target", "section", "bytes"});
    VariantImage image{ImageKind(field.at("kind").word(kImageKinds)), field.at("target").text(),
                       field.at("section").text(), field.at("bytes").integer(1, kMaxImageBytes)};
    if (deviceFamily(image.target) != deviceFamily(variant.device))
      field.at("target").refuse("is " + field.at("target").shown() + ", which is not of the family of '" +
                                variant.device + "'");
    bool isAmd = deviceFamily(image.target) == "AMD";
    if (image.kind != ImageKind::Bitcode && (image.kind == ImageKind::Hsaco) != isAmd)
      field.at("kind").refuse("is " + field.at("kind").shown() + ", which '" + variant.device + "' does not take");
    std::string_view number = std::string_view(image.section).substr(0, sizeof kImageSection - 1) == kImageSection
                                  ? std::string_view(image.section).substr(sizeof kImageSection - 1)
                                  : "";
    if (number.empty() || number.size() > 6 || number.find_first_not_of("0123456789") != number.npos)
      field.at("section").refuse("is " + field.at("section").shown() + "; it must be " + kImageSection +
                                 " and a number");
    if (!sections.insert(image.section).second)
      field.at("section").refuse("is " + field.at("section").shown() + ", which another image has");
    variant.images.push_back(std::move(image));
  }

  VariantKernel readKernel(const Field &field) {
    field.only({"name", "block", "registers", "accumulators", "scalars", "spills", "stack", "shared", "code",
                "occupancy", "instructions"});
    VariantKernel kernel;
    kernel.name = field.at("name").text();
    std::vector<Field> block = field.at("block").list(3);
    int64_t threads = 1;
    for (size_t i = 0; i < block.size(); ++i)
      threads *= kernel.block[i] = int32_t(block[i].integer(1, kMaxThreads));
    if (block.size() != 3 || threads > kMaxThreads)
      field.at("block").refuse("is " + field.at("block").shown() + "; it must be three numbers, together at most " +
                               std::to_string(kMaxThreads) + " threads");
    for (const FactRow &row : kFacts)
      if (auto fact = field.maybe(row.key))
        kernel.*row.value = fact->integer(0, kMaxDimension);
    if (auto occupancy = field.maybe("occupancy"))
      kernel.occupancy = occupancy->share();
    if (auto instructions = field.maybe("instructions")) {
      instructions->only(
          {"matrix", "load", "store", "shared", "local", "integer", "float", "conversion", "barrier", "move", "other"});
      for (const auto &[key, count] : instructions->value->items())
        kernel.instructions[key] = instructions->at(key.c_str()).integer(0, kMaxDimension);
    }
    return kernel;
  }

  void readDevice(const Field &field, Variant &variant) {
    variant.device = field.at("device").text();
    if (deviceFamily(variant.device).empty())
      field.at("device").refuse("is " + field.at("device").shown() +
                                "; it must be sm_ and digits or gfx and hexadecimal digits");
    for (const Field &each : field.at("images").list(kMaxImages))
      readImage(each, variant);
    if (variant.images.empty())
      field.at("images").refuse("is empty; at least one is required");
    std::set<std::string> names;
    for (const Field &each : field.at("kernels").list(kMaxKernels)) {
      variant.kernels.push_back(readKernel(each));
      if (!names.insert(variant.kernels.back().name).second)
        each.refuse("repeats the name '" + variant.kernels.back().name + "'");
    }
  }

  void readVariant(const Field &field) {
    field.only({"target", "features", "execute", "sizes", "device", "images", "kernels"});
    Variant variant{field.at("target").text(), {}, field.at("execute").text(), field.at("sizes").text()};
    for (const Field &each : field.at("features").list(1024))
      variant.features.push_back(each.text());
    if (field.maybe("device"))
      readDevice(field, variant);
    else if (field.maybe("images") || field.maybe("kernels"))
      field.refuse("has images or kernels without a device");
    for (const Variant &other : manifest.variants)
      if (!other.device.empty() && !variant.device.empty() &&
          deviceFamily(other.device) != deviceFamily(variant.device))
        field.refuse("is for " + std::string(deviceFamily(variant.device)) + " behind one for " +
                     std::string(deviceFamily(other.device)) +
                     "; beside CPUs, an artifact is for one family of devices");
    manifest.variants.push_back(std::move(variant));
  }

  void readRegion(const Field &field) {
    field.only({"id", "name", "nodes", "schedule"});
    Region region;
    region.id = int32_t(field.at("id").integer(0, INT32_MAX));
    region.name = field.at("name").text(true);
    for (const Field &each : field.at("nodes").list(1 << 20))
      region.nodes.push_back(each.text(true));
    if (auto schedule = field.maybe("schedule"); schedule && !schedule->value->is_null())
      region.schedule = schedule->text(true, 1 << 16);
    if (region.id != int64_t(manifest.regions.size()))
      field.at("id").refuse("is " + field.at("id").shown() + "; regions are listed by id from 0");
    manifest.regions.push_back(std::move(region));
  }

  void readWeights(const Field &field) {
    field.only({"file", "bytes", "sha256", "chunk", "chunks"});
    Weights &weights = manifest.weights;
    weights.file = field.at("file").text(true, 255);
    if (weights.file.find('/') != std::string::npos || weights.file == "." || weights.file == "..")
      field.at("file").refuse("is " + field.at("file").shown() + "; it must be a name without a folder");
    weights.bytes = field.at("bytes").integer(0, INT64_MAX / 2);
    weights.sha256 = field.at("sha256").hash();
    weights.chunk = field.at("chunk").integer(4096, int64_t(1) << 30);
    for (const Field &each : field.at("chunks").list(1 << 22))
      weights.chunks.push_back(each.hash());
    int64_t needed = weights.bytes / weights.chunk + (weights.bytes % weights.chunk != 0);
    if (int64_t(weights.chunks.size()) != needed)
      field.at("chunks").refuse("has " + std::to_string(weights.chunks.size()) + " hashes; " + std::to_string(needed) +
                                " are required for " + std::to_string(weights.bytes) + " bytes");
  }

  void readMetadata(const Field &field) {
    if (!field.value->is_object() || int64_t(field.value->size()) > kMaxMetadata)
      field.refuse("is " + field.shown() + "; it must be an object of at most " + std::to_string(kMaxMetadata) +
                   " entries");
    for (const auto &[key, item] : field.value->items()) {
      Field entry{&item, field.path + "." + key.substr(0, 120)};
      if (key.empty() || int64_t(key.size()) > kMaxNameBytes)
        entry.refuse("has a key of " + std::to_string(key.size()) + " bytes; from 1 to " +
                     std::to_string(kMaxNameBytes) + " are allowed");
      manifest.metadata[key] = entry.text(true, kMaxMetadataBytes);
    }
  }

  void read(const Field &root) {
    root.only({"whit", "producer", "model", "function", "options", "metadata", "symbols", "arguments", "roles",
               "context", "variants", "regions", "weights", "code_sha256"});
    manifest.version = root.at("whit").integer(0, INT64_MAX);
    if (manifest.version != kManifestVersion)
      root.at("whit").refuse("is version " + std::to_string(manifest.version) + "; this runtime reads version " +
                             std::to_string(kManifestVersion) + "; compile the model again");
    manifest.producer = root.at("producer").text();
    manifest.model = root.at("model").text(true);
    manifest.function = root.at("function").text();
    if (auto options = root.maybe("options"))
      for (const Field &each : options->list(1024))
        manifest.options.push_back(each.text(false, 1 << 16));
    if (auto metadata = root.maybe("metadata"))
      readMetadata(*metadata);
    manifest.context = root.at("context").value->is_null() ? 0 : root.at("context").integer(0, kMaxDimension);
    for (const Field &each : root.at("symbols").list(1024))
      readSymbol(each);
    for (const Field &each : root.at("arguments").list(kMaxArguments))
      readArgument(each);
    checkArguments(root.at("arguments"));
    readRoles(root.at("roles"));
    for (const Field &each : root.at("variants").list(256))
      readVariant(each);
    if (manifest.variants.empty())
      root.at("variants").refuse("is empty; at least one is required");
    for (const Field &each : root.at("regions").list(1 << 20))
      readRegion(each);
    readWeights(root.at("weights"));
    manifest.codeSha256 = root.at("code_sha256").hash();
  }
};

} // namespace

std::string_view elementName(ElementType type) {
  for (const ElementRow &row : kElements)
    if (row.type == type)
      return row.name;
  return "";
}

int64_t elementBytes(ElementType type) {
  for (const ElementRow &row : kElements)
    if (row.type == type)
      return row.bytes;
  return 0;
}

std::optional<ElementType> parseElementType(std::string_view name) {
  for (const ElementRow &row : kElements)
    if (row.name == name)
      return row.type;
  return std::nullopt;
}

std::string_view deviceFamily(std::string_view device) {
  auto consists = [&](size_t from, std::string_view of) {
    return device.size() > from && device.size() < 32 && device.find_first_not_of(of, from) == device.npos;
  };
  if (device.empty())
    return "CPU";
  if (device.starts_with("gfx") && consists(3, "0123456789abcdef"))
    return "AMD";
  if (device.ends_with('a') || device.ends_with('f')) // instructions of this architecture or of its family alone
    device.remove_suffix(1);
  return device.starts_with("sm_") && consists(3, "0123456789") ? "NVIDIA" : "";
}

std::string_view imageKindName(ImageKind kind) { return kImageKinds[size_t(kind)]; }

std::string printManifest(const Manifest &manifest) {
  auto quoted = [](const std::string &value) { return printLine(value); };
  std::string text = "{\"whit\":" + std::to_string(manifest.version) + ", \"producer\":" + quoted(manifest.producer) +
                     ", \"model\":" + quoted(manifest.model) + ", \"function\":" + quoted(manifest.function);
  if (!manifest.options.empty())
    text += ",\n \"options\":" + printLine(Json(manifest.options));
  if (!manifest.metadata.empty())
    text += ",\n \"metadata\":" + printLine(Json(manifest.metadata));
  std::vector<std::string> symbols;
  for (const Symbol &symbol : manifest.symbols)
    symbols.push_back(printLine(toJson(symbol, manifest.symbols)));
  appendList(text, "symbols", symbols);
  appendList(text, "arguments", linesOf(manifest.arguments));
  const Roles &roles = manifest.roles;
  Json named{{"tokens", nameOrNull(roles.tokens)},
             {"mask", nameOrNull(roles.mask)},
             {"positions", nameOrNull(roles.positions)},
             {"logits", nameOrNull(roles.logits)}};
  text += ",\n \"roles\":" + printLine(named) + ",\n \"context\":" + std::to_string(manifest.context);
  appendList(text, "variants", linesOf(manifest.variants));
  appendList(text, "regions", linesOf(manifest.regions));
  const Weights &weights = manifest.weights;
  Json stored{{"file", weights.file},
              {"bytes", weights.bytes},
              {"sha256", weights.sha256},
              {"chunk", weights.chunk},
              {"chunks", weights.chunks}};
  text += ",\n \"weights\":" + printLine(stored) + ",\n \"code_sha256\":" + quoted(manifest.codeSha256) + "}\n";
  return text;
}

bool parseManifest(std::string_view text, Manifest &manifest, std::string *why) {
  std::string reason;
  Json document;
  if (int64_t(text.size()) > kMaxManifestBytes)
    reason = "manifest: " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxManifestBytes) +
             " are allowed";
  else if (parseStrictJson(text, "manifest", document, reason)) {
    Manifest result;
    try {
      Parser{result, {}}.read({&document, ""});
      manifest = std::move(result);
      return true;
    } catch (const Refusal &refusal) {
      reason = refusal.text;
    }
  }
  if (why)
    *why = std::move(reason);
  return false;
}

} // namespace whit
