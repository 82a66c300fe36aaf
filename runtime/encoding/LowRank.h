// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A correction of low rank beside an encoded matrix: W x is computed as decode(encode(W)) x + L (R x), where L [n, rank] and R [rank, k]
// hold bf16 numbers and L R is what the codes lost, as far as so few directions can say it. "LoRC", ZeroQuant-V2, 2023;
// "SVDQuant", 2024.
#ifndef WHIT_RUNTIME_ENCODING_LOWRANK_H
#define WHIT_RUNTIME_ENCODING_LOWRANK_H

#include "runtime/encoding/Quantize.h"

#include <string>

namespace whit {

/// The largest rank that may be asked for.
inline constexpr int64_t kMaxLowRank = 128;

/// A layout of #whit.source whose values are L or R of the matrix that its blobs hold:
///   low_rank_left:RANK:NxK:QUANTIZER:FORMAT of LAYOUT      for example  low_rank_left:16:384x1536:least-squares:int4_g32 of rows
struct LowRankLayout {
  bool isLeft = true;
  int64_t rank = 0, n = 0, k = 0; ///< n x k: the corrected matrix
  Quantizer quantizer = Quantizer::Nearest;
  std::string format; ///< what it is encoded in
  std::string layout; ///< how the blobs hold it
};

bool isLowRankLayout(std::string_view layout);
/// Reads the text of a layout; nothing, with `why`, if it is none.
std::optional<LowRankLayout> parseLowRankLayout(std::string_view layout, std::string *why);
std::string textOf(const LowRankLayout &layout);

struct LowRankFactors {
  int64_t n = 0, k = 0, rank = 0;
  std::vector<float> left, right; ///< [n][rank], [rank][k], bf16 numbers

  /// Adds row i of L R to `row`, k floats, in f64.
  void addRow(int64_t i, double *row) const;
};

/// The factors that leave nearly the least sum of squares of `lost` - L R, `lost` [n][k] finite, rank at most min(n, k): R are
/// singular vectors times the root of their values, rounded; L is the least-squares solution for that R, rounded. The same bits on
/// every machine.
LowRankFactors factorLowRank(const float *lost, int64_t n, int64_t k, int64_t rank);

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_LOWRANK_H
