// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One message per thread. Control characters that a name may carry are shown as '?', so that a message stays one line.
#include "runtime/core/Status.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace whit {
namespace {

thread_local char text[2048] = "";

} // namespace

whit_status fail(whit_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char fresh[sizeof text]; // the arguments may point into the old message
  std::vsnprintf(fresh, sizeof fresh, format, arguments);
  va_end(arguments);
  size_t i = 0;
  for (; fresh[i]; ++i)
    text[i] = (unsigned char)fresh[i] < 32 || fresh[i] == 127 ? '?' : fresh[i];
  text[i] = 0;
  return status;
}

const char *message() { return text; }

size_t shownLength(std::string_view name) { return std::min<size_t>(name.size(), 120); }

} // namespace whit
