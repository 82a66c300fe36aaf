// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Devices by the names that users give them. Drivers and the simulator are libraries that are opened when somebody asks for them, so that
// everything else works on a machine that has none.
#ifndef WHIT_RUNTIME_DEVICES_OPENDEVICE_H
#define WHIT_RUNTIME_DEVICES_OPENDEVICE_H

#include "whit/Device.h"

#include <memory>
#include <span>

namespace whit {

/// "cuda:0", "hip:1" (a number that is left out is 0), "sim:sm_80". WHIT_USAGE for another name, WHIT_DEVICE if there is no such driver or
/// device. `libraries` are the files in which the driver or the simulator is looked for, in this order; empty: where it usually is.
whit_status openDevice(const std::string &name, std::unique_ptr<Device> &device,
                       std::span<const std::string> libraries = {});

// What openDevice is made of.
whit_status openCuda(int number, std::unique_ptr<Device> &device, std::span<const std::string> libraries);
whit_status openHip(int number, std::unique_ptr<Device> &device, std::span<const std::string> libraries);
whit_status openSimulator(const std::string &target, std::unique_ptr<Device> &device,
                          std::span<const std::string> libraries);

/// Opens the first of `libraries` that there is. WHIT_DEVICE names them all, what dlopen said of the last, and what to install.
whit_status openLibrary(std::span<const std::string> libraries, const char *install, void *&handle);

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_OPENDEVICE_H
