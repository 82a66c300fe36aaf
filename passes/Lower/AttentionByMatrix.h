// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by matrix instructions, for the positions and heads that share keys ("FlashAttention", 2022). Of each turn a warp has as many tokens as
// lanes, 16 at a time:
//
//   scores[16 tokens, queries] = keys[16, features] * queries[features, queries]      a lane decodes the keys of its own fragment
//   weights: scores go to shared memory, from where a lane reads those it needs as the right operand; maximum and sum are kept online
//   sums[16 features, queries] += values[16, tokens] * weights[tokens, queries]       for each 16 features, in registers
//
// f32 is cut into bf16 parts that add up to it, codes are exact in one; scales of keys belong to scores, those of values to weights.

#pragma once

#include "Lower/AttentionBlock.h"
#include "Lower/CacheKernel.h"
#include "Lower/MatrixUnit.h"

#include <memory>

namespace mlir::whit {

class AttentionByMatrix : public AttentionBlock {
public:
  /// How heads are cut: by types and the target alone.
  struct Cut {
    const MatrixUnit *unit;
    int64_t queries;  ///< of a pass
    int64_t stride;   ///< floats of a query in shared memory, for a warp
    int64_t elements; ///< features of a key that a lane has side by side, a whole number of units of codes
    int64_t keyParts, valueParts;
  };
  /// Nothing, and why, if matrix instructions cannot be had.
  static std::optional<Cut> cutFor(AttentionOp op, const TargetFacts &facts, std::string &why);

  AttentionByMatrix(LaneBuilder &b, AttentionOp op, const Cut &cut, std::optional<PartialSums> partial, Value counts);

private:
  using Parts = MatrixUnit::Parts;
  /// The value of a token of a lane.
  struct TokenValue {
    Value token;
    std::unique_ptr<PackedHead> head;
    std::pair<Value, Value> row;
    Value scale, offset; ///< null where the cache is plain
  };
  /// What is known of a query whose scores or sums a lane holds.
  struct Column {
    Query query;
    Value low, high;
  };

  void prepare() override;
  void begin(const Pass &pass) override;
  void addTokensOfWarp(const Pass &pass, Value from, Value round) override;

  int64_t tiles() const { return queries / cut.unit->tokens; }
  int64_t featureTiles() const { return llvm::divideCeil(depth, MatrixUnit::kRows); }
  /// Where sums of a lane begin that belong to features of a tile and to queries of another.
  size_t sumsOf(int64_t tile, int64_t features) const {
    return (tile * featureTiles() + features) * cut.unit->sums.size();
  }
  Value queryOfSum(int64_t tile, size_t i) {
    return b.add(sumToken, tile * cut.unit->tokens + cut.unit->sums[i].other);
  }
  Value queryOfOperand(int64_t tile) { return b.add(laneRow, tile * cut.unit->tokens); }

  void scoreTokens(const Pass &pass, ArrayRef<Column> columns, Value first);
  void storeScores(const Pass &pass, ArrayRef<Column> columns, Value first, Value from, ArrayRef<Value> dots);
  Parts keysOf(const Pass &pass, Value token, Value chunk);
  SmallVector<Value> keyNumbers(const Pass &pass, Value token, Value feature);
  SmallVector<Value> addTokens(const Pass &pass, ArrayRef<Column> columns, Value first, ValueRange carried);
  SmallVector<Value> addValues(const Pass &pass, Value first, Value step, ArrayRef<Value> bases, ValueRange carried);
  SmallVector<TokenValue, 0> valuesOf(const Pass &pass, Value first);
  SmallVector<Value> scoresOf(int64_t tile, Value step);
  Value numberOf(const Pass &pass, TokenValue &value, Value feature);
  Value acrossLanesOfK(Value value, function_ref<Value(Value, Value)> combine);
  /// A value of the lane that holds a query as its row, for one that holds it as a column of sums.
  Value fromRow(Value value, int64_t i);

  Cut cut;
  Value words;     ///< of queries: [parts, queries, pairs of features]
  Value querySums; ///< of their features, where keys have offsets
  Value laneRow, laneK, laneOfK, sumRow, sumToken;
};

} // namespace mlir::whit
