// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Factors are chosen from the largest block to the smallest, each rounded to its type in the light of those above it.
#include "runtime/encoding/FactorGrid.h"

#include "runtime/encoding/Formula.h"
#include "runtime/encoding/Half.h"

#include <cmath>

#pragma clang fp contract(off)

namespace whit {
namespace {

float smallestScale(ScaleType type) {
  switch (type) {
  case ScaleType::E4M3:
    return 0x1p-9f;
  case ScaleType::UE5M3:
    return 0x1p-17f;
  default:
    return 0;
  }
}

/// The blocks of the grid that a block of a factor covers.
template <typename Body>
void forCovered(const Blocks &block, int64_t n, const Blocks &shape, int64_t row, int64_t b, Body &&body) {
  for (int64_t r = row; r < std::min(row + shape.rows, n); ++r)
    for (int64_t at = b * shape.columns / block.columns;
         at < block.perRow && at * block.columns < (b + 1) * shape.columns; ++at)
      body(r * block.perRow + at);
}

} // namespace

size_t FactorGrid::indexIn(const Factor &factor, int64_t row, int64_t b) const {
  Blocks shape(factor.block, n, k);
  return size_t(row * shape.perRow + b * block.columns / shape.columns);
}

std::vector<float> FactorGrid::factorize(const std::vector<float> &ideal, const std::vector<Factor> &factors,
                                         std::vector<FactorValues> &stored) const {
  std::vector<float> outer(ideal.size(),
                           1.0f); // the product of the factors of larger blocks, in f64 order of the walk
  for (size_t f = factors.size(); f-- > 0;) {
    Blocks shape(factors[f].block, n, k);
    ScaleType type = factors[f].type;
    // The largest number that the factors below can make: the part of the scale that they take over.
    float below = 1;
    for (size_t inner = 0; inner < f; ++inner)
      if (isInteger(factors[inner].type) || scaleBits(factors[inner].type) == 8)
        below *= factors[inner].type == ScaleType::E8M0 ? 1 : largestScale(factors[inner].type);
    bool isLast = f == 0;
    for (int64_t row = 0; row < n; row += shape.rows)
      for (int64_t b = 0; b < shape.perRow; ++b) {
        float wanted = 0;
        forCovered(block, n, shape, row, b, [&](int64_t at) {
          float value = outer[at] == 0 ? 0 : ideal[at] / outer[at];
          wanted = std::fabs(value) > std::fabs(wanted) ? value : wanted;
        });
        // A factor below that has no sign leaves it to this one.
        bool givesSign = f > 0 && isSigned(type) && !isSigned(factors[0].type);
        if (!isLast)
          wanted = (givesSign ? wanted : std::fabs(wanted)) / below;
        float number = roundToScale(type, wanted);
        // A scale too small for its type still has to keep the sign and the size of what it can.
        if (number == 0 && wanted > 0 && !isInteger(type))
          number = smallestScale(type);
        for (int64_t r = row; r < std::min(row + shape.rows, n); ++r)
          stored[f][r * shape.perRow + b] = number;
        forCovered(block, n, shape, row, b, [&](int64_t at) { outer[at] *= number; });
      }
  }
  return products(factors, stored);
}

std::vector<float> FactorGrid::products(const std::vector<Factor> &factors,
                                        const std::vector<FactorValues> &stored) const {
  std::vector<float> products(n * block.perRow);
  for (size_t f = 0; f < factors.size(); ++f) {
    Blocks shape(factors[f].block, n, k);
    for (int64_t row = 0; row < n; ++row)
      for (int64_t b = 0; b < block.perRow; ++b) {
        float number = stored[f][row * shape.perRow + b * block.columns / shape.columns];
        float &product = products[row * block.perRow + b];
        product = f ? product * number : number;
      }
  }
  return products;
}

} // namespace whit
