// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The formats that tests of this room run over.
#pragma once

#include "whit/Encoding.h"

#include <gtest/gtest.h>

namespace whit {

/// Every row, families with every grouping given and in every scale type they have.
inline std::vector<Encoding> allEncodings(const std::vector<std::string> &groupings) {
  std::vector<Encoding> result;
  auto add = [&](const std::string &name) {
    std::string why;
    std::optional<Encoding> encoding = parseEncoding(name, &why);
    EXPECT_TRUE(encoding) << name << ": " << why;
    if (encoding) {
      EXPECT_EQ(parseEncoding(nameOf(*encoding), nullptr), encoding) << name;
      EXPECT_EQ(parseEncoding(formulaOf(*encoding), nullptr), encoding) << name;
      result.push_back(*encoding);
    }
  };
  for (const FormatRow &row : formatRows()) {
    std::string stem(row.stem), suffix(row.suffix);
    if (!row.isFamily) {
      add(stem);
      continue;
    }
    bool hasTypes = row.formula.find("$T") != row.formula.npos;
    for (const std::string &grouping : groupings)
      // Sparse groups are multiples of four.
      if (row.formula.find("sparse<") == row.formula.npos || grouping[0] != 'g' ||
          std::stoi(grouping.substr(1)) % 4 == 0)
        for (const char *scale : {"", "_f32", "_bf16"})
          if (hasTypes || !*scale)
            add(stem + "_" + grouping + suffix + scale);
  }
  return result;
}

/// Those of them that store floats, or integers with a float for each group and zeros of every kind.
inline std::vector<Encoding> integerEncodings(const std::vector<std::string> &groupings) {
  std::vector<Encoding> result = allEncodings(groupings);
  std::erase_if(result, [](const Encoding &encoding) {
    return !encoding.isPlain() && encoding != intEncoding(encoding.bits(), encoding.zero, encoding.scaleType(),
                                                          encoding.terms.front().scale.front().block);
  });
  std::erase_if(result, [](const Encoding &encoding) { return encoding.scaleType() >= ScaleType::E8M0; });
  return result;
}

} // namespace whit
