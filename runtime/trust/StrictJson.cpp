// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// nlohmann's parser with a watcher for what it would let pass.
#include "runtime/trust/StrictJson.h"

#include <set>
#include <vector>

namespace whit {

std::string printLine(const Json &value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool parseStrictJson(std::string_view text, std::string_view what, Json &document, std::string &why) {
  constexpr int deepest = 16;
  // nlohmann reports keys and ends of objects; a scan for depth first keeps its own stack small.
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '{' || c == '['))
      ++depth;
    else if (!quoted && (c == '}' || c == ']'))
      --depth;
    if (depth > deepest) {
      why = std::string(what) + ": byte " + std::to_string(i) + ": nested deeper than " + std::to_string(deepest) +
            " levels";
      return false;
    }
  }
  std::vector<std::set<std::string>> open;
  std::string repeated;
  auto watch = [&](int, Json::parse_event_t event, Json &value) {
    if (event == Json::parse_event_t::object_start)
      open.emplace_back();
    else if (event == Json::parse_event_t::object_end)
      open.pop_back();
    else if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second)
      repeated = value.get<std::string>();
    return true;
  };
  try {
    document = Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception &error) {
    std::string reason = error.what(); // "[the library's own code] reason"
    size_t code = reason.find("] ");
    why = std::string(what) + ": not JSON: " + reason.substr(code == reason.npos ? 0 : code + 2).substr(0, 200);
    return false;
  }
  if (repeated.empty())
    return true;
  why = std::string(what) + ": the key '" + repeated.substr(0, 120) + "' appears twice in one object";
  return false;
}

} // namespace whit
