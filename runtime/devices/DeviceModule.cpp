// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A driver may refuse an image that should run (a cubin of a newer toolkit); then the next one is tried.
#include "runtime/devices/DeviceModule.h"

#include "runtime/core/CpuFeatures.h"
#include "runtime/core/Status.h"
#include "runtime/trust/Manifest.h"

#include <algorithm>

namespace whit {

DeviceModule::DeviceModule(std::unique_ptr<Device> device, std::string name)
    : opened(std::move(device)), name(std::move(name)) {}

DeviceModule::~DeviceModule() {
  for (DevicePointer pointer : constants)
    opened->free(pointer);
}

whit_status DeviceModule::report(whit_status status, const std::string &what) const {
  return fail(status, "device '%.120s': %.300s%.1400s", name.c_str(), what.c_str(), opened->message().c_str());
}

/// The first image of the variant that the device takes and loads; false with `why` if there is none.
whit_status DeviceModule::load(const CodeImage &image, const Variant &variant, std::string &why) {
  for (const VariantImage &each : variant.images) {
    why += (why.empty() ? "" : ", ") + std::string(imageKindName(each.kind)) + " for " + each.target;
    if (!opened->runs(each.kind, each.target))
      continue;
    std::span<const uint8_t> bytes = image.images.at(each.section);
    DeviceImage loaded;
    if (opened->load(each.kind, bytes.data(), bytes.size(), &loaded)) {
      why += " (" + opened->message().substr(0, 600) + ")";
      continue;
    }
    for (const VariantKernel &kernel : variant.kernels) {
      found.emplace_back();
      if (opened->find(loaded, kernel.name.c_str(), &found.back()))
        return report(WHIT_REFUSED, "kernel '" + kernel.name.substr(0, 120) + "' of its image cannot be used: ");
    }
    return WHIT_OK;
  }
  return WHIT_DEVICE;
}

whit_status DeviceModule::choose(const CodeImage &image, const char *target, const Variant *&variant) {
  std::lock_guard lock(mutex);
  std::string has;
  for (const Variant &each : image.manifest.variants) {
    if (each.device.empty() || (target && each.target != target) || !firstMissing(each).empty())
      continue;
    std::string why;
    found.clear();
    whit_status status = load(image, each, why);
    if (status == WHIT_OK) {
      variant = chosen = &each;
      return WHIT_OK;
    }
    if (found.size())
      return status; // the image was taken
    has += (has.empty() ? "" : ", ") + why;
  }
  std::string code;
  for (const Variant &each : image.manifest.variants)
    code += (code.empty() ? "" : ", ") + each.target;
  if (has.empty())
    return fail(WHIT_DEVICE, "artifact '%.*s' has no kernels for %s%.120s; it is compiled for %.400s",
                WHIT_NAME(image.path), target ? "target " : "devices like ", target ? target : name.c_str(),
                code.c_str());
  return fail(WHIT_DEVICE,
              "device '%.120s' (%.120s) is of architecture %.40s, which takes none of the images of artifact '%.*s': "
              "%.1000s; compile it "
              "with --target=%.40s",
              name.c_str(), opened->name().c_str(), opened->architecture().c_str(), WHIT_NAME(image.path), has.c_str(),
              opened->architecture().c_str());
}

whit_status DeviceModule::upload(std::span<const uint8_t *const> sources, std::span<const int64_t> bytes) {
  constexpr int64_t chunk = int64_t(64) << 20; // a driver pins what it copies
  std::lock_guard lock(mutex);
  if (uploaded)
    return WHIT_OK;
  constants.resize(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i])
      continue;
    if (!constants[i])
      if (whit_status status = opened->allocate(size_t(std::max<int64_t>(bytes[i], 1)), &constants[i])) {
        constants[i] = nullptr;
        return report(status, "no memory for a constant of " + std::to_string(bytes[i]) + " bytes: ");
      }
    for (int64_t from = 0; from < bytes[i]; from += chunk)
      if (whit_status status = opened->copyIn(static_cast<uint8_t *>(constants[i]) + from, sources[i] + from,
                                              size_t(std::min(chunk, bytes[i] - from))))
        return report(status, "");
  }
  uploaded = true;
  return WHIT_OK;
}

} // namespace whit
