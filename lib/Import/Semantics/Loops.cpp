// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops that no operand has a dimension for get one from a tensor of nothing but zeros, which nobody reads.

#include "Import/Semantics/Loops.h"

#include "Import/Semantics/Scalars.h"

#include "mlir/IR/Matchers.h"

#include <limits>

using namespace mlir;

namespace whit::semantics {

Value elementAt(ImplicitLocOpBuilder &b, const Tensor &x, ValueRange at) {
  return tensor::ExtractOp::create(b, x.value, at);
}

static SmallVector<Value> loopIndices(ImplicitLocOpBuilder &b, int64_t count) {
  SmallVector<Value> loops;
  for (int64_t i = 0; i < count; ++i)
    loops.push_back(linalg::IndexOp::create(b, i));
  return loops;
}

Tensor computed(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, Type numbers, ElementBody body) {
  int64_t rank = sizes.size();
  Value init = empty(b, sizes, numbers);
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(b, init.getType(), ValueRange(), init, b.getMultiDimIdentityMap(rank), loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             linalg::YieldOp::create(at, body(at, loopIndices(at, rank)));
                                           });
  return makeTensor(generic.getResult(0), sizes, numbers);
}

Tensor accumulated(ImplicitLocOpBuilder &b, ArrayRef<OpFoldResult> sizes, ArrayRef<OpFoldResult> over, Type numbers,
                   TypedAttr start, FoldBody body) {
  int64_t rank = sizes.size(), count = rank + over.size();
  Value first = arith::ConstantOp::create(b, start);
  Value init = linalg::FillOp::create(b, first, empty(b, sizes, numbers)).getResult(0);
  Tensor extent = splat(b, over, b.getI8IntegerAttr(0));
  SmallVector<AffineExpr> ofResult, ofExtent;
  for (int64_t i = 0; i < count; ++i)
    (i < rank ? ofResult : ofExtent).push_back(b.getAffineDimExpr(i));
  AffineMap maps[] = {AffineMap::get(count, 0, ofExtent, b.getContext()),
                      AffineMap::get(count, 0, ofResult, b.getContext())};
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops.append(over.size(), utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(b, init.getType(), extent.value, init, maps, loops,
                                           [&](OpBuilder &inner, Location loc, ValueRange v) {
                                             ImplicitLocOpBuilder at(loc, inner);
                                             linalg::YieldOp::create(at, body(at, loopIndices(at, count), v[1]));
                                           });
  return makeTensor(generic.getResult(0), sizes, numbers);
}

/// A constant is nothing to write to.
static bool isConstantTensor(const Tensor &x) { return matchPattern(x.value, m_Constant()); }

SmallVector<Tensor> folded(ImplicitLocOpBuilder &b, ArrayRef<Tensor> starts, ArrayRef<OpFoldResult> over,
                           FoldAllBody body, bool readsStarts) {
  int64_t rank = starts[0].rank(), count = rank + over.size();
  // Results may be written where they start, but not where that is still read, and without a loop that reduces what an
  // element was is an operand like any other: then the first step takes it from there.
  bool isApart = readsStarts || over.empty() || llvm::any_of(starts, isConstantTensor);
  AffineMap all = b.getMultiDimIdentityMap(count), ofResult = all.getMajorSubMap(rank);
  SmallVector<AffineMap> maps;
  SmallVector<Value> inputs, inits;
  for (const Tensor &start : starts) {
    if (isApart)
      inputs.push_back(start.value);
    inits.push_back(!isApart       ? start.value
                    : over.empty() ? empty(b, start.sizes, start.element())
                                   : zeros(b, start.sizes, start.element()));
  }
  maps.append(inputs.size(), ofResult);
  if (!over.empty()) {
    inputs.push_back(splat(b, over, b.getI8IntegerAttr(0)).value);
    maps.push_back(all.getMinorSubMap(over.size()));
  }
  maps.append(starts.size(), ofResult);
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops.append(over.size(), utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(
      b, TypeRange(ValueRange(inits)), inputs, inits, maps, loops, [&](OpBuilder &inner, Location loc, ValueRange v) {
        ImplicitLocOpBuilder at(loc, inner);
        SmallVector<Value> indices = loopIndices(at, count), soFar(v.take_back(starts.size()));
        if (over.empty())
          soFar.assign(v.begin(), v.begin() + starts.size());
        else if (isApart) {
          Value isFirst;
          for (Value loop : ArrayRef(indices).drop_front(rank))
            isFirst = both(at, isFirst, compare(at, Compare::Equal, loop, indexConstant(at, 0)));
          for (auto [value, start] : llvm::zip(soFar, v))
            value = arith::SelectOp::create(at, isFirst, start, value);
        }
        linalg::YieldOp::create(at, body(at, indices, soFar));
      });
  SmallVector<Tensor> results;
  for (auto [start, value] : llvm::zip(starts, generic.getResults()))
    results.push_back({value, start.sizes, start.meaning});
  return results;
}

TypedAttr numberAttribute(OpBuilder &b, Type numbers, double value) {
  Type type = held(numbers);
  if (isa<FloatType>(type))
    return b.getFloatAttr(type, value);
  return b.getIntegerAttr(type, int64_t(value));
}

TypedAttr lowestOf(OpBuilder &b, Type numbers) {
  Type type = held(numbers);
  if (isa<FloatType>(type))
    return b.getFloatAttr(type, -std::numeric_limits<double>::infinity());
  return b.getIntegerAttr(type,
                          APSInt::getMinValue(type.getIntOrFloatBitWidth(), signOfType(numbers) == Sign::Unsigned));
}

Value indexConstant(ImplicitLocOpBuilder &b, int64_t value) { return arith::ConstantIndexOp::create(b, value); }
Value plus(ImplicitLocOpBuilder &b, Value x, Value y) { return b.createOrFold<arith::AddIOp>(x, y); }
Value times(ImplicitLocOpBuilder &b, Value x, Value y) { return b.createOrFold<arith::MulIOp>(x, y); }
Value both(ImplicitLocOpBuilder &b, Value x, Value y) { return x ? Value(arith::AndIOp::create(b, x, y)) : y; }

Value isWithin(ImplicitLocOpBuilder &b, Value index, OpFoldResult size) {
  return arith::AndIOp::create(b, compare(b, Compare::GreaterOrEqual, index, indexConstant(b, 0)),
                               compare(b, Compare::Less, index, asValue(b, size)));
}

Value nearestWithin(ImplicitLocOpBuilder &b, Value index, OpFoldResult size) {
  Value last = arith::SubIOp::create(b, asValue(b, size), indexConstant(b, 1));
  return arith::MaxSIOp::create(b, arith::MinSIOp::create(b, index, last), indexConstant(b, 0));
}

} // namespace whit::semantics
