// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of CPUs are LLVM's own, so that users can copy what `clang -mcpu=help` prints; a name that is close to a known one is taken for a typing
// error and answered with suggestions.

#include "Emit/TargetNames.h"

#include "Emit/Failure.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <unistd.h>

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kFeatures[] = {
#define X86_FEATURE(ENUM, STRING) STRING,
#include "llvm/TargetParser/X86TargetParser.def"
};

/// Instructions that nothing in the pipeline generates; a machine (often a virtual one) without them runs the code all the same.
constexpr StringLiteral kNeverGenerated[] = {"64bit",
                                             "adx",
                                             "aes",
                                             "cldemote",
                                             "clflushopt",
                                             "clwb",
                                             "clzero",
                                             "cmpccxadd",
                                             "crc32",
                                             "cx16",
                                             "cx8",
                                             "enqcmd",
                                             "evex512",
                                             "fsgsbase",
                                             "fxsr",
                                             "hreset",
                                             "invpcid",
                                             "kl",
                                             "lvi-cfi",
                                             "lvi-load-hardening",
                                             "lwp",
                                             "mmx",
                                             "movdir64b",
                                             "movdiri",
                                             "movrs",
                                             "mwaitx",
                                             "pclmul",
                                             "pconfig",
                                             "pku",
                                             "prefetchi",
                                             "prfchw",
                                             "ptwrite",
                                             "raoint",
                                             "rdpid",
                                             "rdpru",
                                             "rdrnd",
                                             "rdseed",
                                             "retpoline-external-thunk",
                                             "retpoline-indirect-branches",
                                             "retpoline-indirect-calls",
                                             "rtm",
                                             "sahf",
                                             "serialize",
                                             "sgx",
                                             "sha",
                                             "sha512",
                                             "shstk",
                                             "sm3",
                                             "sm4",
                                             "tsxldtrk",
                                             "uintr",
                                             "usermsr",
                                             "vaes",
                                             "vpclmulqdq",
                                             "vzeroupper",
                                             "waitpkg",
                                             "wbnoinvd",
                                             "widekl",
                                             "x87",
                                             "xsave",
                                             "xsavec",
                                             "xsaveopt",
                                             "xsaves",
                                             "avx512vp2intersect",
                                             "cmov",
                                             "sse",
                                             "sse2"};

bool isFeature(StringRef name) { return is_contained(kFeatures, name); }

/// Length of the longest feature name that `text` starts with, up to its end or a sign; names may hold a '-' themselves. 0: none.
size_t featureLength(StringRef text) {
  for (size_t end = std::min(text.find_first_of("+,"), text.size()); end != StringRef::npos && end > 0;
       end = text.take_front(end).rfind('-'))
    if (isFeature(text.take_front(end)))
      return end;
  return 0;
}

/// The five known names nearest to `text`, with commas between.
std::string nearest(StringRef text, ArrayRef<StringRef> known) {
  std::string lower = text.lower();
  SmallVector<std::pair<unsigned, StringRef>> ranked;
  for (StringRef name : known) {
    unsigned distance = StringRef(lower).edit_distance(name, /*AllowReplacements=*/true);
    if (name.contains(lower))
      distance = std::min(distance, 1u);
    ranked.push_back({distance, name});
  }
  stable_sort(ranked, less_first());
  if (ranked.size() > 5)
    ranked.resize(5);
  return join(map_range(ranked, [](auto &entry) { return entry.second.str(); }), ", ");
}

