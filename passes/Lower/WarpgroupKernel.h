// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A matmul for many rows by products of warpgroups (sm_90a). Four warps have 64 columns of the weight side by side; each decodes the fragments of
// its 16 columns in registers, as for mma.sync (MatrixKernel.h). Activations go to shared memory, once for the whole block:
//
//   turn            up to 128 elements of K for all tokens of the tile, twice: one is multiplied while the other is filled
//   shared memory   [2][parts][K / 16 bytes][tokens][16 bytes]
//
// A warp fills it with what it would load of its own fragments of B: the order of K within an instruction is that of the codes of a lane, and
// 32 lanes write 128 bytes side by side. Products of one step run while the next one's codes are decoded.
//
// Sums are formed in the order in which MatrixKernel forms them, K shared by as many parts; only the roundings inside of an instruction may
// differ. So integers take this way where it is faster, and floats only when asked for (decision 026).

#pragma once

#include "Lower/InlineForm.h"
#include "Lower/MatrixKernel.h"

namespace mlir::whit {

/// Attribute of a module: when matmuls for many rows take other ways than those for few. "auto" (or none): where a row keeps its bits;
/// "mma": never; "wgmma": also where products of warpgroups round otherwise.
inline constexpr char kLargeM[] = "whit.large_m";

class WarpgroupKernel {
public:
  /// A tile that takes it: rows and panels at least.
  static constexpr int64_t kLeastTokens = 64, kLeastPanels = WarpgroupUnit::kWarps;

  /// How a block is cut.
  struct Cut {
    const WarpgroupUnit *unit;
    int64_t warps;
    int64_t tokens; ///< of a product
    int64_t chunks; ///< of a turn
    int64_t bytes;  ///< of shared memory
    std::string text() const;
  };
  /// The cut of a matmul for a tile of so many panels; none if its schedule asks for few rows, or for what `why` says.
  static std::optional<Cut> cutFor(Operation *matmul, const TargetFacts &facts, const MatrixWork &work, int64_t panels,
                                   std::string &why);
  /// The same for a schedule that is considered.
  static std::optional<Cut> cutFor(Operation *matmul, const TargetFacts &facts, int64_t rows, int64_t columns,
                                   int64_t splits, int64_t room);
  /// Whether it was asked for, whatever it costs.
  static bool isAsked(Operation *matmul);

  WarpgroupKernel(MatrixKernel &kernel, const Cut &cut);

  /// y[tokens, columns] of the tile.
  void emit();

private:
  using Position = MatrixKernel::Position;
  /// What a warp copies at once: the activations of 8 tokens for a chunk.
  struct Piece {
    Value chunk, tile, exists; ///< `exists` is null if it does for all warps
  };
  using Body = function_ref<SmallVector<Value>(Value, SmallVector<Value>)>;

  /// Where a chunk of a turn lies in K.
  Value groupOf(Value turn, Value chunk);
  Value chunkOf(Value turn, Value chunk);
  void block(Value panel, Value isMine, Value firstToken);
  /// What the tile is after the groups, or the chunks of the only one, from `from` to `to`.
  SmallVector<Value> addSpan(const Position &at, MatrixKernel::Span span);
  /// The totals after a group that has several turns.
  SmallVector<Value> addGroup(Position at, Value group, SmallVector<Value> totals);
  /// A loop that also carries codes.
  SmallVector<Value> loop(Value from, Value to, SmallVector<Value> values, Body body);

  /// A turn: `multiply` gets its codes. Those of turns to come and the activations of the next one are on their way meanwhile.
  void overTurn(const Position &at, Value turn, function_ref<void(ValueRange)> multiply);
  /// The sums behind the products of `count` chunks of a turn, all of one group; the last ones of it if they end it.
  SmallVector<Value> addChunks(Position at, Value turn, int64_t first, int64_t count, ValueRange codes,
                               SmallVector<Value> sums);
  SmallVector<Value> startOf(SmallVector<Value> totals);

  /// The codes of a turn; none where they are not loaded ahead.
  SmallVector<Value> loadCodes(Position at, Value turn);
  int64_t pieces() const { return llvm::divideCeil(cut.chunks * tiles, b.warps()); }
  Piece pieceOf(int64_t i);
  /// This warp's part of the activations of a turn, and where they go.
  SmallVector<Value> loadActivations(Position at, Value turn);
  void storeActivations(Value turn, ValueRange words);
  /// The same for what the groups of a turn need of each token when they end.
  SmallVector<Value> loadFactors(Position at, Value turn);
  void storeFactors(Value turn, ValueRange words);
  /// Where those of a group lie, `i` being its number in its turn.
  Value factorsRow(Value turn, Value i);
  int64_t factorsOfTurn() const { return cut.tokens * std::max<int64_t>(groups, 1); }

  MatrixKernel &kernel;
  LaneBuilder &b;
  const MatrixUnit &unit;
  Cut cut;
  int64_t tiles, parts, steps;  ///< of 8 tokens; of an activation; of a chunk
  int64_t perGroup, groups;     ///< chunks of a group; groups of a turn, 0 if it is a part of one
  int64_t codeWords, ahead = 0; ///< that a lane loads ahead of a chunk, and how many turns ahead
  int64_t turns;                ///< of all of K
  bool hasFactors;
  Value memory, address;    ///< of activations: i32 [2, rows of 16 bytes for each token, words], and where it lies
  SmallVector<Value> codes; ///< of the turn to come
  SmallVector<Value> waiting, waitingFactors; ///< of the turn after this one
};

} // namespace mlir::whit
