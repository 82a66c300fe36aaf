// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by a block of GPU threads.

#pragma once

#include "Lower/PartialSums.h"
#include "Whit/Whit.h"

#include <optional>

namespace mlir::whit {

/// Warps of a block.
inline constexpr int64_t kAttentionWarps = 4;

/// Why a block cannot share the operation out; empty if it can.
std::string whyNotInBlock(AttentionOp op);

/// Why products of keys and queries are not those of matrix instructions; empty if they are. It follows from types and the target alone, on tensors
/// as on memory.
std::string whyNotByMatrix(AttentionOp op, const TargetFacts &facts);

/// Positions of a tile, so that those of all heads that share keys fill the matrix instructions; 1 where there are none.
int64_t attentionRows(AttentionOp op, const TargetFacts &facts);

/// Into how many slices the tokens of a cache are dealt out, a turn of a block's warps to each, again and again. It follows from types and the
/// target alone, and so does which slice a token is in: the sum of a row is the same tree whoever adds it up.
int64_t attentionSlices(AttentionOp op, const TargetFacts &facts);

/// Words that a block leaves of a row and head for those that add up: maximum, sum and features.
int64_t attentionWords(AttentionOp op);

/// Emits the operation, without erasing it, for all rows and heads of its operands. If blocks share its tokens, it has one head of keys.
void emitAttentionBlock(LaneBuilder &b, AttentionOp op, std::optional<PartialSums> partial = std::nullopt,
                        Value counts = Value());

/// What attention by lanes and attention by matrix instructions have in common: which queries and tokens belong together, and how the results of
/// warps and slices are put together.
class AttentionBlock {
public:
  virtual ~AttentionBlock() = default;
  void emit();

protected:
  /// Positions and heads of a head of keys, counted through: `queries` from `first` on.
  struct Pass {
    Value batch, kvHead, first;
    Value low, high; ///< tokens that one of them sees
  };
  struct Query {
    Value row, head;
  };

  /// `stride`: floats that a warp keeps of a query in shared memory.
  AttentionBlock(LaneBuilder &b, AttentionOp op, int64_t queries, int64_t stride, std::optional<PartialSums> partial,
                 Value counts);

  /// Gets memory of its own.
  virtual void prepare() = 0;
  /// The queries of a pass are in `query`; all threads are behind a barrier.
  virtual void begin(const Pass &) {}
  /// Leaves what each warp finds in tokens `from`, `from + round`, ... of a slice in `maxima`, `sums` and `parts`.
  virtual void addTokensOfWarp(const Pass &pass, Value from, Value round) = 0;

  int64_t turn() const { return b.warps() * b.facts.warpSize(); }
  /// The last one in place of those behind it.
  Query queryOf(const Pass &pass, Value number);
  /// The tokens that a row sees.
  std::pair<Value, Value> rangeOf(Value batch, Value row);
  /// A product of a query and a key as the softmax takes it.
  Value score(Value dot, Value batch, const Query &query, Value token);
  /// What has seen nothing yet subtracts 0, so that its weights are exp(-inf) = 0 and not NaN.
  Value baseOf(Value maximum);

  LaneBuilder &b;
  AttentionOp op;
  int64_t depth, queries, stride;
  bool isBlocked;
  Value total, shared; ///< queries of a head of keys, and of each position
  Value query;         ///< [1, queries, stride], and more
  Value parts, maxima, sums;

private:
  void forPasses(function_ref<void(const Pass &)> body);
  void emitPass(const Pass &pass);
  void rotateQueries();
  void addSlice(const Pass &pass, Value slice);
  Value usedSlices(Value high);
  SmallVector<Value> none();
  SmallVector<Value> joinWarps();
  SmallVector<Value> merge(ValueRange before, ValueRange more);
  void forOwnFeatures(const Pass &pass, function_ref<void(Value d, int64_t i)> body);
  Value feature(int64_t i);
  void keep(const Pass &pass, ValueRange state);
  void finish(const Pass &pass, ValueRange state);
  Value placeOf(const Pass &pass, Value slice, Value word);

  std::optional<PartialSums> partial; ///< where blocks share tokens
  Value counts;
  int64_t slices, threadsOfQuery, featuresOfThread;
  Value ownQuery; ///< of this thread, where results are put together
};

} // namespace mlir::whit
