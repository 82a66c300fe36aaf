// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The machine that code is compiled for, as plain values: what it can execute, how wide its vectors are and what its caches hold. Passes
// read it from the module attribute `whit.target = {cpu, features, caches}` (for a GPU also {kind, machine}); cost models take it as their
// parameters.
//
// Thread rule: all functions are pure.
#ifndef WHIT_TARGET_H
#define WHIT_TARGET_H

#include "whit/Gpu.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace whit {

/// Data caches of one core, in bytes; l3 is shared between cores. Of a GPU: shared memory of a unit, and twice the second-level cache.
struct CacheSizes {
  int64_t l1 = int64_t(32) << 10;
  int64_t l2 = int64_t(1) << 20;
  int64_t l3 = int64_t(16) << 20;

  bool operator==(const CacheSizes &) const = default;
};

struct Target {
  std::string name =
      "x86-64"; ///< as users and manifests call it: "znver4", "x86-64-v3+avxvnni", "sm_90a", "sm_90a:h200"
  TargetKind kind = TargetKind::X86;
  std::string cpu = "x86-64";        ///< LLVM's name of the CPU or of the GPU's architecture
  std::vector<std::string> features; ///< all it can execute, implied ones included, sorted, LLVM's names without a sign
  CacheSizes caches;

  GpuArchitecture gpu; ///< of GPUs
  GpuMachine machine;  ///< of GPUs: the product, or the one that stands for the architecture

  // Drawn from the features.
  int32_t vectorBits = 128; ///< of the widest vector register
  bool hasAvx2 = false;
  bool hasFma = false;    ///< fused multiply-add on f32
  bool hasAvx512 = false; ///< F, BW, DQ and VL
  bool hasVnni = false;   ///< vpdpbusd at the full vector width

  bool has(std::string_view feature) const {
    return std::binary_search(features.begin(), features.end(), feature, std::less<>());
  }
  bool isGpu() const { return kind != TargetKind::X86; }
  bool operator==(const Target &) const = default;
};

/// A GPU. Its features are the words of its row in GpuTargets.def. `name` as the user wrote it.
inline Target makeGpuTarget(std::string name, const GpuArchitecture &gpu, const GpuMachine &machine) {
  Target target;
  target.name = std::move(name);
  target.kind = gpu.kind;
  target.cpu = std::string(gpu.name);
  for (std::string_view rest = gpu.features; !rest.empty();) {
    size_t space = std::min(rest.find(' '), rest.size());
    target.features.emplace_back(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  std::sort(target.features.begin(), target.features.end());
  int64_t l2 = int64_t(machine.l2Megabytes) << 20;
  target.caches = {gpu.unitShared, l2, l2};
  target.gpu = gpu;
  target.machine = machine;
  return target;
}

/// A target from the names of its features; implied features must be listed. No caches: a usual server core.
inline Target makeTarget(std::string name, std::string cpu, std::vector<std::string> features, CacheSizes caches = {}) {
  Target target;
  target.name = std::move(name);
  target.cpu = std::move(cpu);
  std::sort(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end()), features.end());
  target.features = std::move(features);
  target.caches = caches;
  target.hasAvx2 = target.has("avx2");
  target.hasFma = target.has("fma");
  target.hasAvx512 =
      target.has("avx512f") && target.has("avx512bw") && target.has("avx512dq") && target.has("avx512vl");
  target.vectorBits = target.hasAvx512 ? 512 : target.hasAvx2 ? 256 : 128;
  target.hasVnni = target.hasAvx512 ? target.has("avx512vnni") : target.hasAvx2 && target.has("avxvnni");
  return target;
}

/// "+avx,+avx2,...": how the features are written in attributes.
inline std::string featureText(const Target &target) {
  std::string text;
  for (const std::string &feature : target.features)
    text += (text.empty() ? "+" : ",+") + feature;
  return text;
}

/// The inverse: features with a `+`; others are left out.
inline std::vector<std::string> parseFeatureText(std::string_view text) {
  std::vector<std::string> features;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view feature = text.substr(0, comma);
    if (feature.size() > 1 && feature[0] == '+')
      features.emplace_back(feature.substr(1));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return features;
}

} // namespace whit

#endif // WHIT_TARGET_H
