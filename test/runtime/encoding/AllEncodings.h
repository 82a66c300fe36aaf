// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The formats that tests of this room run over.
#pragma once

#include "whit/Encoding.h"

#include <gtest/gtest.h>

namespace whit {

/// Every stem with every grouping given, in every scale type.
inline std::vector<Encoding> allEncodings(const std::vector<std::string> &groupings) {
  std::vector<Encoding> result;
  for (const std::string &stem : formatStems()) {
    std::optional<Encoding> plain = parseEncoding(stem, nullptr);
    if (plain) {
      result.push_back(*plain);
      continue;
    }
    size_t cut = stem.find('_');
    for (const std::string &grouping : groupings)
      for (const char *scale : {"", "_f32", "_bf16"}) {
        std::string name = stem.substr(0, cut) + "_" + grouping + (cut == stem.npos ? "" : stem.substr(cut)) + scale;
        std::string why;
        std::optional<Encoding> encoding = parseEncoding(name, &why);
        EXPECT_TRUE(encoding) << name << ": " << why;
        if (encoding) {
          EXPECT_EQ(nameOf(*encoding), name);
          result.push_back(*encoding);
        }
      }
  }
  return result;
}

} // namespace whit
