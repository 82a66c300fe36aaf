// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// JSON from untrusted bytes: no duplicate keys (two readers of one file must not see two truths), bounded depth, no
// exceptions.
#ifndef WHIT_RUNTIME_TRUST_STRICTJSON_H
#define WHIT_RUNTIME_TRUST_STRICTJSON_H

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace whit {

/// Objects keep the order of the text.
using Json = nlohmann::ordered_json;

/// One line of JSON; bytes that are not UTF-8 (names in a model may hold anything) become U+FFFD.
std::string printLine(const Json &value);

/// False with `why`, which starts with `what` ("manifest", "weights header").
bool parseStrictJson(std::string_view text, std::string_view what, Json &document, std::string &why);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_STRICTJSON_H
