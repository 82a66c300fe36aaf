// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Instructions that are emitted as text, from the rows of InlineForms.def; and the products of warpgroups (sm_90a), which are among them.
//
// A product of a warpgroup runs beside its four warps, so that order must be said where LLVM sees none. Here it is said by values: what
// begin() returns are registers that the instructions may use, and what wait() returns are sums that others may use. Nothing can then be
// moved across by mistake, and the simulator refuses whatever takes another way.
//
//   b.publish:  activations are stored to shared memory;  WarpgroupUnit::publish(b);  b.barrier();
//   registers = WarpgroupUnit::begin(b, words of A ... and sums)
//   sums      = unit.emit(b, words, unit.operand(b, address, tokens, step), sums)     as often as there are steps along K
//   WarpgroupUnit::commit(b)
//   ...       = decoding the next words of A, into other registers
//   sums      = WarpgroupUnit::wait(b, sums, 0)
//   b.barrier() before the activations are overwritten

#pragma once

#include "Lower/MatrixUnit.h"

namespace mlir::whit {

enum class InlineFormName {
#define WHIT_INLINE_FORM(name, feature, text, constraints) name,
#include "Lower/InlineForms.def"
};

struct InlineForm {
  StringRef name, feature, text, constraints;

  static const InlineForm &get(InlineFormName name);
  static ArrayRef<InlineForm> all();

  /// The results, of these types, as the constraints list them.
  SmallVector<Value> emit(ImplicitLocOpBuilder &b, TypeRange results, ValueRange operands) const;
};

/// D[64, tokens] += A[64, depth] * B[depth, tokens]. Each of the four warps holds 16 rows of A and D in registers: the words of A lie as
/// MatrixUnit's m16n8 rows of the same product have them, and so do the sums of each 8 tokens, one tile behind another. B lies in shared
/// memory, the same for all four, in pieces of 16 bytes of a token's K: [K / 16 bytes][tokens][16 bytes].
struct WarpgroupUnit {
  StringRef name, feature, types;
  MatrixProduct product;
  int64_t depth;
  StringRef tail;

  static constexpr int64_t kWarps = 4, kRows = 64, kWordsA = 4, kPiece = 16;

  /// Null if the target has none.
  static const WarpgroupUnit *find(const TargetFacts &facts, MatrixProduct product);
  static ArrayRef<WarpgroupUnit> all();
  /// 8, 16, 32, 64, 128.
  static bool takes(int64_t tokens);

  /// Where a token's byte of K lies in B.
  static int64_t offsetOf(int64_t token, int64_t byte, int64_t tokens) {
    return (byte / kPiece * tokens + token) * kPiece + byte % kPiece;
  }
  /// The descriptor of step `step` (of `depth` elements) of the B at `address`, an i64 in shared memory and a multiple of 128.
  Value operand(LaneBuilder &b, Value address, int64_t tokens, int64_t step) const;

  /// What was stored to shared memory may be read by products of warps that pass a barrier after this.
  static void publish(LaneBuilder &b);
  /// The same registers, words of A (i32) and sums, from when on products may use them.
  static SmallVector<Value> begin(LaneBuilder &b, ValueRange registers);
  /// The sums behind the product of one step; they may be used by another one, and by wait().
  SmallVector<Value> emit(LaneBuilder &b, ValueRange words, Value operand, ValueRange sums) const;
  /// Closes a group of products.
  static void commit(LaneBuilder &b);
  /// The sums, when all but the last `groups` groups are done.
  static SmallVector<Value> wait(LaneBuilder &b, ValueRange sums, int64_t groups);
};

} // namespace mlir::whit