/// All rows with commas between.
template <class Rows> std::string namesOf(const Rows &rows, StringRef architecture = "") {
  std::string names;
  for (const auto &row : rows) {
    if constexpr (std::is_same_v<decltype(row), const GpuMachine &>)
      if (!architecture.empty() && StringRef(row.architecture) != architecture)
        continue;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names;
}

/// Whether it is meant to be a GPU: the name of a product, or of an architecture whether known or not.
bool looksLikeGpu(StringRef text) {
  StringRef lower = text.split(':').first;
  return text.contains(':') || lower.starts_with_insensitive("sm_") || lower.starts_with_insensitive("gfx") ||
         any_of(gpuMachines(), [&](const GpuMachine &row) { return lower.equals_insensitive(row.name); });
}

Expected<Target> resolveGpu(StringRef text) {
  auto [name, product] = text.split(':');
  const GpuArchitecture *gpu = findGpuArchitecture(name);
  if (!gpu) {
    for (const GpuMachine &row : gpuMachines())
      if (StringRef(row.name).equals_insensitive(name))
        return fail(Exit::Usage, "--target: '" + name + "' is a product, not an architecture", "",
                    "write " + Twine(row.architecture) + ":" + row.name);
    return fail(Exit::Usage, "--target: unknown GPU architecture '" + name + "'", "",
                "known are " + namesOf(gpuArchitectures()));
  }
  const GpuMachine *machine = findGpuMachine(name, product);
  if (!machine || (text.contains(':') && product.empty()))
    return fail(Exit::Usage, "--target: no known product of " + name + " is called '" + product + "'", "",
                "known are " + namesOf(gpuMachines(), name));
  return makeGpuTarget(text.str(), *gpu, *machine);
}

Error unknownCpu(StringRef cpu) {
  SmallVector<StringRef> known;
  X86::fillValidCPUArchList(known, /*Only64Bit=*/true);
  std::string near = nearest(cpu, known);
  known.push_back("host");
  return fail(Exit::Usage, "--target: unknown CPU '" + cpu + "'", "",
              "near names: " + near + "; or host; `llc -march=x86-64 -mcpu=help` prints all " +
                  Twine(known.size() - 1) + "; GPUs: " + namesOf(gpuArchitectures()));
}

Error unknownFeature(StringRef feature) {
  SmallVector<StringRef> known(std::begin(kFeatures), std::end(kFeatures));
  return fail(Exit::Usage, "--target: unknown feature '" + feature + "'", "", "near names: " + nearest(feature, known));
}

void enable(StringMap<bool> &features, StringRef name, bool on) {
  features[name] = on;
  X86::updateImpliedFeatures(name, on, features);
}

StringMap<bool> featuresOfCpu(StringRef cpu) {
  StringMap<bool> features;
  SmallVector<StringRef> listed;
  X86::getFeaturesForCPU(cpu, listed);
  for (StringRef name : listed)
    enable(features, name, true);
  // LLVM leaves out what 64-bit mode implies.
  for (StringRef name : {"64bit", "sse2"})
    enable(features, name, true);
  return features;
}

int64_t positiveOr(long found, int64_t otherwise) { return found > 0 ? found : otherwise; }

CacheSizes hostCaches() {
  CacheSizes usual;
  return {positiveOr(sysconf(_SC_LEVEL1_DCACHE_SIZE), usual.l1), positiveOr(sysconf(_SC_LEVEL2_CACHE_SIZE), usual.l2),
          positiveOr(sysconf(_SC_LEVEL3_CACHE_SIZE), usual.l3)};
}

} // namespace

Expected<Target> resolveTarget(StringRef text) {
  if (looksLikeGpu(text))
    return resolveGpu(text);
  // A feature starts at a sign or comma, except for the '-' inside names: x86-64-v3, alderlake's e-cores, amx-int8.
  SmallVector<std::string> pieces;
  size_t cpuEnd = std::min(text.find_first_of("+,"), text.size());
  std::string cpu = text.take_front(cpuEnd).str();
  SmallVector<StringRef> known;
  X86::fillValidCPUArchList(known, /*Only64Bit=*/true);
  known.push_back("host");
  // "znver4-avx512f": the longest known CPU name before a '-' counts, if the whole is not one.
  if (!is_contained(known, StringRef(cpu)))
    for (size_t dash = StringRef(cpu).rfind('-'); dash != StringRef::npos;
         dash = StringRef(cpu).take_front(dash).rfind('-'))
      if (is_contained(known, StringRef(cpu).take_front(dash)) && featureLength(StringRef(cpu).drop_front(dash + 1))) {
        cpuEnd = dash;
        cpu.resize(dash);
        break;
      }
  if (!is_contained(known, StringRef(cpu)))
    return unknownCpu(cpu);

  StringMap<bool> features;
  CacheSizes caches;
  if (cpu == "host") {
    cpu = sys::getHostCPUName().str();
    features = featuresOfCpu(cpu);
    for (auto &entry : sys::getHostCPUFeatures())
      if (isFeature(entry.first()))
        features[entry.first()] = entry.second;
    caches = hostCaches();
  } else {
    features = featuresOfCpu(cpu);
  }

  StringRef rest = text.drop_front(cpuEnd);
  while (!rest.empty()) {
    if (rest.consume_front(","))
      continue;
    bool on = rest.front() == '+';
    if (!on && rest.front() != '-')
      return fail(Exit::Usage,
                  "--target: feature '" + rest.take_until([](char c) { return c == ','; }) + "' has no sign", "",
                  "write +feature or -feature");
    rest = rest.drop_front();
    size_t end = featureLength(rest);
    if (!end)
      return unknownFeature(rest.take_until([](char c) { return c == ',' || c == '+'; }));
    enable(features, rest.take_front(end), on);
    rest = rest.drop_front(end);
  }

  std::vector<std::string> enabled;
  for (auto &entry : features)
    if (entry.second && isFeature(entry.first()))
      enabled.push_back(entry.first().str());
  std::string name = text.starts_with("host") ? cpu + text.drop_front(cpuEnd).str() : text.str();
  return makeTarget(std::move(name), std::move(cpu), std::move(enabled), caches);
}

