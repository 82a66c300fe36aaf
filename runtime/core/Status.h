// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Failures inside the runtime: a status and one sentence, kept per thread in a fixed buffer so that reporting allocates
// nothing.
#ifndef WHIT_RUNTIME_CORE_STATUS_H
#define WHIT_RUNTIME_CORE_STATUS_H

#include "whit/Runtime.h"

#include <string_view>

namespace whit {

/// Sets this thread's message (printf style) and returns `status`.
__attribute__((format(printf, 2, 3))) whit_status fail(whit_status status, const char *format, ...);

/// This thread's message.
const char *message();

/// For "%.*s": a name from a file or caller, cut at 120 bytes.
#define WHIT_NAME(name) int(::whit::shownLength(name)), (name).data()
size_t shownLength(std::string_view name);

} // namespace whit

#endif // WHIT_RUNTIME_CORE_STATUS_H
