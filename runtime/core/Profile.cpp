// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Events are kept as they come and matched when written.
#include "runtime/core/Profile.h"

#include "runtime/trust/StrictJson.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace whit {
namespace {

constexpr size_t kMostEvents = 16 << 20;

int64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

} // namespace

Profile::Profile() : start(now()) { events.reserve(1 << 16); }

void Profile::record(int32_t region, int32_t when) {
  if (events.size() >= kMostEvents) {
    ++dropped;
    return;
  }
  events.push_back({now() - start, region, when});
}

whit_status Profile::write(const std::string &path, const Manifest &manifest) const {
  std::string partial = path + ".partial" + std::to_string(getpid());
  FILE *file = std::fopen(partial.c_str(), "w");
  if (!file)
    return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  auto nameOf = [&](int32_t region) {
    return region < 0                                 ? std::string("run")
           : size_t(region) < manifest.regions.size() ? manifest.regions[region].name
                                                      : "region " + std::to_string(region);
  };
  std::fprintf(file, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"model\":%s,\"dropped\":%lld},\"traceEvents\":[\n",
               printLine(manifest.model).c_str(), (long long)dropped);
  std::fprintf(file, "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\",\"args\":{\"name\":%s}}",
               printLine(manifest.model).c_str());
  std::vector<const Event *> open;
  for (const Event &event : events) {
    if (event.when == 0) {
      open.push_back(&event);
      continue;
    }
    if (open.empty() || open.back()->region != event.region)
      continue; // an end without its begin: the profile started in the middle
    const Event &begin = *open.back();
    open.pop_back();
    Json arguments = Json::object();
    if (event.region >= 0 && size_t(event.region) < manifest.regions.size()) {
      const Region &region = manifest.regions[event.region];
      arguments["region"] = region.id;
      arguments["nodes"] = region.nodes;
      if (!region.schedule.empty())
        arguments["schedule"] = region.schedule;
    }
    std::fprintf(
        file, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"cat\":\"%s\",\"name\":%s,\"ts\":%.3f,\"dur\":%.3f,\"args\":%s}",
        event.region < 0 ? "run" : "region", printLine(nameOf(event.region)).c_str(), double(begin.time) / 1e3,
        double(event.time - begin.time) / 1e3, printLine(arguments).c_str());
  }
  std::fprintf(file, "\n]}\n");
  bool whole = std::fflush(file) == 0 && !std::ferror(file);
  whole &= std::fclose(file) == 0;
  if (whole && std::rename(partial.c_str(), path.c_str()) == 0)
    return WHIT_OK;
  int error = errno;
  std::remove(partial.c_str());
  return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(error));
}

} // namespace whit
