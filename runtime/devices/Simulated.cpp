// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The simulator (lib/Sim) is a library of the compiler. It is looked for beside this code and in the lib folder next to it.
#include "runtime/core/Status.h"
#include "runtime/devices/OpenDevice.h"

#include <dlfcn.h>
#include <vector>

namespace whit {

whit_status openSimulator(const std::string &target, std::unique_ptr<Device> &device,
                          std::span<const std::string> libraries) {
  constexpr char kFile[] = "libWhitSim.so";
  std::vector<std::string> usual;
  Dl_info here;
  if (dladdr(reinterpret_cast<void *>(&openSimulator), &here) && here.dli_fname) {
    std::string folder = here.dli_fname;
    folder = folder.find('/') == std::string::npos ? "." : folder.substr(0, folder.rfind('/'));
    usual = {folder + "/" + kFile, folder + "/../lib/" + kFile};
  }
  usual.push_back(kFile);
  void *library;
  if (whit_status status = openLibrary(libraries.empty() ? usual : libraries,
                                       "the simulator is part of the compiler; build or install it", library))
    return status;
  auto open = reinterpret_cast<Device *(*)(const char *, char *, size_t)>(dlsym(library, "whit_open_simulator"));
  if (!open)
    return fail(WHIT_DEVICE, "the simulator does not define whit_open_simulator; build it with this version of Whit");
  char why[512] = "";
  device.reset(open(target.c_str(), why, sizeof why));
  if (!device)
    return fail(WHIT_DEVICE, "cannot simulate '%.120s': %.400s", target.c_str(), why);
  return WHIT_OK;
}

} // namespace whit
