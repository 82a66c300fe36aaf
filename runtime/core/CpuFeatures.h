// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What this processor (and its operating system) can execute, by LLVM's names for features.
#ifndef WHIT_RUNTIME_CORE_CPUFEATURES_H
#define WHIT_RUNTIME_CORE_CPUFEATURES_H

#include "whit/Artifact.h"

#include <string>
#include <string_view>

namespace whit {

/// Whether code that uses `feature` ("avx512vnni", with or without a leading '+') runs here. Unknown names: no.
bool cpuHas(std::string_view feature);

/// The first feature of the variant that this processor lacks; "" if it runs.
std::string firstMissing(const Variant &variant);

} // namespace whit

#endif // WHIT_RUNTIME_CORE_CPUFEATURES_H
