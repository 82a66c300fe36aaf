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
  copies.push_back(std::move(constants));
  for (const Pointers &pointers : copies)
    for (DevicePointer pointer : pointers)
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

whit_status DeviceModule::upload(std::span<const uint8_t *const> given, std::span<const int64_t> bytes) {
  std::lock_guard lock(mutex);
  if (uploaded)
    return WHIT_OK;
  sources.assign(given.begin(), given.end());
  sizes.assign(bytes.begin(), bytes.end());
  whit_status status = fill(constants);
  uploaded = status == WHIT_OK;
  return status;
}

whit_status DeviceModule::fill(Pointers &pointers) {
  constexpr int64_t chunk = int64_t(64) << 20; // a driver pins what it copies
  pointers.resize(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i])
      continue;
    if (!pointers[i])
      if (whit_status status = opened->allocate(size_t(std::max<int64_t>(sizes[i], 1)), &pointers[i])) {
        pointers[i] = nullptr;
        return report(status, "no memory for a constant of " + std::to_string(sizes[i]) + " bytes: ");
      }
    for (int64_t from = 0; from < sizes[i]; from += chunk)
      if (whit_status status = opened->copyIn(static_cast<uint8_t *>(pointers[i]) + from, sources[i] + from,
                                              size_t(std::min(chunk, sizes[i] - from))))
        return report(status, "");
  }
  return WHIT_OK;
}

whit_status DeviceModule::copyConstants(int64_t bytes) {
  int64_t each = 0;
  for (size_t i = 0; i < sources.size(); ++i)
    each += sources[i] ? sizes[i] : 0;
  constexpr size_t most = 256; // of tiny models
  while (each > 0 && int64_t(copyCount()) * each < bytes && copyCount() < most) {
    copies.emplace_back();
    if (whit_status status = fill(copies.back()))
      return status;
  }
  return WHIT_OK;
}

void DeviceModule::takeCopy(LaunchList &list, size_t first, size_t number) const {
  for (size_t i = 0; number && i < sources.size(); ++i)
    if (sources[i])
      list.move(first, constants[i], sizes[i], copies[number - 1][i]);
}

} // namespace whit
