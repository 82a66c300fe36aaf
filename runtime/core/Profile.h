// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Times of regions, written in Chrome's trace event format (load it in chrome://tracing or ui.perfetto.dev).
#ifndef WHIT_RUNTIME_CORE_PROFILE_H
#define WHIT_RUNTIME_CORE_PROFILE_H

#include "runtime/core/Status.h"
#include "whit/Artifact.h"

#include <cstdint>
#include <string>
#include <vector>

namespace whit {

class Profile {
public:
  Profile();

  /// Notes the begin (when = 0) or end of a region, or of the whole run (region = -1). Stops growing, and counts, after
  /// 16 million events.
  void record(int32_t region, int32_t when);

  /// Writes complete events with region names, node names and schedules. The file appears whole or not at all.
  whit_status write(const std::string &path, const Manifest &manifest) const;

private:
  struct Event {
    int64_t time; ///< nanoseconds since the start
    int32_t region, when;
  };
  std::vector<Event> events;
  int64_t start, dropped = 0;
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_PROFILE_H
