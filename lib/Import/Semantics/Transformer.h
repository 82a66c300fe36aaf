// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The operations of transformers that are whit operations: projections, embeddings, norms, attention over a cache.

#pragma once

#include "Import/Semantics/Tensor.h"

#include <optional>

namespace whit::semantics {

/// x [rows..., K] times a weight N x K; y [rows..., N].
Tensor matmul(ImplicitLocOpBuilder &b, const Tensor &x, mlir::Value weight);

/// Rows of a weight N x K; y [indices..., K] f32.
Tensor gatherRows(ImplicitLocOpBuilder &b, mlir::Value table, const Tensor &indices);

/// x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension.
Tensor rmsNorm(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &weight, double epsilon);

/// (x - mean) / sqrt(variance + epsilon) * weight + bias, over the last dimension; no bias: 0.
Tensor layerNorm(ImplicitLocOpBuilder &b, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias,
                 double epsilon);

/// exp(x) / sum of exp(x), over the last dimension.
Tensor softmax(ImplicitLocOpBuilder &b, const Tensor &x);

/// x [B, S, H*D] as [B, S, H, D].
Tensor splitHeads(ImplicitLocOpBuilder &b, const Tensor &x, int64_t heads);
/// x [B, S, H, D] as [B, S, H*D].
Tensor joinHeads(ImplicitLocOpBuilder &b, const Tensor &x);

/// Where the new tokens of each sequence stand: max(lengths[b] - newTokens, 0) as i32, `lengths` i32 [B] counting old
/// and new ones. `lessOne`: lengths are one less than that.
Tensor startPositions(ImplicitLocOpBuilder &b, const Tensor &lengths, mlir::OpFoldResult newTokens, bool lessOne);

/// Attention of new tokens over themselves and a past.
struct CachedAttention {
  Tensor q, k, v;                     ///< [B, S, heads, D], before rotation
  std::optional<Tensor> pastK, pastV; ///< [B, HK, P, D]
  Tensor start;                       ///< i32 [B], see startPositions
  mlir::OpFoldResult total;           ///< tokens of the longest sequence, old and new: the length of present
  std::optional<Tensor> cos, sin;     ///< [positions, D/2]; absent: no rotation
  bool interleaved = false;
  double scale = 1, softcap = 0; ///< softcap 0: none
  int64_t window = 0;            ///< 0: unlimited
  std::optional<Tensor> mask;    ///< f32 [B|1, HQ|1, S|1, T'], T' <= total, added to the scores
  bool bidirectional = false;    ///< rows see tokens behind them, too
};
struct CachedAttentionResults {
  Tensor y;                  ///< [B, S, HQ, D]
  Tensor presentK, presentV; ///< [B, HK, total, D]
};
CachedAttentionResults cachedAttention(ImplicitLocOpBuilder &b, const CachedAttention &a);

} // namespace whit::semantics
