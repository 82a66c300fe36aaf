// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention of one query at a time, for heads that matrix instructions do not take: each lane scores a token, then each lane adds up features of
// all of them.

#pragma once

#include "Lower/AttentionBlock.h"

namespace mlir::whit {

class AttentionByLanes : public AttentionBlock {
public:
  AttentionByLanes(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial, Value counts);

  /// Features of a head at most: a lane holds its own in registers.
  static constexpr int64_t kMostFeatures = 256;

private:
  void prepare() override;
  void addTokensOfWarp(const Pass &pass, Value from, Value round) override;
  SmallVector<Value> addTokens(const Pass &pass, Value first, ValueRange carried);
  Value plainDot(const Pass &pass, Value token);
  Value packedDot(const Pass &pass, Value token);
  Value valueOf(const Pass &pass, Value token, Value d);

  int64_t features; ///< of a lane
};

} // namespace mlir::whit
