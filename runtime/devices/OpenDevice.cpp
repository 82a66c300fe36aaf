// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A name is a driver and a number. Libraries stay open: drivers do not bear being closed and opened again.
#include "runtime/devices/OpenDevice.h"

#include "runtime/core/Status.h"

#include <charconv>
#include <dlfcn.h>

namespace whit {

whit_status openLibrary(std::span<const std::string> libraries, const char *install, void *&handle) {
  std::string tried, why;
  for (const std::string &name : libraries) {
    if ((handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)))
      return WHIT_OK;
    const char *error = dlerror();
    why = error ? error : "";
    tried += (tried.empty() ? "" : ", ") + name;
  }
  return fail(WHIT_DEVICE, "cannot open %.400s (%.300s); %s", tried.c_str(), why.c_str(), install);
}

whit_status openDevice(const std::string &name, std::unique_ptr<Device> &device,
                       std::span<const std::string> libraries) {
  size_t colon = name.find(':');
  std::string kind = name.substr(0, colon), rest = colon == std::string::npos ? "" : name.substr(colon + 1);
  if (kind == "sim" && !rest.empty())
    return openSimulator(rest, device, libraries);
  int number = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  bool isNumber =
      colon == std::string::npos || (error == std::errc() && end == rest.data() + rest.size() && number >= 0);
  if (isNumber && kind == "cuda")
    return openCuda(number, device, libraries);
  if (isNumber && kind == "hip")
    return openHip(number, device, libraries);
  return fail(WHIT_USAGE, "device is '%.120s'; it must be cpu, cuda:N, hip:N or sim:TARGET (sim:sm_80)", name.c_str());
}

} // namespace whit