void sortBestFirst(std::vector<Target> &targets) {
  llvm::stable_sort(targets, [](const Target &left, const Target &right) {
    auto key = [](const Target &target) {
      return std::tuple(target.isGpu(), target.isGpu() ? target.gpu.capability : target.vectorBits,
                        requiredFeatures(target).size());
    };
    return key(left) > key(right);
  });
}

std::vector<std::string> requiredFeatures(const Target &target) {
  std::vector<std::string> required;
  if (target.isGpu())
    return required;
  for (const std::string &feature : target.features)
    if (!is_contained(kNeverGenerated, StringRef(feature)))
      required.push_back(feature);
  return required;
}

std::string codegenFeatures(const Target &target) {
  std::string text = featureText(target);
  std::vector<std::string> missing;
  for (auto &entry : featuresOfCpu(target.cpu))
    if (entry.second && !target.has(entry.first()))
      missing.push_back(entry.first().str());
  llvm::sort(missing);
  for (const std::string &feature : missing)
    text += (text.empty() ? "-" : ",-") + feature;
  return text;
}

void setTarget(mlir::ModuleOp module, const Target &target) {
  mlir::Builder builder(module.getContext());
  const CacheSizes &caches = target.caches;
  SmallVector<mlir::NamedAttribute> facts = {
      builder.getNamedAttr("name", builder.getStringAttr(target.name)),
      builder.getNamedAttr("cpu", builder.getStringAttr(target.cpu)),
      builder.getNamedAttr("features", builder.getStringAttr(featureText(target))),
      builder.getNamedAttr("caches", builder.getDenseI64ArrayAttr({caches.l1, caches.l2, caches.l3}))};
  if (target.isGpu()) {
    StringRef kind = target.kind == TargetKind::Nvptx ? "nvptx" : "amdgpu";
    facts.push_back(builder.getNamedAttr("kind", builder.getStringAttr(kind)));
    facts.push_back(builder.getNamedAttr("machine", builder.getStringAttr(target.machine.name)));
  }
  module->setAttr("whit.target", builder.getDictionaryAttr(facts));
}

Target getTarget(mlir::ModuleOp module) {
  auto facts = module->getAttrOfType<mlir::DictionaryAttr>("whit.target");
  auto text = [&](StringRef key, StringRef otherwise) {
    auto found = facts ? facts.getAs<mlir::StringAttr>(key) : nullptr;
    return found ? found.str() : otherwise.str();
  };
  std::string cpu = text("cpu", "x86-64");
  // A product that is not known here has no facts: the architecture's own stands for it.
  if (const GpuArchitecture *gpu = text("kind", "").empty() ? nullptr : findGpuArchitecture(cpu)) {
    const GpuMachine *machine = findGpuMachine(cpu, text("machine", ""));
    return makeGpuTarget(text("name", cpu), *gpu, machine ? *machine : *findGpuMachine(cpu));
  }
  CacheSizes caches;
  if (auto sizes = facts ? facts.getAs<mlir::DenseI64ArrayAttr>("caches") : nullptr; sizes && sizes.size() == 3)
    caches = {sizes[0], sizes[1], sizes[2]};
  std::vector<std::string> features = parseFeatureText(text("features", ""));
  if (features.empty())
    for (auto &entry : featuresOfCpu(cpu))
      if (entry.second)
        features.push_back(entry.first().str());
  return makeTarget(text("name", cpu), cpu, std::move(features), caches);
}

Target hostOf(const Target &target) { return target.isGpu() ? cantFail(resolveTarget("x86-64")) : target; }

} // namespace whit
