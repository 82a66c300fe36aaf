// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Value and place of a logit are one integer, the value above, so that an arg-max is a maximum: of integers, in any order, by any
// number of threads. Three steps, since one thread would need as long for a row of the vocabulary as the layers before it.

#include "Encode/ChooseTokens.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace mlir::whit;

/// Maxima that the first step leaves, and the second.
static constexpr int64_t kFirst = 32, kSecond = 64;

static Value number(ImplicitLocOpBuilder &b, unsigned bits, int64_t value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(b.getIntegerType(bits), value));
}

/// Larger for larger logits, then for earlier places; the largest of all for NaN.
static Value keyOf(ImplicitLocOpBuilder &b, Value logit, Value place) {
  Type i32 = b.getI32Type(), i64 = b.getI64Type();
  Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, logit, zero);
  Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, logit, logit);
  Value oneZero = arith::SelectOp::create(b, isZero, zero, logit); // -0 is no less than 0
  Value bits = arith::BitcastOp::create(b, i32, oneZero);
  // Negative floats grow with their bits in the wrong direction.
  Value flip = arith::AndIOp::create(b, arith::ShRSIOp::create(b, bits, number(b, 32, 31)), number(b, 32, INT32_MAX));
  Value ordered = arith::ExtSIOp::create(b, i64, arith::XOrIOp::create(b, bits, flip));
  Value late = arith::IndexCastOp::create(b, i64, place);
  Value early = arith::XOrIOp::create(b, late, number(b, 64, UINT32_MAX));
  Value key = arith::OrIOp::create(b, arith::ShLIOp::create(b, ordered, number(b, 64, 32)), early);
  return arith::SelectOp::create(b, isNan, number(b, 64, INT64_MAX), key);
}

/// A tensor of keys that are smaller than all others.
static Value smallest(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes) {
  Value empty = tensor::EmptyOp::create(b, sizes, b.getI64Type());
  return linalg::FillOp::create(b, number(b, 64, INT64_MIN), empty).getResult(0);
}

/// The maxima of `keys` along dimension 2.
static Value maxima(ImplicitLocOpBuilder &b, Value keys, ArrayRef<OpFoldResult> sizes) {
  unsigned rank = sizes.size() + 1;
  AffineMap identity = b.getMultiDimIdentityMap(rank), maps[] = {identity, identity.dropResult(2)};
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops[2] = utils::IteratorType::reduction;
  Value init = smallest(b, sizes);
  return linalg::GenericOp::create(b, init.getType(), keys, init, maps, loops,
                                   [](OpBuilder &inner, Location loc, ValueRange v) {
                                     Value most = arith::MaxSIOp::create(inner, loc, v[0], v[1]);
                                     linalg::YieldOp::create(inner, loc, most);
                                   })
      .getResult(0);
}

Value mlir::whit::mostProbableTokens(OpBuilder &builder, Location loc, Value logits) {
  ImplicitLocOpBuilder b(loc, builder);
  SmallVector<OpFoldResult> rows = tensor::getMixedSizes(b, loc, logits), first;
  int64_t vocabulary = cast<RankedTensorType>(logits.getType()).getDimSize(2);
  rows.pop_back();
  first = rows;
  first.append({b.getIndexAttr(kFirst), b.getIndexAttr(kSecond)});

  // Neighbouring threads read neighbouring logits. Where the last turn has none left, the last logit comes again.
  int64_t turns = llvm::divideCeil(vocabulary, kFirst * kSecond);
  Value init = smallest(b, first);
  Value extent = tensor::EmptyOp::create(b, ArrayRef<int64_t>{turns}, b.getI8Type());
  AffineMap all = b.getMultiDimIdentityMap(5),
            maps[] = {AffineMap::get(5, 0, b.getAffineDimExpr(4)), all.dropResult(4)};
  SmallVector<utils::IteratorType> loops(4, utils::IteratorType::parallel);
  loops.push_back(utils::IteratorType::reduction);
  Value keys = linalg::GenericOp::create(
                   b, init.getType(), extent, init, maps, loops,
                   [&](OpBuilder &inner, Location at, ValueRange v) {
                     ImplicitLocOpBuilder b(at, inner);
                     auto loop = [&](int64_t i) -> Value { return linalg::IndexOp::create(b, i); };
                     auto constant = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
                     Value turn =
                         arith::AddIOp::create(b, arith::MulIOp::create(b, loop(4), constant(kFirst)), loop(2));
                     Value place = arith::AddIOp::create(b, arith::MulIOp::create(b, turn, constant(kSecond)), loop(3));
                     place = arith::MinSIOp::create(b, place, constant(vocabulary - 1));
                     Value logit = tensor::ExtractOp::create(b, logits, ValueRange{loop(0), loop(1), place});
                     linalg::YieldOp::create(b, arith::MaxSIOp::create(b, keyOf(b, logit, place), v[1]).getResult());
                   })
                   .getResult(0);

  SmallVector<OpFoldResult> second = rows;
  second.push_back(b.getIndexAttr(kSecond));
  Value best = maxima(b, maxima(b, keys, second), rows);
  AffineMap identity = b.getMultiDimIdentityMap(2), both[] = {identity, identity};
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  Value tokens = tensor::EmptyOp::create(b, rows, b.getI64Type());
  return linalg::GenericOp::create(
             b, tokens.getType(), best, tokens, both, parallel,
             [](OpBuilder &inner, Location at, ValueRange v) {
               ImplicitLocOpBuilder b(at, inner);
               Value isNan = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, v[0], number(b, 64, INT64_MAX));
               Value mask = number(b, 64, UINT32_MAX);
               Value early = arith::AndIOp::create(b, v[0], mask);
               Value place = arith::XOrIOp::create(b, early, mask);
               linalg::YieldOp::create(b, arith::SelectOp::create(b, isNan, number(b, 64, -1), place).getResult());
             })
      .getResult(0);
}
